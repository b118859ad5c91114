//! How many orders of one hour a store holds that are neither paid nor cancelled: a flood of them is a row for years each, and a draft at
//! Shopify that a person must delete. Counted in the database, so that neither a restart nor a second process forgets any; outside of
//! the transaction that writes an order, so those that are on their way at the same moment may be a few more.

use super::records;
use crate::db::{self, Db};
use crate::domain::ids::StoreId;
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::Connection;
use serde_json::json;

/// Unpaid orders of an hour that a store holds unless the operator says otherwise: more than any shop sells in an hour, and few enough
/// to be looked through.
pub const OPEN_ORDER_LIMIT: u32 = 1_000;

/// What counts as now.
const WINDOW: TimeDelta = TimeDelta::hours(1);

/// What a program can act on, and the kind of the alert: the store has too many orders that are not paid.
pub const TOO_MANY_OPEN_ORDERS: &str = "too_many_open_orders";

/// How many there may be; none: any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOrderLimit(Option<u32>);

/// A store that has reached its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flooded {
    /// The store.
    pub store: StoreId,
    /// How many it has.
    pub orders: u64,
    /// How many it may have.
    pub limit: u32,
}

impl OpenOrderLimit {
    /// So many an hour; 0: any number.
    pub fn new(orders: u32) -> Self {
        Self((orders > 0).then_some(orders))
    }

    /// Lets one more order of a store in.
    ///
    /// # Errors
    /// `Limited` with a code where there are too many, and when the database fails.
    pub(super) fn admit(self, db: &Db, now: DateTime<Utc>, store: StoreId) -> Result<()> {
        let Some(limit) = self.0 else { return Ok(()) };
        let (count, oldest) = db.read(|connection| records::count_unpaid(connection, store, now - WINDOW, now))?;
        if count < u64::from(limit) {
            return Ok(());
        }
        let pause = oldest.map_or(WINDOW, |oldest| oldest + WINDOW - now).to_std().unwrap_or_default();
        let error = Error::new(Kind::Limited, "this shop has too many open orders right now, please try again later");
        Err(error.with_member("code", TOO_MANY_OPEN_ORDERS).with_member("limit", json!(limit)).with_retry_after(pause))
    }

    /// The stores that have reached it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn flooded(self, connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<Flooded>> {
        let Some(limit) = self.0 else { return Ok(Vec::new()) };
        let counted = records::count_unpaid_by_store(connection, now - WINDOW, now)?;
        let flooded = counted.into_iter().filter(|(_, orders)| *orders >= u64::from(limit));
        Ok(flooded.map(|(store, orders)| Flooded { store, orders, limit }).collect())
    }
}
