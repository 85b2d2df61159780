//! Ruby, with Bundler.

use super::{
    draft::{Draft, Slot},
    folder::Folder,
};

pub fn marker(folder: &Folder) -> Option<String> {
    folder.first_of(&["Gemfile", "config.ru"]).map(str::to_owned)
}

pub fn propose(folder: &Folder, draft: &mut Draft) {
    let gemfile = folder.text("Gemfile").unwrap_or_default();
    let gem = |name: &str| {
        gemfile
            .lines()
            .map(str::trim_start)
            .filter(|line| line.starts_with("gem"))
            .any(|line| line.contains(&format!("\"{name}\"")) || line.contains(&format!("'{name}'")))
    };
    if folder.has("Gemfile") {
        let why = if folder.has("Gemfile.lock") {
            "Gemfile.lock is there"
        } else {
            "Gemfile is there, without a Gemfile.lock"
        };
        let frozen = if folder.has("Gemfile.lock") { "BUNDLE_FROZEN=true " } else { "" };
        draft.command(
            Slot::Prepare,
            format!("bundle config set --local path vendor/bundle && {frozen}bundle install"),
            format!("{why}; into vendor/bundle, to be deployed along"),
        );
    }
    if gem("standard") {
        draft.command(Slot::CodeQuality, "bundle exec standardrb", "standard is among the gems");
    } else if gem("rubocop") || gem("rubocop-rails-omakase") || gem("rubocop-rails") {
        draft.command(Slot::CodeQuality, "bundle exec rubocop", "rubocop is among the gems");
    } else if folder.has(".rubocop.yml") {
        draft.command(
            Slot::CodeQuality,
            "rubocop",
            ".rubocop.yml is there; rubocop must be on this machine, being no gem of the project",
        );
    } else {
        draft.no_command(Slot::CodeQuality, "neither rubocop nor standard is set up");
    }

    let rails = gem("rails") || folder.has("bin/rails");
    let spec = folder.find(|path| path.starts_with("spec/") && path.ends_with("_spec.rb"));
    let test = folder.find(|path| path.starts_with("test/") && path.ends_with("_test.rb"));
    let has_task = folder.text("Rakefile").is_some_and(|text| text.contains("TestTask"));
    if let Some(file) = spec {
        draft.command(Slot::UnitTest, "bundle exec rspec", format!("{file} is there"));
    } else if gem("rspec") || gem("rspec-rails") {
        draft.command(Slot::UnitTest, "bundle exec rspec", "rspec is among the gems");
    } else if rails && test.is_some() {
        draft.command(Slot::UnitTest, "bundle exec rails test", "Rails and a folder test are there");
    } else if has_task {
        draft.command(Slot::UnitTest, "bundle exec rake test", "the Rakefile has a task for tests");
    } else if let Some(file) = test {
        draft.command(
            Slot::UnitTest,
            "bundle exec ruby -Itest -Ilib -e 'Dir[\"test/**/*_test.rb\"].each { |file| require \"./#{file}\" }'",
            format!("{file} is there, without a task for it"),
        );
    } else {
        draft.no_command(Slot::UnitTest, "there is neither a spec nor a test");
    }

    if rails && (gem("sprockets-rails") || gem("propshaft")) {
        draft.command(
            Slot::Build,
            "RAILS_ENV=production SECRET_KEY_BASE_DUMMY=1 bundle exec rails assets:precompile",
            "Rails and an asset pipeline are among the gems",
        );
    }
    if let Some(command) = folder.procfile() {
        draft.command(Slot::Start, format!("exec {command}"), "it is the process web of the Procfile");
    } else if rails {
        draft.command(
            Slot::Start,
            "exec bundle exec rails server -b 127.0.0.1 -p $PORT",
            "Rails is among the gems",
        );
    } else if folder.has("config.ru") && gem("puma") {
        draft.command(
            Slot::Start,
            "exec bundle exec puma -b tcp://127.0.0.1:$PORT",
            "config.ru is there, and puma among the gems",
        );
    } else if folder.has("config.ru") {
        draft.command(Slot::Start, "exec bundle exec rackup -o 127.0.0.1 -p $PORT", "config.ru is there");
    } else if let Some(file) = folder.first_of(&["server.rb", "app.rb", "main.rb"]) {
        draft.command(Slot::Start, format!("exec bundle exec ruby {file}"), format!("{file} is there"));
    }
    if folder
        .text("config/routes.rb")
        .is_some_and(|routes| routes.contains("rails/health#show") && routes.contains("\"up\""))
    {
        draft.health_path("/up", "config/routes.rb has Rails' own health check");
    }
}
