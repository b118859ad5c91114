//! What is known of each shop between two calls: its access token, a pause that Shopify asked for, and what is wrong. In memory
//! only, and never printed.

use super::Options;
use super::client::{AdminClient, HttpReply};
use crate::clock::Clock;
use crate::domain::ids::ShopDomain;
use crate::secret::Secret;
use crate::shopify::admin::{Grant, Installation, ShopifyError};
use log::warn;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A token is renewed when this share of its life is left.
const RENEWED_AT: u32 = 20;

/// For how long no call asks again after an app was refused a token: the operator who fixes it restarts the program anyway.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// What was begun longer ago than this is not sent any more: the process stood still, and others may have taken the job over.
const STALE: Duration = Duration::from_secs(30);

/// Shops that are remembered at once.
const SHOPS_MAX: usize = 10_000;

pub(super) struct Sessions {
    client: AdminClient,
    clock: Arc<dyn Clock>,
    shops: Mutex<HashMap<ShopDomain, Arc<Shop>>>,
}

#[derive(Default)]
struct Shop {
    /// Held while a token is asked for, so that one call asks and the others wait for it.
    token: Mutex<Option<Token>>,
    known: Mutex<Known>,
}

#[derive(Clone)]
struct Token {
    secret: Secret,
    /// By the clock's uptime.
    good_until: Duration,
}

#[derive(Default)]
struct Known {
    paused_until: Option<Duration>,
    problem: Option<String>,
    /// Orders that are being handed over now.
    running: usize,
}

/// An order's turn to be handed over, until it is dropped.
pub(super) struct Permit(Arc<Shop>);

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.0.known).running -= 1;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

impl Sessions {
    pub(super) fn new(options: &Options, clock: Arc<dyn Clock>) -> Self {
        Self { client: AdminClient::new(options), clock, shops: Mutex::default() }
    }

    fn shop(&self, shop: &ShopDomain) -> Arc<Shop> {
        let mut shops = lock(&self.shops);
        if shops.len() >= SHOPS_MAX && !shops.contains_key(shop) {
            shops.clear();
        }
        shops.entry(shop.clone()).or_default().clone()
    }

    /// The shops that are remembered.
    pub(super) fn shops(&self) -> Vec<ShopDomain> {
        lock(&self.shops).keys().cloned().collect()
    }

    /// Forgets a shop: it is gone, or its tokens are.
    pub(super) fn forget(&self, shop: &ShopDomain) {
        lock(&self.shops).remove(shop);
    }

    /// How long the shop's pause still lasts.
    pub(super) fn pause_left(&self, shop: &ShopDomain) -> Option<Duration> {
        let until = lock(&self.shop(shop).known).paused_until?;
        until.checked_sub(self.clock.uptime()).filter(|left| !left.is_zero())
    }

    /// Lets an order of a shop in. While something is wrong with the shop, one at a time finds out whether it still is: otherwise the
    /// orders of a shop that hangs would take every thread, and those of all others would wait behind them.
    pub(super) fn permit(&self, shop: &ShopDomain) -> Option<Permit> {
        let shop = self.shop(shop);
        let mut known = lock(&shop.known);
        if known.problem.is_some() && known.running > 0 {
            return None;
        }
        known.running += 1;
        drop(known);
        Some(Permit(shop))
    }

    /// Has all calls for a shop wait. Of two pauses that were asked for the longer one holds.
    pub(super) fn pause(&self, shop: &ShopDomain, rest: Duration) {
        let until = Some(self.clock.uptime() + rest);
        let shop = self.shop(shop);
        let mut known = lock(&shop.known);
        known.paused_until = known.paused_until.max(until);
    }

    /// Time that has really passed, however the wall clock is set.
    pub(super) fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    /// Notes what is wrong with a shop, or that nothing is.
    pub(super) fn note(&self, shop: &ShopDomain, problem: Option<&str>) {
        let shop = self.shop(shop);
        let mut known = lock(&shop.known);
        if known.problem.as_deref() != problem {
            if let Some(problem) = problem {
                warn!("orders cannot be handed over: {problem}");
            }
            known.problem = problem.map(str::to_owned);
        }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let shops: Vec<Arc<Shop>> = lock(&self.shops).values().cloned().collect();
        let mut problems: Vec<String> = shops.iter().filter_map(|shop| lock(&shop.known).problem.clone()).collect();
        problems.sort();
        problems.dedup();
        problems
    }

    /// What is wrong with this shop, as far as it has shown.
    pub(super) fn problem_of(&self, shop: &ShopDomain) -> Option<String> {
        let shop = lock(&self.shops).get(shop).cloned()?;
        lock(&shop.known).problem.clone()
    }

    /// Whether Shopify grants a token.
    pub(super) fn check(&self, shop: &ShopDomain) -> Result<(), ShopifyError> {
        self.client.grant(shop).map(drop::<Grant>)
    }

    /// Whether the app is installed in the shop.
    pub(super) fn ask_installed(&self, shop: &ShopDomain) -> Installation {
        self.client.ask_installed(shop)
    }

    /// Makes sure that there is a token: whatever goes wrong here, nothing has been asked of Shopify yet.
    pub(super) fn prepare(&self, shop: &ShopDomain) -> Result<(), ShopifyError> {
        self.token(shop, None).map(drop::<Secret>)
    }

    /// Asks GraphQL, with a new token where Shopify does not know the old one any more.
    pub(super) fn ask(&self, shop: &ShopDomain, body: &Value, begun: Instant) -> Result<HttpReply, ShopifyError> {
        let token = self.token(shop, None)?;
        let reply = self.send(shop, &token, body, begun)?;
        if reply.status != 401 {
            return Ok(reply);
        }
        let token = self.token(shop, Some(&token))?;
        self.send(shop, &token, body, begun)
    }

