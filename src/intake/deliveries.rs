//! SQL of `webhook_deliveries`: which deliveries have been taken.

use crate::db::{self, Millis, Tx};
use crate::domain::ids::{JobId, ShopDomain};
use crate::shopify::Topic;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, named_params};

/// A delivery that is being taken.
pub(super) struct Delivery<'a> {
    pub(super) topic: &'a Topic,
    pub(super) key: &'a str,
    pub(super) event_id: Option<&'a str>,
    pub(super) shop: &'a ShopDomain,
    pub(super) job: Option<JobId>,
}

/// Notes a delivery that [`find`] does not know.
pub(super) fn insert(tx: &Tx<'_>, now: DateTime<Utc>, delivery: &Delivery<'_>) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO webhook_deliveries (topic, webhook_id, event_id, shop, received_at, job_id)
         VALUES (:topic, :webhook_id, :event_id, :shop, :received_at, :job_id)",
    )?;
    statement.execute(named_params! {
        ":topic": delivery.topic.as_str(),
        ":webhook_id": delivery.key,
        ":event_id": delivery.event_id,
        ":shop": delivery.shop.as_str(),
        ":received_at": Millis(now),
        ":job_id": delivery.job,
    })?;
    Ok(())
}

/// Whether a delivery was taken before (the outer option), and the job that it led to.
pub(super) fn find(tx: &Tx<'_>, topic: &Topic, key: &str) -> db::Result<Option<Option<JobId>>> {
    let mut statement = tx.prepare_cached(
        "SELECT job_id FROM webhook_deliveries
         WHERE topic = :topic AND webhook_id = :webhook_id",
    )?;
    let params = named_params! { ":topic": topic.as_str(), ":webhook_id": key };
    Ok(statement.query_row(params, |row| row.get("job_id")).optional()?)
}

/// A delivery that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedDelivery {
    /// What it was about.
    pub topic: String,
    /// Shopify's id of the webhook, or what stands for it.
    pub webhook_id: String,
    /// Shopify's id of the event.
    pub event_id: Option<String>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// The job that it led to.
    pub job: Option<JobId>,
}

/// The deliveries of a shop after `after` (topic and webhook id). Walks the table: they are kept for repetitions, not for look-ups.
///
/// # Errors
/// When the database fails.
pub fn list_of_shop(
    connection: &Connection,
    shop: &ShopDomain,
    after: Option<&(String, String)>,
    limit: usize,
) -> db::Result<Vec<RecordedDelivery>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, webhook_id, event_id, received_at, job_id FROM webhook_deliveries
         WHERE shop = :shop AND (topic, webhook_id) > (:topic, :webhook_id)
         ORDER BY topic, webhook_id LIMIT :limit",
    )?;
    let (topic, webhook_id) = after.map_or(("", ""), |(topic, webhook_id)| (topic.as_str(), webhook_id.as_str()));
    let params = named_params! { ":shop": shop, ":topic": topic, ":webhook_id": webhook_id, ":limit": limit };
    let found = statement.query_map(params, |row| {
        Ok(RecordedDelivery {
            topic: row.get("topic")?,
            webhook_id: row.get("webhook_id")?,
            event_id: row.get("event_id")?,
            received_at: row.get::<_, Millis>("received_at")?.0,
            job: row.get("job_id")?,
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// When the last delivery came in that was taken.
///
/// # Errors
/// When the database fails.
pub fn last_received_at(connection: &Connection) -> db::Result<Option<DateTime<Utc>>> {
    let mut statement = connection.prepare_cached("SELECT max(received_at) AS last FROM webhook_deliveries")?;
    Ok(statement.query_row((), |row| row.get::<_, Option<Millis>>("last"))?.map(|at| at.0))
}

/// Forgets up to `limit` deliveries from before `before`, and returns how many it were. A repetition of one of them would be taken
/// as new.
///
/// # Errors
/// When the database fails.
pub fn prune(tx: &Tx<'_>, before: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM webhook_deliveries
         WHERE (topic, webhook_id) IN (
             SELECT topic, webhook_id FROM webhook_deliveries
             WHERE received_at < :before
             ORDER BY received_at LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":before": Millis(before), ":limit": limit })?)
}

/// A delivery's row as it stands, to be taken over by another copy of this database.
#[derive(Debug)]
pub struct Row {
    topic: String,
    webhook_id: String,
    event_id: Option<String>,
    shop: String,
    received_at: i64,
    job_id: Option<String>,
}

/// The rows of all deliveries after `after`, in the order of their keys.
///
/// # Errors
/// When the database fails.
pub fn list_rows(connection: &Connection, after: Option<&Row>, limit: usize) -> db::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, webhook_id, event_id, shop, received_at, job_id FROM webhook_deliveries
         WHERE (topic, webhook_id) > (:topic, :webhook_id)
         ORDER BY topic, webhook_id LIMIT :limit",
    )?;
    let (topic, key) = after.map_or(("", ""), |row| (&row.topic, &row.webhook_id));
    let params = named_params! { ":topic": topic, ":webhook_id": key, ":limit": limit };
    let rows = statement.query_map(params, |row| {
        Ok(Row {
            topic: row.get("topic")?,
            webhook_id: row.get("webhook_id")?,
            event_id: row.get("event_id")?,
            shop: row.get("shop")?,
            received_at: row.get("received_at")?,
            job_id: row.get("job_id")?,
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Takes a delivery over from another copy of this database, unless it is known here. Returns whether it was.
///
/// # Errors
/// When the database fails.
pub fn import(tx: &Tx<'_>, row: &Row) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO webhook_deliveries (topic, webhook_id, event_id, shop, received_at, job_id)
         VALUES (:topic, :webhook_id, :event_id, :shop, :received_at, :job_id)
         ON CONFLICT (topic, webhook_id) DO NOTHING",
    )?;
    let inserted = statement.execute(named_params! {
        ":topic": row.topic,
        ":webhook_id": row.webhook_id,
        ":event_id": row.event_id,
        ":shop": row.shop,
        ":received_at": row.received_at,
        ":job_id": row.job_id,
    })?;
    Ok(inserted == 1)
}

/// Where a page of [`list_newest`] ended: the key of the index that it walks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryPlace {
    received_at: DateTime<Utc>,
    topic: String,
    webhook_id: String,
}

impl DeliveryPlace {
    /// The place of this delivery.
    pub fn of(delivery: &ListedDelivery) -> Self {
        let ListedDelivery { received_at, topic, webhook_id, .. } = delivery.clone();
        Self { received_at, topic, webhook_id }
    }
}

impl std::fmt::Display for DeliveryPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}~{}~{}", self.received_at.timestamp_millis(), self.topic, self.webhook_id)
    }
}

