//! The stand-in's REST API: what Seamless asks GitHub for, with GitHub's answers where those decide something.

use axum::{
    Json, Router,
    body::to_bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, patch, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    Shared, TOKEN, hooks, oauth,
    state::{Hook, Repo},
};

pub(super) fn router(shared: Shared) -> Router<Shared> {
    Router::new()
        .route("/user", get(oauth::whose))
        .route("/user/repos", get(owned))
        .route("/app/installations", get(installations))
        .route("/installation/repositories", get(installed))
        .route("/repos/{owner}/{repo}", get(repository))
        .route("/repos/{owner}/{repo}/installation", get(installation))
        .route("/app/installations/{id}/access_tokens", post(issue))
        .route("/repos/{owner}/{repo}/hooks", get(list_hooks).post(make_hook))
        .route("/repos/{owner}/{repo}/hooks/{id}", get(one_hook).patch(change_hook).delete(remove_hook))
        .route("/repos/{owner}/{repo}/hooks/{id}/deliveries", get(deliveries))
        .route("/repos/{owner}/{repo}/hooks/{id}/deliveries/{delivery}/attempts", post(again))
        .route("/repos/{owner}/{repo}/git/ref/{*name}", get(reference))
        .route("/repos/{owner}/{repo}/statuses/{sha}", post(status))
        .route("/repos/{owner}/{repo}/issues/{number}/comments", post(comment))
        .route("/repos/{owner}/{repo}/issues/comments/{id}", patch(change_comment))
        .route("/repos/{owner}/{repo}/deployments", post(deployment))
        .route("/repos/{owner}/{repo}/deployments/{id}/statuses", post(deployment_status))
        .route("/repos/{owner}/{repo}/pulls/{number}/merge", put(merge))
        .layer(middleware::from_fn_with_state(shared, answered))
}

