//! Jobs that name an erased shop elsewhere than where its erasure looks: in their type, their dedupe key, their errors or any other
//! member of their payload. People and other programs enqueue such. They are looked for before an erasure counts as one of the files
//! too, and the name is taken out of them.

use super::requests::RequestKind;
use super::shop::FORGET_STEP;
use crate::catalog::stores;
use crate::db::{self, Db};
use crate::domain::ids::{SHOP_SUFFIX, ShopDomain};
use crate::queue;
use rusqlite::Connection;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// What is in the place of an erased shop's domain. Itself no domain.
const ERASED: &str = "erased-shop";

/// Takes the names of these shops out of every job, but of those that have been installed again.
pub(super) fn forget(db: &Db, shops: HashSet<ShopDomain>) -> db::Result<()> {
    if shops.is_empty() {
        return Ok(());
    }
    let shops = Arc::new(shops);
    let mut after = None;
    loop {
        let known = RequestKind::ALL.map(RequestKind::job_type);
        let found = db.read(|connection| queue::list_mentions(connection, SHOP_SUFFIX, &known, after))?;
        let mut jobs = Vec::new();
        for (job, texts) in found.jobs {
            if !db.read(|connection| mentions(connection, &texts, &shops))?.is_empty() {
                jobs.push(job);
            }
        }
        for step in jobs.chunks(FORGET_STEP) {
            let (step, shops) = (step.to_vec(), shops.clone());
            db.write(move |tx| -> db::Result<()> {
                step.iter().try_for_each(|job| queue::change_texts(tx, *job, |text| without(tx, text, &shops)))
            })?;
        }
        after = found.until;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Where a text names one of these shops, and not a living one whose name ends like it.
fn mentions(connection: &Connection, text: &str, shops: &HashSet<ShopDomain>) -> db::Result<Vec<Range<usize>>> {
    let mut found = Vec::new();
    for Run { run, domains } in domains(text) {
        for (at, domain) in domains {
            if stores::find(connection, &domain)?.is_some() {
                break;
            }
            if shops.contains(&domain) {
                found.push(at..run.end);
                break;
            }
        }
    }
    Ok(found)
}

/// A text in which none of these shops is named.
fn without(connection: &Connection, text: &str, shops: &HashSet<ShopDomain>) -> db::Result<String> {
    let (mut left, mut from) = (String::with_capacity(text.len()), 0);
    for found in mentions(connection, text, shops)? {
        left.push_str(&text[from..found.start]);
        left.push_str(ERASED);
        from = found.end;
    }
    left.push_str(&text[from..]);
    Ok(left)
}

/// What may be the name of a shop.
struct Run {
    /// Its status.
    run: Range<usize>,
    /// Every domain that may be meant by its end, with where that begins; longer ones first.
    domains: Vec<(usize, ShopDomain)>,
}

/// Each run of name characters in a text that ends in the suffix of a shop's domain: what is before
/// a name may look like one too.
fn domains(text: &str) -> Vec<Run> {
    let lower = text.to_ascii_lowercase();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut found = Vec::new();
    for (at, suffix) in lower.match_indices(SHOP_SUFFIX) {
        let name = lower.as_bytes()[..at].iter().rev().take_while(|byte| is_name(byte)).count();
        let run = at - name..at + suffix.len();
        let parsed = run.clone().take(name).filter_map(|from| Some((from, lower[from..run.end].parse().ok()?)));
        let domains = parsed.collect();
        found.push(Run { run, domains });
    }
    found
}
