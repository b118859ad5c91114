//! The way back from a backup: all work is done on a copy of it next to the database, which then takes the database's name. Until that
//! one rename everything is as it was, whatever happens.
//!
//! Which erasures the backup does not know is known by the receipts: those that the present database has beyond the backup's last
//! one. No clock is asked. A store that was installed again before the backup was taken is behind that last receipt, and stays.

use super::BackupError;
use super::partial::{Partial, refuse_itself, remove_companions};
use super::unfinished::RESTORING;
use crate::access::{links, sessions};
use crate::app::{App, OpenError as AppError, Options};
use crate::catalog::{keys, stores};
use crate::clock::Clock;
use crate::db::Synchronous;
use crate::db::access::unreadable;
use crate::db::copy;
use crate::db::exclusive::Exclusive;
use crate::db::{self, OpenError};
use crate::domain::ids::ShopDomain;
use crate::entropy::Entropy;
use crate::erasure::receipts::ReceiptKind;
use crate::erasure::scrub::{Cleaned, Scrubbed};
use crate::erasure::{self, late_jobs, receipts, requests, shop, subject_hash};
use crate::error::Error;
use crate::intake::deliveries;
use crate::keyed_hash::KeyedHasher;
use crate::orders::labels;
use log::info;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows taken over in one transaction.
const BATCH: usize = 500;

/// What to restore, and how.
pub struct Restore {
    /// The backup.
    pub backup: PathBuf,
    /// The database that it replaces.
    pub database: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub entropy: Arc<dyn Entropy>,
    /// Go on although the present database cannot be read: it is not known then what was erased since the backup.
    pub without_replay: bool,
}

impl std::fmt::Debug for Restore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restore")
            .field("backup", &self.backup)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// What a restore did alongside copying.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoreReport {
    /// Stores that were erased again: the backup had them, and the present database knew their erasure.
    pub erased_again: usize,
    /// Receipts taken over.
    pub receipts: usize,
    /// Privacy requests taken over.
    pub requests: usize,
    /// Webhook deliveries taken over.
    pub deliveries: usize,
    /// Labels of orders that were forgotten since, and are once more.
    pub labels: usize,
    /// Jobs enqueued for open privacy requests that had none.
    pub jobs: usize,
    /// Uninstallations and revoked keys taken over.
    pub withdrawals: usize,
}

/// Replaces the database by a backup; see the module. `progress` is called with the progress.
///
/// The present file is not kept: a file set aside would outlive every later erasure. Who may want it back takes a backup first.
///
/// # Errors
/// When the backup cannot be used or the database is in use; the database is as it was then.
pub fn restore(what: &Restore, progress: &mut dyn FnMut(&str)) -> Result<RestoreReport, BackupError> {
    let Restore { backup, database, .. } = what;
    let database = &db::real_path(database);
    if !backup.exists() {
        return Err(BackupError::System(unreadable(backup, std::io::ErrorKind::NotFound.into())));
    }
    if !backup.is_file() {
        // A directory, or a pipe or device, of which SQLite has no good word to say.
        let message = format!("{} is not a file: name the backup itself", backup.display());
        return Err(BackupError::System(std::io::Error::other(message)));
    }
    refuse_itself(database, backup)?;
    let exclusive = take(what, database)?;
    let partial = Partial::make(database, RESTORING)?;
    copy::copy(backup, partial.path(), &mut |_done, _all| {}).map_err(BackupError::Unusable)?;
    progress("the backup is copied");
    fail_point!("restore::copied");
    copy::check(partial.path()).map_err(BackupError::Unusable)?;
    progress("the copy is sound");
    let report = carry_over(what, partial.path(), exclusive.current())?;
    progress("what it did not know is carried over");
    fail_point!("restore::carried_over");
    copy::fold_wal(partial.path())?;
    copy::check(partial.path())?;
    remove_companions(partial.path()).map_err(|error| BackupError::system(partial.path(), error))?;
    progress("the result is sound");
    fail_point!("restore::ready");
    exclusive.replace_by(partial.path())?;
    progress("it is in place");
    fail_point!("restore::replaced");
    partial.was_named();
    Ok(report)
}

