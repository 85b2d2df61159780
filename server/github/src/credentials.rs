//! Who Seamless is for GitHub: a GitHub App, or a token.
//!
//! Refuses keys that cannot sign, at the start rather than at the first call.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::{rand::SystemRandom, signature::RSA_PKCS1_SHA256, signature::RsaKeyPair};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

/// How long a token that an app makes for itself is good, in seconds. GitHub allows ten minutes.
const LASTS_S: i64 = 540;
/// GitHub's clock may be behind this one.
const EARLIER_S: i64 = 60;

/// See the module.
pub enum Credentials {
    /// A token: a person's, for the repositories that person chose.
    Token(SecretString),
    /// An app that is installed where it may act.
    App(Box<App>),
}

/// A GitHub App.
pub struct App {
    /// Its id, or its client id.
    pub id: String,
    key: RsaKeyPair,
}

impl App {
    /// From its id and its private key, as GitHub hands it out: PEM, PKCS #1 or #8.
    ///
    /// # Errors
    /// Says what the key is not; never what it holds.
    pub fn new(id: &str, pem: &SecretString) -> Result<Self, String> {
        // Settings that hold one line write its breaks as \n.
        let pem = pem.expose_secret().replace("\\n", "\n");
        let body: String =
            pem.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with("-----")).collect();
        let der = STANDARD.decode(body).map_err(|_| "it is no PEM file".to_owned())?;
        let key = if pem.contains("BEGIN RSA PRIVATE KEY") {
            RsaKeyPair::from_der(&der)
        } else {
            RsaKeyPair::from_pkcs8(&der)
        };
        let key = key.map_err(|e| format!("it is no private RSA key: {e}"))?;
        Ok(Self { id: id.to_owned(), key })
    }

    /// What the app proves itself with for the next minutes: a JSON Web Token, signed with RS256.
    pub(crate) fn token(&self, now_s: i64) -> Result<SecretString, String> {
        let claims = json!({ "iat": now_s - EARLIER_S, "exp": now_s + LASTS_S, "iss": self.id });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| "the app's key could not sign".to_owned())?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)).into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    /// Made for tests, and good for nothing else.
    const KEY: &str = include_str!("../../testkit/fixtures/github-app.pem");

    #[test]
    fn an_app_signs_for_itself() {
        let one_line = KEY.replace('\n', "\\n");
        for pem in [KEY, &one_line] {
            let app = App::new("4711", &pem.into()).map_err(drop).unwrap();
            let token = app.token(1_000_000).unwrap();
            let parts: Vec<&str> = token.expose_secret().split('.').collect();
            let [head, claims, signature] = parts[..] else { panic!("three parts") };
            let read = |part: &str| -> serde_json::Value {
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
            };
            assert_eq!(read(head), json!({ "alg": "RS256", "typ": "JWT" }));
            assert_eq!(read(claims), json!({ "iat": 999_940, "exp": 1_000_540, "iss": "4711" }));
            let key = RsaPublicKeyComponents::<Vec<u8>>::from(app.key.public());
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let signed = format!("{head}.{claims}");
            key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        for wrong in ["", "hunter2", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"] {
            let why = App::new("1", &wrong.into()).err().unwrap();
            assert!(!why.contains("hunter2") && !why.contains("AAAA"), "{why}");
        }
    }
}
