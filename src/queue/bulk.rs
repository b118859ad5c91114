//! What people do to many jobs at once: retry or cancel all that match. In small steps, so that webhooks and workers are served in
//! between; a job that has changed meanwhile is left as it is.

use super::jobs::{Selection, list_matching};
use super::{Queue, Status};
use crate::db::{Db, Tx};
use crate::domain::ids::JobId;
use crate::error::{Error, Kind};
use chrono::{DateTime, Utc};

/// Jobs that one call changes at the most: the call ends within a minute or so. A caller with more calls again.
pub const BULK_MAX: usize = 100_000;

/// Jobs that are changed in one transaction: a few milliseconds.
const STEP: usize = 100;

/// What is done to many jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BulkChange {
    /// Try failed or cancelled ones again.
    Retry,
    /// Call waiting ones off.
    Cancel,
}

impl BulkChange {
    /// The status of the jobs that are meant where nothing is said.
    pub fn default_status(self) -> Status {
        match self {
            Self::Retry => Status::Failed,
            Self::Cancel => Status::Pending,
        }
    }

    fn takes(self, status: Status) -> bool {
        match self {
            Self::Retry => matches!(status, Status::Failed | Status::Cancelled),
            Self::Cancel => status == Status::Pending,
        }
    }
}

/// What became of the jobs that matched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkOutcome {
    /// How many matched, up to [`BULK_MAX`].
    pub matched: usize,
    /// How many were changed. The others had changed meanwhile, or their dedupe key belongs to an unfinished job now.
    pub changed: usize,
}

impl Queue {
    /// The jobs that a change would be made to.
    ///
    /// # Errors
    /// `Invalid` where the change makes no sense for the status, `Conflict` where it must not be made to all jobs of the type at
    /// once; and when the database fails.
    pub fn list_for_bulk(&self, db: &Db, change: BulkChange, selection: &Selection) -> Result<Vec<JobId>, Error> {
        if !change.takes(selection.status) {
            let text = match change {
                BulkChange::Retry => "must be failed or cancelled: only such jobs can be retried",
                BulkChange::Cancel => "must be pending: only such jobs can be cancelled",
            };
            return Err(Error::new(Kind::Invalid, "the jobs cannot be changed").with_fault("status", text));
        }
        let is_protected = |job_type: &str| change == BulkChange::Cancel && !self.may_be_paused(job_type);
        if let Some(job_type) = selection.job_type.as_deref().filter(|job_type| is_protected(job_type)) {
            let text =
                format!("jobs of type {job_type:?} carry out legal obligations: cancel them one by one, if at all");
            return Err(Error::new(Kind::Conflict, text));
        }
        let found = db.read(|connection| list_matching(connection, selection, BULK_MAX))?;
        Ok(found.into_iter().filter(|(_, job_type)| !is_protected(job_type)).map(|(id, _)| id).collect())
    }

    /// Changes all jobs that match. `first` is run in the transaction of the first step.
    ///
    /// # Errors
    /// As [`Queue::list_for_bulk`]. What was changed before an error stays changed.
    pub fn change_all(
        &self,
        db: &Db,
        now: DateTime<Utc>,
        change: BulkChange,
        selection: &Selection,
        first: impl FnOnce(&Tx<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<BulkOutcome, Error> {
        let found = self.list_for_bulk(db, change, selection)?;
        let mut outcome = BulkOutcome { matched: found.len(), changed: 0 };
        db.write(first)?;
        for ids in found.chunks(STEP) {
            let (queue, ids) = (self.clone(), ids.to_vec());
            outcome.changed += db.write(move |tx| queue.change_some(tx, now, change, &ids))?;
        }
        Ok(outcome)
    }

    fn change_some(&self, tx: &Tx<'_>, now: DateTime<Utc>, change: BulkChange, ids: &[JobId]) -> Result<usize, Error> {
        let mut changed = 0;
        for id in ids {
            let done = match change {
                BulkChange::Retry => self.retry(tx, now, *id),
                BulkChange::Cancel => self.cancel(tx, now, *id),
            };
            match done {
                Ok(()) => changed += 1,
                // It is elsewhere by now, or is gone.
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(changed)
    }
}
