//! GitHub tells, Seamless runs: the real server beside a stand-in for GitHub (`testkit::github`, which says what it leaves unproven).

use domain::{
    StageKind, Status,
    view::{Delivery, Page, Run, Service},
};
use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Answer, Api, Options, Repository, Server, Store, Visitor, github::GitHub, signature, until};

use crate::{SEAMLESS, nothing};

/// A server, a GitHub, and a repository `acme/orders` that is connected as the service `orders`.
struct Story {
    server: Server,
    github: GitHub,
    repository: Repository,
    service: Service,
    key: String,
}

const ORDERS: &str = "acme/orders";

impl Story {
    async fn begin(store: Store, settings: Value) -> Self {
        let github = GitHub::start().await;
        let repository = github.repository(ORDERS);
        repository.change(&[("README.md", "Orders\n"), ("services/orders/main", "1\n")], "Start");
        let environment = github.environment();
        let server = Server::start_with(SEAMLESS, Options { store, environment, ..Options::default() }).await;
        let service = connect(&server, "orders", settings).await;
        let key = key(&server, "orders");
        Self { server, github, repository, service, key }
    }

    /// Sends what GitHub would, signed with the service's key.
    async fn send(&self, guid: &str, event: &str, payload: &Value) -> Answer {
        let body = payload.to_string();
        send(&self.server.api, guid, event, &signature(&self.key, body.as_bytes()), body).await
    }

    /// Sends it, and waits for what becomes of it.
    async fn sent(&self, guid: &str, event: &str, payload: &Value) -> Delivery {
        self.send(guid, event, payload).await.is(202);
        settled(&self.server.api, guid).await
    }
}

async fn connect(server: &Server, name: &str, more: Value) -> Service {
    let mut settings = json!({
        "name": name, "repository": ORDERS, "branch": "main", "commands": { "unit_test": "test -n \"$CI\"" },
    });
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    server.api.connect(&settings).await
}

