//! Knows which pages hold remains of moved rows ([`super::page_slack`]) by looking at each page that is written, so that a scrub need not
//! look at the whole file again: only at what has changed since it was looked at as a whole.
//!
//! A page that is missed is a false proof that something is gone, so what is known must rest on what no writer can bypass. In WAL mode every change
//! of a page is a frame of the WAL, whoever writes it: this process, a command, a vacuum that moves pages, SQLite's own
//! recovery. So **each page whose newest version is not among the frames looked at is as it was when the whole file was looked at.** What
//! has to be certain is that no frame was overwritten before it was looked at:
//!
//! - The writer's thread looks at the frames of each of its commits before it begins another transaction ([`SlackTracker::follow`]), up to
//!   the frame that SQLite names. Committed frames do not change until the WAL starts over, which renews the salts in its header and its
//!   frames; both are compared before and after.
//! - Where the salts are others than before, the WAL has started over. If this writer's connection did it, in its last
//!   transaction or when it emptied the WAL, every frame had been looked at before. If any other connection did, or committed anything
//!   since, `PRAGMA data_version` on the writer's connection has another value, and frames may have been lost.
//! - What others have committed while the WAL did not start over is in it, and looked at with the next own commit or when asked.
//!
//! Wherever any of this is in doubt, after an error, or after a transaction whose frames were not looked at, nothing is known any more,
//! and the next scrub looks at every page. So does the first one of each process: nothing is kept on the disk.

use super::error::{Error, Result};
use super::health::Health;
use super::page_slack::{self, STEP};
use super::wal_reader::{Generation, WalReader};
use log::{debug, warn};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long pages are looked at as they are written without anybody asking: it costs the writer about a microsecond a page.
const KEPT: Duration = Duration::from_secs(600);

/// How often others may commit between two statements of ours before it is given up.
const TRIES: usize = 16;

/// What one step of clearing has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// At the moment of its commit no page held any remains; so many did before.
    Clean(usize),
    /// So many pages were cleared, and there are more; or others have written meanwhile.
    More(usize),
    /// It is not known which pages hold remains: every page has to be looked at.
    Unknown,
}

/// The writer outside a transaction, and a transaction of its own in which it is alone.
pub(super) trait Alone {
    fn connection(&self) -> &Connection;
    /// Begins one; `false` where another process has the lock.
    fn begin(&self) -> Result<bool>;
    /// Commits it, or rolls it back and says why. Returns the frames of the WAL, where it wrote any.
    fn commit(&self) -> Result<Option<usize>>;
    fn roll_back(&self);
}

/// One look at the whole file, from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look(u64);

/// What is known of the pages, if anything.
pub(super) struct SlackTracker {
    state: Mutex<State>,
    /// Whether there is anything to keep up: asked at each commit.
    is_on: AtomicBool,
    /// A transaction has begun whose frames were not looked at yet.
    is_behind: AtomicBool,
}

#[derive(Default)]
struct State {
    looks: u64,
    known: Option<Known>,
}

struct Known {
    look: Look,
    /// Every page has been looked at since `look` began.
    is_whole: bool,
    wal: WalReader,
    /// The WAL, and how many of its frames have been looked at; `None` until it has any.
    generation: Option<Generation>,
    frames: usize,
    /// `PRAGMA data_version` of the writer's connection, from before those frames were counted.
    version: i64,
    /// Pages that held remains when they were looked at last. Some may be no pages of rows.
    suspects: BTreeSet<u32>,
    asked: Instant,
}

