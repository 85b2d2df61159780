//! Connecting, changing and forgetting services.

use std::{fs, net::TcpListener};

use domain::view::{Page, Pipeline, Service};
use serde_json::json;
use testkit::{Repository, Server, free_port, serves, tiny, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{SEAMLESS, checked, port};

#[tokio::test]
async fn is_connected_changed_and_forgotten() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, mut settings) = tiny(&server, "orders");
    settings["variables"] = json!({ "LEVEL": "info", "KEY": { "value": "s3cret-key", "secret": true } });
    let service = api.connect(&settings).await;
    assert_eq!(service.notices, "hook");
    assert_eq!(service.settings.branch.as_deref(), Some("main"));
    assert!(service.settings.triggers.push);
    let path = format!("/services/{}", service.id);

    let shown = api.get(&path).await.is(200);
    assert_eq!(shown["variables"]["LEVEL"], "info");
    assert_eq!(shown["variables"]["KEY"], json!({ "secret": true }), "a secret's value is never shown");
    assert_eq!(api.get("/services").await.to::<Page<Service>>(200).items.len(), 1);

    // What is given replaces, null clears, the rest stays.
    let change =
        json!({ "commands": { "unit_test": "true" }, "variables": { "LEVEL": null }, "health_path": null });
    let changed = api.patch(&path, change).await.is(200);
    assert_eq!(changed["commands"]["unit_test"], "true");
    assert_eq!(changed["commands"]["start"], settings["commands"]["start"]);
    assert_eq!(changed["variables"], json!({ "KEY": { "secret": true } }));
    assert_eq!(changed["health_path"], json!(null));
    api.patch(&path, json!({ "health_path": "/health" })).await.is(200);

    let run = api.start(&service).await;
    api.succeeded(run.id).await;
    serves(api, port(&settings), "1").await;
    assert!(
        fs::read_to_string(repository.bare.join("hooks/post-receive"))
            .unwrap()
            .contains(&service.id.to_string())
    );

    api.delete(&path).await.is(204);
    api.get(&path).await.problem(404);
    api.delete(&path).await.problem(404);
    api.get(&format!("/runs/{}", run.id)).await.problem(404);
    let left = until("its processes to end", async || {
        let left = server.processes();
        let left: Vec<_> =
            left.into_iter().filter(|p| p.variable("SEAMLESS_SERVICE").is_some() || p.is("keeper")).collect();
        left.is_empty().then_some(left)
    });
    left.await;
    TcpListener::bind(("127.0.0.1", port(&settings))).expect("its port is free again");
    let hook = fs::read_to_string(repository.bare.join("hooks/post-receive")).unwrap_or_default();
    assert!(!hook.contains("seamless"), "{hook}");
    // Its name and ports may be used again.
    api.connect(&settings).await;
}

#[tokio::test]
async fn wrong_fields_are_named_and_nothing_is_made() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (repository, settings) = tiny(&server, "orders");
    let with = |name: &str, value: serde_json::Value| {
        let mut wrong = settings.clone();
        wrong[name] = value;
        wrong
    };
    let post = async |body| api.post("/services", body).await;
    post(json!({})).await.names(&["name"]);
    post(with("nmae", json!("x"))).await.names(&["nmae"]);
    post(with("commands", json!({ "biuld": "make" }))).await.names(&["commands.biuld"]);
    post(with("staging", json!("yes"))).await.names(&["staging"]);
    post(with("port", json!(80))).await.names(&["port"]);
    post(with("port", json!(70_000))).await.names(&["port"]);
    post(with("stage_timeout_s", json!(0))).await.names(&["stage_timeout_s"]);
    let mut several = with("name", json!("Orders!"));
    several["health_path"] = json!("health");
    several["variables"] = json!({ "PORT": "1", "KEY": { "value": "abc", "secret": true } });
    post(several).await.names(&["name", "health_path", "variables.PORT", "variables.KEY"]);

    let listens = TcpListener::bind("127.0.0.1:0").unwrap();
    post(with("port", json!(listens.local_addr().unwrap().port()))).await.names(&["port"]);

    let broken = api.request("POST", "/api/v1/services").body("{\"name\": ");
    api.send(broken).await.unwrap().problem(400);
    assert_eq!(api.get("/services").await.is(200)["items"], json!([]));
    assert!(!repository.bare.join("hooks/post-receive").exists());

    api.connect(&settings).await;
    post(settings.clone()).await.names(&["environments.staging.port", "name", "port"]);
    let service = &api.get("/services").await.to::<Page<Service>>(200).items[0];
    let path = format!("/services/{}", service.id);
    api.patch(&path, json!({ "auto_deplyo": true })).await.names(&["auto_deplyo"]);
    api.patch(&path, json!({ "staging": null })).await.names(&["staging"]);
    api.patch(&path, json!({ "branch": "elsewhere" })).await.names(&["branch"]);
    assert_eq!(&api.get(&path).await.to::<Service>(200), service, "a refused change changes nothing");
}

