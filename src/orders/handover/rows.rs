//! SQL of the hand-over's columns of `draft_order_records`.

use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::{DraftOrderId, ShopDomain, StoreId};
use crate::shopify::admin::DraftOrder;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// Where an order's hand-over stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HandoverState {
    /// The order's store.
    pub(super) store: StoreId,
    /// The store's shop.
    pub(super) shop: ShopDomain,
    /// Whether the store is neither uninstalled nor being erased.
    pub(super) is_live: bool,
    /// Whether it is at Shopify.
    pub(super) is_sent: bool,
    /// When a draft was asked for of which nobody knows whether it was made.
    pub(super) attempted_at: Option<DateTime<Utc>>,
    /// The draft whose checkout has no address yet, and since when it is asked for.
    pub(super) sought: Option<(String, DateTime<Utc>)>,
}

/// Where the hand-over of an order stands; `None` when there is no such order.
pub(super) fn state(connection: &Connection, order: DraftOrderId) -> db::Result<Option<HandoverState>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.id AS store_id, s.shop, s.uninstalled_at IS NULL AND s.erasing_since IS NULL AS is_live,
             o.status = 'sent' AS is_sent, o.handover_attempted_at, o.shopify_draft_order_id
         FROM draft_order_records AS o
         JOIN stores AS s ON s.id = o.store_id
         WHERE o.id = :id",
    )?;
    let state = statement.query_row(named_params! { ":id": order }, |row| {
        let is_sent = row.get("is_sent")?;
        let noted_at = row.get::<_, Option<Millis>>("handover_attempted_at")?.map(|at| at.0);
        let draft: Option<String> = row.get("shopify_draft_order_id")?;
        Ok(HandoverState {
            store: row.get("store_id")?,
            shop: row.get("shop")?,
            is_live: row.get("is_live")?,
            is_sent,
            attempted_at: noted_at.filter(|_| !is_sent),
            sought: draft.zip(noted_at).filter(|_| is_sent),
        })
    });
    Ok(state.optional()?)
}

/// Notes that a draft is going to be asked for. Fails with `LostRow` where the order is gone, sent, or its store no longer live, and
/// where its note is not the one that was `seen`: another job that somebody enqueued for it by hand has asked for it meanwhile. Nothing
/// may be asked for then.
pub(super) fn note_attempt(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    store: StoreId,
    order: DraftOrderId,
    seen: Option<DateTime<Utc>>,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records SET handover_attempted_at = :now
         WHERE id = :id AND store_id = :store_id AND status = 'open' AND handover_attempted_at IS :seen AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND uninstalled_at IS NULL AND erasing_since IS NULL)",
    )?;
    let params = named_params! { ":now": Millis(now), ":id": order, ":store_id": store, ":seen": seen.map(Millis) };
    expect_one(statement.execute(params)?, "orders::handover::note_attempt")
}

/// Notes why an order is not at Shopify; `is_clear`: it is sure that nothing was made, and a draft may be asked for at once. Orders
/// that are gone or being erased are left alone.
pub(super) fn note_failure(
    tx: &Tx<'_>,
    store: StoreId,
    order: DraftOrderId,
    is_clear: bool,
    error: Option<&str>,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET handover_attempted_at = iif(:is_clear, NULL, handover_attempted_at), handover_error = :error
         WHERE id = :id AND store_id = :store_id AND status = 'open' AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    statement.execute(named_params! { ":is_clear": is_clear, ":error": error, ":id": order, ":store_id": store })?;
    Ok(())
}

/// Writes down that an order is at Shopify, with what it has otherwise there, and since when the address of its checkout is asked
/// for, where it has none. `false`: it is gone or being erased, and nothing was written.
pub(super) fn mark_sent(
    tx: &Tx<'_>,
    store: StoreId,
    order: DraftOrderId,
    draft: &DraftOrder,
    total_minor: Option<i64>,
    differing: &[String],
    sought_since: Option<DateTime<Utc>>,
) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET status = 'sent', shopify_draft_order_id = :draft_id, shopify_order_name = :name,
             shopify_total_minor = :total_minor, checkout_url = :checkout_url, handover_warnings = :warnings,
             handover_attempted_at = :sought_since, handover_error = NULL
         WHERE id = :id AND store_id = :store_id AND status = 'open' AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    let changed = statement.execute(named_params! {
        ":draft_id": draft.id,
        ":name": draft.name,
        ":total_minor": total_minor,
        ":checkout_url": draft.checkout_url,
        ":warnings": list(differing),
        ":sought_since": sought_since.map(Millis),
        ":id": order,
        ":store_id": store,
    })?;
    Ok(changed == 1)
}

/// Writes down where a draft that had no address when it was made is paid, and what it comes to now that it is ready. Orders that are
/// gone or being erased are left alone.
pub(super) fn note_checkout(
    tx: &Tx<'_>,
    store: StoreId,
    order: DraftOrderId,
    draft: &DraftOrder,
    total_minor: Option<i64>,
    differing: &[String],
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET shopify_total_minor = :total_minor, checkout_url = :checkout_url, handover_warnings = :warnings,
             handover_attempted_at = NULL
         WHERE id = :id AND store_id = :store_id AND status = 'sent' AND shopify_draft_order_id = :draft_id AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    statement.execute(named_params! {
        ":total_minor": total_minor,
        ":checkout_url": draft.checkout_url,
        ":warnings": list(differing),
        ":draft_id": draft.id,
        ":id": order,
        ":store_id": store,
    })?;
    Ok(())
}

/// The address of a draft's checkout is asked for no longer; `warnings` replace those of the order.
pub(super) fn end_search(
    tx: &Tx<'_>,
    store: StoreId,
    order: DraftOrderId,
    warnings: Option<&[String]>,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET handover_attempted_at = NULL, handover_warnings = coalesce(:warnings, handover_warnings)
         WHERE id = :id AND store_id = :store_id AND status = 'sent' AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    statement.execute(named_params! { ":warnings": warnings.and_then(list), ":id": order, ":store_id": store })?;
    Ok(())
}

/// A JSON list; nothing for an empty one.
fn list(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| serde_json::to_string(texts).expect("texts are JSON"))
}
