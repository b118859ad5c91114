//! The app's client secrets, with which Shopify signs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// A SHA-256 in base64: 43 digits and one `=`.
const SIGNATURE_LENGTH: usize = 44;

/// The app's client secrets, ready to check signatures with: one, or the new and the old one while Shopify changes over, which
/// takes it up to an hour.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

impl Secrets {
    /// Takes the secrets as they are: Shopify signs with their text, also where it looks like hexadecimal digits.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        // An empty secret would let anybody sign.
        Self(secrets.into_iter().filter(|secret| !secret.is_empty()).map(keyed).collect())
    }

    /// Whether `header` is the signature of exactly these bytes by one of the secrets. Takes the same time whichever it is, and
    /// however much of a wrong signature is right.
    pub fn verify(&self, header: &str, body: &[u8]) -> bool {
        let mut buffer = [0; SIGNATURE_LENGTH];
        let decoded = if header.len() == SIGNATURE_LENGTH { STANDARD.decode_slice(header, &mut buffer) } else { Ok(0) };
        let Some(given) = decoded.ok().and_then(|length| buffer.get(..length)).filter(|given| given.len() == 32) else {
            return false;
        };
        self.verify_digest(given, body)
    }

    /// The same for a signature that is decoded already.
    pub fn verify_digest(&self, given: &[u8], text: &[u8]) -> bool {
        let mut found = Choice::from(0);
        for secret in &self.0 {
            found |= secret.clone().chain_update(text).finalize().into_bytes().as_slice().ct_eq(given);
        }
        found.into()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets(*** x {})", self.0.len())
    }
}

pub(in crate::shopify) fn keyed(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
}
