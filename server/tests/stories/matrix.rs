//! Who may what: every route that the router has, asked by everybody there is. The routes come from the router itself, and the rules
//! from the table below: a route without a rule fails the test, and so does a rule without a route.
//!
//! The router is the real one, asked in this process, over a real database. What a runner may with a token that is good is every other
//! story's; here its token is one that this server never gave.

use std::{collections::BTreeMap, sync::Arc};

use axum::{body::Body, http::Request};
use control::{Actor, Control};
use domain::Role;
use entity::{person, session};
use http::{StatusCode, header};
use metrics_exporter_prometheus::PrometheusBuilder;
use sea_orm::EntityTrait;
use secrecy::ExposeSecret;
use server::{
    config::Config,
    http::{App, Site, router},
    inbox::Inbox,
    serve,
};
use tower::ServiceExt;

/// To whom a route answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Everybody: it says nothing that is a secret, or is the way in.
    Open,
    /// Nobody without a signature over the body.
    Signed,
    /// Runners, each about its own attempt.
    Runner,
    /// Browsers and programs alike.
    Reader,
    /// Browsers with at least this role; strangers are shown the way in.
    Page(Role),
    /// A form or a server function: browsers with at least this role.
    Form(Role),
    /// Programs with a token of at least this role.
    Api(Role),
}

use Role::{Deployer, Developer, Owner, Viewer};
use Rule::{Api, Form, Open, Page, Reader, Runner, Signed};

const ID: &str = "01JGQ5Y3X8V4T6R2N9M7K1H0FA";

/// A service on ECS that could be made, if there was an account.
const NEW_ON_ECS: &str = "form[cluster]=a&form[service]=b&form[like]=a/c";

