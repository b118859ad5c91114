//! What is wrong with privacy requests, the hand-over, webhooks, files and settings, in words.

use super::{Finding, OLD_BACKUP, UNSCRUBBED_TOO_LONG};
use crate::backup::folder::Backup;
use crate::clock::instant;
use crate::disk::Seen;
use crate::domain::ids::ShopDomain;
use crate::domain::money::Currency;
use crate::erasure::RESPONSE_DEADLINE;
use crate::erasure::requests::{OpenRequests, PrivacyRequest};
use crate::views::words::{many, span};
use chrono::{DateTime, TimeDelta, Utc};
use std::path::Path;

/// A request that is due within this is nearly due: a tenth of the time that the law gives.
pub(super) const NEARLY_DUE: TimeDelta = TimeDelta::days(3);

/// Free bytes on the disk below which it is as good as full, whatever the floor.
const DISK_FREE_MIN: u64 = 100 << 20;

/// Privacy requests that are late, stuck, or wait for a decision.
pub(super) fn of_requests(
    now: DateTime<Utc>,
    requests: &OpenRequests,
    failed_jobs: u64,
    held: &[PrivacyRequest],
) -> Vec<Finding> {
    let page = |finding: Finding| finding.on_page("admin/privacy", "Privacy requests");
    let list = "see `quotegrid gdpr list`";
    let mut findings = Vec::new();
    if requests.overdue > 0 {
        let what = format!("{} overdue", many(requests.overdue, "privacy request is", "privacy requests are"));
        let advice = format!(
            "The law's {} days are over. Open the request: it says what holds it up.",
            RESPONSE_DEADLINE.num_days()
        );
        findings.push(page(Finding::bad(what, advice).by_command(list)));
    } else if let Some(due) = requests.next_due_at.filter(|due| *due - now < NEARLY_DUE) {
        let what = format!("A privacy request is due in {}", span(due - now));
        let advice = "It is not fulfilled yet. Open it: it says what holds it up.";
        findings.push(page(Finding::warning(what, advice).by_command(list)));
    }
    if failed_jobs > 0 {
        let what = format!("{} for legal obligations failed permanently", many(failed_jobs, "job", "jobs"));
        let advice = "They are not retried automatically, and the deadline approaches. Read the error, fix its cause, and retry.";
        let finding = Finding::bad(what, advice).on_page("admin/jobs?status=failed", "Failed jobs");
        findings.push(
            finding.by_command(
                "see `quotegrid jobs list --status failed`, fix the cause, and `quotegrid jobs retry` them",
            ),
        );
    }
    for request in held {
        let what = format!("The erasure of {} waits for your decision", request.shop);
        let advice = "The shop was in use when Shopify asked for its erasure. Ask the merchant, then confirm or reject it; without a decision it runs by itself.";
        findings.push(Finding::bad(what, advice).on_page(format!("admin/privacy/{}", request.id), "Decide"));
    }
    if requests.to_scrub_since.is_some_and(|since| now - since > UNSCRUBBED_TOO_LONG) {
        let advice = "The rows are deleted, but their bytes are still in the write-ahead log. Another program keeps it in use: a replicator, or a sqlite3 shell that was left open.";
        let finding = Finding::bad("Erasures have waited for the scrub, their last step, for over a day", advice);
        findings.push(page(finding.by_command(
            "no server is running, or another program keeps the WAL in use (a replicator, a sqlite3 shell that was left open?)",
        )));
    }
    findings
}

/// What Shopify has answered to calls of this process: a sentence that names the shop.
pub(super) fn of_handover(problem: String) -> Finding {
    Finding::bad(
        problem,
        "Orders are kept here meanwhile and handed over once this is fixed: usually by installing the app in the shop again, or with its current secret.",
    )
    .on_page("admin/shops", "Shops")
}

/// Orders that are not at Shopify as they were quoted.
pub(super) fn of_differing(count: u64) -> Finding {
    let orders = many(count, "order of the last 30 days differs", "orders of the last 30 days differ");
    Finding::warning(
        format!("{orders} at Shopify from what was quoted"),
        "They were changed there, or Shopify has added taxes or rounding. The page of each order says how it differs.",
    )
    .on_page("admin/shops", "Shops and their orders")
    .by_command("`quotegrid orders list` marks them, and `quotegrid orders show` says how")
}

/// That no webhook has come for long.
pub(super) fn of_silence(
    now: DateTime<Utc>,
    last: Option<DateTime<Utc>>,
    silence: Option<TimeDelta>,
) -> Option<Finding> {
    // Before the first webhook none is expected.
    let (last, silence) = (last?, silence?);
    let is_silent = now - last > silence;
    is_silent.then(|| {
        Finding::bad(
            format!("There was no webhook for {}", span(now - last)),
            "Shopify may not reach this server, and privacy requests would be missed. Check that it is reachable from outside and that the app's webhook address is right: `quotegrid webhook setup` prints it.",
        )
        .on_page("admin/webhooks", "Webhooks")
        .by_command(format!(
            "no webhook has come since {}; is the server reachable, and the app's webhook address right? (`quotegrid webhook setup`)",
            instant(last)
        ))
    })
}

