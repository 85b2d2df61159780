//! No secret is in anything that Seamless answers, says or writes: real runs of a private repository, as an app, with somebody logged in;
//! then everything is asked for by everybody who may, and everything on the disk is read.
//!
//! What it leaves unproven: memory, and what processes of the same user could read of one another. A login link stands in what the server
//! prints, and a new API token on the one page that shows it; that is what they are for.

use std::{process::Command, sync::Arc};

use domain::{
    StageKind,
    view::{Delivery, Page, Pipeline, Run},
};
use futures::StreamExt;
use serde_json::json;
use testkit::{Api, Follow, Options, Server, Visitor, github, github::GitHub, until};
use tokio::sync::Mutex;

use crate::{
    SEAMLESS,
    matrix::{RULES, Rule},
};

const ORDERS: &str = "acme/orders";
const VARIABLE: &str = "hunter2-hunter2-hunter2";
const WEBHOOKS: &str = "the secret of hooks that people made";
/// Server functions that only read, besides those that every viewer may call.
const READING: [&str; 3] = ["/fn/candidates", "/fn/draft", "/fn/drafts"];
/// Those that every viewer may call and that change something.
const CHANGING: [&str; 4] = ["/fn/make_token", "/fn/revoke_token", "/fn/revoke_session", "/fn/set_theme"];

/// What a stream says for as long as it is open.
fn overhears(api: &Api) -> (tokio::task::JoinHandle<()>, Arc<Mutex<String>>) {
    let (heard, api) = (Arc::new(Mutex::new(String::new())), api.clone());
    let task = tokio::spawn({
        let heard = Arc::clone(&heard);
        async move {
            let mut bytes = api.request("GET", "/live/overview").send().await.unwrap().bytes_stream();
            while let Some(Ok(some)) = bytes.next().await {
                heard.lock().await.push_str(&String::from_utf8_lossy(&some));
            }
        }
    });
    (task, heard)
}

#[tokio::test]
async fn no_secret_is_in_what_is_answered_said_or_written() {
    let github = GitHub::start().await;
    github.state().visitor = (7, "dana".into());
    // A token with an end, which is renewed at each look.
    github.state().lasts = Some(60);
    let mut environment = github.app_environment();
    let key = environment.iter().find(|(name, _)| *name == "GITHUB_APP_PRIVATE_KEY").unwrap().1.clone();
    environment.extend(github.sign_in("Iv23standin"));
    environment.push(("GITHUB_WEBHOOK_SECRET", WEBHOOKS.into()));
    environment.push(("SEAMLESS_ALLOWED_USERS", "dana:owner".into()));
    environment.push(("RUST_LOG", "debug".into()));
    let server = Server::start_with(SEAMLESS, Options { environment, ..Options::default() }).await;
    let api = &server.api;
    let (tiny, mut settings) = testkit::tiny(&server, "orders");
    let repository = github.repository(ORDERS);
    tiny.git(&["remote", "set-url", "origin", &repository.path()]);
    tiny.push("main");
    github.make_private(ORDERS);

    let dana = Visitor::come(&server, &[]).await.unwrap();
    let (_, made) = dana.makes_token(&[("name", "report"), ("role", "owner"), ("days", "7")]).await;
    let (overview, heard) = overhears(api);
    let copy = |name: &str| {
        let to = server.scratch(name);
        format!("mkdir {0} && cp -r .git {0}/git && env >{0}/environment && env", to.display())
    };
    settings["repository"] = ORDERS.into();
    settings["commands"]["prepare"] = copy("prepare").into();
    settings["commands"]["unit_test"] = copy("unit-test").into();
    settings["github"] = json!({ "comment": true, "statuses": true, "deployments": true });
    settings["variables"] = json!({ "API_KEY": { "value": VARIABLE, "secret": true } });
    let service = api.connect(&settings).await;
    until("the hook", async || (github.state().repository(ORDERS).hooks.len() == 1).then_some(())).await;
    let sha = tiny.commit(&[("VERSION", "2\n")], "A word to be found again");
    assert_eq!(github.push(ORDERS, &tiny, "main").await, [202]);
    let run = api.run_of(&service, &sha).await;
    let mut live = Follow::run(api, run.id, None).await;
    let run = api.succeeded(run.id).await;
    for name in ["prepare", "unit-test"] {
        std::fs::rename(server.scratch(name), server.scratch(&format!("first-{name}"))).unwrap();
    }
    tiny.commit(&[("VERSION", "3\n")], "Proposed");
    let pull = github.proposed(ORDERS, &tiny, 5, ORDERS);
    let head = pull["pull_request"]["head"]["sha"].as_str().unwrap().to_owned();
    assert_eq!(github.tell(ORDERS, "pull_request", pull).await, [202]);
    api.succeeded(api.run_of(&service, &head).await.id).await;
    until("everything to be told", async || (api.get("/github").await.json()["untold"] == 0).then_some(()))
        .await;

    let said =
        String::from_utf8(server.command(&["hook-secret", "orders"]).output().unwrap().stdout).unwrap();
    let mut secrets = vec![
        said.trim().to_owned(),
        github.state().repository(ORDERS).hooks[0].secret.clone(),
        key.lines().nth(3).unwrap().to_owned(),
        github::APP_SECRET.to_owned(),
        WEBHOOKS.to_owned(),
        VARIABLE.to_owned(),
        api.token.clone(),
        made,
        dana.cookie().split_once('=').unwrap().1.to_owned(),
    ];
    secrets.extend(github.state().issued.iter().map(|(token, _)| token.clone()));
    let asked = everything(&server, &dana, &service.id.to_string(), &run).await;
    // Those of people are renewed meanwhile: all that there were.
    let last = github.state().last;
    secrets.extend(
        (1..=last).flat_map(|n| [format!("ghu_standinPerson{n:024}"), format!("ghr_standinRenews{n:060}")]),
    );
    assert!(secrets.iter().all(|secret| secret.len() >= 16));
    assert!(github.state().issued.len() >= 2 && github.state().renewed >= 1);

    let mut texts = asked;
    while let Some(message) = live.next().await {
        texts.push(("the run's stream".into(), format!("{message:?}")));
    }
    overview.abort();
    texts.push(("the overview's stream".into(), heard.lock().await.clone()));
    texts.push(("the log".into(), server.log()));
    {
        let mut state = github.state();
        let told = state.repository(ORDERS);
        let told = format!("{:?} {:?} {:?}", told.statuses, told.comments, told.deployments);
        texts.push(("what GitHub was told".into(), told));
    }
    for (what, text) in &texts {
        assert!(!text.is_empty(), "{what} is empty");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{what} has {secret}:\n{text}");
        }
    }
    let found = texts.iter().filter(|(_, text)| text.contains("A word to be found again")).count();
    assert!(found >= 8, "what is looked through is what is there: {found}");

    // On the disk: mirrors, workspaces as commands found them, the database, what runners left.
    let key = std::fs::read_to_string(server.data().join("secret.key")).unwrap();
    secrets.push(key.trim().to_owned());
    // A secret variable of the service is what its commands are given, and what its keeper starts it with while no server is there.
    secrets.retain(|secret| secret != VARIABLE);
    let patterns = github.folder().join("patterns");
    std::fs::write(&patterns, secrets.join("\n")).unwrap();
    let holding = |patterns: &std::path::Path| {
        let mut grep = Command::new("grep");
        grep.args(["-rlaF", "-f"]).arg(patterns).arg(server.data()).arg(server.scratch(""));
        String::from_utf8(grep.output().unwrap().stdout).unwrap()
    };
    assert_eq!(holding(&patterns).trim(), server.data().join("secret.key").display().to_string());
    std::fs::write(&patterns, "A word to be found again").unwrap();
    assert!(holding(&patterns).contains("seamless.db"));
    let mut find = Command::new("find");
    let configs =
        find.args([server.data(), server.scratch("")]).args(["-name", "config"]).output().unwrap().stdout;
    let configs = String::from_utf8(configs).unwrap();
    assert!(configs.contains("/first-prepare/git/config") && configs.contains("/unit-test/git/config"));
    assert!(configs.lines().any(|path| path.starts_with(&*server.data().to_string_lossy())), "{configs}");
}

