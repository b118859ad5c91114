//! What becomes of an order at Shopify: `ordered` when its draft was completed, `cancelled` when that was deleted.
//!
//! It is reported by webhooks, which may come in any order, twice, late or never, and seen by looks at the draft (`looks.rs`). So no report
//! takes back another: an order that was ordered stays so whatever is said after it, and one that counts as cancelled is ordered
//! after all when its draft turns out to have been completed. Whatever is reported twice changes nothing the second time.

use crate::db::{self, Millis, Tx};
use crate::domain::ids::{DraftOrderId, ShopDomain, StoreId};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// How long after a draft was made it is first asked what has become of it: a webhook that came before the answer which named the
/// draft found no order.
pub(super) const FIRST_LOOK: TimeDelta = TimeDelta::minutes(10);

/// How often Shopify is asked what has become of a draft.
pub(super) const LOOK_EVERY: TimeDelta = TimeDelta::days(1);

/// Drafts that are older are asked for no more: Shopify deletes those that were not touched for a year.
pub(super) const LOOKED_AT_FOR: TimeDelta = TimeDelta::days(365);

/// What is said on an order that was paid for all the same.
const ORDERED_ALL_THE_SAME: &str =
    "It was cancelled, and its draft order had been completed at Shopify: a shopper has ordered it";

/// What a draft at Shopify has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It is there.
    Standing,
    /// The shopper has ordered.
    Completed {
        /// Shopify's number of the order, where it is known.
        order_id: Option<u64>,
        /// Shopify's name of the order, where it is known.
        order_name: Option<String>,
        /// When, where it is known.
        at: Option<DateTime<Utc>>,
    },
    /// It was deleted.
    Deleted,
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// The order is another one now.
    Changed,
    /// It was known.
    Known,
    /// No order here has that draft.
    NotOurs,
}

/// Writes down what is reported of a shop's draft. Orders of stores that are being erased are left alone.
///
/// # Errors
/// When the database fails.
pub fn report(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    shop: &ShopDomain,
    draft_id: &str,
    report: &Report,
) -> db::Result<Reported> {
    let mut statement = tx.prepare_cached(
        // Not by the store, which may have a million orders.
        "SELECT o.id, o.store_id FROM draft_order_records AS o INDEXED BY draft_order_records_shopify_id
         JOIN stores AS s ON s.id = o.store_id
         WHERE o.shopify_draft_order_id = :draft_id AND s.shop = :shop AND s.erasing_since IS NULL",
    )?;
    let found = statement
        .query_row(named_params! { ":draft_id": draft_id, ":shop": shop }, |row| {
            Ok((row.get::<_, DraftOrderId>("id")?, row.get::<_, StoreId>("store_id")?))
        })
        .optional()?;
    let Some((order, store)) = found else { return Ok(Reported::NotOurs) };
    let is_news = match report {
        Report::Standing => false,
        Report::Completed { order_id, order_name, at } => {
            // What is no number of SQLite's is none of Shopify's.
            let order_id = order_id.and_then(|id| i64::try_from(id).ok());
            complete(tx, now, store, order, &Became { order_id, order_name: order_name.as_deref(), at: *at })?
        }
        Report::Deleted => delete(tx, now, store, order)?,
    };
    Ok(if is_news { Reported::Changed } else { Reported::Known })
}

/// What a completed draft became.
struct Became<'a> {
    order_id: Option<i64>,
    order_name: Option<&'a str>,
    at: Option<DateTime<Utc>>,
}

fn complete(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    store: StoreId,
    order: DraftOrderId,
    became: &Became<'_>,
) -> db::Result<bool> {
    // Without a name one more look may find it; a second report without one asks for no second look, and calls none off.
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET handover_warnings = iif(status = 'cancelled',
                 json_insert(coalesce(handover_warnings, '[]'), '$[#]', :all_the_same), handover_warnings),
             look_due_at = CASE WHEN coalesce(order_name, :order_name) IS NOT NULL THEN NULL
                                WHEN status = 'ordered' THEN look_due_at ELSE :now END,
             ordered_at = coalesce(ordered_at, :at), order_name = coalesce(order_name, :order_name),
             shopify_order_id = coalesce(shopify_order_id, :order_id),
             status = 'ordered', cancelled_at = NULL, deletion_due_at = NULL, handover_attempted_at = NULL
         WHERE id = :id AND store_id = :store_id
           AND (status IN ('sent', 'cancelled') OR status = 'ordered' AND (
                   order_name IS NULL AND :order_name IS NOT NULL OR shopify_order_id IS NULL AND :order_id IS NOT NULL))",
    )?;
    let changed = statement.execute(named_params! {
        ":all_the_same": ORDERED_ALL_THE_SAME,
        ":order_id": became.order_id,
        ":order_name": became.order_name,
        ":now": Millis(now),
        // What another's clock says is believed as long as it is not of the future.
        ":at": Millis(became.at.unwrap_or(now).min(now)),
        ":id": order,
        ":store_id": store,
    })?;
    Ok(changed == 1)
}

