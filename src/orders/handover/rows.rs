//! SQL of the hand-over's columns of `draft_order_records`.

use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::{DraftOrderId, ShopDomain, StoreId};
use crate::shopify::admin::DraftOrder;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// The state of an order's hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HandoverState {
    /// The order's store.
    pub(super) store: StoreId,
    /// The store's shop.
    pub(super) shop: ShopDomain,
    /// Whether the store is neither uninstalled nor being erased.
    pub(super) is_live: bool,
    /// Whether it is at Shopify, as far as is known here.
    pub(super) is_sent: bool,
    /// Whether it has been ordered or cancelled: nothing is handed over any more.
    pub(super) is_over: bool,
    /// Its draft at Shopify, where it has one.
    pub(super) draft: Option<String>,
    /// Whether its draft is still to be deleted, because it was cancelled here.
    pub(super) is_draft_deletion_due: bool,
    /// Whether Shopify's checkout may take discount codes for it, and its shop's automatic discounts.
    pub(super) allow_discounts: (bool, bool),
    /// When a draft was asked for of which it is not known whether it was made.
    pub(super) attempted_at: Option<DateTime<Utc>>,
    /// The draft whose checkout has no address yet, and since when it is asked for.
    pub(super) sought: Option<(String, DateTime<Utc>)>,
}

/// The state of an order's hand-over; `None` when there is no such order.
pub(super) fn state(connection: &Connection, order: DraftOrderId) -> db::Result<Option<HandoverState>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.id AS store_id, s.shop, s.uninstalled_at IS NULL AND s.erasing_since IS NULL AS is_live,
             o.status = 'sent' AS is_sent, o.status IN ('ordered', 'cancelled') AS is_over,
             o.deletion_due_at IS NOT NULL AS is_draft_deletion_due, o.handover_attempted_at, o.shopify_draft_order_id,
             s.allow_discount_codes, s.allow_automatic_discounts
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
            sought: draft.clone().zip(noted_at).filter(|_| is_sent),
            is_over: row.get("is_over")?,
            draft,
            is_draft_deletion_due: row.get("is_draft_deletion_due")?,
            allow_discounts: (row.get("allow_discount_codes")?, row.get("allow_automatic_discounts")?),
        })
    });
    Ok(state.optional()?)
}

/// Notes that a draft is going to be asked for. Fails with `LostRow` where the order is gone, sent, or its store no longer live, and
/// where its note is not the one that was `seen`: another job that was enqueued for it by hand has asked for it meanwhile. Nothing
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
/// that are gone or being erased are left alone. Of one that was cancelled meanwhile it is noted that there is nothing to delete.
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
         WHERE id = :id AND store_id = :store_id AND status IN ('open', 'cancelled') AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    statement.execute(named_params! { ":is_clear": is_clear, ":error": error, ":id": order, ":store_id": store })?;
    Ok(())
}

/// Notes why it is not known whether an order is at Shopify; `call_ended`: a call for its draft has, without a clear answer. Until then it
/// may have been made, so every process counts the settling time from there. Orders that are gone or being erased are left alone.
pub(super) fn note_uncertain(
    tx: &Tx<'_>,
    call_ended: Option<DateTime<Utc>>,
    store: StoreId,
    order: DraftOrderId,
    error: &str,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records SET handover_attempted_at = coalesce(:ended, handover_attempted_at), handover_error = :error
         WHERE id = :id AND store_id = :store_id AND status IN ('open', 'cancelled') AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    statement.execute(
        named_params! { ":ended": call_ended.map(Millis), ":error": error, ":id": order, ":store_id": store },
    )?;
    Ok(())
}

/// What is written down of a draft that is at Shopify.
pub(super) struct Sent<'a> {
    /// As the answer has it.
    pub(super) draft: &'a DraftOrder,
    /// What it comes to.
    pub(super) total_minor: Option<i64>,
    /// What it has otherwise than the order.
    pub(super) differing: &'a [String],
}

/// Writes down that an order is at Shopify, with what it has otherwise there; since when the address of its checkout is asked for,
/// where it has none; and when to ask first what has become of it. `false`: it is gone, being erased or cancelled, and it is not
/// `sent`. Of one that was cancelled while its draft was asked for the draft is written down, for the job that deletes it.
pub(super) fn mark_sent(
    tx: &Tx<'_>,
    store: StoreId,
    order: DraftOrderId,
    sent: &Sent<'_>,
    sought_since: Option<DateTime<Utc>>,
    look_due_at: DateTime<Utc>,
) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET status = 'sent', shopify_draft_order_id = :draft_id, shopify_order_name = :name,
             shopify_total_minor = :total_minor, checkout_url = :checkout_url, handover_warnings = :warnings,
             handover_attempted_at = :sought_since, handover_error = NULL, look_due_at = :look_due_at
         WHERE id = :id AND store_id = :store_id AND status = 'open' AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    let changed = statement.execute(named_params! {
        ":draft_id": sent.draft.id,
        ":name": sent.draft.name,
        ":total_minor": sent.total_minor,
        ":checkout_url": sent.draft.checkout_url,
        ":warnings": list(sent.differing),
        ":sought_since": sought_since.map(Millis),
        ":look_due_at": Millis(look_due_at),
        ":id": order,
        ":store_id": store,
    })?;
    if changed == 0 {
        note_draft_of_cancelled(tx, store, order, &sent.draft.id, &sent.draft.name)?;
    }
    Ok(changed == 1)
}

/// Writes down the draft of a cancelled order, where none is known: it is to be deleted. Nothing else asks for one then.
pub(super) fn note_draft_of_cancelled(
    tx: &Tx<'_>,
    store: StoreId,
    order: DraftOrderId,
    draft_id: &str,
    draft_name: &str,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET shopify_draft_order_id = :draft_id, shopify_order_name = :name, handover_attempted_at = NULL,
             handover_error = NULL
         WHERE id = :id AND store_id = :store_id AND status = 'cancelled' AND shopify_draft_order_id IS NULL AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    let params = named_params! { ":draft_id": draft_id, ":name": draft_name, ":id": order, ":store_id": store };
    statement.execute(params)?;
    Ok(())
}

/// Writes down where a draft that had no address when it was made is paid, and what it comes to now that it is ready. Orders that are
/// gone or being erased are left alone.
pub(super) fn note_checkout(tx: &Tx<'_>, store: StoreId, order: DraftOrderId, sent: &Sent<'_>) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE draft_order_records
         SET shopify_total_minor = :total_minor, checkout_url = :checkout_url, handover_warnings = :warnings,
             handover_attempted_at = NULL
         WHERE id = :id AND store_id = :store_id AND status = 'sent' AND shopify_draft_order_id = :draft_id AND EXISTS (
             SELECT 1 FROM stores WHERE id = :store_id AND erasing_since IS NULL)",
    )?;
    statement.execute(named_params! {
        ":total_minor": sent.total_minor,
        ":checkout_url": sent.draft.checkout_url,
        ":warnings": list(sent.differing),
        ":draft_id": sent.draft.id,
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
