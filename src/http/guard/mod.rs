//! What is before the handlers of the storefront: whose key it is, whether it may be used from there, and how often.
//!
//! A key is in every page of its shop, so a limit on the key alone would be one limit for all shoppers together. Each client of a
//! key has a bucket of its own; a bucket for the whole store, many times as large, keeps one shop from taking the server. Orders have
//! buckets of their own alongside it (`limit.rs`): each is a row for years, and a job that calls Shopify.

pub mod bearer;
pub(super) mod buckets;
pub(super) mod cors;
mod known;
mod limit;
pub mod sign_ins;

use super::respond;
use super::{Request, Response};
use crate::app::App;
use crate::catalog::keys::{self, LiveKey};
use crate::db;
use crate::domain::ids::{KeyId, StoreId};
use crate::error::{Error, Kind, Result};
use crate::http::proxy;
use crate::languages::Language;
use crate::log_limit::{LogLimiter, cut};
use crate::pricing::AuthenticatedKey;
use crate::shopify::Secrets;
use buckets::{Buckets, Level, Rate};
use chrono::{DateTime, TimeDelta, Utc};
use limit::{Limit, NotNow, Plan};
use log::warn;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Requests that a client of a key may make at once unless the operator says otherwise: a shopper makes about ten a product.
pub const RATE_LIMIT: u32 = 120;

/// How long it takes until a client may make one more: two a second.
const CLIENT_REFILL: Duration = Duration::from_millis(500);

/// How many clients' worth of requests a whole store may make: shoppers behind fifty addresses at full speed all the time.
const STORE_SHARE: u32 = 50;

/// How many clients' worth of requests a whole IPv6 site may make. Its holder has 65,536 networks in it, each a client here, and
/// would take all that the store has; a mobile carrier's customers, a network each, may share one.
const SITE_SHARE: u32 = 10;

/// Orders that a client may place at once unless the operator says otherwise: more than anybody orders by hand.
pub const ORDER_LIMIT: u32 = 10;

/// How long it takes until a client may place one more order.
const ORDER_REFILL: Duration = Duration::from_secs(30);

/// Orders that a whole store may take at once, and how long it takes until it may take one more: sixty a minute, where even a large
/// shop has some a minute. A client's burst where that is more.
const STORE_ORDERS: Rate = Rate { tokens: 60, refill: Duration::from_secs(1) };

/// How many clients' worth of orders a whole IPv6 site may place: fewer than a store may take.
const ORDER_SITE_SHARE: u32 = 3;

/// What a program can act on: the client, or all of the store's together, have placed too many orders.
const TOO_MANY_ORDERS: &str = "too_many_orders";

/// Requests without a valid key that an address may make a minute.
const FAILURES_MAX: u32 = 30;

/// How long it takes until an address may fail once more.
const FAILURE_REFILL: Duration = Duration::from_secs(2);

/// One sentence for every way in which a key can be wrong: clients do not learn which.
const NOT_A_KEY: &str = "prices cannot be shown here, for the page has no valid key (X-API-Key)";

/// Limits of the storefront API.
#[derive(Debug)]
pub struct Guard {
    limits: Option<RateLimits>,
    orders: Option<Limit<StoreId>>,
}

#[derive(Debug)]
struct RateLimits {
    requests: Limit<Option<KeyId>>,
    failures: Buckets<ClientAddress>,
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(RATE_LIMIT)
    }
}

impl Guard {
    /// A guard that lets each client of a key make `rate_limit` requests at once; 0: any number, and any number of orders, for test
    /// fixtures.
    pub fn new(rate_limit: u32) -> Self {
        let limits = (rate_limit > 0).then(|| RateLimits {
            requests: Limit::new(Plan {
                client: Rate { tokens: rate_limit, refill: CLIENT_REFILL },
                site_share: SITE_SHARE,
                store: Rate { tokens: rate_limit.saturating_mul(STORE_SHARE), refill: CLIENT_REFILL / STORE_SHARE },
            }),
            failures: Buckets::new(Rate { tokens: FAILURES_MAX, refill: FAILURE_REFILL }),
        });
        Self { limits, orders: None }.with_order_limit(if rate_limit > 0 { ORDER_LIMIT } else { 0 })
    }

