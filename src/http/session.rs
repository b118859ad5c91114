//! Who is signed in to the console: the session's cookie, the token against forged writes, the site that a write comes from, and the limits of
//! sign-ins.

use super::state::AppState;
use super::{Request, permission};
use crate::access::sessions::{self, Session};
use crate::access::{Token, TokenDigest};
use crate::error::{Error, Kind, Result};
use crate::keyed_hash::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// The cookie's name. Browsers take a name with this prefix only over TLS, for the whole host and from the host itself, so that no
/// neighbour's page can set it.
const SECURE_COOKIE: &str = "__Host-quotegrid";

/// Its name without TLS, on the machine itself.
const PLAIN_COOKIE: &str = "quotegrid";

/// Cookies of these names that are looked up: a browser has one, or two while an address changes to TLS.
const COOKIES_MAX: usize = 4;

/// The header in which a script sends what forms send as the field `csrf`.
const CSRF_HEADER: &str = "x-csrf-token";

/// A person who is signed in, and the token that their writes must carry.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) session: Session,
    /// The token against forged writes.
    pub(super) csrf: String,
}

/// The session whose cookie `request` has, where there is one that has not ended.
///
/// # Errors
/// When the database fails.
pub(super) fn find(state: &AppState, request: &Request) -> Result<Option<SignedIn>> {
    let now = state.app.clock.now();
    for token in tokens(state, request).take(COOKIES_MAX) {
        let digest = TokenDigest::of(token);
        let found = state.app.db.read(|connection| sessions::find(connection, now, digest))?;
        let Some(session) = found else { continue };
        if session.use_is_news(now) {
            let id = session.id;
            // The page does not wait for it: it is shown whether or not its use can be noted.
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
pub(super) fn check_write(state: &AppState, request: &Request, signed_in: &SignedIn, form: Option<&str>) -> Result<()> {
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