#[tokio::test]
async fn repositories_that_cannot_be_read_are_refused_with_the_remedy() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let (_, settings) = tiny(&server, "orders");
    let empty = Repository::empty(&server.repositories(), "empty");
    let asks = asks_for_a_password().await;
    let cases = [
        (
            server.repositories().join("nowhere").to_string_lossy().into_owned(),
            "repository",
            "no Git repository",
        ),
        (empty.path(), "repository", "no commits yet"),
        (asks, "repository", "password"),
    ];
    for (repository, field, words) in cases {
        for path in ["/services", "/services/detect"] {
            let mut body = json!({ "repository": repository });
            if path == "/services" {
                body = settings.clone();
                body["repository"] = json!(repository);
                body["branch"] = json!(null);
            }
            let answer = api.post(path, body).await;
            answer.names(&[field]);
            assert!(answer.problem(422).contains(words), "{}", answer.text);
        }
    }
    let mut other = settings.clone();
    other["branch"] = json!("release");
    let answer = api.post("/services", other).await;
    answer.names(&["branch"]);
    assert!(answer.problem(422).contains("it has: main"), "{}", answer.text);
    assert_eq!(api.get("/services").await.is(200)["items"], json!([]));
    assert!(!empty.bare.join("hooks/post-receive").exists());
}

/// An address that answers every request with 401.
async fn asks_for_a_password() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/secret.git")
}

#[tokio::test]
async fn settings_are_proposed_with_their_reasons() {
    let server = Server::start(SEAMLESS).await;
    let repository = Repository::empty(&server.repositories(), "Stock_API");
    repository.change(
        &[
            ("go.mod", "module example.org/stock\n\ngo 1.22\n"),
            ("main.go", "package main\n\nfunc main() {}\n"),
        ],
        "Start",
    );
    let found = server.api.post("/services/detect", json!({ "repository": repository.path() })).await.is(200);
    assert_eq!(found["runtime"], "go");
    assert_eq!(found["settings"]["name"], "stock-api");
    assert_eq!(found["settings"]["branch"], "main");
    let proposals = found["proposals"].as_array().unwrap();
    assert!(!proposals.is_empty());
    assert!(proposals.iter().all(|p| p["why"].as_str().is_some_and(|w| !w.is_empty())), "{found}");
    // What is proposed can be sent as it is.
    let mut settings = found["settings"].clone();
    settings["port"] = json!(free_port());
    settings["environments"]["staging"]["port"] = json!(free_port());
    server.api.connect(&settings).await;
}

#[tokio::test]
async fn pipelines_have_names_of_their_own() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let first = api.get("/pipelines").await.to::<Page<Pipeline>>(200).items;
    assert_eq!(first.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["Main"]);
    assert_eq!(first[0].environments, ["staging", "production"]);
    let made: Pipeline = api.post("/pipelines", json!({ "name": "Payments" })).await.to(201);
    api.post("/pipelines", json!({ "name": "Payments" })).await.names(&["name"]);
    api.post("/pipelines", json!({ "name": "X", "environments": ["moon"] })).await.names(&["environments"]);
    let path = format!("/pipelines/{}", made.id);
    api.patch(&path, json!({ "name": "Main" })).await.names(&["name"]);
    let changed: Pipeline =
        api.patch(&path, json!({ "name": "Checkout", "environments": ["production"] })).await.to(200);
    assert_eq!(
        (changed.name.as_str(), changed.environments.as_slice()),
        ("Checkout", &["production".to_owned()][..])
    );
}

#[tokio::test]
async fn is_forgotten_in_the_middle_of_its_run() {
    let server = Server::start(SEAMLESS).await;
    let api = &server.api;
    let stays = "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & while :; do sleep 1; done";
    let (_, settings) =
        checked(&server, "orders", json!({ "unit_test": stays, "code_quality": "sleep 600" }));
    let service = api.connect(&settings).await;
    let run = api.start(&service).await.id;
    let run = api.run_until(run, "in both", |r| r.stages[1].lines > 0 && r.stages[2].lines > 0).await;
    api.delete(&format!("/services/{}", service.id)).await.is(204);
    api.get(&format!("/runs/{}", run.id)).await.problem(404);
    until("its processes to end", async || {
        run.stages.iter().all(|s| server.attempt(s.id, 1).is_empty()).then_some(())
    })
    .await;
    let again = api.connect(&settings).await;
    assert_ne!(again.id, service.id);
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
