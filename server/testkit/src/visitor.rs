//! A person with a browser that knows no JavaScript: pages as text, forms as posts.

use crate::{Api, Server};

/// Somebody who is logged in.
pub struct Visitor {
    browser: Api,
    cookie: String,
}

impl Visitor {
    /// Logs in with a link of the server's own.
    pub async fn log_in(server: &Server) -> Self {
        let base = server.api.base.clone();
        let said = server.command(&["login"]).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        let link = said.split_whitespace().find_map(|word| word.strip_prefix(&base)).unwrap();
        let browser = Api::new(&base, "");
        let answer = browser.request("GET", link).send().await.unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        Self { cookie: cookie.split(';').next().unwrap().to_owned(), browser }
    }

    /// Logs in at GitHub, with what the login page's form sends.
    ///
    /// # Errors
    /// Where that led instead, when it did not end in a session.
    pub async fn come(server: &Server, fields: &[(&str, &str)]) -> Result<Self, String> {
        let mut visitor = Self { browser: Api::new(&server.api.base, ""), cookie: String::new() };
        match visitor.go_to_github(fields).await {
            to if visitor.cookie.is_empty() => Err(to),
            _ => Ok(visitor),
        }
    }

    /// To GitHub and back, as whoever comes there; the answer is where that leads. What was logged in before stays so where it fails.
    pub async fn go_to_github(&mut self, fields: &[(&str, &str)]) -> String {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.browser.request("POST", "/login/github").header("cookie", &self.cookie).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let leaves = request.send().await.unwrap();
        let Some(begun) = set_cookie(&leaves) else { return location(&leaves) };
        let elsewhere = Api::new("", "").request("GET", &location(&leaves)).send().await.unwrap();
        let back = url::Url::parse(&location(&elsewhere)).unwrap();
        let path = format!("{}?{}", back.path(), back.query().unwrap_or_default());
        let cookies = format!("{begun}; {}", self.cookie);
        let comes = self.browser.request("GET", &path).header("cookie", cookies).send().await.unwrap();
        if let Some(session) = set_cookie(&comes).filter(|cookie| cookie.contains("session=")) {
            self.cookie = session;
        }
        location(&comes)
    }

    /// What it proves itself with: `NAME=VALUE`.
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Any request of theirs, as it is answered.
    pub async fn asks(&self, method: &str, path: &str) -> reqwest::Response {
        let request = self.browser.request(method, path).header("cookie", &self.cookie);
        request.header("accept", "text/html").send().await.unwrap()
    }

    /// The text of a page, without its tags.
    pub async fn reads(&self, path: &str) -> String {
        let page = self.page(path).await;
        let mut text = String::new();
        for part in page.split('<').skip(1) {
            let (tag, words) = part.split_once('>').unwrap_or_default();
            if !tag.starts_with("script") && !tag.starts_with("style") && !tag.starts_with("!--") {
                text.push_str(words);
            }
        }
        text.replace("&quot;", "\"").replace("&amp;", "&")
    }

    /// A page as it comes.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.browser.request("GET", path).header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    }

    /// Makes an API token with the form's fields; the answer is the page that shows it, and the token.
    pub async fn makes_token(&self, fields: &[(&str, &str)]) -> (String, String) {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request =
            self.browser.request("POST", "/fn/make_token").header("cookie", &self.cookie).body(form);
        let request = request.header("accept", "text/html");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let made = request.send().await.unwrap();
        assert_eq!(location(&made), "/settings#tokens");
        let cookies = format!("{}; {}", self.cookie, set_cookie(&made).unwrap());
        let shown = self.browser.request("GET", "/settings").header("cookie", cookies).send().await.unwrap();
        assert!(set_cookie(&shown).is_some_and(|cookie| cookie.ends_with('=')), "it is taken away");
        let page = shown.text().await.unwrap();
        let token = page.split("<code>seamless_").nth(1).unwrap().split('<').next().unwrap();
        (page.clone(), format!("seamless_{token}"))
    }

    /// Posts a form from a page; the answer is where that leads.
    pub async fn post(&self, from: &str, path: &str, fields: &[(&str, &str)]) -> String {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let referer = format!("{}{from}", self.browser.base);
        let request = self.browser.request("POST", path).header("cookie", &self.cookie).body(form);
        let request = request.header("accept", "text/html").header("referer", referer);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 302, "{path}: {}", answer.text().await.unwrap());
        answer.headers()["location"].to_str().unwrap().replace(&self.browser.base, "")
    }
}

fn location(answer: &reqwest::Response) -> String {
    answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// The first cookie of an answer: `NAME=VALUE`.
fn set_cookie(answer: &reqwest::Response) -> Option<String> {
    let cookie = answer.headers().get("set-cookie")?.to_str().unwrap();
    Some(cookie.split(';').next().unwrap().to_owned())
}
