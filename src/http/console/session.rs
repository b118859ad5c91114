//! Who is signed in: the session's cookie, the token against forged writes, the site that a write comes from, and the limits of
//! sign-ins.

use crate::access::sessions::{self, Session};
use crate::access::{Token, TokenDigest};
use crate::error::{Error, Kind, Result};
use crate::http::guard::ClientAddress;
use crate::http::guard::buckets::{Buckets, Rate};
use crate::http::state::AppState;
use crate::http::{Request, permission};
use crate::keyed_hash::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// The cookie's name. Browsers take a name with this prefix only over TLS, for the whole host and from the host itself, so that no
/// neighbour's page can set it.
const SECURE_COOKIE: &str = "__Host-quotegrid";

/// Its name without TLS, on the machine itself.
const PLAIN_COOKIE: &str = "quotegrid";

/// The header in which a script sends what forms send as the field `csrf`.
const CSRF_HEADER: &str = "x-csrf-token";

/// Failed sign-ins that an address may make at once.
const ADDRESS_FAILURES: u32 = 10;

/// How long it takes until an address may fail once more. Tokens cannot be guessed; this keeps logs and the writer quiet.
const ADDRESS_REFILL: Duration = Duration::from_secs(30);

/// Failed sign-ins that all addresses together may make at once.
const TOTAL_FAILURES: u32 = 200;

/// How long it takes until one more may fail.
const TOTAL_REFILL: Duration = Duration::from_secs(1);

/// Somebody who is signed in, and the token that their writes must carry.
#[derive(Debug)]
pub(in crate::http) struct SignedIn {
    pub(in crate::http) session: Session,
    /// The token against forged writes.
    pub(in crate::http) csrf: String,
}

/// The session whose cookie `request` has, where there is one that has not ended.
///
/// # Errors
/// When the database fails.
pub(in crate::http) fn find(state: &AppState, request: &Request) -> Result<Option<SignedIn>> {
    let now = state.app.clock.now();
    for token in tokens(state, request) {
        let digest = TokenDigest::of(token);
        let found = state.app.db.read(|connection| sessions::find(connection, now, digest))?;
        let Some(session) = found else { continue };
        if session.use_is_news(now) {
            let id = session.id;
            // Nobody waits for it: a page is shown whether or not its use can be noted.
            state.app.db.write_then(move |tx| sessions::note_used(tx, now, id), |_noted: crate::db::Result<()>| {});
        }
        return Ok(Some(SignedIn { session, csrf: csrf_of(token) }));
    }
    Ok(None)
}

/// What of the request's cookies may be a session's token.
fn tokens<'a>(state: &AppState, request: &'a Request) -> impl Iterator<Item = &'a str> {
    // Behind TLS the plain name is not ours: any page of the same host without TLS can set it.
    let takes_plain = !state.public_url().starts_with("https://");
    let pairs = request.headers.all("cookie").flat_map(|field| field.split(';'));
    pairs.filter_map(move |pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == SECURE_COOKIE || takes_plain && name == PLAIN_COOKIE).then_some(value)
    })
}

/// The token that writes of a session carry. It comes from the session's own token, so it ends with it and needs no row; the way
/// back is a hash.
fn csrf_of(token: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(b"writes of the console");
    hex(&mac.finalize().into_bytes())
}

/// Refuses a write that another site's page has made this browser send: by what the browser says of the page, and by the
/// session's token, which is in `form` or in a header.
///
/// # Errors
/// `Forbidden`.
pub(in crate::http) fn check_write(
    state: &AppState,
    request: &Request,
    signed_in: &SignedIn,
    form: Option<&str>,
) -> Result<()> {
    if permission::is_read(&request.method) {
        return Ok(());
    }
    check_origin(state, request)?;
    let given = form.or_else(|| request.headers.get(CSRF_HEADER)).unwrap_or_default();
    if bool::from(given.as_bytes().ct_eq(signed_in.csrf.as_bytes())) {
        return Ok(());
    }
    Err(Error::new(Kind::Forbidden, "this form belongs to a session that has ended: reload the page and send it again"))
}

