//! People who log in at GitHub, with browsers that know no JavaScript: what renews itself there, what is seen there, and what ends here.
//! GitHub is the stand-in of the other stories; a real browser's way is told in `end2end/tests/login.spec.mjs`.

use testkit::{Api, Options, Server, Store, Visitor, github::GitHub, until};

use crate::SEAMLESS;

async fn begin(github: &GitHub, app: &str, lists: &str, store: Store) -> Server {
    github.state().visitor = (7, "dana".into());
    let mut environment = github.environment();
    environment.extend(github.sign_in(app));
    environment.push(("SEAMLESS_ALLOWED_USERS", lists.into()));
    Server::start_with(SEAMLESS, Options { store, environment, ..Options::default() }).await
}

/// Whether they are logged in; else where they are sent.
async fn is_in(person: &Visitor) -> Result<(), String> {
    let answer = person.asks("GET", "/settings").await;
    match answer.headers().get("location") {
        None => Ok(()),
        Some(to) => Err(to.to_str().unwrap().to_owned()),
    }
}

#[tokio::test]
async fn a_token_that_ends_is_renewed_once_and_a_refused_renewal_logs_out() {
    let github = GitHub::start().await;
    // Less than the five minutes before its end in which one is renewed: each look asks for another.
    github.state().lasts = Some(60);
    let mut server = begin(&github, "Iv23standin", "dana:owner", Store::Sqlite).await;
    let person = Visitor::come(&server, &[]).await.unwrap();
    let first = github.state().granted[0].token.clone();
    assert!(first.starts_with("ghu_"));
    // Many at once: what renews is good once, and nobody is logged out over it.
    let pages = (0..8).map(|_| person.page("/services/new"));
    futures::future::join_all(pages).await;
    {
        let state = github.state();
        assert!(state.renewed >= 1 && state.refused == 0, "{} {}", state.renewed, state.refused);
        assert!(state.granted.len() == 1 && state.granted[0].token != first);
    }
    is_in(&person).await.unwrap();
    // A server that starts looks at once, and renews as well.
    let before = github.state().renewed;
    server.kill9();
    server.restart().await;
    until("the token to be renewed", async || (github.state().renewed > before).then_some(())).await;
    is_in(&person).await.unwrap();
    assert_eq!(github.state().refused, 0);

    // They took it back, or half a year went by.
    github.state().granted.clear();
    server.kill9();
    server.restart().await;
    let to = until("the session to end", async || is_in(&person).await.err()).await;
    assert_eq!(to, "/login?said=over&next=%2Fsettings");
    assert!(
        person
            .reads(&to)
            .await
            .contains("You are logged out: the session ended, or was ended here or on GitHub. Log in again.")
    );
    let again = Visitor::come(&server, &[("next", "/settings")]).await.unwrap();
    is_in(&again).await.unwrap();
}

#[tokio::test]
async fn nobody_is_logged_out_because_github_is_away() {
    let github = GitHub::start().await;
    github.state().lasts = Some(60);
    let mut server = begin(&github, "Iv23standin", "dana:owner", Store::Sqlite).await;
    let person = Visitor::come(&server, &[]).await.unwrap();
    github.state().failing = (usize::MAX, 502);
    server.kill9();
    server.restart().await;
    // With what it has it lists nothing, and says why.
    assert!(person.reads("/services/new").await.contains("502"));
    is_in(&person).await.unwrap();
}

#[tokio::test]
async fn one_server_asks_after_people_and_another_takes_over() {
    let github = GitHub::start().await;
    let mut one = begin(&github, "Ov23standin", "dana", Store::Postgres).await;
    let person = Visitor::come(&one, &[]).await.unwrap();
    let asked = || github.state().requests.iter().filter(|(_, path, _)| path.ends_with("/user")).count();
    assert_eq!(asked(), 1, "who it is, at the login");
    let two = one.beside(None, None).await;
    let there = Visitor::come(&two, &[]).await.unwrap();
    is_in(&there).await.unwrap();
    assert_eq!(asked(), 2, "the second one asks nothing of its own");
    github.state().granted.clear();
    one.kill9();
    until("the other to look", async || is_in(&there).await.err()).await;
    drop(person);
}