    /// The same guard, with which each client may place `order_limit` orders at once; 0: any number.
    #[must_use]
    pub fn with_order_limit(self, order_limit: u32) -> Self {
        let orders = (order_limit > 0).then(|| {
            Limit::new(Plan {
                client: Rate { tokens: order_limit, refill: ORDER_REFILL },
                site_share: ORDER_SITE_SHARE,
                store: Rate { tokens: STORE_ORDERS.tokens.max(order_limit), ..STORE_ORDERS },
            })
        });
        Self { orders, ..self }
    }

    /// Lets an order in that is about to be written, or says when the next one may come. One that is not written, for its price or for
    /// being a repetition, is not counted.
    pub(super) fn admit_order(&self, store: StoreId, client: Option<ClientAddress>, uptime: Duration) -> Result<()> {
        let Some(orders) = &self.orders else { return Ok(()) };
        let taken = match client {
            Some(client) => orders.take(store, store, client, uptime),
            None => orders.take_of_store(store, 1, uptime),
        };
        taken.map(drop).map_err(|(_, pause)| {
            let error = Error::new(Kind::Limited, "too many orders, please try again in a moment");
            error.with_member("code", TOO_MANY_ORDERS).with_retry_after(pause)
        })
    }

    /// Answers `request` with `handler` when its key is valid, may be used from where the request comes from, and has not been
    /// used too often.
    pub(super) fn admit(
        &self,
        app: &Arc<App>,
        secrets: &Secrets,
        request: &Request,
        handler: impl FnOnce(&mut Admission) -> Result<Response>,
    ) -> Result<Response> {
        match self.enter(app, secrets, request)? {
            Entry::Admission(mut admission) => {
                let outcome = handler(&mut admission);
                Ok(admission.finish(outcome))
            }
            Entry::Refused(response) => Ok(response),
        }
    }

    /// The same for a handler that answers later: its answer goes through [`Admission::finish`].
    ///
    /// # Errors
    /// `Unauthorized` and `Limited` without a valid key, and when the database fails.
    pub(super) fn enter(&self, app: &Arc<App>, secrets: &Secrets, request: &Request) -> Result<Entry> {
        let (now, uptime) = (app.clock.now(), app.clock.uptime());
        if proxy::owns(&request.path) {
            return self.enter_by_proxy(proxy::authenticate(app, secrets, request)?, request, now, uptime);
        }
        let client = ClientAddress::of(request.client);
        let key = match request.headers.get("x-api-key") {
            Some(key) => app.pricing.find_key(&app.db, key)?,
            None => None,
        };
        let Some(authenticated) = key else { return Err(self.unauthorized(client, uptime)) };
        let key = &authenticated.key;
        let rate_limit = self.limits.as_ref().map(|limits| limits.requests.tokens());
        let seen = |level| rate_limit.zip(level).map(|(limit, level)| Seen { limit, level, now });
        let Some(reader) = cors::reader(&key.origins, request) else {
            // Not counted: a page that may not use the key must not use up what the shop's own may ask.
            let level = self.limits.as_ref().map(|limits| limits.requests.look(key.id, client, uptime));
            let error = Error::new(
                Kind::Forbidden,
                "prices cannot be shown here, for the page's key may not be used on this site",
            );
            let refused = respond::failure(&error, &request.id).with_header("Vary", "Origin");
            return Ok(Entry::Refused(with_level(refused, seen(level))));
        };
        note_use(app, key, now);
        let (level, refused) = match self.take(key, client, uptime) {
            Ok(level) => (level, None),
            Err((level, pause)) => (Some(level), Some(pause)),
        };
        let seen = seen(level);
        let language = language_for(request, authenticated.key.locale);
        let admission =
            Admission { authenticated, client: Some(client), seen, reader, language, request_id: request.id.clone() };
        Ok(admission.unless(refused))
    }