/// A disk that is full, or will be.
pub(super) fn of_disk(disk: Option<Seen>) -> Option<Finding> {
    let disk = disk?;
    let finding = if disk.is_low() {
        Finding::bad(
            "The disk is nearly full",
            "New orders and imports are rejected until there is room again; webhooks and erasures go on. Free some space, or use a larger disk.",
        )
        .by_command(format!(
            "below {} MiB free no orders and imports are taken (QUOTEGRID_DISK_FLOOR); `quotegrid orders delete` makes room, and so does a larger disk",
            disk.floor >> 20
        ))
    } else if disk.free < DISK_FREE_MIN {
        Finding::bad("The disk is nearly full", "Free some space, or use a larger disk.")
            .by_command("free some space, or use a larger disk")
    } else {
        return None;
    };
    Some(finding.on_page("admin/health", "Files and disk"))
}

/// That there is no backup in the database's folder of them, or an old one. Backups may be made elsewhere: no problem for `doctor`.
pub(super) fn of_backups(now: DateTime<Utc>, last: Option<&Backup>) -> Option<Finding> {
    let finding = match last {
        None => Finding::warning(
            "There is no backup in this server’s folder",
            "If backups are made elsewhere, this can be ignored. Otherwise a lost disk loses prices and orders: make one, and copy it to another machine.",
        ),
        Some(backup) if now - backup.made_at > OLD_BACKUP => Finding::warning(
            format!("The last backup in this server’s folder is {} old", span(now - backup.made_at)),
            "Later changes would be lost with the disk. Make a new one and delete the old one, which still holds what was erased since.",
        ),
        Some(_) => return None,
    };
    Some(finding.on_page("admin/health", "Backups"))
}

/// What a copy that was cut off has left.
pub(super) fn unfinished_copy(copy: &Path) -> Finding {
    Finding::bad(
        format!("{} is an unfinished copy", copy.display()),
        "A backup, restore or upgrade was cut off and has left it, with all that was erased since. It is removed when the server starts, or delete it.",
    )
    .by_command(
        "a backup, restore or upgrade that was cut off has left it, with all that was erased since; it is removed when `quotegrid serve` or `quotegrid work` starts, or delete it",
    )
}

/// That erased rows cannot be looked for in what SQLite leaves in pages.
pub(super) fn cannot_clear_page_slack() -> Finding {
    let meanwhile = "build it in a checkout, or elsewhere with LIBSQLITE3_FLAGS=-DSQLITE_ENABLE_DBPAGE_VTAB in its environment, as the README has it, and run `quotegrid doctor --vacuum` meanwhile";
    Finding::bad(
        "This build cannot look for erased rows that SQLite has moved and left in pages",
        format!("Erased data may stay in unused parts of the file, so that no privacy request is marked as erased. To fix that, {meanwhile}."),
    )
    .by_command(meanwhile)
}

/// What is wrong with the database's files as they are on the disk.
pub(super) fn of_files(faults: &[String]) -> impl Iterator<Item = Finding> {
    faults.iter().map(|fault| {
        Finding::bad("The database’s files are not as they should be", format!("{fault}."))
            .on_page("admin/health", "Files and disk")
            .by_command(fault.clone())
    })
}

/// Stores whose orders cannot be handed over for their currency.
pub(super) fn of_unknown_currency(currency: Currency, count: u64, first: &ShopDomain) -> Finding {
    Finding::bad(
        format!("{} prices in {currency}, which Shopify is not known to take", many(count, "store has", "stores have")),
        format!("Their orders cannot be handed over. Set another currency in the settings of each shop; {first} is one of them."),
    )
    .on_page(format!("admin/shops/{first}"), "Settings of the first")
    .by_command(format!(
        "orders there cannot be handed over. See `quotegrid stores show {first}`, and `quotegrid stores set` for another currency"
    ))
}

/// A setting that does nothing, or not what was meant.
pub(super) fn of_setting(fault: &str) -> Finding {
    Finding::warning(
        "A setting has no effect",
        format!(
            "{fault}{} Correct it in the server’s environment, then restart the server.",
            if fault.ends_with('?') { "" } else { "." }
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_a_finding_only_where_it_was_set_and_webhooks_have_come_before() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let (day, hours) = (Some(TimeDelta::days(1)), |hours| Some(now - TimeDelta::hours(hours)));
        assert!(of_silence(now, None, day).is_none() && of_silence(now, hours(30), None).is_none());
        assert!(of_silence(now, hours(23), day).is_none());
        let found = of_silence(now, hours(50), day).expect("a finding");
        assert_eq!(found.what, "There was no webhook for 2 days");
        assert_eq!(found.page, Some(("admin/webhooks".to_owned(), "Webhooks")));
        assert!(found.problem().is_some_and(|problem| problem.contains("no webhook has come since")));
    }

    #[test]
    fn every_finding_says_what_to_do() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let low = Some(Seen { free: 1, floor: 2 });
        let full = Some(Seen { free: 1, floor: 0 });
        let shop: ShopDomain = "a.myshopify.com".parse().expect("a shop");
        let currency: Currency = "CLF".parse().expect("a currency");
        let mut findings = vec![of_unknown_currency(currency, 2, &shop), of_differing(1), cannot_clear_page_slack()];
        findings.extend([of_disk(low), of_disk(full), of_backups(now, None)].into_iter().flatten());
        findings
            .extend([of_setting("X is not a setting and does nothing"), unfinished_copy(Path::new("a.db.restoring"))]);
        assert_eq!(findings.len(), 8);
        for finding in findings {
            assert!(finding.advice.ends_with('.') && !finding.what.ends_with('.'), "{finding:?}");
        }
        assert!(of_disk(Some(Seen { free: u64::MAX, floor: 2 })).is_none());
    }
}