/// Every page, every call and every server function that reads, with headers, as a browser and as a program.
async fn everything(server: &Server, person: &Visitor, service: &str, run: &Run) -> Vec<(String, String)> {
    let api = &server.api;
    let delivery = api.get("/deliveries").await.to::<Page<Delivery>>(200).items[0].id.to_string();
    let pipeline = api.get("/pipelines").await.to::<Page<Pipeline>>(200).items[0].id.to_string();
    let stage = run.stage(StageKind::Prepare).unwrap().id.to_string();
    let run = run.id.to_string();
    let mut all = Vec::new();
    for (method, path, body, rule) in RULES {
        let reads = match rule {
            Rule::Form(domain::Role::Viewer) => !CHANGING.contains(path),
            Rule::Form(_) => READING.contains(path),
            Rule::Page(_) | Rule::Api(_) | Rule::Open => {
                *method == "GET" && !path.contains("/github/callback")
            }
            // Streams are heard beside this; runners and hooks are answered nothing but "done".
            _ => false,
        };
        if !reads {
            continue;
        }
        let id = ["/services", "/stages", "/deliveries", "/pipelines", "/runs"]
            .into_iter()
            .find(|kind| path.contains(kind));
        let id = match (id, *body) {
            (Some("/services"), _) | (_, "id=ID" | "service=ID") => service,
            (Some("/stages"), _) => &stage,
            (Some("/deliveries"), _) => &delivery,
            (Some("/pipelines"), _) => &pipeline,
            (_, body) if body.starts_with("stage=") => &stage,
            _ => &run,
        };
        let address = path.replace("{id}", id).replace("{run}", &run).replace("{file}", "prepare.txt");
        let address = address.replace("{service}", "orders.svg").replace("{*rest}", "version");
        let as_program = path.starts_with("/api/v1");
        let mut request = if as_program {
            api.request(method, &address)
        } else {
            Api::new(&api.base, "").request(method, &address).header("cookie", person.cookie())
        };
        if *method == "POST" {
            let kind = "application/x-www-form-urlencoded";
            request = request.header("content-type", kind).body(body.replace("ID", id));
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), format!("{:?}", answer.headers()));
        let text = format!("{headers}\n{}", answer.text().await.unwrap());
        // A link that was never made leads to the login page; the service is no draft; there is no account of AWS.
        let fits =
            status.is_success() || matches!(*path, "/login/{link}" | "/fn/draft" | "/api/v1/cloud/services");
        assert!(fits, "{method} {address}: {status} {text}");
        all.push((format!("{method} {address}"), text));
    }
    assert!(all.len() > 50, "{}", all.len());
    all
}