impl std::str::FromStr for DeliveryPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '~');
        let (Some(millis), Some(topic), Some(webhook_id)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(());
        };
        let received_at = millis.parse().ok().and_then(DateTime::from_timestamp_millis).ok_or(())?;
        Ok(Self { received_at, topic: topic.to_owned(), webhook_id: webhook_id.to_owned() })
    }
}

/// A delivery as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDelivery {
    /// What it was about.
    pub topic: String,
    /// Shopify's id of the webhook, or what stands for it.
    pub webhook_id: String,
    /// Shopify's id of the event.
    pub event_id: Option<String>,
    /// The shop that it was about.
    pub shop: String,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// The job that it led to.
    pub job: Option<JobId>,
}

/// Deliveries, newest first, after `after`.
///
/// # Errors
/// When the database fails.
pub fn list_newest(
    connection: &Connection,
    after: Option<&DeliveryPlace>,
    limit: usize,
) -> db::Result<Vec<ListedDelivery>> {
    let mut statement = connection.prepare_cached(NEWEST)?;
    // Later than anything that has come: there is no page before the first.
    let received_at = after.map_or(DateTime::<Utc>::MAX_UTC, |place| place.received_at);
    let (topic, webhook_id) = after.map_or(("", ""), |place| (place.topic.as_str(), place.webhook_id.as_str()));
    let params = named_params! {
        ":received_at": Millis(received_at),
        ":topic": topic,
        ":webhook_id": webhook_id,
        ":limit": limit,
    };
    let found = statement.query_map(params, |row| {
        Ok(ListedDelivery {
            topic: row.get("topic")?,
            webhook_id: row.get("webhook_id")?,
            event_id: row.get("event_id")?,
            shop: row.get("shop")?,
            received_at: row.get::<_, Millis>("received_at")?.0,
            job: row.get("job_id")?,
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Walks the index of the times, which ends with the primary key.
const NEWEST: &str = "SELECT topic, webhook_id, event_id, shop, received_at, job_id FROM webhook_deliveries
     WHERE (received_at, topic, webhook_id) < (:received_at, :topic, :webhook_id)
     ORDER BY received_at DESC, topic DESC, webhook_id DESC LIMIT :limit";