fn key(server: &Server, service: &str) -> String {
    let said = server.command(&["hook-secret", service]).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

async fn send(api: &Api, guid: &str, event: &str, signed: &str, body: String) -> Answer {
    let request = api.request("POST", "/hooks/github").header("content-type", "application/json");
    let request = request.header("x-github-event", event).header("x-github-delivery", guid);
    api.send(request.header("x-hub-signature-256", signed).body(body)).await.unwrap()
}

async fn listed(api: &Api) -> Vec<Delivery> {
    api.get("/deliveries").await.to::<Page<Delivery>>(200).items
}

async fn settled(api: &Api, guid: &str) -> Delivery {
    until(&format!("delivery {guid} to be dealt with"), async || {
        listed(api).await.into_iter().find(|d| d.guid == guid && d.verdict != "pending")
    })
    .await
}

fn why(delivery: &Delivery) -> &str {
    delivery.reason.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn a_forged_delivery_stores_nothing_and_a_repeated_one_runs_once() {
    for store in [Store::Sqlite, Store::Postgres] {
        let story = Story::begin(store, nothing()).await;
        let api = &story.server.api;
        connect(&story.server, "stock", json!({ "repository": story.github_repository("acme/stock") })).await;
        story.repository.commit(&[("services/orders/main", "2\n")], "Second");
        let push = story.github.pushed(ORDERS, &story.repository, "main");
        let body = push.to_string();
        let signed = signature(&story.key, body.as_bytes());
        let other = key(&story.server, "stock");
        let changed = body.replacen("ada", "eve", 1);
        let before = listed(api).await.len();
        for (signed, body) in [
            (signed.as_str(), changed),
            (signed.as_str(), body[..body.len() - 1].to_owned()),
            (&signature(&other, body.as_bytes()), body.clone()),
            (&signed.replace("sha256", "sha1"), body.clone()),
            ("sha256=", body.clone()),
            ("", body.clone()),
            (&signature("", b"{}"), "{}".into()),
        ] {
            send(api, "forged", "push", signed, body).await.problem(401);
        }
        let unsigned =
            api.request("POST", "/hooks/github").header("x-github-event", "push").body(body.clone());
        api.send(unsigned).await.unwrap().problem(401);
        send(api, "", "push", &signed, body.clone()).await.names(&["x-github-delivery"]);
        assert_eq!(listed(api).await.len(), before);
        let metrics = api.plain(&format!("{}/metrics", api.base)).await.unwrap();
        assert!(metrics.contains("seamless_hooks_refused_total{why=\"forged\"} 7"), "{metrics}");

        let answers = join_all((0..100).map(|_| send(api, "g-1", "push", &signed, body.clone()))).await;
        let answers: Vec<Value> = answers.iter().map(|a| a.is(202)).collect();
        assert_eq!(answers.iter().filter(|a| a["duplicate"] == false).count(), 1);
        assert!(answers.iter().all(|a| a["id"] == answers[0]["id"]));
        for _ in 0..100 {
            assert_eq!(send(api, "g-1", "push", &signed, body.clone()).await.is(202)["duplicate"], true);
        }
        let run = api.succeeded(settled(api, "g-1").await.run.unwrap()).await;
        assert_eq!((run.requested_by.as_deref(), run.commit.message.as_str()), (Some("ada"), "Second"));
        assert_eq!(api.runs(&story.service).await.len(), 1);
    }
}

impl Story {
    /// A second repository with a commit; the answer is its address.
    fn github_repository(&self, full_name: &str) -> String {
        self.github.repository(full_name).change(&[("README.md", "More\n")], "Start");
        format!("{}/{full_name}.git", self.github.url)
    }
}

#[tokio::test]
async fn every_event_has_a_verdict_and_a_reason() {
    let story = Story::begin(Store::Sqlite, json!({ "triggers": { "paths": ["services/orders"] } })).await;
    let (api, repository) = (&story.server.api, &story.repository);
    let mut guid = 0;
    let mut say = async |event: &str, payload: Value| {
        guid += 1;
        story.sent(&format!("e-{guid}"), event, &payload).await
    };
    repository.commit(&[("README.md", "Orders, better\n")], "Words");
    let aside = say("push", story.github.pushed(ORDERS, repository, "main")).await;
    assert_eq!(why(&aside), "ignored: path filter (none of 1 changed paths is in services/orders)");
    repository.commit(&[("services/orders/main", "2\n")], "Work [skip ci]");
    let skipped = say("push", story.github.pushed(ORDERS, repository, "main")).await;
    assert_eq!(why(&skipped), "ignored: the commit's message says [skip ci]");
    repository.commit(&[("services/orders/main", "3\n")], "Work");
    let mut cut = story.github.pushed(ORDERS, repository, "main");
    cut["commits"] = json!([]);
    assert_eq!(say("push", cut.clone()).await.verdict, "accepted", "Git knows what the payload leaves out");
    let elsewhere = say("push", story.github.pushed(ORDERS, repository, "topic")).await;
    assert_eq!(why(&elsewhere), "ignored: branch filter (topic is not main)");
    cut["ref"] = "refs/tags/v1".into();
    assert_eq!(why(&say("push", cut.clone()).await), "ignored: refs/tags/v1 is no branch");
    (cut["ref"], cut["after"]) = ("refs/heads/topic".into(), "0".repeat(40).into());
    assert_eq!(why(&say("push", cut).await), "ignored: refs/heads/topic was deleted");

    repository.commit(&[("services/orders/main", "4\n")], "Proposed");
    let mut pull = story.github.proposed(ORDERS, repository, 7, ORDERS);
    pull["pull_request"]["draft"] = true.into();
    let draft = say("pull_request", pull.clone()).await;
    assert_eq!(why(&draft), "ignored: pull request 7 is a draft; it runs once it is ready for review");
    pull["pull_request"]["draft"] = false.into();
    pull["action"] = "ready_for_review".into();
    let run = api.succeeded(say("pull_request", pull.clone()).await.run.unwrap()).await;
    let kinds: Vec<StageKind> = run.stages.iter().map(|s| s.kind).collect();
    assert_eq!(kinds, [StageKind::Prepare, StageKind::CodeQuality, StageKind::UnitTest]);
    pull["action"] = "closed".into();
    assert_eq!(why(&say("pull_request", pull).await), "ignored: pull_request closed starts no run");
    repository.commit(&[("README.md", "Orders, best\n")], "Only words, [ci skip] or not");
    let words = say("pull_request", story.github.proposed(ORDERS, repository, 8, ORDERS)).await;
    assert_eq!(why(&words), "ignored: the commit's message says [ci skip]", "Git knows the message");

    let about = json!({ "full_name": ORDERS });
    let check = |sha: &str| json!({ "action": "rerequested", "repository": about, "check_run": { "head_sha": sha }, "sender": { "login": "ada" } });
    let again = say("check_run", check(&run.commit.sha)).await;
    let again = api.succeeded(again.run.unwrap()).await;
    assert_eq!((again.rerun_of, again.requested_by.as_deref()), (Some(run.id), Some("ada")));
    assert_eq!(
        why(&say("check_suite", json!({ "action": "rerequested", "repository": about })).await),
        "ignored: the payload lacks the check"
    );
    assert_eq!(
        why(&say("check_run", check(&"a".repeat(40))).await),
        "ignored: orders has no run of that commit"
    );
    let ping = say("ping", json!({ "zen": "Keep it logically awesome.", "repository": about })).await;
    assert_eq!(why(&ping), "ignored: a ping: the hook works. GitHub says: Keep it logically awesome.");
    assert_eq!(
        why(&say("star", json!({ "action": "created", "repository": about })).await),
        "ignored: star created starts no run"
    );

    let renamed = json!({
        "action": "renamed", "repository": { "full_name": "acme/shop" }, "changes": { "repository": { "name": { "from": "orders" } } },
    });
    let renamed = say("repository", renamed).await;
    assert_eq!(
        (renamed.verdict.as_str(), why(&renamed)),
        ("accepted", "orders now follows acme/shop, which was acme/orders")
    );
    let follows = async || {
        let service: Service = api.get(&format!("/services/{}", story.service.id)).await.to(200);
        service.settings.repository
    };
    assert_eq!(follows().await, "acme/shop");
    let moved = json!({
        "action": "transferred", "repository": { "full_name": "umbrella/shop" },
        "changes": { "owner": { "from": { "organization": { "login": "acme" } } } },
    });
    let moved = say("repository", moved).await;
    assert_eq!(why(&moved), "orders now follows umbrella/shop, which was acme/shop");
    assert_eq!(follows().await, "umbrella/shop");
    let about = json!({ "full_name": "umbrella/shop" });
    let members = say("member", json!({ "action": "removed", "repository": about })).await;
    assert_eq!(members.verdict, "accepted", "{members:?}");
    let deleted = say("repository", json!({ "action": "deleted", "repository": about })).await;
    assert_eq!(
        (deleted.verdict.as_str(), why(&deleted)),
        ("accepted", "umbrella/shop was deleted; what is deployed of it stays as it is")
    );
}

#[tokio::test]
async fn a_delivery_that_is_too_large_is_refused_and_nothing_of_it_is_stored() {
    let story = Story::begin(Store::Sqlite, nothing()).await;
    let api = &story.server.api;
    let before = listed(api).await.len();
    let mut payload = json!({ "repository": { "full_name": ORDERS }, "zen": "", "pad": "" });
    payload["pad"] = "x".repeat(25 * 1024 * 1024).into();
    let body = payload.to_string();
    send(api, "large", "ping", &signature(&story.key, body.as_bytes()), body).await.problem(413);
    assert_eq!(listed(api).await.len(), before);
    payload["pad"] = "x".repeat(24 * 1024 * 1024).into();
    assert_eq!(story.sent("less", "ping", &payload).await.verdict, "ignored");
}

#[tokio::test]
async fn where_githubs_limit_is_reached_it_waits_says_so_and_goes_on() {
    let story = Story::begin(Store::Sqlite, nothing()).await;
    let (api, github) = (&story.server.api, &story.github);
    hooked(github).await;
    let sha = story.repository.commit(&[("services/orders/main", "2\n")], "Second");
    github.state().left = Some(0);
    let asked = || github.state().requests.len();
    assert_eq!(github.push(ORDERS, &story.repository, "main").await, [202]);
    let run = api.run_of(&story.service, &sha).await;
    api.succeeded(run.id).await;
    until("the limit to be noticed", async || {
        let forge = api.get("/github").await.json();
        (forge["requests_left"] == 0 && forge["untold"].as_u64() > Some(0)).then_some(())
    })
    .await;
    let person = Visitor::log_in(&story.server).await;
    let page = person.reads("/settings").await;
    assert!(page.contains("Requests left0"), "{page}");
    // Each is allowed again two seconds after it was refused, as the stand-in says: asked then, and not before.
    let (since, before) = (std::time::Instant::now(), asked());
    until("another attempt", async || (asked() > before).then_some(())).await;
    let (refused, seconds) = (asked() - before, since.elapsed().as_secs() as usize);
    assert!(refused <= 2 + seconds, "{refused} in {seconds} s");
    github.state().left = None;
    seen(github, "the run's last status", |s| {
        s.states(ORDERS, &sha, "seamless/orders").ends_with(&["success".into()]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_service_of_a_repository_is_judged_by_itself() {
    let story = Story::begin(Store::Sqlite, json!({ "triggers": { "paths": ["services/orders"] } })).await;
    let api = &story.server.api;
    let stock = connect(&story.server, "stock", json!({ "triggers": { "paths": ["services/stock"] } })).await;
    story.repository.commit(&[("services/stock/main", "1\n")], "Stock");
    let push = story.github.pushed(ORDERS, &story.repository, "main");
    let whole = story.sent("m-1", "push", &push).await;
    assert_eq!(why(&whole), "it concerns orders, stock: each is judged by itself");
    let ours = settled(api, &format!("m-1:{}", story.service.id)).await;
    assert_eq!(why(&ours), "ignored: path filter (none of 1 changed paths is in services/orders)");
    let theirs = settled(api, &format!("m-1:{}", stock.id)).await;
    api.succeeded(theirs.run.unwrap()).await;
    // Told again, or replayed: the one brings nothing, the other what was asked for.
    story.send("m-1", "push", &push).await.is(202);
    let replayed: Delivery = api.post(&format!("/deliveries/{}/replay", theirs.id), nothing()).await.to(200);
    assert_eq!((replayed.verdict.as_str(), replayed.service.unwrap().name.as_str()), ("accepted", "stock"));
    let run = api.succeeded(replayed.run.unwrap()).await;
    assert_eq!(run.requested_by.as_deref(), Some("token tests"));
    assert_eq!((api.runs(&stock).await.len(), api.runs(&story.service).await.len()), (2, 0));
}

#[tokio::test]
async fn a_fork_waits_for_a_person_and_gets_no_secrets() {
    let told = "test -z \"$API_KEY\" && test \"$GREETING\" = hello && ! test -e \"$SEAMLESS_CACHE/ours\" && touch \"$SEAMLESS_CACHE/theirs\"";
    let settings = json!({
        "commands": { "unit_test": told },
        "variables": { "API_KEY": { "value": "hunter2hunter2", "secret": true }, "GREETING": "hello" },
    });
    let story = Story::begin(Store::Sqlite, settings).await;
    let api = &story.server.api;
    story.repository.commit(&[("services/orders/main", "2\n")], "From afar");
    let pull = story.github.proposed(ORDERS, &story.repository, 9, "eve/orders");
    let first = story.sent("f-1", "pull_request", &pull).await;
    assert_eq!(first.verdict, "waiting");
    assert_eq!(
        why(&first),
        "it comes from the fork eve/orders by eve; look at what it changes before it runs here"
    );
    let newest = story.repository.commit(&[("services/orders/main", "3\n")], "From afar, better");
    let pull = story.github.proposed(ORDERS, &story.repository, 9, "eve/orders");
    let second = story.sent("f-2", "pull_request", &pull).await;
    assert_eq!(second.verdict, "waiting");
    assert_eq!(why(&settled(api, "f-1").await), "ignored: newer commits of the pull request came");
    api.post(&format!("/deliveries/{}/release", first.id), nothing()).await.problem(409);
    assert_eq!(api.runs(&story.service).await, []);
    // Ours keep what they made; what is theirs must not get there.
    let cache = story.server.data().join("caches/orders/shared");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::write(cache.join("ours"), "").unwrap();
    let person = Visitor::log_in(&story.server).await;
    let asks = person.reads("/approvals").await;
    assert!(
        asks.contains("pull request 9 of eve/orders by eve") && asks.contains("1 run waits for you."),
        "{asks}"
    );
    let away: Delivery = api.post(&format!("/deliveries/{}/turn-away", second.id), nothing()).await.to(200);
    assert_eq!((away.verdict.as_str(), why(&away)), ("ignored", "ignored: turned away by token tests"));
    api.post(&format!("/deliveries/{}/release", second.id), nothing()).await.problem(409);
    api.post(&format!("/deliveries/{}/turn-away", second.id), nothing()).await.problem(409);
    assert!(!person.reads("/").await.contains("eve/orders"));
    let pull = story.github.proposed(ORDERS, &story.repository, 9, "eve/orders");
    let second = story.sent("f-3", "pull_request", &pull).await;

    let released: Delivery = api.post(&format!("/deliveries/{}/release", second.id), nothing()).await.to(200);
    assert_eq!((released.verdict.as_str(), why(&released)), ("accepted", "let run by token tests"));
    let run = api.succeeded(released.run.unwrap()).await;
    assert_eq!(run.commit.sha, newest);
    assert_eq!(run.pull_request.as_ref().unwrap().fork.as_deref(), Some("eve/orders"));
    let kept: Vec<_> = std::fs::read_dir(&cache).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(kept, ["ours"]);
    // What is repeated is still a stranger's.
    let again: Run = api.post(&format!("/runs/{}/rerun", run.id), nothing()).await.to(202);
    let again = api.succeeded(again.id).await;
    assert_eq!(again.pull_request.unwrap().fork.as_deref(), Some("eve/orders"));
}

#[tokio::test]
async fn the_newest_commit_wins() {
    let gate = "while [ ! -e go ]; do sleep 0.05; done";
    let settings = json!({ "commands": { "unit_test": gate }, "triggers": { "cancel_older": true } });
    let story = Story::begin(Store::Sqlite, settings).await;
    let (api, repository) = (&story.server.api, &story.repository);
    repository.commit(&[("a", "1\n")], "Proposed");
    let first =
        story.sent("n-1", "pull_request", &story.github.proposed(ORDERS, repository, 3, ORDERS)).await;
    let first = api.stage_is(first.run.unwrap(), StageKind::UnitTest, Status::InProgress).await;
    repository.commit(&[("a", "2\n"), ("go", "")], "Better");
    let second =
        story.sent("n-2", "pull_request", &story.github.proposed(ORDERS, repository, 3, ORDERS)).await;
    let first = api.ended(first.id).await;
    assert_eq!(first.status, Status::Cancelled);
    assert!(
        first.reason.as_deref().unwrap().ends_with("cancelled by newer commits of pull request 3"),
        "{first:?}"
    );
    api.succeeded(second.run.unwrap()).await;

    // Pushes that arrive in another order than they happened.
    repository.commit(&[("a", "3\n")], "Third");
    let third = story.github.pushed(ORDERS, repository, "main");
    repository.commit(&[("a", "4\n")], "Fourth");
    let fourth = story.github.pushed(ORDERS, repository, "main");
    let newest = story.sent("n-4", "push", &fourth).await;
    let late = story.sent("n-3", "push", &third).await;
    let short = &fourth["after"].as_str().unwrap()[..7];
    assert_eq!(why(&late), format!("ignored: {short} came after it and was noticed before it"));
    let run = api.succeeded(newest.run.unwrap()).await;
    assert_eq!(run.commit.sha, fourth["after"].as_str().unwrap());
}

#[tokio::test]
async fn without_its_database_it_says_so_and_keeps_nothing_half() {
    let mut story = Story::begin(Store::Sqlite, nothing()).await;
    story.repository.commit(&[("services/orders/main", "2\n")], "Second");
    let push = story.github.pushed(ORDERS, &story.repository, "main");
    story.sent("d-0", "ping", &json!({ "repository": { "full_name": ORDERS } })).await;
    // Somebody else holds the database's write lock: nothing can be stored.
    let held = story.server.hold_database().await;
    let answer = story.send("d-1", "push", &push).await;
    answer.problem(503);
    drop(held);
    story.server.kill9();
    story.server.restart().await;
    // The heads were compared at the start as well: whichever was first, it runs once.
    story.sent("d-1", "push", &push).await;
    let api = &story.server.api;
    api.succeeded(api.run_of(&story.service, push["after"].as_str().unwrap()).await.id).await;
    assert_eq!(api.runs(&story.service).await.len(), 1);
}

/// Waits for something in the stand-in.
async fn seen<T>(
    github: &GitHub,
    what: &str,
    mut look: impl FnMut(&mut testkit::github::State) -> Option<T>,
) -> T {
    until(what, async || look(&mut github.state())).await
}

/// Waits until the hook is made; the answer is its number.
async fn hooked(github: &GitHub) -> u64 {
    seen(github, "a hook", |s| s.repository(ORDERS).hooks.first().map(|h| h.id)).await
}

#[tokio::test]
async fn a_hook_is_made_told_of_runs_and_moved_with_its_service() {
    let story = Story::begin(Store::Sqlite, nothing()).await;
    let (api, github) = (&story.server.api, &story.github);
    hooked(github).await;
    let hook = github.state().repository(ORDERS).hooks[0].clone();
    assert_eq!(hook.url, format!("{}/hooks/github", api.base));
    assert!(hook.secret.len() == 64 && hook.secret != story.key, "a key of its own");
    until("pushes to be noticed by the hook", async || {
        let service: Service = api.get(&format!("/services/{}", story.service.id)).await.to(200);
        (service.notices == "hook").then_some(())
    })
    .await;

    let sha = story.repository.commit(&[("services/orders/main", "2\n")], "Second");
    assert_eq!(github.push(ORDERS, &story.repository, "main").await, [202]);
    let run = api.succeeded(api.run_of(&story.service, &sha).await.id).await;
    seen(github, "the run's last status", |s| {
        s.states(ORDERS, &sha, "seamless/orders").ends_with(&["success".into()]).then_some(())
    })
    .await;
    let told: Vec<Value> =
        github.state().repository(ORDERS).statuses.iter().map(|(_, s)| s.clone()).collect();
    let contexts =
        |context: &str| -> Vec<&Value> { told.iter().filter(|s| s["context"] == context).collect() };
    for context in ["seamless/orders", "seamless/orders/checks"] {
        let of_it = contexts(context);
        assert_eq!(of_it.last().unwrap()["state"], "success", "{told:#?}");
        assert!(of_it.windows(2).all(|w| w[0] != w[1]), "nothing is told twice: {told:#?}");
        assert!(of_it.iter().rev().skip(1).all(|s| s["state"] == "pending"), "in order: {told:#?}");
        assert!(of_it.last().unwrap()["description"].as_str().unwrap().contains(" in "), "{told:#?}");
        let link = of_it.last().unwrap()["target_url"].as_str().unwrap().to_owned();
        assert!(link.starts_with(&format!("{}/runs/{}", api.base, run.id)), "{link}");
    }
    assert!(contexts("seamless/orders/build").is_empty(), "nothing is said of what does nothing");

    // Nothing that Seamless says or logs has a key or a token in it.
    let mut said = vec![story.server.log()];
    for path in ["/deliveries", "/events", "/github", "/services"] {
        said.push(api.get(path).await.text);
    }
    said.push(api.get(&format!("/services/{}/hook", story.service.id)).await.text);
    said.push(api.get(&format!("/stages/{}/log.txt", run.stage(StageKind::Prepare).unwrap().id)).await.text);
    for secret in [hook.secret.as_str(), testkit::github::TOKEN, &story.key] {
        assert!(said.iter().all(|text| !text.contains(secret)), "a secret is told");
    }

    // Another repository: the hook moves. No service: it goes.
    let elsewhere = story.github_repository("acme/shop");
    api.patch(&format!("/services/{}", story.service.id), json!({ "repository": elsewhere })).await.is(200);
    seen(github, "the hook to move", |s| {
        (s.repository(ORDERS).hooks.is_empty() && s.repository("acme/shop").hooks.len() == 1).then_some(())
    })
    .await;
    api.delete(&format!("/services/{}", story.service.id)).await.is(204);
    seen(github, "the hook to go", |s| s.repository("acme/shop").hooks.is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_hook_that_was_deleted_is_noticed_and_mended() {
    let mut story = Story::begin(Store::Sqlite, nothing()).await;
    hooked(&story.github).await;
    let path = format!("/services/{}/hook", story.service.id);
    let was = story.github.state().repository(ORDERS).hooks.remove(0);
    story.server.stop().await;
    story.server.restart().await;
    let api = &story.server.api;
    until("the loss to be noticed", async || (api.get(&path).await.is(200)["state"] == "gone").then_some(()))
        .await;
    assert!(
        story.github.state().repository(ORDERS).hooks.is_empty(),
        "what a person took away is not put back unasked"
    );
    let person = Visitor::log_in(&story.server).await;
    let page = format!("/services/{}", story.service.id);
    assert!(person.reads(&page).await.contains("The hook on GitHub was deleted"));
    // Meanwhile branch heads are compared, and where none moved GitHub is asked at no cost.
    seen(&story.github, "a head that has not moved", |s| {
        let unmoved = |(_, path, status): &(String, String, u16)| {
            path.ends_with("/git/ref/heads/main") && *status == 304
        };
        s.requests.iter().any(unmoved).then_some(())
    })
    .await;
    person.post(&page, "/fn/mend_hook", &[("service", &story.service.id.to_string())]).await;
    assert_eq!(api.get(&path).await.is(200)["state"], "right");
    assert!(!person.reads(&page).await.contains("The hook on GitHub"));
    let now = story.github.state().repository(ORDERS).hooks[0].clone();
    assert!(now.id != was.id && now.secret != was.secret);
}

#[tokio::test]
async fn what_was_missed_is_found_again_and_runs_once() {
    let mut story = Story::begin(Store::Sqlite, nothing()).await;
    let hook = hooked(&story.github).await;
    story.server.kill9();
    let sha = story.repository.commit(&[("services/orders/main", "2\n")], "While it was away");
    assert_eq!(story.github.push(ORDERS, &story.repository, "main").await, [0]);
    story.repository.commit(&[("services/orders/main", "3\n")], "Proposed meanwhile");
    let pull = story.github.proposed(ORDERS, &story.repository, 5, ORDERS);
    assert_eq!(story.github.tell(ORDERS, "pull_request", pull.clone()).await, [0]);
    story.server.restart().await;
    let api = &story.server.api;
    let sent = seen(&story.github, "both to be delivered again", |s| {
        let hook = s.repository(ORDERS).hooks.iter().find(|h| h.id == hook).unwrap();
        let again: Vec<_> =
            hook.deliveries.iter().filter(|d| d.redelivery && d.status == 202).cloned().collect();
        (again.len() == 2).then_some(again)
    })
    .await;
    for delivery in &sent {
        settled(api, &delivery.guid).await;
    }
    for sha in [sha.as_str(), pull["pull_request"]["head"]["sha"].as_str().unwrap()] {
        api.succeeded(api.run_of(&story.service, sha).await.id).await;
    }
    assert_eq!(api.runs(&story.service).await.len(), 2, "once each, though heads were compared as well");
}

#[tokio::test]
async fn what_github_does_not_take_is_told_later_and_in_order() {
    let story =
        Story::begin(Store::Sqlite, json!({ "github": { "comment": true }, "auto_merge": true })).await;
    let (api, github) = (&story.server.api, &story.github);
    hooked(github).await;
    github.state().failing = (4, 502);
    let sha = story.repository.commit(&[("services/orders/main", "2\n")], "Proposed");
    let pull = github.proposed(ORDERS, &story.repository, 6, ORDERS);
    assert_eq!(github.tell(ORDERS, "pull_request", pull).await, [202]);
    let run = api.succeeded(api.run_of(&story.service, &sha).await.id).await;
    seen(github, "the last status", |s| {
        s.states(ORDERS, &sha, "seamless/orders").ends_with(&["success".into()]).then_some(())
    })
    .await;
    let states = github.state().states(ORDERS, &sha, "seamless/orders");
    assert!(states[..states.len() - 1].iter().all(|s| s == "pending"), "{states:?}");

    // One comment, whatever number of texts it had; and the merge of exactly what was tested.
    let texts = seen(github, "the comment to say how it ended", |s| {
        let comments = &s.repository(ORDERS).comments;
        let (number, texts) = comments.values().next()?;
        (*number == 6 && texts.last()?.contains("succeeded")).then(|| (comments.len(), texts.clone()))
    })
    .await;
    assert_eq!(texts.0, 1);
    assert!(texts.1.last().unwrap().contains(&format!("{}/runs/{}", api.base, run.id)));
    let merged = seen(github, "the merge", |s| s.repository(ORDERS).pulls[&6].merged.clone()).await;
    assert_eq!(merged, sha);

    // Its head moves while the run goes on: what was tested is not what would be merged.
    let sha = story.repository.commit(&[("services/orders/main", "3\n")], "More");
    let pull = github.proposed(ORDERS, &story.repository, 8, ORDERS);
    github.state().repository(ORDERS).pulls.get_mut(&8).unwrap().head = "f".repeat(40);
    github.tell(ORDERS, "pull_request", pull).await;
    let run = api.succeeded(api.run_of(&story.service, &sha).await.id).await;
    until("the refusal to be told", async || {
        let events = api.get(&format!("/events?run={}", run.id)).await.text;
        events.contains("pull request 8 was not merged").then_some(())
    })
    .await;
    assert_eq!(github.state().repository(ORDERS).pulls[&8].merged, None);
}

#[tokio::test]
async fn a_private_repository_is_read_with_what_prepare_alone_is_given() {
    let github = GitHub::start().await;
    read_in_private(&github, github.environment(), "ghp_").await;
}

#[tokio::test]
async fn a_private_repository_is_read_by_an_app_with_a_token_for_that_alone() {
    let github = GitHub::start().await;
    read_in_private(&github, github.app_environment(), "ghs_").await;
    let issued = github.state().issued.clone();
    assert!(issued.iter().all(|(_, of)| of == &[ORDERS]), "{issued:?}");
}

async fn read_in_private(github: &GitHub, environment: Vec<(&'static str, String)>, mark: &str) {
    let repository = github.repository(ORDERS);
    repository.change(&[("README.md", "Orders\n")], "Start");
    github.make_private(ORDERS);
    let server = Server::start_with(SEAMLESS, Options { environment, ..Options::default() }).await;
    let settings = json!({ "commands": {
        "prepare": "env && ! git ls-remote origin",
        "unit_test": "cat .git/config; env; ! grep -rE 'gh[ps]_' .git",
    } });
    let service = connect(&server, "orders", settings).await;
    let run = server.api.succeeded(server.api.start(&service).await.id).await;
    for kind in [StageKind::Prepare, StageKind::UnitTest] {
        let stage = run.stage(kind).unwrap();
        let log = server.api.get(&format!("/stages/{}/log.txt", stage.id)).await.text;
        assert!(!log.contains(mark) && !log.contains("SEAMLESS_GIT"), "{log}");
    }
    let logins = github.state().logins.clone();
    assert!(logins.iter().any(|(user, password)| user == "x-access-token" && password.starts_with(mark)));
    assert!(!server.log().contains(mark));
    // Nothing that was written holds it.
    let found = std::process::Command::new("grep").args(["-rlI", mark]).arg(server.data()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[tokio::test]
async fn deployments_are_shown_where_they_happen() {
    let github = GitHub::start().await;
    let environment = github.environment();
    let server = Server::start_with(SEAMLESS, Options { environment, ..Options::default() }).await;
    let (tiny, mut settings) = testkit::tiny(&server, "orders");
    let repository = github.repository(ORDERS);
    tiny.git(&["remote", "set-url", "origin", &repository.path()]);
    tiny.push("main");
    settings["repository"] = ORDERS.into();
    let service = server.api.connect(&settings).await;
    let run = server.api.succeeded(server.api.start(&service).await.id).await;
    let deployments = seen(&github, "two deployments that succeeded", |s| {
        let deployments: Vec<_> = s.repository(ORDERS).deployments.values().cloned().collect();
        let done =
            deployments.iter().filter(|(_, told)| told.last().is_some_and(|s| s["state"] == "success"));
        (done.count() == 2).then_some(deployments)
    })
    .await;
    let places: Vec<&str> = deployments.iter().map(|(d, _)| d["environment"].as_str().unwrap()).collect();
    assert_eq!(places, ["orders/staging", "orders/production"]);
    assert!(deployments.iter().all(|(d, _)| d["ref"] == run.commit.sha.as_str()));
}
