//! Signed hooks, as a sender outside signs them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a sender that knows the secret puts into `X-Seamless-Signature-256`.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