/// Refuses what a page of another site sends.
///
/// # Errors
/// `Forbidden`.
pub(super) fn check_origin(state: &AppState, request: &Request) -> Result<()> {
    let foreign = |what: &str| {
        let text = format!(
            "this write comes from another site ({what}); if it does not, set QUOTEGRID_PUBLIC_URL to the address in your browser"
        );
        Err(Error::new(Kind::Forbidden, text))
    };
    // "none" is what a person does: an address typed, a page reloaded.
    if request.headers.all("sec-fetch-site").any(|from| from != "same-origin" && from != "none") {
        return foreign("Sec-Fetch-Site");
    }
    let public_url = state.public_url();
    let own = [origin_of(&public_url)].into_iter().flatten();
    let hosts: Vec<&str> = request.headers.all("host").collect();
    for origin in request.headers.all("origin") {
        let is_host = origin.split_once("://").is_some_and(|(_, host)| hosts.contains(&host));
        if !is_host && !own.clone().any(|own| own.eq_ignore_ascii_case(origin)) {
            return foreign("Origin");
        }
    }
    Ok(())
}

/// Scheme, host and port of an address.
fn origin_of(url: &str) -> Option<&str> {
    let at = url.find("://")? + 3;
    let end = url[at..].find('/').map_or(url.len(), |slash| at + slash);
    Some(&url[..end])
}

/// The field that gives the browser a session.
///
/// # Errors
/// `Forbidden` where there is no TLS and this is not the machine itself: the session would travel for all to read.
pub(super) fn cookie(state: &AppState, request: &Request, token: &Token) -> Result<String> {
    let name = cookie_name(state, request)?;
    let secure = if name == SECURE_COOKIE { "; Secure" } else { "" };
    let life = sessions::ABSOLUTE_END.num_seconds();
    Ok(format!("{name}={}; Path=/; Max-Age={life}; HttpOnly; SameSite=Strict{secure}", token.expose()))
}

/// The fields that take it away again, whatever it is called.
pub(super) fn without_cookie() -> [String; 2] {
    [
        format!("{SECURE_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"),
        format!("{PLAIN_COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"),
    ]
}

/// Which name the cookie has where `request` comes from.
///
/// # Errors
/// As [`cookie`].
pub(super) fn cookie_name(state: &AppState, request: &Request) -> Result<&'static str> {
    let public_url = state.public_url();
    let origin = request.headers.get("origin").unwrap_or(&public_url);
    if public_url.starts_with("https://") || origin.starts_with("https://") {
        return Ok(SECURE_COOKIE);
    }
    let host = origin.strip_prefix("http://").unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let host = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(host, _port)| host) };
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    if host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback()) {
        return Ok(PLAIN_COOKIE);
    }
    let text = "a session must not travel without TLS: put a reverse proxy with TLS in front and set QUOTEGRID_PUBLIC_URL, or sign in on the machine itself";
    Err(Error::new(Kind::Forbidden, text))
}

/// Counts sign-ins that failed.
#[derive(Debug)]
pub struct SignInLimits {
    addresses: Buckets<ClientAddress>,
    total: Buckets<()>,
}

impl Default for SignInLimits {
    fn default() -> Self {
        Self {
            addresses: Buckets::new(Rate { tokens: ADDRESS_FAILURES, refill: ADDRESS_REFILL }),
            total: Buckets::new(Rate { tokens: TOTAL_FAILURES, refill: TOTAL_REFILL }),
        }
    }
}

impl SignInLimits {
    /// Lets an address try. What it takes is given back by nobody: a person signs in a few times a day.
    ///
    /// # Errors
    /// `Limited`.
    pub(super) fn admit(&self, address: IpAddr, uptime: Duration) -> Result<()> {
        let limited = |pause: Duration| {
            Err(Error::new(Kind::Limited, "too many attempts to sign in, please try again in a minute")
                .with_retry_after(pause))
        };
        if let Some(pause) = self.addresses.take(ClientAddress::of(address), uptime).refused_for {
            return limited(pause);
        }
        match self.total.take((), uptime).refused_for {
            Some(pause) => limited(pause),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_an_origin() {
        assert_eq!(origin_of("https://a.example/quotes"), Some("https://a.example"));
        assert_eq!(origin_of("http://127.0.0.1:8080"), Some("http://127.0.0.1:8080"));
        assert_eq!(origin_of("a.example"), None);
    }
}