fn take(what: &Restore, database: &Path) -> Result<Exclusive, BackupError> {
    match Exclusive::take(database, false) {
        Ok(exclusive) => Ok(exclusive),
        Err(OpenError::Locked { path }) => Err(BackupError::InUse { path }),
        Err(
            unreadable @ (OpenError::NotADatabase { .. }
            | OpenError::Corrupt { .. }
            | OpenError::Foreign { .. }
            | OpenError::Unreleased { .. }
            | OpenError::Sqlite { .. }),
        ) => {
            if !what.without_replay {
                return Err(BackupError::NoReplay(unreadable));
            }
            Ok(Exclusive::take(database, true)?)
        }
        Err(other) => Err(other.into()),
    }
}

/// Brings the copy up to date with what must not be undone.
fn carry_over(what: &Restore, copy: &Path, current: Option<&Connection>) -> Result<RestoreReport, BackupError> {
    let mut options = Options::new(copy);
    options.clock = what.clock.clone();
    options.entropy = what.entropy.clone();
    // Also brings an older schema up to date.
    let app = App::open(options).map_err(|error| match error {
        AppError::Database(error) => BackupError::Unusable(error),
        AppError::Fault(error) => error.into(),
        AppError::KeyMissing => BackupError::KeyMissing,
    })?;
    let mut report = RestoreReport::default();
    forget_ways_in(&app)?;
    if let Some(current) = current {
        let known = app.db.read(receipts::last)?;
        refuse_other_chain(&app, current, known, &what.database)?;
        report.receipts = import_receipts(&app, current, known)?;
        report.requests = import_rows(&app, |after| requests::list_rows(current, after, BATCH), requests::import)?;
        settle_proved(&app)?;
        report.deliveries =
            import_rows(&app, |after| deliveries::list_rows(current, after, BATCH), deliveries::import)?;
        report.withdrawals = import_withdrawals(&app, current)?;
        report.labels = forget_labels(&app, current)?;
        for shop in come_back(&app, current, known)? {
            info!("[GDPR] the backup holds a store that has been erased since, it is erased again");
            shop::erase_again(&app.db, app.clock.now(), &app.hasher, &app.entropy, &shop)?;
            report.erased_again += 1;
        }
        // The copy's requests count as erased by now, so that no scrub looks at their jobs.
        late_jobs::forget_again(&app.db, &app.hasher, app.clock.now(), known)?;
    }
    report.jobs = enqueue_missing(&app)?;
    // Always, for what was taken over may say that it is erased from the files, and the copy's bytes are the backup's. So that the
    // proof is whole before anyone sees the file, what waits is marked too.
    let cleaned = app.scrubber().clean()?;
    let scrubbed = app.scrubber().scrub_all()?;
    drop(app);
    match cleaned {
        Cleaned::Clean => {}
        Cleaned::Unchecked => db::rewrite(copy, Synchronous::Full).map_err(BackupError::Unusable)?,
        Cleaned::Busy => return Err(BackupError::NotScrubbed),
    }
    if scrubbed == Scrubbed::Busy { Err(BackupError::NotScrubbed) } else { Ok(report) }
}

/// Both chains must begin alike, or one of them would be lost.
fn refuse_other_chain(app: &App, current: &Connection, known: i64, database: &Path) -> Result<(), BackupError> {
    let last = receipts::last(current)?;
    let common = last.min(known);
    let same_key = KeyedHasher::find(current)?.is_none_or(|key| key == app.hasher);
    let (here, there) =
        (receipts::hash_at(current, common)?, app.db.read(|connection| receipts::hash_at(connection, common))?);
    // Without a receipt the present key has named no shop, and the backup's is as good.
    if last > 0 && (!same_key || here != there) {
        return Err(BackupError::OtherChain { path: database.to_path_buf(), receipts: last });
    }
    Ok(())
}

fn import_receipts(app: &App, current: &Connection, known: i64) -> Result<usize, BackupError> {
    let (mut after, mut imported) = (known, 0);
    loop {
        let page = receipts::list_after(current, after, BATCH)?;
        let Some(last) = page.last() else { return Ok(imported) };
        after = last.sequence;
        imported += page.len();
        app.db.write(move |tx| receipts::import(tx, &page))?;
    }
}