fn delete(tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId, order: DraftOrderId) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET status = 'cancelled', cancelled_at = coalesce(cancelled_at, :now), checkout_url = NULL, look_due_at = NULL,
             deletion_due_at = NULL, handover_attempted_at = NULL
         WHERE id = :id AND store_id = :store_id
           AND (status = 'sent' OR status = 'cancelled' AND deletion_due_at IS NOT NULL)",
    )?;
    Ok(statement.execute(named_params! { ":now": Millis(now), ":id": order, ":store_id": store })? == 1)
}

/// The drafts of a store of which it is to be asked now what has become of them, those that wait longest first.
pub(super) fn due_looks(
    connection: &Connection,
    now: DateTime<Utc>,
    store: StoreId,
    limit: usize,
) -> db::Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT shopify_draft_order_id FROM draft_order_records
         WHERE store_id = :store_id AND look_due_at <= :now AND shopify_draft_order_id IS NOT NULL
         ORDER BY look_due_at LIMIT :limit",
    )?;
    let params = named_params! { ":store_id": store, ":now": Millis(now), ":limit": limit };
    let drafts = statement.query_map(params, |row| row.get(0))?;
    Ok(drafts.collect::<rusqlite::Result<_>>()?)
}

/// The shops with drafts of which it is to be asked now what has become of them.
pub(super) fn shops_with_due_looks(connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<ShopDomain>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.shop FROM stores AS s
         WHERE s.uninstalled_at IS NULL AND s.erasing_since IS NULL AND EXISTS (
             SELECT 1 FROM draft_order_records AS o WHERE o.store_id = s.id AND o.look_due_at <= :now)",
    )?;
    let shops = statement.query_map(named_params! { ":now": Millis(now) }, |row| row.get(0))?;
    Ok(shops.collect::<rusqlite::Result<_>>()?)
}

/// A draft was looked at: the next look is in a day, where there is anything left to learn. What has ended is not looked at again.
pub(super) fn note_look(tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId, draft_id: &str) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET look_due_at = iif(status = 'sent' AND created_at > :oldest, :next, NULL)
         WHERE shopify_draft_order_id = :draft_id AND store_id = :store_id",
    )?;
    statement.execute(named_params! {
        ":oldest": Millis(now - LOOKED_AT_FOR),
        ":next": Millis(now + LOOK_EVERY),
        ":draft_id": draft_id,
        ":store_id": store,
    })?;
    Ok(())
}

/// Cancels an order here. `true`: a draft of it is at Shopify, or may be, and is to be deleted. One that is cancelled already is left
/// as it is; one that was ordered must not come here.
pub(super) fn cancel(tx: &Tx<'_>, now: DateTime<Utc>, store: StoreId, order: DraftOrderId) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET deletion_due_at = iif(shopify_draft_order_id IS NOT NULL OR handover_attempted_at IS NOT NULL, :now, NULL),
             handover_attempted_at = iif(status = 'sent', NULL, handover_attempted_at),
             status = 'cancelled', cancelled_at = :now, checkout_url = NULL, look_due_at = NULL, handover_error = NULL
         WHERE id = :id AND store_id = :store_id AND status IN ('open', 'sent')",
    )?;
    statement.execute(named_params! { ":now": Millis(now), ":id": order, ":store_id": store })?;
    let mut statement = tx.prepare_cached(
        "SELECT deletion_due_at IS NOT NULL FROM draft_order_records WHERE id = :id AND store_id = :store_id",
    )?;
    Ok(statement.query_row(named_params! { ":id": order, ":store_id": store }, |row| row.get(0))?)
}

/// The draft of a cancelled order is gone, or there never was one.
pub(super) fn end_draft_deletion(tx: &Tx<'_>, store: StoreId, order: DraftOrderId) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records SET deletion_due_at = NULL, handover_attempted_at = NULL
         WHERE id = :id AND store_id = :store_id AND status = 'cancelled'",
    )?;
    statement.execute(named_params! { ":id": order, ":store_id": store })?;
    Ok(())
}
