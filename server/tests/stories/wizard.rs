//! Connecting a service page by page, as a browser without JavaScript does: from the list of repositories over a draft and its trial to
//! a service. GitHub is the stand-in of the other stories.

use domain::view::{Page, Run, Service};
use testkit::{Options, Repository, Server, Visitor, github::GitHub, until};

use crate::SEAMLESS;

const SHOP: &str = "acme/shop";

async fn begin(github: &GitHub, environment: Vec<(&'static str, String)>) -> (Server, Visitor, Repository) {
    let repository = github.repository(SHOP);
    let package = r#"{ "scripts": { "test": "node --test", "start": "node server.js" } }"#;
    let files = [("services/orders/package.json", package), ("services/stock/package.json", package)];
    repository.change(&files, "Start");
    for number in 0..44 {
        github.listed(&format!("acme/service-{number:02}"), true);
    }
    github.listed("acme/not-mine", false);
    let server = Server::start_with(SEAMLESS, Options { environment, ..Options::default() }).await;
    let person = Visitor::log_in(&server).await;
    (server, person, repository)
}

fn form<'a>(name: &'a str, unit_test: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = vec![
        ("form[name]", name),
        ("form[repository]", SHOP),
        ("form[context]", "services/orders"),
        ("form[only_paths]", "services/orders"),
        ("form[on_push]", "on"),
        ("form[unit_test]", unit_test),
    ];
    fields.extend(more);
    fields
}

const KEEP: &str = "/fn/keep_draft";
const CONNECT: &str = "/fn/create_service";