    /// A shopper who comes through a shop's own domain. Their address is Shopify's, or what Shopify says of it: the limit is the store's.
    fn enter_by_proxy(
        &self,
        authenticated: Arc<AuthenticatedKey>,
        request: &Request,
        now: DateTime<Utc>,
        uptime: Duration,
    ) -> Result<Entry> {
        let seen = self.limits.as_ref().map(|RateLimits { requests, .. }| {
            let level = match requests.take_of_store(authenticated.key.store, 1, uptime) {
                Ok(level) | Err((level, _)) => level,
            };
            Seen { limit: requests.store_tokens(), level, now }
        });
        let refused = seen.as_ref().and_then(|seen| seen.level.refused_for);
        let reader = cors::AllowedReader::NoScript;
        let language = language_for(request, authenticated.key.locale);
        let admission =
            Admission { authenticated, client: None, seen, reader, language, request_id: request.id.clone() };
        Ok(admission.unless(refused))
    }

    /// Takes `more` requests alongside the one that let `admission` in: a list counts as many as it has items.
    ///
    /// # Errors
    /// `Limited`, with a hint when there will be as many.
    pub(super) fn take_more(&self, app: &App, admission: &mut Admission, more: u32) -> Result<()> {
        let (Some(limits), 1..) = (&self.limits, more) else { return Ok(()) };
        let (uptime, key) = (app.clock.uptime(), &admission.authenticated.key);
        let taken = match admission.client {
            Some(client) => limits.requests.take_many(key.id, key.store, client, more, uptime),
            None => limits.requests.take_of_store(key.store, more, uptime),
        };
        let (level, refused) = match taken {
            Ok(level) => (level, None),
            Err((level, pause)) => (level, Some(pause)),
        };
        if let Some(seen) = &mut admission.seen {
            seen.level = level;
        }
        refused.map_or(Ok(()), |pause| Err(too_many(pause)))
    }

    /// Takes a request from the client's bucket, its site's and the store's, or says how long there is none.
    fn take(
        &self,
        key: &LiveKey,
        client: ClientAddress,
        uptime: Duration,
    ) -> std::result::Result<Option<Level>, NotNow> {
        let Some(limits) = &self.limits else { return Ok(None) };
        limits.requests.take(key.id, key.store, client, uptime).map(Some)
    }

    fn unauthorized(&self, client: ClientAddress, uptime: Duration) -> Error {
        match self.limits.as_ref().and_then(|limits| limits.failures.take(client, uptime).refused_for) {
            Some(pause) => {
                Error::new(Kind::Limited, "too many requests without a valid key, please try again in a moment")
                    .with_retry_after(pause)
            }
            None => Error::new(Kind::Unauthorized, NOT_A_KEY),
        }
    }
}

/// What is at the entrance.
pub(super) enum Entry {
    /// Come in.
    Admission(Admission),
    /// This is the answer.
    Refused(Response),
}

/// A client that was let in, and what the answer must say about it.
pub(super) struct Admission {
    /// Whose key it is.
    pub(super) authenticated: Arc<AuthenticatedKey>,
    /// Who asks; not known where Shopify is between.
    pub(super) client: Option<ClientAddress>,
    seen: Option<Seen>,
    reader: cors::AllowedReader,
    /// The language to speak to the shopper in.
    pub(super) language: Language,
    request_id: String,
}

impl Admission {
    /// Lets in, unless there is a time to wait for.
    fn unless(self, refused: Option<Duration>) -> Entry {
        match refused {
            Some(pause) => Entry::Refused(self.finish(Err(too_many(pause)))),
            None => Entry::Admission(self),
        }
    }

    /// The answer, with what clients learn about their limit and browsers about who may read it.
    pub(super) fn finish(self, outcome: Result<Response>) -> Response {
        let response = outcome
            .unwrap_or_else(|error| respond::in_language(respond::failure(&error, &self.request_id), self.language));
        self.reader.mark(with_level(response, self.seen))
    }
}

