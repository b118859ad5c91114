//! Handing orders over to Shopify, so that the shopper pays in Shopify's checkout: one job for each order, written in the order's own
//! transaction, which makes the draft order there exactly once.
//!
//! `draftOrderCreate` has no idempotency key: sent twice, it makes two. So that it is sent again only where nothing was made:
//!
//! 1. that it will be sent is committed first (`handover_attempted_at`), fenced by the job's claim;
//! 2. an answer that says what happened settles it: made (the order becomes `sent`, in the transaction that ends the job), or
//!    surely not made (the note is taken back, and it may be sent again);
//! 3. anything else (no answer, half an answer, a crash) leaves the note, and a run that finds one, or an order that has waited for
//!    long, **looks the draft up by its tag** first. Shopify's search finds new drafts late, so one that is not found is
//!    looked for again and again, and only when it is missing at the end of the settling time is it sent anew.
//!
//! Shopify works on a new draft for a while. One whose checkout has no address yet is `sent` at once, and the job goes on to ask
//! for the address by the draft's id.
//!
//! Where orders come faster than they go, clients and shops take turns (`turns.rs`), and so do those who wait for Shopify's checkout.
//!
//! What becomes of an order after that is reported by webhooks and seen by looks (`fate.rs`, `looks.rs`), and one that its merchant cancels
//! is deleted there (`cancel.rs`).
//!
//! These jobs wait for Shopify on threads of their own ([`crate::queue::Share`]): however long it hangs, redactions and all other
//! jobs go on. Nothing waits while it holds the writer. Tokens are kept in memory only (`sessions.rs`); a client that placed an order waits
//! without a thread (`checkout_waiters.rs`).

mod checkout_waiters;
mod client;
mod differences;
mod draft_deletion;
mod fate;
mod job;
mod looks;
mod products;
mod rows;
mod sessions;
mod turns;
mod uncertain;

pub use client::{Address, NotAnAddress};
pub use draft_deletion::DraftDeletionJob;
pub use fate::{Report, Reported, report};
pub use job::HandoverJob;
pub use looks::LooksJob;

use crate::catalog::stores;
use crate::clock::Clock;
use crate::db::{self, Db, Tx};
use crate::domain::ids::{DraftOrderId, ShopDomain};
use crate::error::{Error, Kind, Result};
use crate::keyed_hash::{KeyedHasher, hex};
use crate::orders::records::{self, Record, State};
use crate::queue::{NewJob, Queue, Registry};
use crate::secret::Secret;
use crate::shopify::admin::{self, Installation, SeenShop};
use checkout_waiters::CheckoutWaiters;
use chrono::{DateTime, Utc};
use serde_json::json;
use sessions::Sessions;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use turns::Turns;
use uncertain::Uncertain;

/// Hands an order over: job type. Its payload names the order and nothing else.
pub const DRAFT_ORDER_HANDOVER: &str = "draft_order_handover";

/// Asks what has become of a shop's drafts: job type.
pub const DRAFT_ORDER_LOOKS: &str = "draft_order_looks";

/// Deletes the draft of a cancelled order: job type.
pub const DRAFT_ORDER_DELETION: &str = "draft_order_deletion";

/// The payload's one member.
const ORDER_ID: &str = "draftOrderId";

/// How a Shopify app is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// The app's client id.
    pub client_id: String,
    /// Its client secret.
    pub client_secret: Secret,
    /// Version of the Admin API.
    pub version: String,
    /// Where each shop's Admin API is.
    pub address: Address,
    /// How long a call may take in all.
    pub timeout: Duration,
    /// How long after a call without a clear answer another may be made, if no draft was found by then.
    pub settle: Duration,
    /// How long a client that placed an order waits for Shopify's checkout.
    pub wait: Duration,
    /// Threads that wait for Shopify.
    pub threads: usize,
}

impl Options {
    /// The defaults for an app.
    pub fn new(client_id: impl Into<String>, client_secret: Secret) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret,
            version: crate::shopify::admin::VERSION.to_owned(),
            address: Address::default(),
            timeout: Duration::from_secs(10),
            settle: Duration::from_secs(600),
            wait: Duration::from_secs(3),
            threads: 4,
        }
    }
}

/// The hand-over as the rest of the program sees it. Clones share it.
#[derive(Clone)]
pub struct Handover(Arc<Parts>);

struct Parts {
    options: Option<Options>,
    sessions: Option<Sessions>,
    uncertain: Uncertain,
    turns: Turns,
    waiting: Arc<CheckoutWaiters>,
    figures: HandoverCounters,
    hasher: KeyedHasher,
    subject: fn(&KeyedHasher, &ShopDomain) -> String,
}

/// What became of hand-overs, since the start.
#[derive(Debug, Default)]
pub struct HandoverCounters {
    /// Made, and the answer said so.
    pub sent: AtomicU64,
    /// Made by a call whose answer was lost, and found by their tag.
    pub found: AtomicU64,
    /// Made, and not as it was quoted.
    pub differing: AtomicU64,
    /// Refused by Shopify permanently.
    pub refused: AtomicU64,
    /// Refused by Shopify without a word about the order, and tried again.
    pub passing: AtomicU64,
    /// Delayed because Shopify asked for a pause.
    pub throttled: AtomicU64,
    /// Delayed because an operator must fix something first, or Shopify cannot be reached.
    pub blocked: AtomicU64,
    /// Calls whose outcome is unclear.
    pub uncertain: AtomicU64,
    /// Left undone because the store was gone, being erased, or uninstalled.
    pub left: AtomicU64,
}

