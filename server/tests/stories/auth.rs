//! Who may in: tokens, login links, sessions, runners.

use domain::StageKind;
use serde_json::json;
use testkit::{Api, Server, until};

use crate::{SEAMLESS, checked, waits_for};

#[tokio::test]
async fn nobody_gets_in_without_a_token() {
    let server = Server::start(SEAMLESS).await;
    let document = server.api.get("/openapi.json").await.is(200);
    let mut asked = 0;
    for token in ["", "garbage", "seamless_0123456789"] {
        let stranger = Api::new(&server.api.base, token);
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let path = path.replace("{id}", "01JGQ5Y3X8V4T6R2N9M7K1H0FA");
                let request = stranger.request(&method.to_uppercase(), &path).json(&json!({}));
                let answer = stranger.send(request).await.unwrap();
                assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text);
                answer.problem(401);
                asked += 1;
            }
        }
    }
    assert!(asked > 60, "{asked}");
    // What whoever runs it must be able to ask.
    let stranger = Api::new(&server.api.base, "");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(stranger.send(stranger.request("GET", path)).await.unwrap().status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_login_link_works_once_and_a_session_can_be_ended() {
    let mut server = Server::start(SEAMLESS).await;
    let base = server.api.base.clone();
    let printed = server.log();
    let link = printed.split_whitespace().find(|w| w.contains("/login/")).unwrap().to_owned();
    let path = link.strip_prefix(&base).unwrap().to_owned();
    let browser = Api::new(&base, "");
    let open = async |path: &str| browser.request("GET", path).send().await.unwrap();

    let answer = open(&path).await;
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    for word in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    for used in [path.as_str(), "/login/guessed"] {
        let again = open(used).await;
        assert!(
            again.headers()["location"].to_str().unwrap().starts_with("/login?"),
            "it says that it was refused"
        );
        assert!(again.headers().get("set-cookie").is_none());
    }

    let with = |method: &str, path: &str, cookie: &str| {
        browser.request(method, path).header("cookie", cookie.to_owned())
    };
    let status = async |cookie: &str| with("GET", "/live/overview", cookie).send().await.unwrap().status();
    assert_eq!(status(&cookie).await, 200);
    assert_eq!(status("seamless_session=guessed").await, 401);
    // A session is a row: it outlives the server.
    server.kill9();
    server.restart().await;
    assert_eq!(status(&cookie).await, 200);
    let elsewhere = with("POST", "/logout", &cookie).header("origin", "http://evil.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), 403);
    assert_eq!(status(&cookie).await, 200);
    assert_eq!(with("POST", "/logout", &cookie).send().await.unwrap().status(), 303);
    assert_eq!(status(&cookie).await, 401);

    let said = String::from_utf8(server.command(&["login"]).output().unwrap().stdout).unwrap();
    let another = said.split_whitespace().find_map(|w| w.strip_prefix(&base)).unwrap().to_owned();
    assert!(open(&another).await.headers().get("set-cookie").is_some());
}

#[tokio::test]
async fn what_has_ended_lets_nobody_in() {
    let server = Server::start(SEAMLESS).await;
    let database = sea_orm::Database::connect(server.database()).await.unwrap();
    let ends = async |table: &str| {
        let sql = format!("UPDATE {table} SET expires_at = 1");
        sea_orm::ConnectionTrait::execute_unprepared(&database, &sql).await.unwrap();
    };
    let person = testkit::Visitor::log_in(&server).await;
    let (_, token) = person.makes_token(&[("name", "x"), ("role", "viewer"), ("days", "1")]).await;
    let program = Api::new(&server.api.base, &token);
    program.get("/services").await.is(200);
    let lasts = server.number("SELECT MIN(expires_at - created_at) FROM api_token").await;
    assert_eq!(lasts, 24 * 3_600_000);
    ends("api_token").await;
    program.get("/services").await.problem(401);
    assert!(person.reads("/settings").await.contains(" · ended"));
    assert_eq!(server.number("SELECT expires_at - created_at FROM session").await, 30 * 24 * 3_600_000);
    ends("session").await;
    let sent = person.asks("GET", "/runs").await;
    assert_eq!(sent.headers()["location"], "/login?said=over&next=%2Fruns");
    let said = String::from_utf8(server.command(&["login"]).output().unwrap().stdout).unwrap();
    let link = said.split_whitespace().find_map(|w| w.strip_prefix(&server.api.base)).unwrap();
    ends("login_link").await;
    let sent = person.asks("GET", link).await;
    assert_eq!(sent.headers()["location"], "/login?said=link");
}

#[tokio::test]
async fn a_runner_of_another_attempt_changes_nothing() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let go = server.scratch("go");
    let (_, settings) =
        checked(&server, "orders", json!({ "unit_test": format!("echo begun; {}", waits_for(&go)) }));
    let service = api.connect(&settings).await;
    let run = api.start(&service).await.id;
    let begun = |attempt| {
        move |r: &domain::view::Run| {
            r.stage(StageKind::UnitTest).is_some_and(|s| s.attempt == attempt && s.lines >= 1)
        }
    };
    let stage = api.run_until(run, "begun", begun(1)).await.stages[2].id;
    let finish = json!({ "outcome": "success", "reason": null, "error": null, "lines": 0 });
    let line = json!({ "at": "2026-01-05T09:00:00.000Z", "stream": "stdout", "text": "forged" });
    let call = async |token: &str| {
        let runner = Api::new(&api.base, token);
        let mut answers = Vec::new();
        for (method, path, body) in [
            ("GET", "job", json!({})),
            ("POST", "heartbeat", json!({})),
            ("POST", "log", json!({ "first_seq": 0, "lines": [line] })),
            ("POST", "finish", finish.clone()),
        ] {
            let request = runner.request(method, &format!("/runner/v1/{path}"));
            let request = if method == "GET" { request } else { request.json(&body) };
            answers.push(runner.send(request).await.unwrap().status);
        }
        answers
    };
    assert_eq!(call("").await, [401; 4]);
    assert_eq!(call("garbage").await, [401; 4]);
    assert_eq!(call(&api.token).await, [401; 4]);
    assert_eq!(call(&format!("{stage}.1.guessed")).await, [401; 4]);
    server.attempt(stage, 1).iter().filter(|p| p.is("runner")).for_each(testkit::proc::Process::kill9);
    api.run_until(run, "tried again", begun(2)).await;
    assert_eq!(call(&format!("{stage}.1.guessed")).await, [409; 4]);
    assert_eq!(call(&format!("{stage}.3.guessed")).await, [409; 4]);
    std::fs::write(&go, "").unwrap();
    let run = api.succeeded(run).await;
    for attempt in [1, 2] {
        assert!(api.log(stage, attempt).await.iter().all(|l| l.text != "forged"));
    }
    // What proved the runner is not left on the disk.
    let left = until("both attempts to be gone", async || {
        let credentials = [1, 2].map(|a| server.data().join(format!("stages/{stage}.{a}/credentials")));
        Some(credentials.map(|file| std::fs::read_to_string(file).unwrap_or_default()))
    });
    assert_eq!(left.await, ["", ""]);
    assert_eq!(run.stages[2].attempt, 2);
}

#[tokio::test]
async fn the_key_of_all_secrets_can_be_changed() {
    let mut server = Server::start(SEAMLESS).await;
    let (_, mut settings) = checked(&server, "orders", json!({}));
    settings["variables"] = json!({ "TOKEN": { "value": "s3cret-token", "secret": true } });
    server.api.connect(&settings).await;
    let file = server.data().join("secret.key");
    let keys = || std::fs::read_to_string(&file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let says = |server: &Server, command: &[&str]| {
        let output = server.command(command).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let (first, secret) = (keys(), says(&server, &["hook-secret", "orders"]));
    assert!(secret.0, "{secret:?}");
    // Servers that work would go on with the key they know.
    assert!(!says(&server, &["rotate-key"]).0);
    assert_eq!(keys().last(), first.last(), "what was sealed before can still be opened");
    assert_eq!(says(&server, &["hook-secret", "orders"]), secret);
    server.stop().await;
    let (done, said) = says(&server, &["rotate-key"]);
    assert!(done && said.contains("Sealed 2 secrets"), "{said}");
    assert!(keys().len() == 1 && keys() != first);
    server.restart().await;
    assert_eq!(says(&server, &["hook-secret", "orders"]), secret);
    // By settings: a new one, and the one before.
    server.stop().await;
    let old = keys().remove(0);
    let turned = |command: &[&str]| {
        let mut command = server.command(command);
        command.env("SEAMLESS_SECRET_KEY", "a-key-of-the-operators-own").env("SEAMLESS_SECRET_KEY_OLD", &old);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(turned(&["hook-secret", "orders"]), secret.1);
    assert!(turned(&["rotate-key"]).contains("Sealed 2 secrets"));
    let mut alone = server.command(&["hook-secret", "orders"]);
    alone.env("SEAMLESS_SECRET_KEY", "a-key-of-the-operators-own");
    assert_eq!(String::from_utf8(alone.output().unwrap().stdout).unwrap(), secret.1);
    assert!(!says(&server, &["hook-secret", "orders"]).0, "the key before opens nothing any more");
}