    fn send(&self, shop: &ShopDomain, token: &Secret, body: &Value, begun: Instant) -> Result<HttpReply, ShopifyError> {
        if begun.elapsed() > STALE {
            return Err(ShopifyError::Blocked("this process stood still for too long".to_owned()));
        }
        self.client.ask(shop, token, body)
    }

    /// The shop's token; a new one where there is none, its life nears its end, or it is the one that was `refused`.
    fn token(&self, shop: &ShopDomain, refused: Option<&Secret>) -> Result<Secret, ShopifyError> {
        let session = self.shop(shop);
        let mut kept = lock(&session.token);
        let now = self.clock.uptime();
        if let Some(token) = kept.as_ref().filter(|token| token.good_until > now && Some(&token.secret) != refused) {
            return Ok(token.secret.clone());
        }
        *kept = None;
        match self.client.grant(shop) {
            Ok(Grant { token, life }) => {
                let secret = Secret::new(token);
                *kept = Some(Token { secret: secret.clone(), good_until: now + life - life / RENEWED_AT });
                Ok(secret)
            }
            Err(failure) => {
                // Nothing was made, however unclear it is what became of the token.
                let failure = match failure {
                    ShopifyError::Uncertain { why, after } => {
                        if let Some(after) = after {
                            self.pause(shop, after);
                        }
                        ShopifyError::Blocked(format!("no access token: {why}"))
                    }
                    ShopifyError::Blocked(why) => {
                        self.pause(shop, REFUSED_PAUSE);
                        ShopifyError::Blocked(why)
                    }
                    ShopifyError::Refused(why) => ShopifyError::Blocked(why),
                    other => other,
                };
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn while_something_is_wrong_with_a_shop_its_orders_go_one_at_a_time() {
        let sessions = Sessions::new(&Options::new("id", Secret::new("secret")), Arc::new(ManualClock::default()));
        let shop = |name: &str| name.parse::<ShopDomain>().expect("a shop");
        let (one, other) = (shop("one.myshopify.com"), shop("other.myshopify.com"));
        let turns = [sessions.permit(&one), sessions.permit(&one)];
        assert!(turns.iter().all(Option::is_some));
        sessions.note(&one, Some("it hangs"));
        assert!(sessions.permit(&one).is_none() && sessions.permit(&other).is_some());
        drop(turns);
        let probe = sessions.permit(&one);
        assert!(probe.is_some() && sessions.permit(&one).is_none());
        sessions.note(&one, None);
        assert!(sessions.permit(&one).is_some());
    }

    #[test]
    fn what_is_wrong_with_a_shop_is_told_of_no_shop_whose_name_is_a_part_of_its() {
        let sessions = Sessions::new(&Options::new("id", Secret::new("secret")), Arc::new(ManualClock::default()));
        let shop = |name: &str| name.parse::<ShopDomain>().expect("a shop");
        let (longer, part) = (shop("fine-blinds.myshopify.com"), shop("blinds.myshopify.com"));
        sessions.note(&longer, Some("the app is not installed in fine-blinds.myshopify.com"));
        assert_eq!(sessions.problem_of(&part), None);
        assert!(sessions.problem_of(&longer).is_some());
        sessions.note(&part, Some("Shopify cannot be reached"));
        assert_eq!(sessions.problem_of(&part).as_deref(), Some("Shopify cannot be reached"));
    }

    #[test]
    fn what_was_begun_too_long_ago_is_not_sent() {
        let mut options = Options::new("id", Secret::new("secret"));
        // No server listens there: what is sent ends otherwise.
        options.address = "http://127.0.0.1:1/{shop}".parse().expect("an address");
        let sessions = Sessions::new(&options, Arc::new(ManualClock::default()));
        let (shop, token) = ("one.myshopify.com".parse().expect("a shop"), Secret::new("token"));
        let send = |age: Duration| {
            let begun = Instant::now().checked_sub(age).expect("the machine has run for a while");
            sessions.send(&shop, &token, &Value::Null, begun).map(|reply| reply.status)
        };
        let stood_still = ShopifyError::Blocked("this process stood still for too long".to_owned());
        assert_eq!(send(STALE + Duration::from_secs(1)), Err(stood_still.clone()));
        let sent = send(Duration::ZERO);
        assert!(
            matches!(&sent, Err(ShopifyError::Blocked(why)) if sent != Err(stood_still) && why.contains("reached")),
            "{sent:?}"
        );
    }

    #[test]
    fn of_two_pauses_the_longer_one_holds_and_each_is_its_shops_own() {
        let clock = Arc::new(ManualClock::default());
        let sessions = Sessions::new(&Options::new("id", Secret::new("secret")), clock.clone());
        let shop = |name: &str| name.parse::<ShopDomain>().expect("a shop");
        let (one, other) = (shop("one.myshopify.com"), shop("other.myshopify.com"));
        let second = Duration::from_secs(1);
        sessions.pause(&one, second * 60);
        sessions.pause(&one, second);
        clock.advance(second * 59);
        assert_eq!((sessions.pause_left(&one), sessions.pause_left(&other)), (Some(second), None));
        sessions.pause(&one, second * 3);
        clock.set(clock.now() + chrono::TimeDelta::days(1));
        assert_eq!(sessions.pause_left(&one), Some(second * 3));
        clock.advance(second * 3);
        assert_eq!(sessions.pause_left(&one), None);
        sessions.pause(&one, second);
        assert_eq!(sessions.pause_left(&one), Some(second));
    }
}
