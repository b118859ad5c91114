//! Placing an order: what is asked for, priced from what is committed, written down once, and the same again for whoever asks again.
//!
//! A request is priced outside of any transaction first, so that what cannot be ordered costs the writer nothing. The change then
//! looks, by one index, whether that price still is what is committed, and prices anew where it is not: nothing is sold at a price
//! that an edit has ended.

use super::handover::Handover;
use super::idempotency::{self, IdempotencyKey, OriginalOrder};
use super::recent_orders::{Fingerprint, RecentOrders};
use super::records::{self, NewRecord, PageToken, Record};
use super::shopper::Shopper;
use super::snapshot::SelectedOption;
use crate::clock::Clock;
use crate::db::{self, Db, Tx};
use crate::domain::ids::{DraftOrderId, ProductId, StoreId};
use crate::domain::length::Length;
use crate::domain::options::{RequiredGroups, Selection};
use crate::domain::quote::{Quantity, Quote, QuoteRequest};
use crate::entropy::{Entropy, OsEntropy};
use crate::error::{Error, Kind, Result};
use crate::keyed_hash::KeyedHasher;
use crate::pricing::{AuthenticatedKey, Pricing, ProductPricing};
use crate::queue::Queue;
use chrono::{DateTime, Utc};
use log::info;
use rusqlite::Connection;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a program can act on: the key was used for another order before.
pub const KEY_REUSED: &str = "idempotency_key_reused";

/// What a shopper wants to order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequest {
    /// The product.
    pub product: ProductId,
    /// The width.
    pub width: Length,
    /// The height.
    pub height: Length,
    /// How many of it.
    pub quantity: Quantity,
    /// The options picked.
    pub selections: Vec<Selection>,
}

/// An order as it was made, now or before.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedOrder {
    /// The order.
    pub record: Record,
    /// Whether it was there already: the request was a repetition.
    pub repeated: bool,
}

/// The way in for orders. Clones share it.
#[derive(Clone)]
pub struct Orders {
    db: Db,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    hasher: KeyedHasher,
    pricing: Arc<Pricing>,
    recent: Arc<RecentOrders>,
    queue: Queue,
    handover: Handover,
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orders").field("db", &self.db).finish_non_exhaustive()
    }
}

impl OrderRequest {
    fn request(&self) -> QuoteRequest<'_> {
        let Self { product: _, width, height, quantity, ref selections } = *self;
        QuoteRequest { width, height, quantity, selections, required: RequiredGroups::Enforced }
    }

    /// The same for the same order, however its JSON was written.
    fn hash(&self, hasher: &KeyedHasher) -> [u8; 32] {
        let size = [self.width.thousandths(), self.height.thousandths(), self.quantity.get().into()];
        let size = size.map(i64::to_le_bytes).concat();
        let mut parts: Vec<&[u8]> = vec![self.product.as_str().as_bytes(), &size];
        for Selection { option_group_id, choice_id } in &self.selections {
            parts.extend([option_group_id.as_bytes(), choice_id.as_bytes()]);
        }
        hasher.hash("order", &parts)
    }
}

