//! Clears the remains of moved rows (`page_slack.rs`) from all pages of the file: from those that were written since the last time,
//! where they are known (`slack_tracker.rs`), or else from every page that has any.

use super::error::Result;
use super::page_slack::{STEP, can_clear_page_slack, clear_gaps_of, pages_with_remains};
use super::slack_tracker::{Alone, Step};
use super::{Db, files};
use log::debug;
use std::time::{Duration, Instant};

/// Pages that one read looks at: a few milliseconds, so that no checkpoint waits for its snapshot.
const LOOK: u32 = 1024;

/// How long pages are cleared that others fill, before every page is looked at instead.
const PATIENCE: Duration = Duration::from_secs(5);

/// What [`Db::clear_page_slack`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSlack {
    /// Nothing is left in any page's gap; in so many of them there was something.
    Cleared(usize),
    /// SQLite was built without the virtual table `sqlite_dbpage`, so it cannot be checked.
    NotLookedAt,
}

impl Db {
    /// Sees to it that nothing of what was deleted before the call is left in the unallocated middle of any page. The bytes are gone
    /// from the files with the next emptying of the WAL. Looks at what was written since the last call, however large the file is; the
    /// first time, and where it is not certain what was written, as [`Db::clear_slack_of_every_page`].
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn clear_page_slack(&self) -> Result<PageSlack> {
        if !self.read(can_clear_page_slack)? {
            return Ok(PageSlack::NotLookedAt);
        }
        match self.clear_written_pages()? {
            Some(cleared) => Ok(PageSlack::Cleared(cleared)),
            None => self.look_at_every_page(),
        }
    }

    /// The same, looking at every page of the file: a few microseconds each, on a reader.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn clear_slack_of_every_page(&self) -> Result<PageSlack> {
        if self.read(can_clear_page_slack)? { self.look_at_every_page() } else { Ok(PageSlack::NotLookedAt) }
    }

    fn look_at_every_page(&self) -> Result<PageSlack> {
        let (tracker, health, wal) = (self.slack_tracker(), self.shared.health.clone(), files::wal(self.path()));
        let (began, of_writer) = (Instant::now(), tracker.clone());
        let look = self.between_batches(move |writer| of_writer.begin_look(writer.connection(), &health, &wal))??;
        let pages: u32 = self.read(|connection| -> Result<_> {
            Ok(connection.pragma_query_value(None, "page_count", |row| row.get(0))?)
        })?;
        let mut cleared = 0;
        // From the last page to the first: a vacuum moves pages forwards only, so none gets past, tracked or not.
        let mut until = pages;
        while until > 0 {
            let from = until.saturating_sub(LOOK);
            let found = self.read(|connection| pages_with_remains(connection, from + 1, until))?;
            for step in found.chunks(STEP) {
                let step = step.to_vec();
                cleared += self.write(move |tx| clear_gaps_of(tx, &step))?;
            }
            until = from;
        }
        tracker.end_look(look);
        debug!("all {pages} pages were looked at in {:?}", began.elapsed());
        // What was written meanwhile: afterwards there was a moment without any remains, so that the next time begins there.
        Ok(PageSlack::Cleared(cleared + self.clear_written_pages()?.unwrap_or_default()))
    }

    /// How often [`Db::clear_page_slack`] has had to look at every page since this database was opened.
    pub fn whole_looks(&self) -> u64 {
        self.slack_tracker().looks()
    }

    /// Clears the pages that are known to hold remains. Returns how many did, once there was a moment at which none did; nothing where
    /// they are not known.
    fn clear_written_pages(&self) -> Result<Option<usize>> {
        let (until, mut cleared) = (Instant::now() + PATIENCE, 0);
        loop {
            let tracker = self.slack_tracker();
            match self.between_batches(move |writer| tracker.clear(writer))?? {
                Step::Clean(last) => return Ok(Some(cleared + last)),
                Step::More(some) => cleared += some,
                Step::Unknown => return Ok(None),
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }
}
