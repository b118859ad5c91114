//! How much of what happened in which hour: what the console's charts show. Counted in memory as it happens and added to
//! `activity_counts` every few seconds, so that no chart scans a table and nothing waits for a count. A crash loses a few seconds
//! of it.

use crate::clock::Clock;
use crate::db::{self, Db, Tx};
use crate::shopify::webhook::Topic;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use rusqlite::{Connection, named_params};
use std::collections::BTreeMap;

/// How long counts are kept: as long as the audit log.
pub const KEPT: TimeDelta = TimeDelta::days(400);

/// What is counted: few names, none of them a stranger's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A webhook was accepted; the name of its topic, as [`Event::of_topic`] gives it.
    Accepted(&'static str),
    /// A webhook came once more.
    Duplicate,
    /// A webhook of a topic that means nothing here.
    Ignored,
    /// A webhook without a valid signature.
    Unsigned,
    /// A webhook that was signed for another shop.
    OtherShop,
    /// A webhook that is signed and not what Shopify sends.
    Malformed,
    /// A webhook that was too large.
    TooLarge,
    /// A draft order.
    Order,
}

impl Event {
    /// Webhooks that were rejected, by reason.
    pub const REJECTED: [Self; 4] = [Self::Unsigned, Self::OtherShop, Self::Malformed, Self::TooLarge];

    /// Every one.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::accepted().chain(Self::not_processed()).chain([Self::Order])
    }

    /// Webhooks that were accepted, by topic.
    pub fn accepted() -> impl Iterator<Item = Self> {
        Topic::all().filter_map(|topic| Self::of_topic(&topic))
    }

    /// Webhooks that were not processed, by reason.
    pub fn not_processed() -> impl Iterator<Item = Self> {
        [Self::Duplicate, Self::Ignored].into_iter().chain(Self::REJECTED)
    }

    /// A webhook of this topic was accepted; `None` for an unknown one.
    pub fn of_topic(topic: &Topic) -> Option<Self> {
        topic.known_name().map(Self::Accepted)
    }

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted(topic) => topic,
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Unsigned => "unsigned",
            Self::OtherShop => "other_shop",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::Order => "order",
        }
    }
}

/// Counts what happens.
#[derive(Debug, Default)]
pub struct Activity(Mutex<BTreeMap<(Event, i64), u64>>);

impl Activity {
    /// Counts one more.
    pub fn count(&self, clock: &dyn Clock, event: Event) {
        let mut counts = self.0.lock();
        *counts.entry((event, hour_of(clock.now()))).or_default() += 1;
    }

    /// Adds what was counted since the last time to the database. What cannot be written is kept for the next time.
    ///
    /// # Errors
    /// When the database fails.
    pub fn flush(&self, db: &Db) -> db::Result<()> {
        let counts = std::mem::take(&mut *self.0.lock());
        if counts.is_empty() {
            return Ok(());
        }
        let rows: Vec<((Event, i64), u64)> = counts.iter().map(|(key, count)| (*key, *count)).collect();
        let written =
            db.write(move |tx| rows.iter().try_for_each(|((event, hour), count)| add(tx, *event, *hour, *count)));
        if written.is_err() {
            let mut kept = self.0.lock();
            for (key, count) in counts {
                *kept.entry(key).or_default() += count;
            }
        }
        written
    }
}

/// Hours since 1970.
pub fn hour_of(at: DateTime<Utc>) -> i64 {
    at.timestamp().div_euclid(3_600)
}

fn add(tx: &Tx<'_>, event: Event, hour: i64, count: u64) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO activity_counts (name, hour, count) VALUES (:name, :hour, :count)
         ON CONFLICT (name, hour) DO UPDATE SET count = count + excluded.count",
    )?;
    statement.execute(named_params! { ":name": event.as_str(), ":hour": hour, ":count": count })?;
    Ok(())
}

/// How often `event` happened in each hour since `from`, by hour.
///
/// # Errors
/// When the database fails.
pub fn list_since(connection: &Connection, event: Event, from: i64) -> db::Result<Vec<(i64, u64)>> {
    let mut statement = connection
        .prepare_cached("SELECT hour, count FROM activity_counts WHERE name = :name AND hour >= :from ORDER BY hour")?;
    let rows = statement.query_map(named_params! { ":name": event.as_str(), ":from": from }, |row| {
        Ok((row.get("hour")?, row.get("count")?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The last hour in which each event happened.
///
/// # Errors
/// When the database fails.
pub fn last_hours(connection: &Connection) -> db::Result<BTreeMap<Event, i64>> {
    let mut statement = connection.prepare_cached("SELECT max(hour) FROM activity_counts WHERE name = :name")?;
    let mut last = BTreeMap::new();
    for event in Event::all() {
        let hour: Option<i64> = statement.query_row(named_params! { ":name": event.as_str() }, |row| row.get(0))?;
        last.extend(hour.map(|hour| (event, hour)));
    }
    Ok(last)
}

/// Deletes up to `limit` counts from before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub fn prune(tx: &Tx<'_>, before: DateTime<Utc>, limit: usize) -> db::Result<usize> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM activity_counts WHERE (name, hour) IN (
             SELECT name, hour FROM activity_counts WHERE name = :name AND hour < :before LIMIT :limit)",
    )?;
    let mut deleted = 0;
    for event in Event::all() {
        let params = named_params! { ":name": event.as_str(), ":before": hour_of(before), ":limit": limit - deleted };
        deleted += statement.execute(params)?;
    }
    Ok(deleted)
}

/// The event that an accepted webhook of this topic is.
pub fn of_topic(topic: &str) -> Option<Event> {
    Topic::find_known(topic).and_then(|topic| Event::of_topic(&topic))
}