impl Orders {
    /// The way in to `db`, at the prices of `pricing`; what comes in is handed on by `handover`.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        hasher: KeyedHasher,
        pricing: Arc<Pricing>,
        queue: Queue,
        handover: Handover,
    ) -> Self {
        // Its secret is nobody's to repeat, not even a test's.
        let recent = Arc::new(RecentOrders::new(&OsEntropy));
        Self { db, clock, entropy, hasher, pricing, recent, queue, handover }
    }

    /// Places an order and returns at once; `answer` runs once it is durable, or once it is clear that it is not. The same again,
    /// by its key or from the same shopper in the next seconds, is answered with the first. `admit` may refuse what is new and has a
    /// price.
    pub fn place_then(
        &self,
        authenticated: Arc<AuthenticatedKey>,
        shopper: &Shopper<'_>,
        key: Option<&IdempotencyKey>,
        order_request: OrderRequest,
        admit: impl FnOnce() -> Result<()>,
        answer: impl FnOnce(Result<PlacedOrder>) + Send + 'static,
    ) {
        match self.prepare(authenticated, shopper, key, order_request, admit) {
            Ok(Prepared::Repeated(placed)) => self.answer_then(Ok(*placed), answer),
            Ok(Prepared::New(order)) => {
                let orders = self.clone();
                let answer = move |placed| orders.answer_then(placed, answer);
                self.db.without_savepoint().write_then(move |tx| order.place(tx), answer);
            }
            Err(error) => answer(Err(error)),
        }
    }

    /// Answers at once, or, where the order is on its way to Shopify, once it is there or it has taken too long.
    fn answer_then(&self, placed: Result<PlacedOrder>, answer: impl FnOnce(Result<PlacedOrder>) + Send + 'static) {
        let placed = match placed {
            Ok(placed) if self.is_on_its_way(&placed.record) => placed,
            other => return answer(other),
        };
        let PlacedOrder { record: Record { id, store, .. }, repeated } = placed;
        let (db, again) = (self.db.clone(), self.db.clone());
        let is_sent = move || db.read(|connection| records::is_sent(connection, store, id)).unwrap_or(false);
        self.handover.wait_then(id, is_sent, move || {
            let record = again.read(|connection| records::load(connection, store, id));
            answer(record.map(|record| PlacedOrder { record, repeated }));
        });
    }

    fn is_on_its_way(&self, record: &Record) -> bool {
        // What is older has been waited for once already.
        let wait = self.handover.options().map_or(Duration::ZERO, |options| options.wait);
        let age = (self.clock.now() - record.created_at).to_std().unwrap_or_default();
        record.is_open() && age < wait
    }

    fn prepare(
        &self,
        authenticated: Arc<AuthenticatedKey>,
        shopper: &Shopper<'_>,
        key: Option<&IdempotencyKey>,
        order_request: OrderRequest,
        admit: impl FnOnce() -> Result<()>,
    ) -> Result<Prepared> {
        let (now, uptime, store) = (self.clock.now(), self.clock.uptime(), authenticated.key.store);
        let order_hash = order_request.hash(&self.hasher);
        let repeat_key = match key {
            Some(key) => RepeatKey::Key { key_hash: key.hash(&self.hasher, store), order_hash },
            None => RepeatKey::Moment {
                recent: self.recent.clone(),
                fingerprint: self.recent.fingerprint(authenticated.key.id, shopper, &order_hash),
                uptime,
            },
        };
        // Before it is priced: a repetition is answered with the first order, whatever was edited since.
        if repeat_key.may_be_known()
            && let Some(placed) = self.db.read(|connection| repeat_key.find(connection, now, store))?
        {
            return Ok(Prepared::Repeated(Box::new(placed)));
        }
        let pricing = self.pricing.load(&self.db, &authenticated, &order_request.product)?;
        let quote = pricing.quote(&order_request.request())?;
        admit()?;
        let client = shopper.address;
        let id = DraftOrderId::new(now, self.entropy.as_ref().array());
        let token = PageToken::new(now, self.entropy.as_ref());
        let handing_over = (self.queue.clone(), self.handover.clone());
        Ok(Prepared::New(Box::new(NewOrder {
            now,
            authenticated,
            client,
            order_request,
            pricing,
            quote,
            repeat_key,
            id,
            token,
            handing_over,
        })))
    }
}

/// An order on its way to the writer, or the one it repeats.
enum Prepared {
    Repeated(Box<PlacedOrder>),
    New(Box<NewOrder>),
}

/// By what an order is known as the same again.
enum RepeatKey {
    /// By its key, for a day.
    Key { key_hash: [u8; 32], order_hash: [u8; 32] },
    /// By who orders what, for a moment.
    Moment { recent: Arc<RecentOrders>, fingerprint: Fingerprint, uptime: Duration },
}

impl RepeatKey {
    fn may_be_known(&self) -> bool {
        match self {
            Self::Key { .. } => true,
            Self::Moment { recent, fingerprint, uptime } => recent.find(*uptime, fingerprint).is_some(),
        }
    }