/// The language of an answer: what the request asks for, the store's, the browser's.
pub(super) fn language_for(request: &Request, of_store: Option<Language>) -> Language {
    let asked = asked_for(&request.query);
    Language::choose(asked.as_deref(), of_store, request.headers.get("accept-language"))
}

/// The language that the request asks for, where that is one of ours.
pub(super) fn asked_language(request: &Request) -> Option<Language> {
    asked_for(&request.query).as_deref().and_then(Language::of_tag)
}

/// The value of `lang`, where it is given once. Every request of a page asks more than once, so no other parameter is kept.
fn asked_for(query: &str) -> Option<Cow<'_, str>> {
    let mut given = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "lang");
    let first = given.next();
    if given.next().is_some() { None } else { first.map(|(_, value)| value) }
}

fn too_many(pause: Duration) -> Error {
    Error::new(Kind::Limited, "too many requests, please try again in a moment").with_retry_after(pause)
}

/// How a client stood when its request came.
struct Seen {
    limit: u32,
    level: Level,
    now: DateTime<Utc>,
}

fn with_level(response: Response, seen: Option<Seen>) -> Response {
    let Some(Seen { limit, level, now }) = seen else { return response };
    let full_at = now + TimeDelta::from_std(level.full_in).unwrap_or(TimeDelta::zero());
    // Rounded up, as every hint when to come back.
    let reset = full_at.timestamp_millis().div_euclid(1_000) + i64::from(full_at.timestamp_subsec_millis() > 0);
    response
        .with_header("X-RateLimit-Limit", limit.to_string())
        .with_header("X-RateLimit-Remaining", level.remaining.to_string())
        .with_header("X-RateLimit-Reset", reset.to_string())
}

/// Who asks: an IPv4 address, or the network of an IPv6 one, for a single machine has 2^64 addresses in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ClientAddress(u128);

impl ClientAddress {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_bits().into()),
            IpAddr::V6(address) => Self(address.to_bits() >> 64 << 64),
        }
    }

    /// The site that an IPv6 network is part of: what providers give one customer at the most (a /48).
    fn site(self) -> Option<Self> {
        (self.0 > u32::MAX.into()).then_some(Self(self.0 >> 80 << 80))
    }
}

/// While the database takes nothing, each request of a shop's page has its use not noted.
static UNNOTED: LogLimiter = LogLimiter::new();

/// Has the key's last use written down, some time, where it has changed enough. No request waits for it, and it may fail.
fn note_use(app: &Arc<App>, key: &LiveKey, now: DateTime<Utc>) {
    if !key.use_is_news(now) {
        return;
    }
    let Some(id) = key.id else { return };
    app.db.without_savepoint().write_then(
        move |tx| keys::note_used(tx, now, id),
        move |noted: db::Result<()>| {
            if let Err(error) = noted
                && let Some(left_out) = UNNOTED.admit()
            {
                warn!("the use of key {id} was not noted more={left_out}: {}", cut(&error.to_string()));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_that_is_asked_for_twice_is_asked_for_by_nobody() {
        for (query, expected) in [
            ("", None),
            ("lang=de", Some("de")),
            ("width=1&l%61ng=d%65&height=2", Some("de")),
            ("lang=de&lang=de", None),
            ("language=de", None),
            ("lang", Some("")),
        ] {
            assert_eq!(asked_for(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_one_machine() {
        let client = |text: &str| ClientAddress::of(text.parse().expect("an address"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:0:0:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
    }

    #[test]
    fn a_site_is_what_one_customer_may_have_and_only_ipv6_has_any() {
        let site = |text: &str| ClientAddress::of(text.parse().expect("an address")).site();
        assert_eq!(site("192.0.2.1"), None);
        assert_eq!(site("::ffff:192.0.2.1"), None);
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:ffff::1"));
        assert_ne!(site("2001:db8:1::1"), site("2001:db8:2::1"));
    }
}
