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