#[tokio::test]
async fn over_tls_cookies_are_for_this_host_and_for_tls_alone() {
    let github = GitHub::start().await;
    github.state().visitor = (7, "dana".into());
    let mut environment = github.sign_in("Ov23standin");
    environment.extend(github.environment());
    environment.push(("SEAMLESS_URL", "https://seamless.example.org".into()));
    environment.push(("SEAMLESS_ALLOWED_USERS", "dana".into()));
    let server = Server::start_with(SEAMLESS, Options { environment, ..Options::default() }).await;
    let browser = Api::new(&server.api.base, "");
    let said = String::from_utf8(server.command(&["login"]).output().unwrap().stdout).unwrap();
    let link = said.split_whitespace().find_map(|w| w.strip_prefix("https://seamless.example.org")).unwrap();
    let answer = browser.request("GET", link).send().await.unwrap();
    let held = |answer: &reqwest::Response, name: &str| {
        let all = answer.headers().get_all("set-cookie").iter().map(|c| c.to_str().unwrap().to_owned());
        let cookie = all.into_iter().find(|c| c.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
        for word in ["; Secure", "; HttpOnly", "; SameSite="] {
            assert!(cookie.contains(word), "{cookie}");
        }
        // Browsers refuse the prefix otherwise.
        assert!(!name.starts_with("__Host-") || (cookie.contains("; Path=/;") && !cookie.contains("Domain")));
        cookie.split(';').next().unwrap().to_owned()
    };
    let session = held(&answer, "__Host-seamless_session=");
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    let settings = async |cookie: &str| {
        browser.request("GET", "/settings").header("cookie", cookie).send().await.unwrap().status()
    };
    assert_eq!(settings(&session).await, 200);
    // What another host of the domain, or somebody on the way, could plant has no such name.
    assert_eq!(settings(session.trim_start_matches("__Host-")).await, 303);

    let form = |path: &str, body: &'static str| {
        let kind = "application/x-www-form-urlencoded";
        browser.request("POST", path).header("content-type", kind).header("accept", "text/html").body(body)
    };
    let leaves = form("/login/github", "next=%2Fruns").send().await.unwrap();
    held(&leaves, "__Host-seamless_login=");
    let to = leaves.headers()["location"].to_str().unwrap();
    assert!(
        to.contains("redirect_uri=https%3A%2F%2Fseamless.example.org%2Flogin%2Fgithub%2Fcallback"),
        "{to}"
    );
    Visitor::come(&server, &[]).await.unwrap();
    let made = form("/fn/make_token", "name=one&role=viewer&days=7");
    held(&made.header("cookie", &session).send().await.unwrap(), "seamless_made=");
    // The proxy that has the certificate hands on the name that browsers ask for.
    for (origin, expected) in [("https://seamless.example.org", 302), ("https://evil.example.org", 403)] {
        let form = form("/fn/set_theme", "theme=dark").header("cookie", &session).header("origin", origin);
        let answer = form.header("host", "seamless.example.org").send().await.unwrap();
        assert_eq!(answer.status(), expected, "{origin}");
    }
}

#[tokio::test]
async fn a_persons_own_list_has_private_repositories_once_they_want_it() {
    let github = GitHub::start().await;
    github.listed("acme/open", true);
    github.listed("acme/closed", true);
    github.make_private("acme/closed");
    let server = begin(&github, "Ov23standin", "dana:owner", Store::Sqlite).await;
    let mut person = Visitor::come(&server, &[]).await.unwrap();
    let list = person.reads("/services/new").await;
    assert!(list.contains("acme/open") && !list.contains("acme/closed"), "{list}");
    assert!(list.contains("Show private ones as well") && list.contains("scope repo"), "{list}");
    assert_eq!(github.state().granted[0].scope, "", "nothing before it is wanted");
    let form = [("wanted", "repositories"), ("next", "/services/new")];
    assert_eq!(person.go_to_github(&form).await, "/services/new");
    assert_eq!(github.state().granted[1].scope, "repo");
    let list = person.reads("/services/new").await;
    assert!(list.contains("acme/closed") && !list.contains("Show private ones"), "{list}");
}

