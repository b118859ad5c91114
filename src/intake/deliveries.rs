//! SQL of `other_webhook_deliveries`, and of the view `webhook_deliveries`: which deliveries have been taken.
//!
//! A delivery that led to a request of its own is known by that request's row, for as long as there is one: a webhook so comes to one
//! tree less at a random place, and has its ids and its shop written once.

use crate::db::{self, Millis, Tx};
use crate::domain::ids::{JobId, ShopDomain};
use crate::erasure::requests::{self, RequestKind};
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

/// Notes a delivery that [`find`] does not know and that has no request of its own.
pub(super) fn insert(tx: &Tx<'_>, now: DateTime<Utc>, delivery: &Delivery<'_>) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO other_webhook_deliveries (topic, webhook_id, event_id, shop, received_at, job_id)
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

/// Whether a delivery was taken before (the outer option), and the job that it led to. `kind`: what its topic asks for.
pub(super) fn find(
    tx: &Tx<'_>,
    topic: &Topic,
    kind: Option<RequestKind>,
    key: &str,
) -> db::Result<Option<Option<JobId>>> {
    if let Some(kind) = kind
        && let Some(job) = requests::find_delivery(tx, kind, key)?
    {
        return Ok(Some(job));
    }
    let mut statement = tx.prepare_cached(
        "SELECT job_id FROM other_webhook_deliveries
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
    /// Shopify's id of the webhook, or what is used in its place.
    pub webhook_id: String,
    /// Shopify's id of the event.
    pub event_id: Option<String>,
    /// When it came in.
    pub received_at: DateTime<Utc>,
    /// The job that it led to.
    pub job: Option<JobId>,
}

/// The deliveries of a shop after `after` (topic and webhook id). Walks the table of the others: they are kept for repetitions, not
/// for look-ups.
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
    let mut statement = connection.prepare_cached("SELECT max(received_at) AS last FROM other_webhook_deliveries")?;
    let other = statement.query_row((), |row| row.get::<_, Option<Millis>>("last"))?.map(|at| at.0);
    Ok(other.max(requests::last_delivered_at(connection)?))
}

/// Forgets up to `limit` deliveries from before `before` that have no request, and returns how many it were. A repetition of one of
/// them would be taken as new.
///
/// # Errors
/// When the database fails.
pub fn prune(tx: &Tx<'_>, before: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM other_webhook_deliveries
         WHERE (topic, webhook_id) IN (
             SELECT topic, webhook_id FROM other_webhook_deliveries
             WHERE received_at < :before
             ORDER BY received_at LIMIT :limit)",
    )?;
    Ok(statement.execute(named_params! { ":before": Millis(before), ":limit": limit })?)
}

/// What the deliveries are about that ask for this.
fn topic_of(kind: RequestKind) -> Topic {
    match kind {
        RequestKind::CustomersDataRequest => Topic::CustomersDataRequest,
        RequestKind::CustomersRedact => Topic::CustomersRedact,
        RequestKind::ShopRedact => Topic::ShopRedact,
    }
}

/// Forgets up to `limit` requests that were settled before `before`, and returns how many it were. Their deliveries are forgotten with
/// them, but for those that came in at `deliveries_since` or later.
///
/// # Errors
/// When the database fails.
pub fn prune_requests(
    tx: &Tx<'_>,
    before: DateTime<Utc>,
    deliveries_since: DateTime<Utc>,
    limit: usize,
) -> db::Result<usize> {
    let forgotten = requests::prune(tx, before, limit)?;
    for request in &forgotten {
        let Some(key) = request.webhook_id.as_deref().filter(|_| request.created_at >= deliveries_since) else {
            continue;
        };
        let topic = topic_of(request.kind);
        // Another copy of this database may have brought it along: there its request had been forgotten before.
        if find(tx, &topic, None, key)?.is_some() {
            continue;
        }
        let event_id = request.event_id.as_deref();
        let delivery = Delivery { topic: &topic, key, event_id, shop: &request.shop, job: request.job };
        insert(tx, request.created_at, &delivery)?;
    }
    Ok(forgotten.len())
}

/// A delivery's row as it is, to be imported by another copy of this database.
#[derive(Debug)]
pub struct Row {
    topic: String,
    webhook_id: String,
    event_id: Option<String>,
    shop: String,
    received_at: i64,
    job_id: Option<String>,
}

/// The rows of all deliveries without a request after `after`, in the order of their keys.
///
/// # Errors
/// When the database fails.
pub fn list_rows(connection: &Connection, after: Option<&Row>, limit: usize) -> db::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, webhook_id, event_id, shop, received_at, job_id FROM other_webhook_deliveries
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
        "INSERT INTO other_webhook_deliveries (topic, webhook_id, event_id, shop, received_at, job_id)
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
    /// Shopify's id of the webhook, or what is used in its place.
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
    let mut newest = Vec::new();
    requests::each_delivered(connection, after.map(|place| place.received_at), |request| {
        // All of one millisecond, for their order is another one.
        let is_whole = newest.len() >= limit
            && newest.last().is_none_or(|last: &ListedDelivery| last.received_at > request.created_at);
        let listed = ListedDelivery {
            topic: topic_of(request.kind).as_str().to_owned(),
            webhook_id: request.webhook_id.unwrap_or_default(),
            event_id: request.event_id,
            shop: request.shop.to_string(),
            received_at: request.created_at,
            job: request.job,
        };
        if !is_whole
            && after.is_none_or(|place| place_key(&listed) < (place.received_at, &place.topic, &place.webhook_id))
        {
            newest.push(listed);
        }
        !is_whole
    })?;
    newest.extend(list_newest_others(connection, after, limit)?);
    newest.sort_by(|one, other| place_key(other).cmp(&place_key(one)));
    newest.truncate(limit);
    Ok(newest)
}

fn place_key(delivery: &ListedDelivery) -> (DateTime<Utc>, &String, &String) {
    (delivery.received_at, &delivery.topic, &delivery.webhook_id)
}

/// The same of those that have no request.
fn list_newest_others(
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
const NEWEST: &str = "SELECT topic, webhook_id, event_id, shop, received_at, job_id FROM other_webhook_deliveries
     WHERE (received_at, topic, webhook_id) < (:received_at, :topic, :webhook_id)
     ORDER BY received_at DESC, topic DESC, webhook_id DESC LIMIT :limit";
