//! Placing an order: what is asked for, priced from what is committed, written down once, and the same again for a request that is repeated.
//!
//! A request is priced outside of any transaction first, so that what cannot be ordered costs the writer nothing. The change then
//! looks, by one index, whether that price still is what is committed, and prices anew where it is not: nothing is sold at a price
//! that an edit has ended.

use super::handover::Handover;
use super::idempotency::{self, IdempotencyKey, OriginalOrder};
use super::lines::Line;
use super::open_limit::OpenOrderLimit;
use super::recent_orders::{Fingerprint, RecentOrders};
use super::records::{self, NewRecord, PageToken, Record};
use super::shopper::Shopper;
use super::snapshot::SelectedOption;
use crate::clock::Clock;
use crate::db::{self, Db, Tx};
use crate::domain::ids::{DraftOrderId, ProductId, StoreId};
use crate::domain::length::{Length, Unit};
use crate::domain::money::Minor;
use crate::domain::name::Label;
use crate::domain::options::{RequiredGroups, Selection};
use crate::domain::quote::{Quantity, Quote, QuoteRequest};
use crate::entropy::{Entropy, OsEntropy};
use crate::error::{Error, Kind, Result};
use crate::keyed_hash::KeyedHasher;
use crate::pricing::{AuthenticatedKey, Offer, Pricing, ProductPricings, codes};
use crate::queue::Queue;
use chrono::{DateTime, Utc};
use log::info;
use rusqlite::Connection;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a program can act on: the key was used for another order before.
pub const KEY_REUSED: &str = "idempotency_key_reused";

/// The most items of an order: a house has fewer windows, and all of them are written in one transaction.
pub const ITEMS_MAX: usize = 100;

/// How many products a transaction prices anew where an edit has come between: each is read with its whole matrix. For more, the order
/// is priced again outside of any transaction.
const REPRICED_INSIDE_MAX: usize = 3;

/// How often an order is priced where edits come between all the time.
const TRIES: usize = 5;

/// How long a shopper should wait whose order met so many edits.
const EDITS_PAUSE: Duration = Duration::from_secs(1);

/// What a shopper wants to order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequest {
    /// From one to [`ITEMS_MAX`] of them.
    pub items: Vec<ItemRequest>,
    /// Whether they came as a list: an error then names the item that it is about.
    pub is_list: bool,
}

/// A thing of one size with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRequest {
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
    /// The shopper's own words for it.
    pub label: Option<Label>,
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
    limit: OpenOrderLimit,
}

impl std::fmt::Debug for Orders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orders").field("db", &self.db).finish_non_exhaustive()
    }
}

impl ItemRequest {
    fn request(&self) -> QuoteRequest<'_> {
        let Self { product: _, width, height, quantity, ref selections, label: _ } = *self;
        QuoteRequest { width, height, quantity, selections, required: RequiredGroups::Enforced }
    }
}

impl OrderRequest {
    /// The products, each of them once.
    fn products(&self) -> Vec<&ProductId> {
        let mut seen = HashSet::new();
        self.items.iter().map(|item| &item.product).filter(|product| seen.insert(*product)).collect()
    }