#[tokio::test]
async fn from_a_list_over_a_trial_to_a_service() {
    let github = GitHub::start().await;
    let (server, person, _repository) = begin(&github, github.environment()).await;
    let api = &server.api;
    let list = person.reads("/services/new").await;
    assert!(
        list.contains("45 repositories that you can administer") && list.contains("page 1 of 3"),
        "{list}"
    );
    assert!(!list.contains("not-mine"), "{list}");
    assert!(person.reads("/services/new?page=3").await.contains("acme/shop"));
    let found = person.reads("/services/new?find=SHOP").await;
    assert!(found.contains("1 of 45 repositories") && !found.contains("service-01"), "{found}");

    let proposed = person.reads("/services/new?repository=acme/shop").await;
    assert!(
        proposed.contains("This is a Node.js service.") && proposed.contains("services/stock"),
        "{proposed}"
    );
    let stock = person.page("/services/new?repository=acme/shop&folder=services/stock").await;
    assert!(
        stock.contains("value=\"services/stock\"") && stock.contains("this folder was chosen"),
        "{stock}"
    );
    assert!(stock.contains("changes outside of services/stock are theirs"), "{stock}");

    // What cannot be is said beside its field, with what was typed.
    let from = "/services/new?repository=acme/shop";
    let wrong = person.post(from, KEEP, &form("Orders!", "true", &[])).await;
    assert!(person.page(&wrong).await.contains("value=\"Orders!\""), "{wrong}");

    // Left half-way: kept with its secret, tried, changed, tried again.
    let secret = ("form[secrets]", "API_KEY=hunter2hunter2");
    let draft = person.post(from, KEEP, &form("orders", "exit 3", &[secret])).await;
    let kept = person.reads("/services/new").await;
    assert!(kept.contains("Left half-way") && kept.contains("not tried yet"), "{kept}");
    let id = draft.strip_prefix("/services/new?draft=").unwrap().to_owned();
    assert!(!person.page(&draft).await.contains("hunter2"));
    // An address of it that was kept as if it were a service leads on to where it is connected.
    let led = person.asks("GET", &format!("/services/{id}")).await;
    assert!(led.status().is_redirection(), "{}", led.status());
    assert_eq!(led.headers()["location"].to_str().unwrap(), draft);
    let again = [("form[secrets]", "API_KEY=******"), ("draft", id.as_str()), ("and_try", "yes")];
    assert_eq!(person.post(&draft, KEEP, &form("orders", "exit 3", &again)).await, draft);
    until("the trial to fail", async || {
        let page = person.reads(&draft).await;
        page.contains("Something failed.").then_some(())
    })
    .await;
    let works = "test \"$API_KEY\" = hunter2hunter2 && ! test -e \"$SEAMLESS_CACHE/ours\" && touch \"$SEAMLESS_CACHE/ours\"";
    person.post(&draft, KEEP, &form("orders", works, &again)).await;
    let tried = until("the trial to succeed", async || {
        let page = person.page(&draft).await;
        page.contains("Everything that was tried succeeded.").then_some(page)
    })
    .await;
    let run = tried.split("/runs/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let trial: Run = api.get(&format!("/runs/{run}")).await.to(200);
    let kinds: Vec<&str> = trial.stages.iter().map(|s| s.kind.as_str()).collect();
    assert_eq!((trial.trigger.as_str(), kinds), ("trial", vec!["prepare", "code_quality", "unit_test"]));
    assert!(person.page(&format!("/runs/{run}")).await.contains("orders"), "with the log of any run");

    // Nothing of it counts, is told or switched on.
    assert_eq!(api.get("/runs").await.to::<Page<Run>>(200).items, []);
    assert_eq!(api.get("/services").await.to::<Page<Service>>(200).items, []);
    api.get(&format!("/services/{id}")).await.problem(404);
    {
        let mut state = github.state();
        let shop = state.repository(SHOP);
        assert!(shop.statuses.is_empty() && shop.hooks.is_empty());
    }

    let page = person.post(&draft, CONNECT, &form("orders", works, &again[..2])).await;
    let service: Service = api.get(&page).await.to(200);
    assert_eq!(
        (service.settings.name.as_str(), service.settings.triggers.paths),
        ("orders", vec!["services/orders".to_owned()])
    );
    until("the hook", async || (github.state().repository(SHOP).hooks.len() == 1).then_some(())).await;
    api.get(&format!("/runs/{run}")).await.problem(404);
    assert!(!person.reads("/services/new").await.contains("Left half-way"));
    let service: Service = api.get(&page).await.to(200);
    let first = api.start(&service).await;
    assert_eq!((first.number, first.stages[0].usual_ms), (1, None), "what was tried is no history");
    api.succeeded(first.id).await;

    // The next one of the same repository, left half-way for good.
    let next = [("another", "yes")];
    let shipping = form("shipping", "true", &next);
    let on = person.post(from, CONNECT, &shipping).await;
    assert_eq!(on, "/services/new?repository=acme%2Fshop&after=shipping");
    assert!(person.reads(&on).await.contains("shipping is connected."));
    let draft = person.post(&on, KEEP, &form("stock", "true", &[])).await;
    let id = draft.strip_prefix("/services/new?draft=").unwrap();
    assert_eq!(person.post("/services/new", "/fn/drop_draft", &[("draft", id)]).await, "/services/new");
    assert!(!person.reads("/services/new").await.contains("Left half-way"));
}

#[tokio::test]
async fn an_app_lists_where_it_is_installed_and_nobody_lists_nothing() {
    let github = GitHub::start().await;
    let (_server, person, _repository) = begin(&github, github.app_environment()).await;
    assert!(person.reads("/services/new?find=shop").await.contains("1 of 46 repositories"));
    let mut nobody = github.environment();
    nobody.retain(|(name, _)| *name != "GITHUB_TOKEN");
    let server = Server::start_with(SEAMLESS, Options { environment: nobody, ..Options::default() }).await;
    let person = Visitor::log_in(&server).await;
    let page = person.reads("/services/new").await;
    assert!(page.contains("Seamless was given no token and no app for GitHub"), "{page}");
    assert!(page.contains("Look at it"), "an address is always enough");
}
