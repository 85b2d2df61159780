//! Secrets at rest: XChaCha20-Poly1305 with a key from `SEAMLESS_SECRET_KEY` or a generated file that only its owner can read.
//! Also the random tokens and the hashes by which they are remembered.
//!
//! Refuses to open what was sealed for another purpose: the purpose is authenticated with the text.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

/// Seals with one key, and opens what that one or an older one sealed.
#[derive(Clone)]
pub struct Sealer(Key, Vec<Key>);

#[derive(Clone)]
struct Key {
    cipher: XChaCha20Poly1305,
    mac: Hmac<Sha256>,
}

impl Sealer {
    /// From any text with enough entropy; the key is its SHA-256.
    pub fn new(key: &SecretString) -> Self {
        Self(Key::new(key), Vec::new())
    }

    /// The same, which opens what these keys sealed as well.
    #[must_use]
    pub fn and_old(mut self, keys: &[SecretString]) -> Self {
        self.1.extend(keys.iter().map(Key::new));
        self
    }

    /// What only who has this key can make of a text: HMAC-SHA-256 in hexadecimal.
    pub fn sign(&self, purpose: &str, text: &str) -> String {
        self.0.sign(purpose, text)
    }

    /// Whether this key, or an older one, made that of a text.
    pub fn signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let by = |key: &Key| bool::from(key.sign(purpose, text).as_bytes().ct_eq(signature.as_bytes()));
        std::iter::once(&self.0).chain(&self.1).any(by)
    }

    /// Base64 of nonce and ciphertext.
    pub fn seal(&self, purpose: &str, text: &str) -> Result<String> {
        let nonce = random::<24>()?;
        let payload = Payload { msg: text.as_bytes(), aad: purpose.as_bytes() };
        let sealed = self
            .0
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| Error::internal("a secret could not be sealed"))?;
        Ok(STANDARD.encode([&nonce[..], &sealed[..]].concat()))
    }

    /// The text that was sealed for this purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<String> {
        let broken = || {
            Error::internal(
                "a stored secret cannot be opened: was SEAMLESS_SECRET_KEY or secret.key changed?",
            )
        };
        let bytes = STANDARD.decode(sealed).map_err(|_| broken())?;
        let (nonce, text) = bytes.split_at_checked(24).ok_or_else(broken)?;
        let open = |key: &Key| {
            key.cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: text, aad: purpose.as_bytes() }).ok()
        };
        let open = std::iter::once(&self.0).chain(&self.1).find_map(open).ok_or_else(broken)?;
        String::from_utf8(open).map_err(|_| broken())
    }
}

impl Key {
    fn new(key: &SecretString) -> Self {
        let digest = Sha256::digest(key.expose_secret().as_bytes());
        // Another key for another use, so that neither tells of the other.
        let apart = Sha256::new().chain_update(b"signatures").chain_update(digest).finalize();
        let mut whole = [0; 64];
        whole[..32].copy_from_slice(&apart);
        Self {
            cipher: XChaCha20Poly1305::new(chacha20poly1305::Key::from_slice(digest.as_slice())),
            mac: <Hmac<Sha256> as hmac::KeyInit>::new(&whole.into()),
        }
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        let mac = self.mac.clone().chain_update(purpose).chain_update([0]).chain_update(text);
        hex::encode(mac.finalize().into_bytes())
    }
}

/// Bytes from the operating system's random source.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::internal(e.to_string()))?;
    Ok(bytes)
}

/// A token of 256 random bits, in hexadecimal.
pub fn new_token() -> Result<SecretString> {
    Ok(SecretString::from(hex::encode(random::<32>()?)))
}

/// What is kept of a token: its SHA-256. Tokens are random, so a fast hash is enough.
pub fn token_hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn opens_for_the_same_purpose_only() {
        let sealer = Sealer::new(&"correct horse battery staple".into());
        let sealed = sealer.seal("variable", "hunter22").unwrap();
        assert!(!sealed.contains("hunter22"));
        assert_eq!(sealer.open("variable", &sealed).unwrap(), "hunter22");
        assert!(sealer.open("hook", &sealed).is_err());
        assert!(Sealer::new(&"another".into()).open("variable", &sealed).is_err());
        assert_ne!(sealer.seal("variable", "hunter22").unwrap(), sealed);
        let turned = Sealer::new(&"another".into()).and_old(&["correct horse battery staple".into()]);
        assert_eq!(turned.open("variable", &sealed).unwrap(), "hunter22");
        assert!(turned.signed("ticket", "run", &sealer.sign("ticket", "run")));
        assert!(!turned.signed("ticket", "run", &sealer.sign("other", "run")));
        assert!(!sealer.signed("ticket", "run", &turned.sign("ticket", "run")));
        let anew = turned.seal("variable", "hunter22").unwrap();
        assert!(sealer.open("variable", &anew).is_err());
    }
}