/// Who asks, how often, and whether anything is new. Everything that was asked is remembered.
async fn answered(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let bearer = bearer.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default().to_owned();
    let refused = {
        let mut state = shared.state();
        let is_app = path.contains("/app/") || path.ends_with("/installation");
        let of_person = path.contains("/user") && state.granted.iter().any(|g| g.token == bearer);
        let may = bearer == TOKEN
            || of_person
            || (is_app && bearer.split('.').count() == 3)
            || state.issued.iter().any(|(token, _)| *token == bearer);
        if state.failing.0 > 0 {
            state.failing.0 -= 1;
            Some(StatusCode::from_u16(state.failing.1).unwrap())
        } else if state.left == Some(0) {
            Some(StatusCode::FORBIDDEN)
        } else {
            (!may).then_some(StatusCode::UNAUTHORIZED)
        }
    };
    let answer = match refused {
        Some(status) => say(status, "the stand-in refuses"),
        None => next.run(request).await,
    };
    let status = answer.status();
    let (mut parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let tag = HeaderValue::from_str(&format!("\"{}\"", hex::encode(Sha256::digest(&body)))).unwrap();
    let same = method == "GET" && status == StatusCode::OK && known.as_ref() == Some(&tag);
    let mut state = shared.state();
    state.requests.push((method, path, if same { 304 } else { status.as_u16() }));
    if !same && let Some(left) = &mut state.left {
        *left = left.saturating_sub(1);
    }
    let left = state.left.unwrap_or(5000);
    parts.headers.insert("x-ratelimit-limit", 5000.into());
    parts.headers.insert("x-ratelimit-remaining", left.into());
    parts.headers.insert("x-ratelimit-reset", (hooks::now() + 2).into());
    parts.headers.insert(header::ETAG, tag);
    parts.headers.remove(header::CONTENT_LENGTH);
    if same {
        parts.status = StatusCode::NOT_MODIFIED;
        return Response::from_parts(parts, axum::body::Body::empty());
    }
    Response::from_parts(parts, body.into())
}

fn say(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

fn missing() -> Response {
    say(StatusCode::NOT_FOUND, "Not Found")
}

fn wrong(message: &str) -> Response {
    say(StatusCode::UNPROCESSABLE_ENTITY, message)
}

/// Does something with a repository that is there.
fn with(shared: &Shared, owner: &str, repo: &str, work: impl FnOnce(&mut Repo, u64) -> Response) -> Response {
    let mut state = shared.state();
    let id = state.number();
    match state.repositories.get_mut(&format!("{owner}/{repo}").to_lowercase()) {
        Some(found) => work(found, id),
        None => missing(),
    }
}

async fn repository(State(shared): State<Shared>, Path((owner, repo)): Path<(String, String)>) -> Response {
    with(&shared, &owner, &repo, |r, _| {
        Json(json!({ "full_name": r.full_name, "private": r.private, "permissions": { "admin": true } }))
            .into_response()
    })
}

#[derive(Deserialize)]
struct Numbered {
    per_page: Option<usize>,
    page: Option<usize>,
}

impl Numbered {
    /// Of all repositories in the order of their names.
    fn of(&self, shared: &Shared, private: bool) -> Vec<Value> {
        let most = self.per_page.unwrap_or(30).min(100);
        let state = shared.state();
        let mut all: Vec<&Repo> = state.repositories.values().filter(|r| private || !r.private).collect();
        all.sort_by(|a, b| a.full_name.cmp(&b.full_name));
        let some = all.into_iter().skip((self.page.unwrap_or(1) - 1) * most).take(most);
        some.map(|r| {
            json!({
                "full_name": r.full_name, "private": r.private, "description": null, "default_branch": "main",
                "archived": false, "disabled": false, "pushed_at": "2026-01-31T12:00:00Z", "permissions": { "admin": r.admin },
            })
        })
        .collect()
    }
}

async fn owned(State(shared): State<Shared>, Query(page): Query<Numbered>, headers: HeaderMap) -> Response {
    let private = oauth::person(&shared, &headers).is_none_or(|granted| granted.scope.contains("repo"));
    Json(page.of(&shared, private)).into_response()
}

async fn installations(State(_): State<Shared>) -> Response {
    Json(json!([{ "id": 77, "suspended_at": null }])).into_response()
}

async fn installed(State(shared): State<Shared>, Query(page): Query<Numbered>) -> Response {
    let total = shared.state().repositories.len();
    Json(json!({ "total_count": total, "repositories": page.of(&shared, true) })).into_response()
}

async fn installation(State(shared): State<Shared>, Path((owner, repo)): Path<(String, String)>) -> Response {
    with(&shared, &owner, &repo, |_, _| Json(json!({ "id": 77 })).into_response())
}

#[derive(Default, Deserialize)]
struct Wanted {
    repositories: Vec<String>,
}

async fn issue(State(shared): State<Shared>, Path(_): Path<u64>, wanted: Option<Json<Wanted>>) -> Response {
    let wanted = wanted.map(|Json(wanted)| wanted).unwrap_or_default();
    let mut state = shared.state();
    let token = format!("ghs_standin{:030}", state.number());
    let of = state
        .repositories
        .keys()
        .filter(|name| wanted.repositories.iter().any(|w| name.ends_with(&format!("/{w}"))));
    let of: Vec<String> = of.cloned().collect();
    state.issued.push((token.clone(), of));
    (StatusCode::CREATED, Json(json!({ "token": token, "expires_at": "2099-01-01T00:00:00Z" })))
        .into_response()
}

fn shown(hook: &Hook) -> Value {
    json!({
        "id": hook.id, "active": hook.active, "events": hook.events, "name": "web",
        "config": { "url": hook.url, "content_type": "json", "insecure_ssl": "0", "secret": "********" },
    })
}

#[derive(Deserialize)]
struct Config {
    url: String,
    content_type: String,
    secret: String,
}

#[derive(Deserialize)]
struct NewHook {
    config: Config,
    events: Vec<String>,
    active: bool,
}

async fn list_hooks(State(shared): State<Shared>, Path((owner, repo)): Path<(String, String)>) -> Response {
    with(&shared, &owner, &repo, |r, _| Json(r.hooks.iter().map(shown).collect::<Vec<_>>()).into_response())
}

async fn make_hook(
    State(shared): State<Shared>,
    Path((owner, repo)): Path<(String, String)>,
    Json(new): Json<NewHook>,
) -> Response {
    with(&shared, &owner, &repo, |r, id| {
        if new.config.content_type != "json" || r.hooks.iter().any(|h| h.url == new.config.url) {
            return wrong("Hook already exists on this repository");
        }
        let NewHook { config: Config { url, secret, .. }, events, active } = new;
        r.hooks.push(Hook { id, url, secret, events, active, deliveries: Vec::new() });
        (StatusCode::CREATED, Json(r.hooks.last().map(shown))).into_response()
    })
}

type HookPath = Path<(String, String, u64)>;

async fn one_hook(State(shared): State<Shared>, Path((owner, repo, id)): HookPath) -> Response {
    with(&shared, &owner, &repo, |r, _| match r.hooks.iter().find(|h| h.id == id) {
        Some(hook) => Json(shown(hook)).into_response(),
        None => missing(),
    })
}

async fn change_hook(
    State(shared): State<Shared>,
    Path((owner, repo, id)): HookPath,
    Json(new): Json<NewHook>,
) -> Response {
    with(&shared, &owner, &repo, |r, _| match r.hooks.iter_mut().find(|h| h.id == id) {
        Some(hook) => {
            (hook.url, hook.secret) = (new.config.url, new.config.secret);
            (hook.events, hook.active) = (new.events, new.active);
            Json(shown(hook)).into_response()
        }
        None => missing(),
    })
}

async fn remove_hook(State(shared): State<Shared>, Path((owner, repo, id)): HookPath) -> Response {
    with(&shared, &owner, &repo, |r, _| {
        let before = r.hooks.len();
        r.hooks.retain(|h| h.id != id);
        if r.hooks.len() == before { missing() } else { StatusCode::NO_CONTENT.into_response() }
    })
}

#[derive(Deserialize)]
struct Some100 {
    per_page: Option<usize>,
    cursor: Option<u64>,
}

async fn deliveries(
    State(shared): State<Shared>,
    Path((owner, repo, id)): HookPath,
    Query(page): Query<Some100>,
) -> Response {
    let most = page.per_page.unwrap_or(30).min(100);
    let address = format!("{}/api/v3/repos/{owner}/{repo}/hooks/{id}/deliveries", shared.state().url);
    with(&shared, &owner, &repo, |r, _| {
        let Some(hook) = r.hooks.iter().find(|h| h.id == id) else { return missing() };
        let newest = hook.deliveries.iter().rev().filter(|d| page.cursor.is_none_or(|c| d.id <= c));
        let mut found: Vec<_> = newest.take(most + 1).collect();
        let next = (found.len() > most).then(|| found.pop()).flatten();
        let list: Vec<Value> = found
            .into_iter()
            .map(|d| {
                json!({
                    "id": d.id, "guid": d.guid, "event": d.event, "status_code": d.status, "redelivery": d.redelivery,
                    "status": if d.status == 202 { "OK" } else { "failed" }, "delivered_at": rfc3339(d.at),
                })
            })
            .collect();
        let mut answer = Json(list).into_response();
        if let Some(next) = next {
            let link = format!("<{address}?per_page={most}&cursor={}>; rel=\"next\"", next.id);
            answer.headers_mut().insert(header::LINK, link.parse().unwrap());
        }
        answer
    })
}

fn rfc3339(seconds: i64) -> String {
    domain::Timestamp(seconds * 1000).to_string()
}

async fn again(
    State(shared): State<Shared>,
    Path((owner, repo, id, delivery)): Path<(String, String, u64, u64)>,
) -> Response {
    let full_name = format!("{owner}/{repo}");
    let found = {
        let mut state = shared.state();
        let hook = state.repository(&full_name).hooks.iter().find(|h| h.id == id);
        hook.and_then(|h| h.deliveries.iter().find(|d| d.id == delivery)).cloned()
    };
    let Some(old) = found else { return missing() };
    // GitHub answers first and delivers afterwards, too.
    tokio::spawn(async move {
        hooks::send(&shared, &full_name, id, old.guid, &old.event, old.payload, true).await;
    });
    (StatusCode::ACCEPTED, Json(json!({}))).into_response()
}

async fn reference(
    State(shared): State<Shared>,
    Path((owner, repo, name)): Path<(String, String, String)>,
) -> Response {
    let folder = shared.root.join(format!("{owner}/{repo}.git").to_lowercase());
    let said = tokio::process::Command::new("git")
        .args(["-c", "safe.directory=*", "rev-parse", "--verify", "--quiet", &format!("refs/{name}")])
        .current_dir(folder)
        .output()
        .await;
    match said {
        Ok(said) if said.status.success() => {
            let sha = String::from_utf8_lossy(&said.stdout).trim().to_owned();
            Json(json!({ "ref": format!("refs/{name}"), "object": { "type": "commit", "sha": sha } }))
                .into_response()
        }
        _ => missing(),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

async fn status(
    State(shared): State<Shared>,
    Path((owner, repo, sha)): Path<(String, String, String)>,
    Json(status): Json<Value>,
) -> Response {
    with(&shared, &owner, &repo, |r, id| {
        if !["error", "failure", "pending", "success"].contains(&text(&status, "state")) || sha.len() != 40 {
            return wrong("Validation Failed");
        }
        if text(&status, "description").chars().count() > 140 {
            return wrong("description is too long (maximum is 140 characters)");
        }
        r.statuses.push((sha, status));
        (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
    })
}

async fn comment(
    State(shared): State<Shared>,
    Path((owner, repo, number)): Path<(String, String, u64)>,
    Json(body): Json<Value>,
) -> Response {
    with(&shared, &owner, &repo, |r, id| {
        r.comments.insert(id, (number, vec![text(&body, "body").to_owned()]));
        (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
    })
}

async fn change_comment(
    State(shared): State<Shared>,
    Path((owner, repo, id)): HookPath,
    Json(body): Json<Value>,
) -> Response {
    with(&shared, &owner, &repo, |r, _| match r.comments.get_mut(&id) {
        Some((_, texts)) => {
            texts.push(text(&body, "body").to_owned());
            Json(json!({ "id": id })).into_response()
        }
        None => missing(),
    })
}

async fn deployment(
    State(shared): State<Shared>,
    Path((owner, repo)): Path<(String, String)>,
    Json(new): Json<Value>,
) -> Response {
    with(&shared, &owner, &repo, |r, id| {
        if text(&new, "ref").is_empty() || new["required_contexts"] != json!([]) {
            return say(StatusCode::CONFLICT, "Conflict: Commit status checks failed");
        }
        r.deployments.insert(id, (new, Vec::new()));
        (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
    })
}

async fn deployment_status(
    State(shared): State<Shared>,
    Path((owner, repo, id)): HookPath,
    Json(status): Json<Value>,
) -> Response {
    let states = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];
    with(&shared, &owner, &repo, |r, new| match r.deployments.get_mut(&id) {
        Some(_) if !states.contains(&text(&status, "state")) => wrong("Validation Failed"),
        Some((_, statuses)) => {
            statuses.push(status);
            (StatusCode::CREATED, Json(json!({ "id": new }))).into_response()
        }
        None => missing(),
    })
}

async fn merge(
    State(shared): State<Shared>,
    Path((owner, repo, number)): HookPath,
    Json(body): Json<Value>,
) -> Response {
    with(&shared, &owner, &repo, |r, _| match r.pulls.get_mut(&number) {
        Some(pull) if pull.merged.is_some() => {
            say(StatusCode::METHOD_NOT_ALLOWED, "Pull Request is not mergeable")
        }
        Some(pull) if text(&body, "sha") != pull.head => {
            say(StatusCode::CONFLICT, "Head branch was modified. Review and try the merge again.")
        }
        Some(pull) => {
            pull.merged = Some(pull.head.clone());
            Json(json!({ "merged": true, "sha": pull.head })).into_response()
        }
        None => missing(),
    })
}