/// Why nothing is known any more.
enum Lost {
    Doubt(&'static str),
    Unread(io::Error),
    Failed(Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Unread(error)
    }
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl SlackTracker {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), is_on: AtomicBool::new(false), is_behind: AtomicBool::new(false) }
    }

    /// Notes that the writer begins a transaction.
    pub(super) fn begin_transaction(&self) {
        // The one before was not followed, for a panic came in between: its frames may be overwritten by now.
        if self.is_behind.swap(true, Ordering::Relaxed) {
            self.state.lock().known = None;
        }
    }

    /// Looks at what was written up to frame `frames`, the last of the writer's last commit; `None` where it wrote nothing. Called by
    /// the writer on its connection, outside a transaction, after each.
    pub(super) fn follow(&self, writer: &Connection, frames: Option<usize>) {
        self.is_behind.store(false, Ordering::Relaxed);
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let followed = self.with_known(|known| match frames {
            _ if known.asked.elapsed() > KEPT => Err(Lost::Doubt("nobody has asked for long")),
            Some(frames) => known.follow(writer, frames),
            None => Ok(()),
        });
        if let Some(Err(error)) = followed {
            warn!("the WAL could not be followed, so the next scrub looks at every page: {error}");
        }
    }

    /// Begins to look at each page that is written. Who then looks at the others, and says so by [`SlackTracker::end_look`], makes it whole.
    /// Called by the writer on its connection, outside a transaction.
    pub(super) fn begin_look(&self, writer: &Connection, health: &Health, wal: &Path) -> Result<Look> {
        let mut state = self.state.lock();
        state.looks += 1;
        let look = Look(state.looks);
        state.known = None;
        state.known = Known::begin(look, writer, health, wal)?;
        self.is_on.store(state.known.is_some(), Ordering::Relaxed);
        Ok(look)
    }

    /// Says that every page was looked at since `look` began, and cleared where it held remains.
    pub(super) fn end_look(&self, look: Look) {
        if let Some(known) = self.state.lock().known.as_mut().filter(|known| known.look == look) {
            known.is_whole = true;
        }
    }

    /// How often a look at every page has begun.
    pub(super) fn looks(&self) -> u64 {
        self.state.lock().looks
    }

    /// Clears pages that hold remains, at most [`STEP`] of them, in a transaction of its own that nothing else is in: so no page is moved
    /// meanwhile. Called by the writer on its connection, outside a transaction.
    pub(super) fn clear(&self, writer: &impl Alone) -> Result<Step> {
        let cleared = self.with_known(|known| if known.is_whole { known.clear(writer) } else { Ok(Step::Unknown) });
        cleared.unwrap_or(Ok(Step::Unknown))
    }

    /// Runs `work` on what is known, if anything is, and forgets it when that fails, or panics. Returns nothing where nothing is known.
    fn with_known<T>(&self, work: impl FnOnce(&mut Known) -> std::result::Result<T, Lost>) -> Option<Result<T>> {
        let mut state = self.state.lock();
        let mut known = state.known.take()?;
        let (why, failed) = match work(&mut known) {
            Ok(done) => {
                state.known = Some(known);
                return Some(Ok(done));
            }
            Err(Lost::Doubt(why)) => (why.to_owned(), None),
            Err(Lost::Unread(error)) => (format!("the WAL cannot be read: {error}"), None),
            Err(Lost::Failed(error)) => (error.to_string(), Some(Err(error))),
        };
        self.is_on.store(false, Ordering::Relaxed);
        debug!("the next scrub looks at every page: {why}");
        failed
    }
}

impl Known {
    /// Nothing where others write so much that it cannot be said where to begin, or where the WAL is not the one that was opened.
    fn begin(look: Look, writer: &Connection, health: &Health, wal: &Path) -> Result<Option<Self>> {
        let page_size: i64 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let opened = WalReader::open(wal, usize::try_from(page_size).unwrap_or_default());
        let wal = match opened.and_then(|wal| Ok((wal.metadata()?, wal))) {
            Ok((found, wal)) if health.is_wal(&found) => wal,
            Ok(_another) => return Ok(None),
            Err(error) => {
                debug!("{} cannot be read, so every scrub looks at every page: {error}", wal.display());
                return Ok(None);
            }
        };
        for _ in 0..TRIES {
            let version = data_version(writer)?;
            let frames = frames(writer)?;
            let Ok(generation) = wal.generation() else { return Ok(None) };
            // Otherwise the number may be that of another generation.
            if data_version(writer)? == version {
                let (suspects, asked) = (BTreeSet::new(), Instant::now());
                return Ok(Some(Self { look, is_whole: false, wal, generation, frames, version, suspects, asked }));
            }
        }
        Ok(None)
    }