    /// The same for the same order, however its JSON was written.
    fn hash(&self, hasher: &KeyedHasher) -> [u8; 32] {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for ItemRequest { product, width, height, quantity, selections, label } in &self.items {
            // How many parts follow, so that none of one item is taken for one of the next.
            let counts = [selections.len(), label.iter().len()].map(|count| count as i64);
            let size = [width.thousandths(), height.thousandths(), quantity.get().into()];
            parts.push(product.as_str().as_bytes().to_vec());
            parts.push(size.into_iter().chain(counts).flat_map(i64::to_le_bytes).collect());
            for Selection { option_group_id, choice_id } in selections {
                parts.extend([option_group_id.as_bytes().to_vec(), choice_id.as_bytes().to_vec()]);
            }
            parts.extend(label.iter().map(|label| label.as_str().as_bytes().to_vec()));
        }
        hasher.hash("order", &parts.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Prices all items, or says what is wrong with any: all that cannot be ordered so at all, else the first that has no price.
    fn quotes(&self, pricings: &ProductPricings) -> Result<Vec<Quote>> {
        let (mut quotes, mut unreadable, mut unpriced) = (Vec::with_capacity(self.items.len()), None, None);
        for (place, item) in self.items.iter().enumerate() {
            let error = match pricings.of(&item.product)?.quote(&item.request()) {
                Ok(quote) => {
                    quotes.push(quote);
                    continue;
                }
                Err(error) if self.is_list => {
                    error.within(&format!("items[{place}]"), &format!("item {}", place + 1)).with_member("item", place)
                }
                Err(error) => error,
            };
            if error.kind() != Kind::Malformed {
                unpriced.get_or_insert(error);
            } else if let Some(first) = unreadable.take() {
                unreadable = Some(Error::with_faults_of(first, &error));
            } else {
                unreadable = Some(error);
            }
        }
        match unreadable.or(unpriced) {
            Some(error) => Err(error),
            None => Ok(quotes),
        }
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
        // Its secret must not be repeated, not even in a test.
        let recent = Arc::new(RecentOrders::new(&OsEntropy));
        let limit = OpenOrderLimit::default();
        Self { db, clock, entropy, hasher, pricing, recent, queue, handover, limit }
    }

    /// The same, which takes no order of a store that holds too many of the last hour that are not paid.
    #[must_use]
    pub fn with_limit(self, limit: OpenOrderLimit) -> Self {
        Self { limit, ..self }
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
            Ok(Prepared::New(order)) => self.write_then(order, TRIES, answer),
            Err(error) => answer(Err(error)),
        }
    }

    /// Writes an order; one whose many products were edited meanwhile is priced and written again.
    fn write_then(
        &self,
        order: Box<NewOrder>,
        tries: usize,
        answer: impl FnOnce(Result<PlacedOrder>) + Send + 'static,
    ) {
        let orders = self.clone();
        let answer = move |written: Result<Written>| match written {
            Ok(Written::Placed(placed)) => orders.answer_then(Ok(*placed), answer),
            Ok(Written::Outdated(order)) if tries > 1 => match order.priced_again(&orders) {
                Ok(order) => orders.write_then(order, tries - 1, answer),
                Err(error) => answer(Err(error)),
            },
            Ok(Written::Outdated(_)) => {
                let error = Error::new(Kind::Overloaded, "prices are being edited, please try again in a moment");
                answer(Err(error.with_retry_after(EDITS_PAUSE)));
            }
            Err(error) => answer(Err(error)),
        };
        self.db.without_savepoint().write_then_or_lead(move |tx| order.place(tx), answer);
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
        let repeat_key = match (key, authenticated.key.id) {
            (Some(key), _) => RepeatKey::Key { key_hash: key.hash(&self.hasher, store), order_hash },
            (None, Some(id)) => RepeatKey::Moment {
                recent: self.recent.clone(),
                fingerprint: self.recent.fingerprint(id, shopper, &order_hash),
                uptime,
            },
            (None, None) => RepeatKey::Never,
        };
        // Before it is priced: a repetition is answered with the first order, whatever was edited since.
        if repeat_key.may_be_known()
            && let Some(placed) = self.db.read(|connection| repeat_key.find(connection, now, store))?
        {
            return Ok(Prepared::Repeated(Box::new(placed)));
        }
        let pricings = self.pricing.load_all(&self.db, &authenticated, &order_request.products())?;
        let quotes = order_request.quotes(&pricings)?;
        total(&quotes)?;
        self.limit.admit(&self.db, now, store)?;
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
            pricings,
            quotes,
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
    /// Not at all: two shoppers behind Shopify's proxy look like one, and must not get one order.
    Never,
    /// By who orders what, for a moment.
    Moment { recent: Arc<RecentOrders>, fingerprint: Fingerprint, uptime: Duration },
}

impl RepeatKey {
    fn may_be_known(&self) -> bool {
        match self {
            Self::Key { .. } => true,
            Self::Never => false,
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
            Self::Never => None,
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
            Self::Never => Ok(()),
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
    pricings: ProductPricings,
    quotes: Vec<Quote>,
    repeat_key: RepeatKey,
    id: DraftOrderId,
    token: PageToken,
    handing_over: (Queue, Handover),
}

/// What became of an order in the writer.
enum Written {
    /// It is written down, or was before.
    Placed(Box<PlacedOrder>),
    /// Nothing was written: its prices have changed since, and it has too many products to price them anew in the transaction.
    Outdated(Box<NewOrder>),
}

impl NewOrder {
    /// The same order at the prices of now.
    fn priced_again(mut self: Box<Self>, orders: &Orders) -> Result<Box<Self>> {
        self.pricings = orders.pricing.reload_all(&orders.db, &self.authenticated, &self.order_request.products())?;
        self.quotes = self.order_request.quotes(&self.pricings)?;
        Ok(self)
    }

    /// Writes the order down, unless it is there. All that may refuse it comes before anything is written, for SQLite leaves what a
    /// rolled-back savepoint wrote in the file, where no erasure finds it.
    fn place(mut self: Box<Self>, tx: &Tx<'_>) -> Result<Written> {
        let (now, store) = (self.now, self.authenticated.key.store);
        // The key first: a store that was erased or uninstalled in this moment answers nothing.
        let key = self.authenticated.live_key(tx)?;
        if let Some(placed) = self.repeat_key.find(tx, now, store)? {
            return Ok(Written::Placed(Box::new(placed)));
        }
        if !self.pricings.are_of(&key) {
            let products = self.order_request.products();
            if products.len() > REPRICED_INSIDE_MAX {
                return Ok(Written::Outdated(self));
            }
            self.pricings = ProductPricings::read(tx, &key, &products)?;
            self.quotes = self.order_request.quotes(&self.pricings)?;
        }
        let total_price = total(&self.quotes)?;
        let Self {
            authenticated,
            client,
            order_request,
            pricings,
            quotes,
            repeat_key,
            id,
            token,
            handing_over,
            now: _,
        } = *self;
        let lines = order_request.items.into_iter().zip(&quotes).map(|(item, quote)| {
            let offer = pricings.of(&item.product)?.offer()?;
            Ok(line(item, offer, quote, key.unit))
        });
        let lines: Vec<Line> = lines.collect::<Result<_>>()?;
        let new = NewRecord { unit: key.unit, currency: key.currency, total_price, lines: &lines };
        let number = records::insert(tx, now, id, &token, store, &new)?;
        repeat_key.note(tx, now, store, id)?;
        let (queue, handover) = handing_over;
        handover.enqueue(tx, now, &queue, &authenticated.key.shop, client, id)?;
        tx.after_commit(move || info!("draft order placed id={id} store={store} number={number}"));
        let record = records::load(tx, store, id)?;
        Ok(Written::Placed(Box::new(PlacedOrder { record, repeated: false })))
    }
}

/// What all items come to.
fn total(quotes: &[Quote]) -> Result<Minor> {
    let sum: i128 = quotes.iter().map(|quote| i128::from(quote.total.get())).sum();
    Minor::from_wide(sum).map_err(|_too_large| {
        Error::new(Kind::Invalid, "this order costs more than can be priced here, please ask the shop")
            .with_member("code", codes::PRICE_TOO_LARGE)
    })
}

/// An item as it is written down.
fn line(item: ItemRequest, offer: &Offer, quote: &Quote, unit: Unit) -> Line {
    let settings = &offer.settings;
    Line {
        matrix: Some(offer.id),
        matrix_name: offer.name.to_string(),
        product_id: item.product.as_str().to_owned(),
        product_title: offer.product_title.clone(),
        label: item.label.map(String::from),
        width: quote.width,
        height: quote.height,
        priced_width: quote.cell.width,
        priced_height: quote.cell.height,
        quantity: quote.quantity.get().into(),
        base_price: quote.base_price(),
        unit_price: quote.unit_price,
        total_price: quote.total,
        selections: quote.modifiers.iter().map(SelectedOption::from).collect(),
        sku: settings.sku.clone(),
        variant_id: settings.variant_id.clone(),
        requires_shipping: settings.is_shipped(),
        taxable: settings.is_taxable(),
        weight_grams: settings.weight.map(|weight| weight.of_piece(quote.width, quote.height, unit)),
    }
}