/// Method, path, what is sent, and to whom it answers.
pub(crate) const RULES: &[(&str, &str, &str, Rule)] = &[
    // For whoever runs it, and the way in.
    ("GET", "/healthz", "", Open),
    ("GET", "/readyz", "", Open),
    ("GET", "/metrics", "", Open),
    ("GET", "/badge/{service}", "", Open),
    ("GET", "/docs/errors", "", Open),
    ("GET", "/login", "", Open),
    ("GET", "/login/{link}", "", Open),
    ("POST", "/login/github", "", Open),
    ("GET", "/login/github/callback", "", Open),
    ("GET", "/pkg/{*rest}", "", Open),
    ("GET", "/api/v1/openapi.json", "", Open),
    // Hooks. The inbox only says "look now", and is told nothing that is believed.
    ("POST", "/hooks/git/{service}", "{}", Signed),
    ("POST", "/hooks/github", "{}", Signed),
    ("POST", "/hooks/inbox", "{}", Open),
    // Runners. A task that has no attempt yet shows the ticket of its stage.
    (
        "POST",
        "/runner/v1/claim",
        r#"{"run":"ID","stage":"build","try":0,"ticket":"forged","task":"x"}"#,
        Signed,
    ),
    ("GET", "/runner/v1/job", "", Runner),
    ("POST", "/runner/v1/heartbeat", "{}", Runner),
    ("POST", "/runner/v1/log", "{}", Runner),
    ("POST", "/runner/v1/finish", "{}", Runner),
    // Streams.
    ("GET", "/live/overview", "", Reader),
    ("GET", "/live/runs/{id}", "", Reader),
    // Pages.
    ("GET", "/", "", Page(Viewer)),
    ("GET", "/approvals", "", Page(Viewer)),
    ("GET", "/deliveries", "", Page(Viewer)),
    ("GET", "/runs", "", Page(Viewer)),
    ("GET", "/runs/{id}", "", Page(Viewer)),
    ("GET", "/runs/{run}/log/{file}", "", Page(Viewer)),
    ("GET", "/services/new", "", Page(Owner)),
    ("GET", "/services/new/ecs", "", Page(Owner)),
    ("GET", "/services/{id}", "", Page(Viewer)),
    ("GET", "/services/{id}/settings", "", Page(Viewer)),
    ("GET", "/settings", "", Page(Viewer)),
    ("GET", "/settings/notifications", "", Page(Viewer)),
    // Server functions: what pages read.
    ("POST", "/fn/approvals", "", Form(Viewer)),
    ("POST", "/fn/containers", "", Form(Viewer)),
    ("POST", "/fn/deliveries", "", Form(Viewer)),
    ("POST", "/fn/deployments", "service=ID", Form(Viewer)),
    ("POST", "/fn/door", "", Form(Viewer)),
    ("POST", "/fn/engine", "", Form(Viewer)),
    ("POST", "/fn/forge", "", Form(Viewer)),
    ("POST", "/fn/log", "stage=ID&attempt=1&from=0&limit=1", Form(Viewer)),
    ("POST", "/fn/log_hits", "stage=ID&attempt=1&query=x&regex=false", Form(Viewer)),
    ("POST", "/fn/log_outline", "stage=ID&attempt=1", Form(Viewer)),
    ("POST", "/fn/log_search", "stage=ID&query=x&regex=false&limit=1", Form(Viewer)),
    ("POST", "/fn/nav", "", Form(Viewer)),
    ("POST", "/fn/notifications", "", Form(Viewer)),
    ("POST", "/fn/overview", "", Form(Viewer)),
    ("POST", "/fn/people", "", Form(Viewer)),
    ("POST", "/fn/pipelines", "", Form(Viewer)),
    ("POST", "/fn/run_page", "run=ID", Form(Viewer)),
    ("POST", "/fn/runs", "", Form(Viewer)),
    ("POST", "/fn/service", "id=ID", Form(Viewer)),
    ("POST", "/fn/service_page", "id=ID", Form(Viewer)),
    ("POST", "/fn/sessions", "", Form(Viewer)),
    ("POST", "/fn/tokens", "", Form(Viewer)),
    ("POST", "/fn/strangers", "", Form(Viewer)),
    // One's own.
    ("POST", "/fn/make_token", "name=a&role=viewer&days=30", Form(Viewer)),
    ("POST", "/fn/revoke_token", "id=ID", Form(Viewer)),
    ("POST", "/fn/revoke_session", "id=ID", Form(Viewer)),
    ("POST", "/fn/set_theme", "theme=dark", Form(Viewer)),
    // Runs.
    ("POST", "/fn/cancel", "run=ID", Form(Developer)),
    ("POST", "/fn/replay", "id=ID", Form(Developer)),
    ("POST", "/fn/rerun", "run=ID&from=start", Form(Developer)),
    ("POST", "/fn/start_run", "service=ID", Form(Developer)),
    // What goes live.
    ("POST", "/fn/decide", "run=ID&decision=approve", Form(Deployer)),
    ("POST", "/fn/hold", "service=ID&reason=x", Form(Deployer)),
    ("POST", "/fn/release", "id=ID", Form(Deployer)),
    ("POST", "/fn/resume", "service=ID", Form(Deployer)),
    ("POST", "/fn/rollback", "service=ID&environment=production&deployment=ID", Form(Deployer)),
    ("POST", "/fn/turn_away", "id=ID", Form(Deployer)),
    // Everything else.
    ("POST", "/fn/begin_cloud_service", "environment=production&form[name]=a", Form(Owner)),
    ("POST", "/fn/candidates", "find=&page=1", Form(Owner)),
    ("POST", "/fn/cloud", "", Form(Owner)),
    ("POST", "/fn/create_cloud_service", NEW_ON_ECS, Form(Owner)),
    ("POST", "/fn/draft", "id=ID", Form(Owner)),
    ("POST", "/fn/drafts", "", Form(Owner)),
    ("POST", "/fn/drop_draft", "draft=ID", Form(Owner)),
    ("POST", "/fn/keep_draft", "form[name]=a&form[repository]=/nowhere", Form(Owner)),
    ("POST", "/fn/create_service", "form[name]=a&form[repository]=/nowhere", Form(Owner)),
    ("POST", "/fn/delete_service", "id=ID&typed_name=a", Form(Owner)),
    ("POST", "/fn/detect", "repository=/nowhere", Form(Owner)),
    ("POST", "/fn/invite", "login=octocat&role=viewer", Form(Owner)),
    ("POST", "/fn/mend_hook", "service=ID", Form(Owner)),
    ("POST", "/fn/remove_member", "id=ID", Form(Owner)),
    ("POST", "/fn/set_retention", "id=ID&log_days=1&log_megabytes=1&run_days=1", Form(Owner)),
    ("POST", "/fn/set_role", "id=ID&role=viewer", Form(Owner)),
    ("POST", "/fn/subscribe", "id=ID&reached=email&endpoint=a@example.org&hears[environment]=", Form(Owner)),
    ("POST", "/fn/change_subscription", "id=ID&subscription=a&hears[environment]=", Form(Owner)),
    ("POST", "/fn/unsubscribe", "id=ID&subscription=a", Form(Owner)),
    ("POST", "/fn/update_service", "id=ID&form[name]=a&form[repository]=/nowhere", Form(Owner)),
    // The REST API.
    ("GET", "/api/v1/cloud/services", "", Api(Viewer)),
    ("GET", "/api/v1/deliveries", "", Api(Viewer)),
    ("GET", "/api/v1/deliveries/{id}", "", Api(Viewer)),
    ("GET", "/api/v1/environments", "", Api(Viewer)),
    ("GET", "/api/v1/events", "", Api(Viewer)),
    ("GET", "/api/v1/github", "", Api(Viewer)),
    ("GET", "/api/v1/pipelines", "", Api(Viewer)),
    ("GET", "/api/v1/runs", "", Api(Viewer)),
    ("GET", "/api/v1/runs/{id}", "", Api(Viewer)),
    ("GET", "/api/v1/services", "", Api(Viewer)),
    ("GET", "/api/v1/services/{id}", "", Api(Viewer)),
    ("GET", "/api/v1/services/{id}/deployments", "", Api(Viewer)),
    ("GET", "/api/v1/services/{id}/hook", "", Api(Viewer)),
    ("GET", "/api/v1/services/{id}/kept-images", "", Api(Viewer)),
    ("GET", "/api/v1/services/{id}/runs", "", Api(Viewer)),
    ("GET", "/api/v1/stages/{id}/log", "", Api(Viewer)),
    ("GET", "/api/v1/stages/{id}/log.txt", "", Api(Viewer)),
    ("POST", "/api/v1/deliveries/{id}/replay", "{}", Api(Developer)),
    ("POST", "/api/v1/runs/{id}/cancel", "{}", Api(Developer)),
    ("POST", "/api/v1/runs/{id}/rerun", "{}", Api(Developer)),
    ("POST", "/api/v1/services/{id}/runs", "{}", Api(Developer)),
    ("POST", "/api/v1/deliveries/{id}/release", "{}", Api(Deployer)),
    ("POST", "/api/v1/deliveries/{id}/turn-away", "{}", Api(Deployer)),
    ("POST", "/api/v1/runs/{id}/approve", "{}", Api(Deployer)),
    ("POST", "/api/v1/runs/{id}/reject", "{}", Api(Deployer)),
    ("POST", "/api/v1/services/{id}/hold", r#"{"reason":"x"}"#, Api(Deployer)),
    ("DELETE", "/api/v1/services/{id}/hold", "", Api(Deployer)),
    (
        "POST",
        "/api/v1/services/{id}/rollback",
        r#"{"environment":"production","deployment":"ID"}"#,
        Api(Deployer),
    ),
    (
        "POST",
        "/api/v1/cloud/services",
        r#"{"cluster":"a","service":"b","cpu":256,"memory_mb":512,"like":"c"}"#,
        Api(Owner),
    ),
    ("POST", "/api/v1/pipelines", r#"{"name":"Matrix"}"#, Api(Owner)),
    ("PATCH", "/api/v1/pipelines/{id}", "{}", Api(Owner)),
    ("POST", "/api/v1/services", r#"{"name":"a","repository":"/nowhere"}"#, Api(Owner)),
    ("POST", "/api/v1/services/detect", r#"{"repository":"/nowhere"}"#, Api(Owner)),
    ("PATCH", "/api/v1/services/{id}", "{}", Api(Owner)),
    ("DELETE", "/api/v1/services/{id}", "", Api(Owner)),
    ("POST", "/api/v1/services/{id}/hook", "{}", Api(Owner)),
    // Last, for it ends the sessions that ask.
    ("POST", "/logout", "", Open),
];

/// Who asks, and with what.
struct Caller {
    name: String,
    role: Option<Role>,
    browser: bool,
    header: Option<(header::HeaderName, String)>,
}

/// Whether a rule is for somebody.
fn fits(rule: Rule, caller: &Caller) -> bool {
    let has = |least: Role| caller.role.is_some_and(|role| role >= least);
    match rule {
        Open => true,
        Signed | Runner => false,
        Reader => caller.role.is_some(),
        Page(least) | Form(least) => caller.browser && has(least),
        Api(least) => !caller.browser && has(least),
    }
}

async fn everybody(control: &Control) -> Vec<Caller> {
    let runner = format!("Bearer {ID}.1.{}", "0".repeat(64));
    let mut all = vec![
        Caller { name: "nobody".into(), role: None, browser: false, header: None },
        Caller {
            name: "a runner".into(),
            role: None,
            browser: false,
            header: Some((header::AUTHORIZATION, runner)),
        },
    ];
    let db = control.store().write();
    for (number, role) in Role::ALL.into_iter().enumerate() {
        let id = domain::UserId::from_parts(1, number as u128).to_string();
        let row = person::Model {
            id: id.clone(),
            forge_id: Some(number as i64),
            login: role.to_string(),
            login_key: role.to_string(),
            name: String::new(),
            role: role.to_string(),
            came_by: "invitation".into(),
            invited_by: None,
            token: None,
            scopes: String::new(),
            created_at: 1,
            seen_at: None,
            checked_at: None,
        };
        person::Entity::insert(person::ActiveModel::from(row)).exec_without_returning(db).await.unwrap();
        let row = session::Model {
            id: domain::SessionId::from_parts(1, number as u128).to_string(),
            token_hash: control::seal::token_hash(role.as_str()),
            user_name: role.to_string(),
            person_id: Some(id),
            agent: String::new(),
            created_at: 1,
            expires_at: i64::MAX,
        };
        session::Entity::insert(session::ActiveModel::from(row)).exec_without_returning(db).await.unwrap();
        let cookie = format!("seamless_session={role}");
        let token = control.new_api_token(&Actor::named("admin"), role.as_str(), role, None).await.unwrap();
        let bearer = format!("Bearer {}", token.expose_secret());
        for (name, browser, header) in [
            (format!("the browser of a {role}"), true, (header::COOKIE, cookie)),
            (format!("a token of a {role}"), false, (header::AUTHORIZATION, bearer)),
        ] {
            all.push(Caller { name, role: Some(role), browser, header: Some(header) });
        }
    }
    all
}

/// What the router has, as it tells of itself: methods by path. Files have one path of the router's own making.
fn routes(router: &axum::Router) -> BTreeMap<String, Vec<&'static str>> {
    let told = format!("{router:?}");
    let told = told.split("fallback_router:").next().unwrap();
    let (mut paths, mut methods) = (BTreeMap::new(), BTreeMap::new());
    for part in told.split("RouteId(").skip(1) {
        let (id, what) = part.split_once("): ").unwrap();
        if let Some(path) = what.strip_prefix('"') {
            paths.insert(id, path.split('"').next().unwrap());
        } else if what.starts_with("MethodRouter(") {
            let has = |method: &str| {
                let there = format!("{}: ", method.to_lowercase());
                !what.split(&there).nth(1).unwrap().starts_with("None")
            };
            methods.insert(
                id,
                ["GET", "POST", "PUT", "PATCH", "DELETE"].into_iter().filter(|m| has(m)).collect(),
            );
        } else {
            methods.insert(id, vec!["GET"]);
        }
    }
    let mut all = BTreeMap::new();
    for (id, path) in paths {
        let (path, kept) = match path.split_once("{*__private") {
            Some((folder, _)) => (format!("{folder}{{*rest}}"), true),
            None => (path.to_owned(), !path.starts_with("/pkg")),
        };
        if kept {
            all.insert(path, methods.remove(id).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn every_route_answers_to_whom_it_should_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    std::fs::create_dir_all(site.join("pkg")).unwrap();
    std::fs::write(site.join("pkg/version"), "1").unwrap();
    let data = folder.path().join("data").display().to_string();
    let config = Config::from(|name| (name == "SEAMLESS_DATA").then(|| data.clone())).unwrap();
    let control = serve::control(&config).await.unwrap();
    let app = App {
        control: control.clone(),
        inbox: Inbox::open(&config.data).unwrap(),
        config: Arc::new(config),
        shutdown: tokio_util::sync::CancellationToken::new(),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        site: Some(Arc::new(Site::read(&site).unwrap())),
    };
    let router = router(app);

    let mut there: Vec<String> = Vec::new();
    for (path, methods) in routes(&router) {
        there.extend(methods.into_iter().map(|method| format!("{method} {path}")));
    }
    let ruled: Vec<String> = RULES.iter().map(|(method, path, ..)| format!("{method} {path}")).collect();
    let lacking: Vec<_> = there.iter().filter(|route| !ruled.contains(route)).collect();
    let idle: Vec<_> = ruled.iter().filter(|route| !there.contains(route)).collect();
    assert!(lacking.is_empty(), "no rule says who may: {lacking:#?}");
    assert!(idle.is_empty(), "rules for what is not there: {idle:#?}");

    let everybody = everybody(&control).await;
    let mut wrong = Vec::new();
    for (method, path, body, rule) in RULES {
        let address = path.split('/').map(|part| if part.starts_with('{') { ID } else { part });
        let address = address.collect::<Vec<_>>().join("/");
        for caller in &everybody {
            let mut request = Request::builder().method(*method).uri(&address);
            if let Some((name, value)) = &caller.header {
                request = request.header(name, value);
            }
            let form = path.starts_with("/fn/") || path.starts_with("/login");
            let kind = if form { "application/x-www-form-urlencoded" } else { "application/json" };
            let request = request.header(header::CONTENT_TYPE, kind);
            let answer = router
                .clone()
                .oneshot(request.body(Body::from(body.replace("ID", ID))).unwrap())
                .await
                .unwrap();
            let status = answer.status();
            let to =
                answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
            let shown_the_way = status.is_redirection() && to.starts_with("/login") && *rule != Open;
            // What a runner is told whose attempt is not the current one.
            let fenced = *rule == Runner && status == StatusCode::CONFLICT;
            let refused =
                shown_the_way || fenced || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            // A known caller with too low a role is told so; an unknown one is asked who it is.
            let known = match rule {
                Form(_) => caller.browser,
                Api(_) => !caller.browser && caller.role.is_some(),
                _ => false,
            };
            let expected = fits(*rule, caller);
            if refused == expected || (!expected && known && status != StatusCode::FORBIDDEN) {
                wrong.push(format!(
                    "{method} {path} answers {status} to {}; its rule is {rule:?}",
                    caller.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