impl HandoverCounters {
    /// Each with its name.
    pub fn all(&self) -> [(&'static str, u64); 9] {
        let Self { sent, found, differing, refused, passing, throttled, blocked, uncertain, left } = self;
        [
            ("sent", sent),
            ("found", found),
            ("differing", differing),
            ("refused", refused),
            ("passing", passing),
            ("throttled", throttled),
            ("blocked", blocked),
            ("uncertain", uncertain),
            ("left", left),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

impl Handover {
    /// Hands over with this app; without one, orders stay here. `subject` names what jobs about a shop are about.
    pub fn new(
        options: Option<Options>,
        clock: Arc<dyn Clock>,
        hasher: KeyedHasher,
        subject: fn(&KeyedHasher, &ShopDomain) -> String,
    ) -> Self {
        let sessions = options.as_ref().map(|options| Sessions::new(options, clock));
        let (uncertain, turns) = (Uncertain::default(), Turns::default());
        let (waiting, figures) = (Arc::default(), HandoverCounters::default());
        let parts = Parts { options, sessions, uncertain, turns, waiting, figures, hasher, subject };
        Self(Arc::new(parts))
    }

    /// The app, where one is configured.
    pub fn options(&self) -> Option<&Options> {
        self.0.options.as_ref()
    }

    /// What became of hand-overs.
    pub fn figures(&self) -> &HandoverCounters {
        &self.0.figures
    }

    /// How many requests wait for Shopify's checkout now.
    pub fn waiting(&self) -> usize {
        self.0.waiting.len()
    }

    /// Writes the job that hands a client's order over, in the order's own transaction; nothing where no app is configured.
    ///
    /// # Errors
    /// As [`Queue::enqueue`].
    pub fn enqueue(
        &self,
        tx: &Tx<'_>,
        now: DateTime<Utc>,
        queue: &Queue,
        shop: &ShopDomain,
        client: IpAddr,
        order: DraftOrderId,
    ) -> Result<()> {
        let Some(sessions) = &self.0.sessions else { return Ok(()) };
        // Should the transaction be lost, an order stood in line that is none: no harm.
        let place = self.0.turns.take(order, shop, client, sessions.uptime());
        let job = NewJob::new(DRAFT_ORDER_HANDOVER, json!({ ORDER_ID: order.to_string() }))
            .dedupe_key(self.dedupe_key(order))
            .about((self.0.subject)(&self.0.hasher, shop))
            .ahead(place.ahead());
        queue.enqueue(tx, now, job)?;
        Ok(())
    }

    /// Adds what runs the jobs of the hand-over to `registry`.
    pub fn register(&self, registry: Registry) -> Registry {
        registry
            .with(DRAFT_ORDER_HANDOVER, HandoverJob::new(self))
            .with(DRAFT_ORDER_LOOKS, LooksJob::new(self))
            .with(DRAFT_ORDER_DELETION, DraftDeletionJob::new(self))
    }

    /// Cancels an order, and has its draft at Shopify deleted. One that is cancelled already stays so.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` where it was ordered, and when the database fails.
    pub fn cancel(
        &self,
        tx: &Tx<'_>,
        now: DateTime<Utc>,
        queue: &Queue,
        shop: &ShopDomain,
        order: DraftOrderId,
    ) -> Result<Record> {
        let store = stores::load(tx, shop)?.id;
        let record = records::load(tx, store, order)?;
        if record.status == State::Ordered {
            let name = record.order_name.unwrap_or_default();
            return Err(Error::new(
                Kind::Conflict,
                format!("it has been ordered at Shopify {name}: cancel and refund the order there").replace("  ", " "),
            ));
        }
        if fate::cancel(tx, now, store, order)? {
            let key = hex(&self.0.hasher.hash("deletion", &[order.to_string().as_bytes()]));
            let job = NewJob::new(DRAFT_ORDER_DELETION, json!({ ORDER_ID: order.to_string() }))
                .dedupe_key(key)
                .about((self.0.subject)(&self.0.hasher, shop));
            queue.enqueue(tx, now, job)?;
        }
        records::load(tx, store, order)
    }

    /// Has Shopify asked what has become of the drafts of a shop that are due for it.
    ///
    /// # Errors
    /// As [`Queue::enqueue`].
    pub fn enqueue_looks(&self, tx: &Tx<'_>, now: DateTime<Utc>, queue: &Queue, shop: &ShopDomain) -> Result<()> {
        if self.0.sessions.is_none() {
            return Ok(());
        }
        let key = hex(&self.0.hasher.hash("looks", &[shop.as_str().as_bytes()]));
        let job = NewJob::new(DRAFT_ORDER_LOOKS, json!({ looks::SHOP: shop.as_str() })).dedupe_key(key).about((self
            .0
            .subject)(
            &self.0.hasher,
            shop,
        ));
        queue.enqueue(tx, now, job)?;
        Ok(())
    }

    /// The same for every shop that has drafts which are due for it.
    ///
    /// # Errors
    /// As [`Queue::enqueue`], and when the database fails.
    pub fn enqueue_due_looks(&self, db: &Db, now: DateTime<Utc>, queue: &Queue) -> Result<()> {
        if self.0.sessions.is_none() {
            return Ok(());
        }
        for shop in db.read(|connection| fate::shops_with_due_looks(connection, now))? {
            let (handover, queue) = (self.clone(), queue.clone());
            db.write(move |tx| handover.enqueue_looks(tx, now, &queue, &shop))?;
        }
        Ok(())
    }

    /// Distinguishes the unfinished job of an order from those of others. It stays with the job's row when the order is erased, and so must
    /// not name it.
    fn dedupe_key(&self, order: DraftOrderId) -> String {
        hex(&self.0.hasher.hash("handover", &[order.to_string().as_bytes()]))
    }

    /// Runs `then` once the order's hand-over has come to something, or the wait for it is over: on another thread where there is
    /// something to wait for, at once where there is not. `is_sent` is asked when the wait has begun, so that no end is missed.
    pub fn wait_then(&self, order: DraftOrderId, is_sent: impl FnOnce() -> bool, then: impl FnOnce() + Send + 'static) {
        let wait = self.0.options.as_ref().map_or(Duration::ZERO, |options| options.wait);
        self.0.waiting.wait(order, self.0.turns.of(order), wait, is_sent, Box::new(then));
    }

    /// Starts the thread that answers those who wait, until the returned value is dropped.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub fn run_waiters(&self) -> std::io::Result<RunningWaiters> {
        let thread = checkout_waiters::start(self.0.waiting.clone())?;
        Ok(RunningWaiters { waiting: self.0.waiting.clone(), thread: Some(thread) })
    }

    /// Forgets the tokens of shops that are gone, being erased or uninstalled.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sweep(&self, db: &Db) -> db::Result<()> {
        let Some(sessions) = &self.0.sessions else { return Ok(()) };
        for shop in sessions.shops() {
            let store = db.read(|connection| stores::find(connection, &shop))?;
            if !store.is_some_and(|store| store.uninstalled_at.is_none() && store.erasing_since.is_none()) {
                sessions.forget(&shop);
            }
        }
        Ok(())
    }

    /// Forgets a shop that is gone, at once.
    pub fn forget_shop(&self, shop: &ShopDomain) {
        if let Some(sessions) = &self.0.sessions {
            sessions.forget(shop);
        }
    }

    /// How many shops' tokens are remembered.
    pub fn sessions(&self) -> usize {
        self.0.sessions.as_ref().map_or(0, |sessions| sessions.shops().len())
    }

    /// What keeps orders from Shopify now, as far as the calls of this process have shown; one sentence for each shop.
    pub fn problems(&self) -> Vec<String> {
        self.0.sessions.as_ref().map(Sessions::problems).unwrap_or_default()
    }

    /// What keeps this shop's orders from Shopify now, as far as the calls of this process have shown.
    pub fn problem_of(&self, shop: &ShopDomain) -> Option<String> {
        self.0.sessions.as_ref()?.problem_of(shop)
    }

    /// Asks Shopify whether the app is installed in this shop; `None` without an app. Waits for the answer.
    pub fn ask_installed(&self, shop: &ShopDomain) -> Option<Installation> {
        self.0.sessions.as_ref().map(|sessions| sessions.ask_installed(shop))
    }

    /// Asks Shopify for a token to this shop, to see whether it would be given one.
    ///
    /// # Errors
    /// A sentence that says why Shopify gives none.
    pub fn check(&self, shop: &ShopDomain) -> std::result::Result<(), String> {
        let Some(sessions) = &self.0.sessions else { return Ok(()) };
        sessions.check(shop).map_err(|failure| failure.to_string())
    }

    /// Asks Shopify what it knows of variants, [`admin::VARIANTS_MAX`] at the most, and what their shop takes, in one call; `None` without an
    /// app. Waits for the answer.
    ///
    /// # Errors
    /// A sentence that says why Shopify does not tell.
    pub fn look_at_variants(
        &self,
        shop: &ShopDomain,
        variant_ids: &[String],
    ) -> Option<std::result::Result<SeenShop, String>> {
        let sessions = self.0.sessions.as_ref()?;
        let reply = sessions.ask(shop, &admin::variants(variant_ids), Instant::now());
        let seen = reply.and_then(|reply| {
            admin::read_variants(variant_ids, reply.status, reply.retry_after.as_deref(), &reply.body)
        });
        Some(seen.map_err(|failure| failure.to_string()))
    }
}

impl std::fmt::Debug for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handover").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// Those who wait are answered as long as this lives.
#[derive(Debug)]
pub struct RunningWaiters {
    waiting: Arc<CheckoutWaiters>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for RunningWaiters {
    fn drop(&mut self) {
        self.waiting.close();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
