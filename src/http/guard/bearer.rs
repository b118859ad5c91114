//! Bearer tokens of operators: who bears one, and how often a client may guess.

use super::ClientAddress;
use super::buckets::{Buckets, Rate};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::http::{Request, Response, respond};
use crate::log_limit::LogLimiter;
use crate::secret::Secret;
use log::warn;
use parking_lot::{Mutex, MutexGuard};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::time::Duration;
use subtle::{Choice, ConstantTimeEq};

/// Wrong tokens that an address, or an IPv6 site, may send at once: a script with an old token gets 401 for a while.
const CLIENT_GUESSES: Rate = Rate { tokens: 30, refill: Duration::from_secs(2) };

/// Wrong tokens that all may send together: ten a second of 2^64 and more find nothing.
const ALL_GUESSES: Rate = Rate { tokens: 300, refill: Duration::from_millis(100) };

/// Addresses that have borne a right token and are let in while others guess from elsewhere. Operators have few.
const KNOWN_MAX: usize = 64;

/// Lines about wrong tokens.
static WRONG: LogLimiter = LogLimiter::new();

/// The tokens that callers may bear: one, or two while one replaces the other. Kept as their hashes: all comparisons take the same
/// time, whatever the lengths are.
pub struct BearerTokens(Vec<[u8; 32]>);

impl BearerTokens {
    /// The tokens in `secret`, with commas between them.
    pub fn new(secret: &Secret) -> Self {
        let tokens = secret.expose().split(',').map(str::trim).filter(|token| !token.is_empty());
        Self(tokens.map(|token| Sha256::digest(token).into()).collect())
    }

    /// Whether `token` is one of them.
    pub(in crate::http) fn contain(&self, token: &str) -> bool {
        self.hold(&Sha256::digest(token).into()).into()
    }

    /// Whether one of them has this hash.
    fn hold(&self, given: &[u8; 32]) -> Choice {
        self.0.iter().fold(Choice::from(0), |found, token| found | token.ct_eq(given))
    }
}

impl std::fmt::Debug for BearerTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerTokens(***)")
    }
}

/// Whether `request` tries to bear a token.
pub(in crate::http) fn bears_one(request: &Request) -> bool {
    request.headers.get("authorization").is_some()
}

/// Whether `request` bears one of `tokens`.
fn is_right(tokens: &[&BearerTokens], request: &Request) -> bool {
    let mut fields = request.headers.all("authorization");
    // Two fields could be read as either; no honest client sends them.
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let Some((scheme, token)) = field.split_once(' ') else { return false };
    let given: [u8; 32] = Sha256::digest(token.trim()).into();
    let found = tokens.iter().fold(Choice::from(0), |found, tokens| found | tokens.hold(&given));
    scheme.eq_ignore_ascii_case("bearer") & bool::from(found)
}

/// Who has sent wrong tokens, and who has sent right ones.
#[derive(Debug)]
pub struct Guesses {
    clients: Buckets<ClientAddress>,
    all: Buckets<()>,
    known: Mutex<VecDeque<ClientAddress>>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { clients: Buckets::new(CLIENT_GUESSES), all: Buckets::new(ALL_GUESSES), known: Mutex::default() }
    }
}

impl Guesses {
    /// Lets only those pass who bear one of `tokens`. A client that has guessed too often is not even compared: otherwise a guess would
    /// cost nothing.
    ///
    /// # Errors
    /// `Unauthorized`, and `Limited` after too many wrong tokens.
    pub(in crate::http) fn demand(&self, tokens: &[&BearerTokens], request: &Request) -> Result<()> {
        // By the machine's clock: one that a test holds would give nothing back.
        self.demand_at(tokens, request, SystemClock.uptime())
    }

    fn demand_at(&self, tokens: &[&BearerTokens], request: &Request, uptime: Duration) -> Result<()> {
        let unauthorized = || Error::new(Kind::Unauthorized, "this needs the header Authorization: Bearer <token>");
        if !bears_one(request) {
            return Err(unauthorized());
        }
        let client = ClientAddress::of(request.client);
        // A whole site is one here: its holder has 65,536 networks to guess from.
        let client = client.site().unwrap_or(client);
        if let Some(pause) = self.pause(client, uptime) {
            report("too many wrong tokens, no more are looked at");
            return Err(Error::new(Kind::Limited, "too many wrong tokens").with_retry_after(pause));
        }
        if is_right(tokens, request) {
            self.remember(client);
            return Ok(());
        }
        self.clients.take(client, uptime);
        self.all.take((), uptime);
        report("a wrong token was sent");
        Err(unauthorized())
    }

