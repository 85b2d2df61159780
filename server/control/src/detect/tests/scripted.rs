//! Node, Python, Ruby.

use super::said;

#[test]
fn npm_with_scripts() {
    let files = [
        (
            "package.json",
            r#"{"scripts":{"lint":"eslint .","typecheck":"tsc --noEmit","test":"vitest run","build":"tsc","start":"node dist/server.js"},"dependencies":{"express":"5"}}"#,
        ),
        ("package-lock.json", ""),
        ("src/server.ts", "app.get('/health', ok); app.listen(process.env.PORT || 3000)"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: node [package.json is there]
    commands.prepare: npm ci [package-lock.json is there, so npm ci installs exactly what it names]
    commands.code_quality: npm run lint && npm run typecheck [package.json has the scripts lint, typecheck]
    commands.unit_test: npm test [package.json has the script test: vitest run]
    commands.build: npm run build [package.json has the script build]
    commands.start: exec node dist/server.js [it is the script start, without a package manager between Seamless and it]
    health_path: /health ["/health" stands in src/server.ts]
    port: 3000 [src/server.ts takes 3000 when PORT is not set; Seamless sets it]
    "##);
}

#[test]
fn pnpm_and_the_placeholder_test() {
    let files = [
        (
            "package.json",
            r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1","start":"next start && echo"},"dependencies":{"next":"15"},"devDependencies":{"eslint":"9"}}"#,
        ),
        ("pnpm-lock.yaml", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: node [package.json is there]
    commands.prepare: pnpm install --frozen-lockfile [pnpm-lock.yaml is there, so pnpm installs exactly what it names]
    commands.code_quality: pnpm exec eslint . [eslint is among the packages, without a script]
    commands.unit_test:  [the script test of package.json is npm's placeholder, which always fails]
    commands.start: pnpm run start [package.json has the script start: next start && echo]
    "##);
}

#[test]
fn yarn_classic_and_nodes_own_runner() {
    let files = [
        ("package.json", r#"{"dependencies":{"a":"1"},"main":"./lib/index.js"}"#),
        ("yarn.lock", ""),
        ("lib/index.js", ""),
        ("lib/a.test.js", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: node [package.json is there]
    commands.prepare: yarn install --frozen-lockfile [yarn.lock is there, so yarn installs exactly what it names]
    commands.code_quality:  [package.json has no script lint and no linter among its packages]
    commands.unit_test: node --test [lib/a.test.js is there, and no script test, so Node's own runner]
    commands.start: exec node lib/index.js [package.json names lib/index.js as its main file]
    "##);
}

#[test]
fn yarn_modern_without_a_settings_file() {
    let files = [
        (
            "package.json",
            r#"{"packageManager":"yarn@4.1.0","scripts":{"test":"jest","start":"node ."},"dependencies":{"a":"1"}}"#,
        ),
        ("yarn.lock", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: node [package.json is there]
    commands.prepare: yarn install --immutable [yarn.lock is there, so yarn installs exactly what it names]
    commands.code_quality:  [package.json has no script lint and no linter among its packages]
    commands.unit_test: yarn run test [package.json has the script test: jest]
    commands.start: exec node . [it is the script start, without a package manager between Seamless and it]
    "##);
}

#[test]
fn node_without_packages() {
    let files = [
        ("package.json", r#"{"scripts":{"start":"node server.mjs","test":"node --test"}}"#),
        ("server.mjs", "if (path === \"/health\") {}\nserver.listen(Number(process.env.PORT ?? 8081))"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: node [package.json is there]
    commands.prepare:  [package.json names no packages, so there is nothing to bring in]
    commands.code_quality:  [package.json has no script lint and no linter among its packages]
    commands.unit_test: npm test [package.json has the script test: node --test]
    commands.start: exec node server.mjs [it is the script start, without a package manager between Seamless and it]
    health_path: /health ["/health" stands in server.mjs]
    port: 8081 [server.mjs takes 8081 when PORT is not set; Seamless sets it]
    "##);
}

#[test]
fn pip_with_flask() {
    let files = [
        ("requirements.txt", "flask==3\ngunicorn\n"),
        ("requirements-dev.txt", "pytest\nflake8\n"),
        ("app.py", "from flask import Flask\napp = Flask(__name__)\n@app.route('/healthz')\n"),
        ("tests/test_app.py", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: python [requirements.txt is there]
    commands.prepare: python3 -m venv .venv && .venv/bin/python -m pip install -r requirements.txt -r requirements-dev.txt [requirements.txt and requirements-dev.txt are there, so pip; into .venv, to be deployed along]
    commands.code_quality: .venv/bin/python -m flake8 --exclude .venv [flake8 is among the packages]
    commands.unit_test: .venv/bin/python -m pytest [pytest is among the packages]
    commands.start: exec .venv/bin/python -m gunicorn app:app --bind 127.0.0.1:$PORT [app.py makes a Flask application called app]
    health_path: /healthz ["/healthz" stands in app.py]
    "##);
}

#[test]
fn uv_with_fastapi() {
    let files = [
        (
            "pyproject.toml",
            "[project]\nname='x'\ndependencies=['fastapi','uvicorn']\n[dependency-groups]\ndev=['pytest','ruff']\n",
        ),
        ("uv.lock", ""),
        ("src/orders/main.py", "app = FastAPI()\n@api.get(\"/ready\")"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: python [uv.lock is there]
    commands.prepare: uv sync --locked [uv.lock is there, so uv installs exactly what it names into .venv]
    commands.code_quality: .venv/bin/python -m ruff check . [ruff is among the packages]
    commands.unit_test: .venv/bin/python -m pytest [pytest is among the packages]
    commands.start: PYTHONPATH=src exec .venv/bin/python -m uvicorn orders.main:app --host 127.0.0.1 --port $PORT [src/orders/main.py makes an ASGI application called app]
    health_path: /ready ["/ready" stands in src/orders/main.py]
    "##);
}

#[test]
fn poetry_with_django() {
    let files = [
        (
            "pyproject.toml",
            "[tool.poetry]\nname='x'\n[tool.poetry.dependencies]\ngunicorn='*'\n[tool.ruff]\n",
        ),
        ("poetry.lock", ""),
        ("manage.py", ""),
        ("shop/wsgi.py", ""),
        ("shop/urls.py", "path('status', x)"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: python [poetry.lock is there]
    commands.prepare: POETRY_VIRTUALENVS_IN_PROJECT=true poetry install --no-interaction [poetry.lock is there, so poetry; what it installs goes into .venv, to be deployed along]
    commands.code_quality: ruff check . [pyproject.toml sets up ruff, which must be on this machine, being no package of the project]
    commands.unit_test: .venv/bin/python manage.py test [manage.py is there, so Django's own runner]
    commands.start: exec .venv/bin/python -m gunicorn shop.wsgi --bind 127.0.0.1:$PORT [manage.py is there, and gunicorn among the packages]
    "##);
}

#[test]
fn plain_python() {
    let files = [
        ("server.py", "PORT = int(os.environ.get(\"PORT\", \"8082\"))\nif path == \"/health\":"),
        ("test_prices.py", ""),
        ("prices.py", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: python [server.py is there]
    commands.prepare:  [no requirements.txt, pyproject.toml or lockfile names packages, so there is nothing to bring in]
    commands.code_quality:  [neither ruff nor flake8 is set up]
    commands.unit_test: python3 -m unittest -v [test_prices.py is there and pytest is not, so Python's own runner]
    commands.start: exec python3 server.py [server.py is there]
    health_path: /health ["/health" stands in server.py]
    port: 8082 [server.py takes 8082 when PORT is not set; Seamless sets it]
    "##);
}

#[test]
fn pip_from_pyproject() {
    let files = [
        (
            "pyproject.toml",
            "[project]\nname='x'\ndependencies=['aiohttp']\n[project.optional-dependencies]\ntest=['pytest']\n",
        ),
        ("orders/__main__.py", ""),
        ("tests/test_x.py", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: python [pyproject.toml is there]
    commands.prepare: python3 -m venv .venv && .venv/bin/python -m pip install '.[test]' [pyproject.toml is there without a lockfile, so pip; into .venv, to be deployed along]
    commands.code_quality:  [neither ruff nor flake8 is set up]
    commands.unit_test: .venv/bin/python -m pytest [pytest is among the packages]
    commands.start: exec .venv/bin/python -m orders [orders/__main__.py is there]
    "##);
}

#[test]
fn rails() {
    let files = [
        ("Gemfile", "gem \"rails\"\ngem \"puma\"\ngem \"propshaft\"\ngem 'rubocop-rails-omakase'"),
        ("Gemfile.lock", ""),
        ("bin/rails", ""),
        ("test/models/a_test.rb", ""),
        ("config/routes.rb", "get \"up\" => \"rails/health#show\", as: :rails_health_check"),
        ("package.json", "{}"),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: ruby [Gemfile is there]
    commands.prepare: bundle config set --local path vendor/bundle && BUNDLE_FROZEN=true bundle install [Gemfile.lock is there; into vendor/bundle, to be deployed along]
    commands.code_quality: bundle exec rubocop [rubocop is among the gems]
    commands.unit_test: bundle exec rails test [Rails and a folder test are there]
    commands.build: RAILS_ENV=production SECRET_KEY_BASE_DUMMY=1 bundle exec rails assets:precompile [Rails and an asset pipeline are among the gems]
    commands.start: exec bundle exec rails server -b 127.0.0.1 -p $PORT [Rails is among the gems]
    health_path: /up [config/routes.rb has Rails' own health check]
    "##);
}

#[test]
fn sinatra() {
    let files = [
        ("Gemfile", "gem 'sinatra'\ngem 'puma'"),
        ("config.ru", ""),
        ("spec/a_spec.rb", ""),
        ("app.rb", "get '/ping' do"),
        (".rubocop.yml", ""),
    ];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: ruby [Gemfile is there]
    commands.prepare: bundle config set --local path vendor/bundle && bundle install [Gemfile is there, without a Gemfile.lock; into vendor/bundle, to be deployed along]
    commands.code_quality: rubocop [.rubocop.yml is there; rubocop must be on this machine, being no gem of the project]
    commands.unit_test: bundle exec rspec [spec/a_spec.rb is there]
    commands.start: exec bundle exec puma -b tcp://127.0.0.1:$PORT [config.ru is there, and puma among the gems]
    health_path: /ping ["/ping" stands in app.rb]
    "##);
}

#[test]
fn minitest_without_a_rakefile() {
    let files = [("Gemfile", "gem 'minitest'"), ("test/a_test.rb", ""), ("server.rb", "")];
    insta::assert_snapshot!(said(&files), @r##"
    runtime: ruby [Gemfile is there]
    commands.prepare: bundle config set --local path vendor/bundle && bundle install [Gemfile is there, without a Gemfile.lock; into vendor/bundle, to be deployed along]
    commands.code_quality:  [neither rubocop nor standard is set up]
    commands.unit_test: bundle exec ruby -Itest -Ilib -e 'Dir["test/**/*_test.rb"].each { |file| require "./#{file}" }' [test/a_test.rb is there, without a task for it]
    commands.start: exec bundle exec ruby server.rb [server.rb is there]
    "##);
}