#[tokio::test]
async fn whoever_makes_a_token_gives_away_no_more_than_they_have() {
    let github = GitHub::start().await;
    let mut server = begin(&github, "Ov23standin", "dana:developer", Store::Sqlite).await;
    let person = Visitor::come(&server, &[]).await.unwrap();
    let page = person.page("/settings").await;
    let choice = page.split("id=\"token-role\"").nth(1).unwrap().split("</select>").next().unwrap();
    assert!(choice.contains("value=\"developer\"") && !choice.contains("deployer"), "{choice}");
    let make = |fields: &[(&'static str, &'static str)]| {
        let fields = fields.to_vec();
        let person = &person;
        async move { person.post("/settings", "/fn/make_token", &fields).await }
    };
    for (fields, says) in [
        ([("name", "x"), ("role", "owner"), ("days", "7")], "owner"),
        ([("name", " "), ("role", "viewer"), ("days", "7")], "1 to 100 characters"),
        ([("name", "x"), ("role", "viewer"), ("days", "0")], "1 to 366 days"),
        ([("name", "x"), ("role", "viewer"), ("days", "367")], "1 to 366 days"),
    ] {
        let back = make(&fields).await;
        let page = person.reads(&back).await;
        assert!(page.contains(says), "{back}: {page}");
    }
    let headers = [("name", "nightly report"), ("role", "developer"), ("days", "7")];
    let (shown, token) = person.makes_token(&headers).await;
    assert!(shown.contains("it is not shown again"), "{shown}");
    let page = person.page("/settings").await;
    assert!(page.contains("nightly report") && !page.contains(&token), "shown once");

    let program = Api::new(&server.api.base, &token);
    let may = async |path: &str, method: &str| program.call(method, path, None).await.status;
    assert_eq!(may("/services", "GET").await, 200);
    let unknown = format!("/runs/{}", "01JGQ5Y3X8V4T6R2N9M7K1H0FA");
    assert_eq!(may(&format!("{unknown}/cancel"), "POST").await, 404, "a developer may");
    assert_eq!(may(&format!("{unknown}/approve"), "POST").await, 403);
    assert!(person.reads("/settings").await.contains(" · used now"), "its last use");

    // Somebody else's, seen and revoked by owners alone.
    let admin = Visitor::log_in(&server).await;
    assert!(admin.reads("/settings").await.contains("by dana"));
    github.state().visitor = (8, "eve".into());
    let stranger = Visitor::come(&server, &[]).await.err().unwrap();
    assert_eq!(stranger, "/login?said=stranger&who=eve");
    admin.post("/settings", "/fn/invite", &[("login", "eve"), ("role", "viewer")]).await;
    let eve = Visitor::come(&server, &[]).await.unwrap();
    assert!(!eve.reads("/settings").await.contains("nightly report"));
    let id = |page: &str| {
        let form = page.split("/fn/revoke_token").nth(1).unwrap();
        form.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let its = id(&admin.page("/settings").await);
    eve.post("/settings", "/fn/revoke_token", &[("id", &its)]).await;
    assert_eq!(may("/services", "GET").await, 200, "eve revokes nothing of dana's");

    // Less of a role, no role, no login at GitHub: so for the token.
    let members = admin.page("/settings").await;
    let dana = members.split("<b>dana</b>").nth(1).unwrap().split("name=\"id\" value=\"").nth(1).unwrap();
    let dana = dana.split('"').next().unwrap().to_owned();
    admin.post("/settings", "/fn/set_role", &[("id", &dana), ("role", "viewer")]).await;
    assert_eq!(may(&format!("{unknown}/cancel"), "POST").await, 403);
    github.state().granted.clear();
    server.kill9();
    server.restart().await;
    until("the token to rest", async || (may("/services", "GET").await == 401).then_some(())).await;
    assert!(admin.reads("/settings").await.contains("rests until who made it logs in again"));
    github.state().visitor = (7, "dana".into());
    let person = Visitor::come(&server, &[]).await.unwrap();
    assert_eq!(may("/services", "GET").await, 200);
    person.post("/settings", "/fn/revoke_token", &[("id", &its)]).await;
    assert_eq!(may("/services", "GET").await, 401);
    assert!(!person.reads("/settings").await.contains("nightly report"));
    let (_, another) = person.makes_token(&[("name", "another"), ("role", "viewer"), ("days", "7")]).await;
    assert_eq!(Api::new(&server.api.base, &another).get("/services").await.status, 200);
    admin.post("/settings", "/fn/remove_member", &[("id", &dana)]).await;
    assert_eq!(Api::new(&server.api.base, &another).get("/services").await.status, 401);
}