    /// For how long `client` may send none, where it may not.
    fn pause(&self, client: ClientAddress, uptime: Duration) -> Option<Duration> {
        if self.clients.look(&client, uptime).remaining == 0 {
            return Some(CLIENT_GUESSES.refill);
        }
        (self.all.look(&(), uptime).remaining == 0 && !self.known().contains(&client)).then_some(ALL_GUESSES.refill)
    }

    fn remember(&self, client: ClientAddress) {
        let mut known = self.known();
        if known.back() == Some(&client) {
            return;
        }
        known.retain(|found| *found != client);
        known.push_back(client);
        if known.len() > KNOWN_MAX {
            known.pop_front();
        }
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<ClientAddress>> {
        self.known.lock()
    }
}

fn report(what: &str) {
    if let Some(left_out) = WRONG.admit() {
        warn!("{what} more={left_out}");
    }
}

/// The answer to whom [`Guesses::demand`] does not let in.
pub(in crate::http) fn refusal(error: &Error, request_id: &str) -> Response {
    let response = respond::failure(error, request_id);
    match error.kind() {
        // RFC 9110: a 401 names what would be accepted.
        Kind::Unauthorized => response.with_header("WWW-Authenticate", "Bearer"),
        _ => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Headers, Method};

    fn outcome(guesses: &Guesses, tokens: &str, client: &str, token: &str, seconds: u64) -> Option<Kind> {
        let mut headers = Headers::default();
        headers.push("Authorization", format!("Bearer {token}"));
        let request = Request {
            method: Method::Get,
            path: "/admin/api".to_owned(),
            query: String::new(),
            headers,
            body: Vec::new(),
            client: client.parse().expect("an address"),
            id: String::new(),
        };
        let tokens = BearerTokens::new(&Secret::new(tokens));
        guesses.demand_at(&[&tokens], &request, Duration::from_secs(seconds)).err().map(|error| error.kind())
    }

    #[test]
    fn two_tokens_are_right_at_once_and_no_part_of_them_is() {
        let guesses = Guesses::default();
        let asked = |token| outcome(&guesses, "the-old-one, the-new-one", "192.0.2.1", token, 0);
        assert_eq!([asked("the-old-one"), asked("the-new-one")], [None, None]);
        for wrong in ["the-old-one, the-new-one", "the-old-on", "", ","] {
            assert_eq!(asked(wrong), Some(Kind::Unauthorized), "{wrong}");
        }
    }

    #[test]
    fn whoever_guesses_too_often_is_not_compared_any_more_and_others_are() {
        let guesses = Guesses::default();
        let asked = |client: &str, token, seconds| outcome(&guesses, "right", client, token, seconds);
        for number in 0..CLIENT_GUESSES.tokens {
            // From other networks of the same site.
            assert_eq!(asked(&format!("2001:db8:1:{number}::1"), "wrong", 0), Some(Kind::Unauthorized));
        }
        assert_eq!(asked("2001:db8:1::1", "right", 0), Some(Kind::Limited), "a right guess must not show");
        assert_eq!(asked("2001:db8:2::1", "right", 0), None);
        assert_eq!(asked("2001:db8:1::1", "right", 2), None, "it may try again after a while");
    }

    #[test]
    fn all_together_are_limited_and_who_was_right_before_is_let_in_meanwhile() {
        let guesses = Guesses::default();
        let asked = |client: &str, token| outcome(&guesses, "right", client, token, 0);
        assert_eq!(asked("192.0.2.1", "right"), None);
        for number in 0..ALL_GUESSES.tokens {
            let client = format!("198.51.{}.{}", number / 100, number % 100);
            assert_eq!(asked(&client, "wrong"), Some(Kind::Unauthorized));
        }
        assert_eq!(asked("203.0.113.9", "right"), Some(Kind::Limited));
        assert_eq!(asked("192.0.2.1", "right"), None);
    }
}
