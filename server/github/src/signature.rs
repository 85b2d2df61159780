//! Whether a body was signed with a key, as `X-Hub-Signature-256` claims.
//!
//! Refuses the older SHA-1 header, which GitHub sends beside it.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Whether `claim` (`sha256=` and the HMAC of the raw body) was made with this key. Takes the same time wherever it differs.
pub fn fits(key: &SecretString, body: &[u8], claim: &str) -> bool {
    let Some(claimed) = claim.strip_prefix("sha256=").and_then(|digits| hex::decode(digits).ok()) else {
        return false;
    };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()) else { return false };
    mac.update(body);
    mac.verify_slice(&claimed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of GitHub's page "Validating webhook deliveries".
    #[test]
    fn githubs_own_example() {
        let (key, body) = (SecretString::from("It's a Secret to Everybody"), b"Hello, World!");
        let claim = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(fits(&key, body, claim));
        assert!(!fits(&key, b"Hello, World?", claim));
        assert!(!fits(&"another".into(), body, claim));
        for wrong in ["", "sha256=", &claim[..70], &claim[7..], &claim.replace("sha256", "sha1")] {
            assert!(!fits(&key, body, wrong), "{wrong}");
        }
    }
}