    /// The order that this one repeats.
    fn find(&self, connection: &Connection, now: DateTime<Utc>, store: StoreId) -> Result<Option<PlacedOrder>> {
        let first = match self {
            Self::Key { key_hash, order_hash } => match idempotency::find(connection, now, store, *key_hash)? {
                Some(first) if first.order_hash != *order_hash => {
                    let error =
                        Error::new(Kind::Invalid, "this Idempotency-Key was used for another order, take a new one");
                    return Err(error.with_member("code", KEY_REUSED));
                }
                first => first.map(|first| first.order),
            },
            Self::Moment { recent, fingerprint, uptime } => recent.find(*uptime, fingerprint),
        };
        let Some(first) = first else { return Ok(None) };
        Ok(records::find(connection, store, first)?.map(|record| PlacedOrder { record, repeated: true }))
    }

    fn note(&self, tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId, order: DraftOrderId) -> db::Result<()> {
        match self {
            Self::Key { key_hash, order_hash } => {
                idempotency::insert(tx, now, store, *key_hash, OriginalOrder { order, order_hash: *order_hash })
            }
            Self::Moment { recent, fingerprint, uptime } => {
                recent.note(*uptime, *fingerprint, order);
                Ok(())
            }
        }
    }
}

/// An order that can be made, as far as can be said outside of the transaction.
struct NewOrder {
    now: DateTime<Utc>,
    authenticated: Arc<AuthenticatedKey>,
    client: IpAddr,
    order_request: OrderRequest,
    pricing: Arc<ProductPricing>,
    quote: Quote,
    repeat_key: RepeatKey,
    id: DraftOrderId,
    token: PageToken,
    handing_over: (Queue, Handover),
}

impl NewOrder {
    /// Writes the order down, unless it is there. All that may refuse it comes before anything is written, for SQLite leaves what a
    /// rolled-back savepoint wrote in the file, where no erasure finds it.
    fn place(self: Box<Self>, tx: &Tx<'_>) -> Result<PlacedOrder> {
        let Self { now, authenticated, client, order_request, pricing, quote, repeat_key, id, token, handing_over } =
            *self;
        let store = authenticated.key.store;
        // The key first: a store that was erased or uninstalled in this moment answers nothing.
        let current = authenticated.revalidate(tx, &order_request.product, pricing.clone())?;
        if let Some(placed) = repeat_key.find(tx, now, store)? {
            return Ok(placed);
        }
        let quote = if Arc::ptr_eq(&current, &pricing) { quote } else { current.quote(&order_request.request())? };
        let record = write_down(tx, now, store, id, &token, &order_request.product, &current, &quote)?;
        repeat_key.note(tx, now, store, id)?;
        let (queue, handover) = handing_over;
        handover.enqueue(tx, now, &queue, &authenticated.key.shop, client, id)?;
        Ok(PlacedOrder { record, repeated: false })
    }
}

/// The one place where an order comes to be: its record and its number, and whatever must be durable together with them.
#[expect(clippy::too_many_arguments, reason = "all of an order, once")]
fn write_down(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    store: StoreId,
    id: DraftOrderId,
    token: &PageToken,
    product: &ProductId,
    pricing: &ProductPricing,
    quote: &Quote,
) -> Result<Record> {
    let offer = pricing.offer()?;
    let selections: Vec<SelectedOption> = quote.modifiers.iter().map(SelectedOption::from).collect();
    let new = NewRecord {
        matrix: offer.id,
        matrix_name: &offer.name,
        product_id: product.as_str(),
        product_title: &offer.product_title,
        width: quote.width.thousandths(),
        height: quote.height.thousandths(),
        unit: pricing.unit.as_str(),
        priced_width: quote.cell.width.thousandths(),
        priced_height: quote.cell.height.thousandths(),
        quantity: quote.quantity.get().into(),
        currency: pricing.currency.code(),
        base_price_minor: quote.base_price().get(),
        unit_price_minor: quote.unit_price.get(),
        total_price_minor: quote.total.get(),
        selections: &selections,
    };
    let number = records::insert(tx, now, id, token, store, &new)?;
    tx.after_commit(move || info!("draft order placed id={id} store={store} number={number}"));
    records::load(tx, store, id)
}
