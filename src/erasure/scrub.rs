//! From *processed* to *erased*: the rows are gone from the tables, but jobs that came late may still speak of them, the WAL still
//! holds the pages as they were, pages in use may hold copies of rows that SQLite has moved, and free ones what was rolled back. One
//! loop notes which requests wait, sees to all four, and marks exactly those as erased. However many wait, one look at the jobs and
//! one emptying of the WAL serve them all.

use super::receipts::{self, NewReceipt, ReceiptKind};
use super::requests::{self, RequestKind, RequestOutcome, Waiting};
use super::{late_jobs, mentions, subject_hash};
use crate::catalog::stores;
use crate::clock::Clock;
use crate::db::{self, Db, PageSlack, Tx};
use crate::domain::ids::{RequestId, ShopDomain};
use crate::keyed_hash::KeyedHasher;
use chrono::{DateTime, Utc};
use log::{debug, info, warn};
use rusqlite::Connection;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Requests noted for one emptying of the WAL: they are held in memory.
const NOTED: usize = 10_000;

/// Requests marked in one transaction: about what its budget is enough for.
const BATCH: usize = 100;

/// How long one try at emptying the WAL may take. Readers end within ten seconds, so the next try or the one after succeeds.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the loop waits when no commit wakes it.
const REST: Duration = Duration::from_secs(5);

/// What is said where the files cannot be looked at.
const UNCHECKED: &str = "[GDPR] erasures are done in the tables and are not marked as erased: SQLite may have left copies of the erased \
                         rows in unused parts of the file, and this build cannot look for them. To finish the erasures that wait \
                         now, stop the server and run `quotegrid doctor --vacuum`, which writes the file anew. To have all later \
                         ones finished by the server, build quotegrid in a checkout, or elsewhere with \
                         LIBSQLITE3_FLAGS=-DSQLITE_ENABLE_DBPAGE_VTAB in its environment";

/// The pause after a scrub, as a multiple of what the scrub took: each has the disk brought up to date, the first one looks at every
/// page of the file, and where requests come without end they would do so all the time.
const REST_SHARE: u32 = 3;

/// The longest pause after a scrub: what is erased just after one began is marked by the next, soon.
const REST_MAX: Duration = Duration::from_secs(2);

/// How long the loop sleeps before it checks if it is to stop.
const REST_STEP: Duration = Duration::from_millis(20);

/// Pause after a try that failed.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// Turns processed requests into erased ones.
pub struct Scrubber {
    db: Db,
    clock: Arc<dyn Clock>,
    hasher: KeyedHasher,
}

/// What a scrub did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scrubbed {
    /// Nothing waited.
    Nothing,
    /// These many requests are erased now.
    Erased(usize),
    /// A reader or a writer kept the WAL in use all the time; try again.
    Busy,
    /// Some wait, and this build of SQLite cannot check if all of what they deleted is gone: nothing was marked. What to do is in the
    /// log.
    Unchecked,
}

/// Whether what was deleted has left the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleaned {
    /// It has.
    Clean,
    /// See [`Scrubbed::Busy`].
    Busy,
    /// See [`Scrubbed::Unchecked`]: the file must be written anew.
    Unchecked,
}

impl Scrubber {
    /// A scrubber of `db`.
    pub fn new(db: Db, clock: Arc<dyn Clock>, hasher: KeyedHasher) -> Self {
        Self { db, clock, hasher }
    }

    /// Scrubs what waits now, with one emptying of the WAL.
    ///
    /// # Errors
    /// When the database fails.
    pub fn scrub(&self) -> db::Result<Scrubbed> {
        let waiting = self.prepare()?;
        if waiting.is_empty() {
            return Ok(Scrubbed::Nothing);
        }
        // Everything noted above was committed before this begins, so its old pages are gone when it succeeds.
        match self.clean()? {
            Cleaned::Clean => {}
            Cleaned::Busy => return Ok(Scrubbed::Busy),
            Cleaned::Unchecked => return Ok(Scrubbed::Unchecked),
        }
        fail_point!("erasure::scrubbed");
        Ok(Scrubbed::Erased(self.mark_erased(&waiting)?))
    }

    /// What waits now: shops first, for of customers nothing is kept. Of the shops among it that are gone no job says anything from then
    /// on, so that it can be marked once the files are cleaned, or written anew.
    ///
    /// # Errors
    /// When the database fails.
    pub fn prepare(&self) -> db::Result<Vec<Waiting>> {
        let (waiting, gone) = self.db.read(|connection| -> db::Result<_> {
            let waiting = requests::list_to_scrub(connection, NOTED)?;
            let gone = gone_shops(connection, &waiting)?;
            Ok((waiting, gone))
        })?;
        if !gone.is_empty() {
            late_jobs::forget(&self.db, &self.hasher, self.clock.now(), &gone)?;
            mentions::forget(&self.db, gone)?;
        }
        Ok(waiting)
    }