    /// Looks at the frames up to `until`, which are committed and were there when this was called.
    fn follow(&mut self, writer: &Connection, until: usize) -> std::result::Result<(), Lost> {
        let Some(generation) = self.wal.generation()? else { return Err(Lost::Doubt("the WAL is gone")) };
        let is_same = self.generation == Some(generation);
        if !is_same && data_version(writer)? != self.version {
            return Err(Lost::Doubt("the WAL has started over, and others have written"));
        }
        let seen = if is_same { self.frames } else { 0 };
        if until < seen {
            return Err(Lost::Doubt("the WAL has fewer frames than before"));
        }
        let suspects = &mut self.suspects;
        let is_followed = self.wal.each_page(generation, seen, until, |number, page| {
            if page_slack::has_remains(page, number) {
                suspects.insert(number);
            } else {
                suspects.remove(&number);
            }
        })?;
        if !is_followed || self.wal.generation()? != Some(generation) {
            return Err(Lost::Doubt("the WAL has started over while it was read"));
        }
        (self.generation, self.frames) = (Some(generation), until);
        Ok(())
    }

    /// Looks at what anybody has committed.
    fn follow_all(&mut self, writer: &Connection) -> std::result::Result<(), Lost> {
        // In this order: what others commit after it was asked for makes the next comparison fail.
        let version = data_version(writer)?;
        match frames(writer)? {
            0 if version == self.version => {}
            0 => return Err(Lost::Doubt("others have emptied the WAL")),
            until => self.follow(writer, until)?,
        }
        self.version = version;
        Ok(())
    }

    fn clear(&mut self, writer: &impl Alone) -> std::result::Result<Step, Lost> {
        self.asked = Instant::now();
        let connection = writer.connection();
        self.follow_all(connection)?;
        if self.suspects.is_empty() {
            return Ok(Step::Clean(0));
        }
        if !writer.begin()? {
            return Ok(Step::More(0));
        }
        // From here on nobody else commits. What somebody did before that is not among the suspects yet.
        let cleared = data_version(connection).and_then(|version| {
            if version != self.version {
                return Ok(None);
            }
            let pages: Vec<u32> = self.suspects.iter().copied().take(STEP).collect();
            let cleared = page_slack::clear_gaps_of(connection, &pages)?;
            Ok(Some((pages, cleared)))
        });
        let (pages, cleared) = match cleared {
            Ok(Some(cleared)) => cleared,
            Ok(None) => {
                writer.roll_back();
                return Ok(Step::More(0));
            }
            Err(error) => {
                writer.roll_back();
                return Err(error.into());
            }
        };
        let frames = writer.commit()?;
        let is_last = pages.len() == self.suspects.len();
        // Also those that turned out to hold no rows: nothing but a frame makes them pages of rows.
        for page in &pages {
            self.suspects.remove(page);
        }
        if let Some(frames) = frames {
            self.follow(connection, frames)?;
        }
        Ok(if is_last { Step::Clean(cleared) } else { Step::More(cleared) })
    }
}

/// A number that changes when another connection commits, or has the WAL start over.
fn data_version(writer: &Connection) -> Result<i64> {
    Ok(writer.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?)
}

/// How many committed frames the WAL has.
fn frames(writer: &Connection) -> Result<usize> {
    let frames: i64 = writer.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?.query_row((), |row| row.get(1))?;
    // It is -1 without a WAL, which there always is.
    Ok(usize::try_from(frames).unwrap_or_default())
}
