//! Checks if erasure kept its word: the chain of receipts is whole and says what the requests say, no row is left without its
//! parent, no finished job names a person or an erased shop, and no byte of an erased shop is in the files where it may not.

pub use super::finding::Finding;

use super::receipts::{self, Chain};
use super::scan::{self, Hit};
use super::{agreement, requests, subject_hash};
use crate::catalog::stores;
use crate::db::{self, Db};
use crate::domain::ids::{SHOP_SUFFIX, ShopDomain};
use crate::keyed_hash::KeyedHasher;
use crate::queue;
use rusqlite::Connection;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often the files are scanned before a find counts: a page that is moving between tables at this moment does not count.
const SCANS: usize = 3;

/// Pause between two scans.
const SCAN_PAUSE: Duration = Duration::from_millis(200);

/// What a verification found.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The walk of the chain.
    pub chain: Chain,
    /// Where receipts and requests contradict each other, or what guards the receipts is not there.
    pub mismatches: Vec<Finding>,
    /// What should be gone.
    pub leftovers: Vec<Finding>,
    /// Requests whose bytes the scrub has yet to see to; nothing of theirs counts as left over.
    pub to_scrub: u64,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.chain.broken_at.is_none() && self.mismatches.is_empty() && self.leftovers.is_empty()
    }
}

/// Verifies `db`; `program` is the quotegrid binary that scans the files' bytes.
///
/// # Errors
/// When the database or the files cannot be read.
pub fn verify(db: &Db, hasher: &KeyedHasher, program: &Path) -> io::Result<Verification> {
    // In one look: a receipt is written with the mark of its request.
    let look = |connection: &Connection| -> db::Result<_> {
        Ok((receipts::walk(connection)?, agreement::mismatches(connection, hasher)?))
    };
    let (chain, mismatches) = db.read(look).map_err(io::Error::other)?;
    let mut leftovers = db.read(orphans).map_err(io::Error::other)?;
    leftovers.extend(db.read(|connection| finished_jobs(connection, hasher)).map_err(io::Error::other)?);
    leftovers.extend(bytes(db, hasher, program)?);
    let to_scrub = db.read(requests::count_to_scrub).map_err(io::Error::other)?;
    Ok(Verification { chain, mismatches, leftovers, to_scrub })
}

fn orphans(connection: &Connection) -> db::Result<Vec<Finding>> {
    let mut statement = connection.prepare(
        "SELECT \"table\" AS child, parent, count(*) AS rows FROM pragma_foreign_key_check GROUP BY child, parent",
    )?;
    let orphans = statement.query_map((), |row| {
        let parent: String = row.get("parent")?;
        Ok(Finding { place: row.get("child")?, what: format!("rows without their {parent}"), times: row.get("rows")? })
    })?;
    Ok(orphans.collect::<rusqlite::Result<_>>()?)
}

fn finished_jobs(connection: &Connection, hasher: &KeyedHasher) -> db::Result<Vec<Finding>> {
    let (mut persons, mut shops) = (0, 0);
    queue::each_finished(connection, |status, text| {
        // One that failed keeps what another try needs.
        if status != queue::Status::Failed && names_a_person(text) {
            persons += 1;
        }
        for run in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))) {
            if is_erased_shop(connection, hasher, run)? {
                shops += 1;
            }
        }
        Ok(())
    })?;
    let found = [(persons, "finished jobs name a person"), (shops, "finished jobs name an erased shop")];
    let leftovers = found.into_iter().filter(|(times, _)| *times > 0);
    Ok(leftovers.map(|(times, what)| Finding { place: "job_queue".to_owned(), what: what.to_owned(), times }).collect())
}

/// Whether a text has an e-mail address, or a member by which Shopify names a person.
fn names_a_person(text: &str) -> bool {
    let has_address = text
        .split(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | ','))
        .any(|word| word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.')));
    has_address
        || ["\"customer\"", "\"customerId\"", "\"email\"", "\"phone\""].iter().any(|member| text.contains(member))
}

/// Scans until the same finds turn up every time.
fn bytes(db: &Db, hasher: &KeyedHasher, program: &Path) -> io::Result<Vec<Finding>> {
    let mut persistent: Option<Vec<Hit>> = None;
    for number in 0..SCANS {
        if number > 0 {
            std::thread::sleep(SCAN_PAUSE);
        }
        let hits = scan::run_in_child(program, db.path())?;
        let hits = db.read(|connection| of_erased_shops(connection, hasher, hits)).map_err(io::Error::other)?;
        let again = |hit: &Hit| {
            persistent.iter().flatten().any(|before| (&before.file, &before.text) == (&hit.file, &hit.text))
        };
        let hits: Vec<Hit> = hits.into_iter().filter(|hit| persistent.is_none() || again(hit)).collect();
        if hits.is_empty() {
            return Ok(Vec::new());
        }
        persistent = Some(hits);
    }
    let leftover = |hit: Hit| Finding {
        place: hit.file,
        what: "the domain of an erased shop outside gdpr_requests and webhook_deliveries".to_owned(),
        times: hit.times,
    };
    Ok(persistent.into_iter().flatten().map(leftover).collect())
}

fn of_erased_shops(connection: &Connection, hasher: &KeyedHasher, hits: Vec<Hit>) -> db::Result<Vec<Hit>> {
    let mut erased = Vec::new();
    for hit in hits {
        if is_erased_shop(connection, hasher, &hit.text)? {
            erased.push(hit);
        }
    }
    Ok(erased)
}

/// Whether a run of name characters ends in the domain of an erased shop. Longer ends first: a living `myshop` is no find of an
/// erased `shop`.
fn is_erased_shop(connection: &Connection, hasher: &KeyedHasher, run: &str) -> db::Result<bool> {
    if !run.ends_with(SHOP_SUFFIX) {
        return Ok(false);
    }
    for (at, _) in run.char_indices() {
        let Ok(shop) = run[at..].parse::<ShopDomain>() else { continue };
        if stores::find(connection, &shop)?.is_some() {
            return Ok(false);
        }
        // What an unsettled request still needs, or the scrub has yet to see to, is not left over.
        let is_erased = requests::is_shop_erased(connection, &shop)?
            || receipts::is_shop_erased(connection, &subject_hash(hasher, &shop))?;
        if is_erased && !requests::is_unsettled(connection, &shop)? {
            return Ok(true);
        }
    }
    Ok(false)
}
