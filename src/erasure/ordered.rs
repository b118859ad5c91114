//! Erasures that an operator orders. The request is written together with its job, so that the order outlives a crash of either, and
//! a restore of an older backup.

use super::requests::{self, NewRequest, OrderedBy, RequestKind};
use super::{job_for, subject};
use crate::db::Tx;
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use crate::entropy::Entropy;
use crate::error::Error;
use crate::keyed_hash::KeyedHasher;
use crate::queue::Queue;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::sync::Arc;

/// An operator's order to erase a shop.
pub struct ErasureOrder {
    shop: ShopDomain,
    queue: Queue,
    hasher: KeyedHasher,
    entropy: Arc<dyn Entropy>,
}

impl ErasureOrder {
    /// An order to erase `shop`.
    pub fn new(shop: ShopDomain, queue: Queue, hasher: KeyedHasher, entropy: Arc<dyn Entropy>) -> Self {
        Self { shop, queue, hasher, entropy }
    }

    /// Writes the request and the job that fulfils it, and returns the job; the same job again while it is unfinished.
    ///
    /// # Errors
    /// When the database fails.
    pub fn write(self, tx: &Tx<'_>, now: DateTime<Utc>) -> Result<JobId, Error> {
        let Self { shop, queue, hasher, entropy } = self;
        let kind = RequestKind::ShopRedact;
        let id = match requests::find_ordered(tx, &shop)? {
            Some(id) => id,
            None => {
                let id = RequestId::new(now, entropy.array());
                let shop = shop.clone();
                let new = NewRequest {
                    shop,
                    kind,
                    payload: json!({}),
                    webhook_id: None,
                    event_id: None,
                    job: None,
                    triggered_at: now,
                };
                requests::insert_of(tx, id, now, &new, OrderedBy::Operator)?;
                id
            }
        };
        // The key stays with the job's row, so it too names the shop without naming it.
        let key = format!("operator:{}", subject(&hasher, &shop));
        queue.enqueue(tx, now, job_for(&hasher, kind, id, &shop).dedupe_key(key))
    }
}

impl std::fmt::Debug for ErasureOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ErasureOrder").finish_non_exhaustive()
    }
}
