//! Jobs about a shop at which its erasure has not looked. The closing transaction looks at the newest jobs only (`shop.rs`), because no
//! transaction may walk all that wait: one that got its id from a clock that was behind, or that came in a flood of others, is not
//! among those. A job may also have been running, or come in a backup. So every job about an erased shop is looked at once more before
//! the erasure counts as one of the files too, by readers, and the writer is asked for those that have something to forget.

use super::receipts;
use super::requests::{self, RequestKind};
use super::shop::FORGET_STEP;
use super::{REQUEST_ID, mentions, subject, subject_hash, subject_of};
use crate::catalog::stores;
use crate::db::{self, Db, Tx};
use crate::domain::ids::{JobId, ShopDomain};
use crate::keyed_hash::KeyedHasher;
use crate::queue::{self, Job, Status};
use chrono::{DateTime, Utc};
use rusqlite::Connection;
use std::collections::HashSet;
use std::sync::Arc;

/// Jobs that one look for those with something to forget goes through: a few milliseconds of a reader's time.
const LOOK: usize = 1_000;

/// Rows that one look at receipts or stores goes through.
const PAGE: usize = 1_000;

/// Has every job about these shops forget them, but where a shop has been installed again meanwhile. What is committed after this has
/// begun came after their erasure, and is no concern of it.
pub(super) fn forget(db: &Db, hasher: &KeyedHasher, now: DateTime<Utc>, shops: &HashSet<ShopDomain>) -> db::Result<()> {
    let shops: Arc<[ShopDomain]> = shops.iter().cloned().collect();
    let subjects: Vec<String> = shops.iter().map(|shop| subject(hasher, shop)).collect();
    each_talkative(db, &subjects, |jobs| {
        let shops = shops.clone();
        db.write(move |tx| {
            let mut gone = Vec::new();
            for (job, place) in jobs {
                // Between the look and this transaction anybody may have installed it: then the job is about what is there.
                if stores::find(tx, &shops[place])?.is_none() {
                    gone.push(job);
                }
            }
            queue::forget(tx, now, &gone, REQUEST_ID)
        })
    })
}

/// Has jobs that have come back in a copy of this database forget every shop whose erasure was closed, or counted as done, after the
/// receipt number `known`: the last one that the copy had by itself. Its stores that were erased since must be gone already.
///
/// # Errors
/// When the database fails.
pub fn forget_again(db: &Db, hasher: &KeyedHasher, now: DateTime<Utc>, known: i64) -> db::Result<()> {
    let mut erased = db.read(|connection| receipts::list_erased_shops_after(connection, known))?;
    let mut after: Option<ShopDomain> = None;
    loop {
        let page = db.read(|connection| stores::list(connection, after.as_ref(), PAGE))?;
        let Some(last) = page.last() else { break };
        after = Some(last.shop.clone());
        for store in &page {
            erased.remove(&subject_hash(hasher, &store.shop));
        }
    }
    if erased.is_empty() {
        return Ok(());
    }
    let subjects: Vec<String> = erased.iter().map(subject_of).collect();
    each_talkative(db, &subjects, |jobs| {
        let jobs: Vec<JobId> = jobs.into_iter().map(|(job, _)| job).collect();
        db.write(move |tx: &Tx<'_>| queue::forget(tx, now, &jobs, REQUEST_ID))
    })?;
    let mut shops = HashSet::new();
    db.read(|connection| {
        requests::each(connection, |request| {
            if request.kind == RequestKind::ShopRedact && erased.contains(&subject_hash(hasher, &request.shop)) {
                shops.insert(request.shop.clone());
            }
            Ok(())
        })
    })?;
    mentions::forget(db, shops)
}

/// Calls `forget` with the jobs about these subjects that have something to forget, each with the place of its subject,
/// [`FORGET_STEP`] at once.
fn each_talkative(
    db: &Db,
    subjects: &[String],
    mut forget: impl FnMut(Vec<(JobId, usize)>) -> db::Result<()>,
) -> db::Result<()> {
    // All ids in one look: a job that waits in one look and has ended in the next, or the other way round, would be in neither.
    let jobs = db.read(|connection| queue::list_about(connection, subjects))?;
    for look in jobs.chunks(LOOK) {
        let talkative = db.read(|connection| -> db::Result<_> {
            let mut talkative = Vec::new();
            for (job, place) in look {
                if queue::says_more(connection, *job, REQUEST_ID)? && !may_stay(connection, *job)? {
                    talkative.push((*job, *place));
                }
            }
            Ok(talkative)
        })?;
        for step in talkative.chunks(FORGET_STEP) {
            forget(step.to_vec())?;
        }
    }
    Ok(())
}

/// Whether a job is a person's order to fulfil requests of a shop that are still open: called off, it would leave them without a job.
/// It names the shop, as they do, and nothing else.
fn may_stay(connection: &Connection, job: JobId) -> db::Result<bool> {
    let Some(Job { job_type, payload, status: Status::Pending | Status::Processing, .. }) =
        queue::find(connection, job)?
    else {
        return Ok(false);
    };
    let Some(kind) = RequestKind::ALL.into_iter().find(|kind| kind.job_type() == job_type) else { return Ok(false) };
    let names_only_its_shop = payload.as_object().is_some_and(|members| members.len() == 1);
    let shop = payload.get("shop").and_then(|shop| shop.as_str()).and_then(|shop| shop.parse::<ShopDomain>().ok());
    match shop.filter(|_| names_only_its_shop) {
        Some(shop) => Ok(!requests::list_open(connection, &shop, kind, 1)?.is_empty()),
        None => Ok(false),
    }
}
