//! Logging in with GitHub: OAuth 2 with PKCE, by an OAuth app or by a GitHub App; both speak alike.
//!
//! Refuses redirects of its own calls, and to say anything of a token, a code or a secret in an error.

use std::sync::OnceLock;

use async_trait::async_trait;
use control::{
    forge::ForgeError,
    identity::{Grant, Identity, Somebody},
};
use domain::Timestamp;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    TokenResponse, TokenUrl,
    basic::{BasicClient, BasicErrorResponse, BasicTokenResponse},
};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Place,
    client::{by, limited, made_once, now_s},
};

type Client = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

/// An app at GitHub through which people log in.
pub struct SignIn {
    client: Client,
    api: String,
    scopes: bool,
    http: OnceLock<reqwest::Client>,
}

#[derive(Deserialize)]
struct User {
    id: i64,
    login: String,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoAnswer(String);

impl SignIn {
    /// By an app's id and secret; browsers come back to `redirect` and nowhere else.
    ///
    /// # Errors
    /// When an address is none.
    pub fn new(place: &Place, id: &str, secret: &SecretString, redirect: String) -> Result<Self, String> {
        let at = |path: &str| format!("{}/login/oauth/{path}", place.site());
        let wrong = |e: oauth2::url::ParseError| e.to_string();
        let client = BasicClient::new(ClientId::new(id.to_owned()))
            .set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()))
            // GitHub reads the secret from the body alone.
            .set_auth_type(oauth2::AuthType::RequestBody)
            .set_auth_uri(AuthUrl::new(at("authorize")).map_err(wrong)?)
            .set_token_uri(TokenUrl::new(at("access_token")).map_err(wrong)?)
            .set_redirect_uri(RedirectUrl::new(redirect).map_err(wrong)?);
        let api = place.api.as_str().trim_end_matches('/').to_owned();
        // GitHub's own mark of a GitHub App: `Iv1.` or `Iv23`. Those ask for permissions when they are made, not for scopes.
        Ok(Self { client, api, scopes: !id.starts_with("Iv"), http: OnceLock::new() })
    }

    fn http(&self) -> Result<&reqwest::Client, ForgeError> {
        made_once(&self.http, reqwest::redirect::Policy::none())
    }

    async fn get<T: DeserializeOwned>(&self, token: &SecretString, path: &[&str]) -> Result<T, ForgeError> {
        let mut url = oauth2::url::Url::parse(&self.api).map_err(away)?;
        // Names are parts of a path and nothing more, whatever stands in them.
        url.path_segments_mut()
            .map_err(|()| away("GITHUB_API_URL is no address"))?
            .pop_if_empty()
            .extend(path);
        let answer = by(self.http()?.get(url), token).send().await.map_err(|e| away(e.without_url()))?;
        match answer.status() {
            s if s.is_success() => answer.json().await.map_err(|e| away(e.without_url())),
            StatusCode::UNAUTHORIZED => Err(ForgeError::Revoked),
            StatusCode::NOT_FOUND => Err(ForgeError::Missing(path.join("/"))),
            // Not to be taken for a no: whoever is on a list stays on it.
            s if s.is_server_error() || limited(&answer) => Err(away(format!("it answers {s}"))),
            s => Err(ForgeError::Refused(format!(
                "GitHub refuses to show {} ({})",
                path.join("/"),
                s.as_u16()
            ))),
        }
    }
}

fn away(why: impl std::fmt::Display) -> ForgeError {
    ForgeError::Away(format!("GitHub cannot be asked who you are: {why}"))
}

/// The one call of the client library, by our own client. GitHub says "no" with 200, which the library would take for a damaged "yes".
async fn ask(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
    let no = |e: reqwest::Error| NoAnswer(e.without_url().to_string());
    let request = reqwest::Request::try_from(request).map_err(no)?;
    let answer = http.execute(request).await.map_err(no)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.map_err(no)?.to_vec();
    let refused = serde_json::from_slice::<BasicErrorResponse>(&body).is_ok();
    let mut response = HttpResponse::new(body);
    *response.status_mut() = if refused { StatusCode::BAD_REQUEST } else { status };
    *response.headers_mut() = headers;
    Ok(response)
}

fn granted(
    answer: Result<BasicTokenResponse, RequestTokenError<NoAnswer, BasicErrorResponse>>,
) -> Result<Grant, ForgeError> {
    let answer = answer.map_err(|e| match e {
        RequestTokenError::ServerResponse(said) => match said.error().to_string().as_str() {
            "bad_verification_code" | "bad_refresh_token" | "invalid_grant" => ForgeError::Revoked,
            "incorrect_client_credentials" => ForgeError::Refused(
                "GitHub does not know the app: GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET do not belong together".into(),
            ),
            "redirect_uri_mismatch" => ForgeError::Refused(
                "the app at GitHub has another callback URL: set it to SEAMLESS_URL with /login/github/callback".into(),
            ),
            other => ForgeError::Refused(format!("GitHub refuses the login: {other}")),
        },
        RequestTokenError::Request(e) => away(e),
        // What was answered may hold a token: nothing of it is repeated.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => away("its answer is not what GitHub sends"),
    })?;
    let scopes = answer.scopes().map(|all| all.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" "));
    Ok(Grant {
        token: answer.access_token().secret().clone().into(),
        refresh: answer.refresh_token().map(|t| t.secret().clone().into()),
        expires_at: answer.expires_in().map(|d| Timestamp((now_s() + d.as_secs().cast_signed()) * 1000)),
        // GitHub puts commas between them.
        scopes: scopes.unwrap_or_default().replace(',', " "),
        renewing: None,
    })
}

#[async_trait]
impl Identity for SignIn {
    fn takes_scopes(&self) -> bool {
        self.scopes
    }

    fn address(&self, state: &SecretString, verifier: &SecretString, scopes: &[&str]) -> String {
        let verifier = PkceCodeVerifier::new(verifier.expose_secret().to_owned());
        let (url, _) = self
            .client
            .authorize_url(|| CsrfToken::new(state.expose_secret().to_owned()))
            .add_scopes(scopes.iter().map(|s| Scope::new((*s).to_owned())))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .url();
        url.into()
    }

    async fn exchange(&self, code: &str, verifier: &SecretString) -> Result<Grant, ForgeError> {
        let http = self.http()?;
        let answer = self
            .client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose_secret().to_owned()))
            .request_async(&|request| ask(http.clone(), request))
            .await;
        granted(answer)
    }

    async fn renew(&self, refresh: &SecretString) -> Result<Grant, ForgeError> {
        let http = self.http()?;
        let refresh = RefreshToken::new(refresh.expose_secret().to_owned());
        let answer = self
            .client
            .exchange_refresh_token(&refresh)
            .request_async(&|request| ask(http.clone(), request))
            .await;
        granted(answer)
    }

    async fn whose(&self, token: &SecretString) -> Result<Somebody, ForgeError> {
        let user: User = self.get(token, &["user"]).await?;
        Ok(Somebody { id: user.id, login: user.login, name: user.name.unwrap_or_default() })
    }

    async fn belongs(
        &self,
        token: &SecretString,
        login: &str,
        organisation: &str,
        team: Option<&str>,
    ) -> Result<bool, ForgeError> {
        let path = match team {
            None => vec!["orgs", organisation, "memberships", login],
            Some(team) => vec!["orgs", organisation, "teams", team, "memberships", login],
        };
        match self.get::<Membership>(token, &path).await {
            Ok(found) => Ok(found.state == "active"),
            Err(ForgeError::Missing(_) | ForgeError::Refused(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }
}