fn import_rows<R: Send + Sync + 'static>(
    app: &App,
    list: impl Fn(Option<&R>) -> db::Result<Vec<R>>,
    import: impl Fn(&db::Tx<'_>, &R) -> db::Result<bool> + Copy + Send + 'static,
) -> Result<usize, BackupError> {
    let (mut last, mut imported) = (None, 0);
    loop {
        let page = list(last.as_ref())?;
        if page.is_empty() {
            return Ok(imported);
        }
        let (count, mut page) = app.db.write(move |tx| -> db::Result<_> {
            let mut count = 0;
            for row in &page {
                count += usize::from(import(tx, row)?);
            }
            Ok((count, page))
        })?;
        imported += count;
        last = page.pop();
    }
}

/// What is open in the backup and was fulfilled, and pruned, since: only the receipts know of it.
fn settle_proved(app: &App) -> Result<(), BackupError> {
    for request in app.db.read(requests::list_all_open)? {
        let subject = subject_hash(&app.hasher, &request.shop);
        let found = app.db.read(|connection| receipts::list_of_request(connection, &subject, request.id))?;
        let of = |kind: ReceiptKind| found.iter().find(|receipt| receipt.kind == kind.as_str()).cloned();
        if let (Some(erased), Some(verified)) = (of(ReceiptKind::Erased), of(ReceiptKind::Verified)) {
            app.db.write(move |tx| requests::settle_by(tx, request.id, &erased, &verified))?;
        }
    }
    Ok(())
}

/// People in the console sign in again: of the copy's sessions some were ended since, and of its links some were used. The present
/// database does not say which, for neither leaves a row.
fn forget_ways_in(app: &App) -> Result<(), BackupError> {
    app.db.write(|tx| -> db::Result<()> {
        links::remove_all(tx)?;
        sessions::end_all(tx, None).map(drop)
    })?;
    Ok(())
}

/// What was withdrawn stays so: a store's permission, a key's.
fn import_withdrawals(app: &App, current: &Connection) -> Result<usize, BackupError> {
    let (uninstalled, revoked) = (stores::list_uninstalled(current)?, keys::list_revoked(current)?);
    let imported = app.db.write(move |tx| -> db::Result<usize> {
        let mut imported = 0;
        for store in &uninstalled {
            imported += usize::from(stores::import_uninstallation(tx, store)?);
        }
        for key in revoked {
            imported += usize::from(keys::import_revocation(tx, key)?);
        }
        Ok(imported)
    })?;
    Ok(imported)
}

/// Labels that were forgotten since the backup was made. What a request named is forgotten with it, so that the rows themselves have to
/// tell.
fn forget_labels(app: &App, current: &Connection) -> Result<usize, BackupError> {
    let (mut after, mut forgotten) = (None, 0);
    loop {
        let page = app.db.read(|connection| labels::list(connection, after, BATCH))?;
        let Some(last) = page.last() else { return Ok(forgotten) };
        after = Some(*last);
        let mut gone = Vec::new();
        for item in page {
            if labels::is_forgotten(current, item)? {
                gone.push(item);
            }
        }
        forgotten += app.db.write(move |tx| labels::forget_items(tx, &gone))?;
    }
}

/// The shops that the backup has and whose erasure it does not know.
fn come_back(app: &App, current: &Connection, known: i64) -> Result<Vec<ShopDomain>, BackupError> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = app.db.read(|connection| stores::list(connection, after.as_ref(), BATCH))?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(last.shop.clone());
        for store in page {
            if receipts::is_shop_erased_after(current, &subject_hash(&app.hasher, &store.shop), known)? {
                found.push(store.shop);
            }
        }
    }
}

/// A privacy request that was imported has no job in the copy.
fn enqueue_missing(app: &App) -> Result<usize, BackupError> {
    let missing = app.db.read(|connection| erasure::list_without_job(connection, &app.hasher))?;
    let (queue, hasher, now, count) = (app.queue.clone(), app.hasher.clone(), app.clock.now(), missing.len());
    app.db.write(move |tx| -> Result<(), Error> {
        for request in missing {
            let job = erasure::job_for(&hasher, request.kind, request.id, &request.shop);
            // The delivery names a job that stayed behind.
            queue.enqueue(tx, now, job.dedupe_key(erasure::job_key(request.id)))?;
        }
        Ok(())
    })?;
    Ok(count)
}