    /// Sees to it that nothing of what was deleted before is left in the files. The WAL last: what is zeroed in pages and cut off the
    /// file leaves both with it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clean(&self) -> db::Result<Cleaned> {
        let gaps = self.db.clear_page_slack()?;
        if let PageSlack::Cleared(pages) = gaps {
            debug!("what SQLite had left in {pages} pages is zeroed");
        }
        if !self.db.wipe_free_pages(PATIENCE)? || !self.db.empty_wal(PATIENCE)? {
            return Ok(Cleaned::Busy);
        }
        Ok(if gaps == PageSlack::NotLookedAt { Cleaned::Unchecked } else { Cleaned::Clean })
    }

    /// Marks as erased what waited before the files were cleaned, or written anew. Returns how many it were.
    ///
    /// # Errors
    /// When the database fails.
    pub fn mark_erased(&self, waiting: &[Waiting]) -> db::Result<usize> {
        let (now, mut erased) = (self.clock.now(), 0);
        for batch in waiting.chunks(BATCH) {
            let (hasher, batch) = (self.hasher.clone(), batch.iter().map(|waiting| waiting.id).collect::<Vec<_>>());
            erased += self.db.write(move |tx| mark_erased(tx, now, &hasher, &batch))?;
        }
        info!("[GDPR] {erased} processed requests are erased from the files too");
        Ok(erased)
    }

    /// Scrubs until nothing waits; for commands, which have no loop.
    ///
    /// # Errors
    /// When the database fails.
    pub fn scrub_all(&self) -> db::Result<Scrubbed> {
        let mut total = 0;
        loop {
            match self.scrub()? {
                Scrubbed::Erased(erased) => total += erased,
                Scrubbed::Busy => return Ok(Scrubbed::Busy),
                Scrubbed::Unchecked => {
                    warn!("{UNCHECKED}");
                    return Ok(Scrubbed::Unchecked);
                }
                Scrubbed::Nothing if total == 0 => return Ok(Scrubbed::Nothing),
                Scrubbed::Nothing => return Ok(Scrubbed::Erased(total)),
            }
        }
    }

    /// The loop, until `stopping` is set and the database has announced something.
    pub fn run(&self, stopping: &AtomicBool) {
        let mut is_told = false;
        while !stopping.load(Ordering::Relaxed) {
            let (seen, began) = (self.db.notifier().seen(), Instant::now());
            let pause = match self.scrub() {
                Ok(Scrubbed::Erased(_)) => {
                    rest((began.elapsed() * REST_SHARE).min(REST_MAX), stopping);
                    continue;
                }
                Ok(Scrubbed::Nothing) => REST,
                Ok(Scrubbed::Unchecked) => {
                    if !std::mem::replace(&mut is_told, true) {
                        warn!("{UNCHECKED}");
                    }
                    rest(REST, stopping);
                    continue;
                }
                Ok(Scrubbed::Busy) => {
                    debug!("the WAL is in use, the scrub goes on in a moment");
                    FAULT_PAUSE
                }
                Err(error) => {
                    warn!("erased pages could not be scrubbed, trying again: {error}");
                    FAULT_PAUSE
                }
            };
            self.db.notifier().wait(seen, pause);
        }
    }
}

/// The shops whose erasure waits, but those that have been installed again.
fn gone_shops(connection: &Connection, waiting: &[Waiting]) -> db::Result<HashSet<ShopDomain>> {
    let mut gone = HashSet::new();
    for waiting in waiting.iter().filter(|waiting| waiting.kind == RequestKind::ShopRedact) {
        if stores::find(connection, &waiting.shop)?.is_none() {
            gone.insert(waiting.shop.clone());
        }
    }
    Ok(gone)
}

/// Sleeps, but not longer than until the loop is to stop.
fn rest(pause: Duration, stopping: &AtomicBool) {
    let until = Instant::now() + pause.min(REST);
    while !stopping.load(Ordering::Relaxed)
        && let Some(left) = until.checked_duration_since(Instant::now())
    {
        std::thread::sleep(left.min(REST_STEP));
    }
}

fn mark_erased(tx: &Tx<'_>, now: DateTime<Utc>, hasher: &KeyedHasher, waiting: &[RequestId]) -> db::Result<usize> {
    let mut erased = 0;
    for id in waiting {
        let Some(request) = requests::find(tx, *id)? else { continue };
        // Another process's scrubber may have been faster.
        if !requests::mark_erased(tx, now, *id)? {
            continue;
        }
        erased += 1;
        // Its ids were in the WAL like those of the others, but nothing was erased that a receipt could prove.
        if request.outcome == Some(RequestOutcome::Reported) {
            continue;
        }
        let receipt = NewReceipt {
            kind: ReceiptKind::Verified,
            request_id: *id,
            request_type: request.kind.as_str(),
            subject_hash: subject_hash(hasher, &request.shop),
            outcome: request.outcome.unwrap_or(RequestOutcome::Erased),
            counts: request.deleted,
        };
        receipts::append(tx, now, receipt)?;
    }
    Ok(erased)
}
