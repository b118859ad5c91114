//! `quotegrid gdpr`: privacy requests, their reports, and the proof that what was erased is gone.

use super::output::{Output, table};
use super::{Failure, open, write_recorded};
use crate::access::audit::Entry;
use crate::backup::verify_with_copies;
use crate::clock::{instant, optional_instant};
use crate::config::DatabaseSettings;
use crate::db::{Db, Schema};
use crate::domain::ids::{RequestId, ShopDomain};
use crate::erasure::hold::{self, Hold, ShopifySays};
use crate::erasure::receipts::{self, Head, Receipt};
use crate::erasure::requests::{self, Filter, PrivacyRequest};
use crate::erasure::scan;
use crate::erasure::verify::{Finding, Verification};
use crate::keyed_hash::hex;
use crate::views::gdpr;
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List privacy requests, newest first
    List {
        /// Only this shop's
        #[arg(long)]
        shop: Option<ShopDomain>,
        /// Only those that came in before this one: the last of the page before
        #[arg(long, value_name = "ID")]
        before: Option<RequestId>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Show a privacy request
    Show {
        /// Its id
        id: RequestId,
    },
    /// Have the erasure of a store that looks live carried out at once, instead of at the end of its hold
    Confirm {
        /// The request's id
        id: RequestId,
    },
    /// End a request to erase a store that looks live without an erasure: the store stays
    Reject {
        /// The request's id
        id: RequestId,
    },
    /// Print the report that answers a customers/data_request, for the merchant
    Report {
        /// The request's id
        id: RequestId,
    },
    /// Check the chain of receipts against the requests and look for anything that should be gone; exit code 1 when there is
    Verify {
        /// A receipt that was noted outside the database, from the log or an earlier `verify`: the chain must still have it
        #[arg(long, value_name = "SEQUENCE:HASH")]
        head: Option<Head>,
    },
    /// Print the receipts of all erasures, oldest first
    Receipts,
    /// Print every shop domain in the files' bytes, for `verify`
    #[command(hide = true)]
    ScanBytes,
}

pub(super) fn run(database: &DatabaseSettings, command: Command, output: Output) -> Result<(), Failure> {
    if matches!(command, Command::ScanBytes) {
        // Nothing else in this process: it opens the database file as a file.
        let hits = scan::scan(&database.database)?;
        output.line(&json!(hits).to_string())?;
        return Ok(());
    }
    let app = open(database, Schema::MustBeCurrent)?;
    match command {
        Command::List { shop, before, limit } => {
            let filter = Filter { shop, before, limit };
            let found = app.db.read(|connection| requests::list(connection, &filter))?;
            let document = json!({ "requests": found.iter().map(gdpr::request).collect::<Vec<_>>() });
            output.print(&document, || requests_text(&found))?;
        }
        Command::Show { id } => {
            let request = app.db.read(|connection| requests::load(connection, id))?;
            output.print(&gdpr::request(&request), || request_text(&request))?;
        }
        Command::Confirm { id } => {
            let (queue, hasher, now) = (app.queue.clone(), app.hasher.clone(), app.clock.now());
            let entry = Entry::new("request.confirm").object(id);
            let job = write_recorded(&app, entry, move |tx| hold::confirm(tx, now, &queue, &hasher, id))?;
            output.print(&json!({ "jobId": job.to_string() }), || {
                format!("job {job} erases the store: a running server works it off, or `quotegrid jobs run-next` does")
            })?;
        }
        Command::Reject { id } => {
            let now = app.clock.now();
            let entry = Entry::new("request.reject").object(id);
            write_recorded(&app, entry, move |tx| hold::reject(tx, now, id))?;
            let request = app.db.read(|connection| requests::load(connection, id))?;
            output.print(&gdpr::request(&request), || format!("request {id} is rejected, the store stays"))?;
        }
        Command::Report { id } => {
            let report = app.db.read(|connection| requests::load_report(connection, id))?;
            // The report is a JSON document for the merchant either way.
            output.print(&report, || format!("{report:#}"))?;
        }
        Command::Verify { head } => {
            let program = std::env::current_exe()?;
            let mut verification = verify_with_copies(&app.db, &app.hasher, &program)?;
            if let Some(head) = head
                && !app.db.read(|connection| head.is_kept(connection))?
            {
                let what = format!(
                    "receipt {} is not the one that was noted: receipts were cut off or replaced",
                    head.sequence
                );
                verification.mismatches.push(Finding { place: "erasure_receipts".to_owned(), what, times: 1 });
            }
            output.print(&gdpr::verification(&verification), || verification_text(&verification))?;
            if !verification.is_ok() {
                return Err(Failure::Reported);
            }
        }
        Command::Receipts => print_receipts(&app.db, output)?,
        Command::ScanBytes => {}
    }
    Ok(())
}

/// Receipts read at once while they are printed.
const RECEIPTS_PAGE: usize = 500;

/// Prints receipts as they are read: there may be more than fit into memory.
fn print_receipts(db: &Db, output: Output) -> Result<(), Failure> {
    let mut after = 0;
    output.begin_list("receipts")?;
    loop {
        let page = db.read(|connection| receipts::list_after(connection, after, RECEIPTS_PAGE))?;
        let Some(last) = page.last() else { break };
        let first = after == 0;
        after = last.sequence;
        for (number, receipt) in page.iter().enumerate() {
            output.item(first && number == 0, &gdpr::receipt(receipt), || {
                let Receipt { sequence, kind, request_type, outcome, counts, created_at, hash, .. } = receipt;
                let (at, hash) = (instant(*created_at), hex(hash));
                format!("{sequence} {at} {kind} {request_type} {outcome} {counts} {hash}")
            })?;
        }
    }
    output.end_list()?;
    Ok(())
}

fn requests_text(found: &[PrivacyRequest]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|request| {
            vec![
                request.id.to_string(),
                request.kind.as_str().to_owned(),
                request.shop.to_string(),
                state(request),
                optional_instant(request.processed_at).unwrap_or_else(|| format!("due {}", instant(request.due_at))),
                optional_instant(request.erased_at).unwrap_or_else(|| "-".to_owned()),
                request.deleted.iter().map(|(table, rows)| format!("{table} {rows}")).collect::<Vec<_>>().join(", "),
            ]
        })
        .collect();
    let heads = ["ID", "TYPE", "SHOP", "OUTCOME", "PROCESSED AT", "ERASED AT", "DELETED"];
    table(&heads, &rows, "no privacy requests")
}

/// What came of a request, or what it waits for.
fn state(request: &PrivacyRequest) -> String {
    match (request.outcome, request.waits_until(), request.hold.shopify_says) {
        (Some(outcome), ..) => outcome.as_str().to_owned(),
        (None, Some(until), Some(ShopifySays::Asking)) => format!("asking Shopify until {}", instant(until)),
        (None, Some(until), _) => format!("held until {}", instant(until)),
        (None, None, _) => "open".to_owned(),
    }
}

fn request_text(request: &PrivacyRequest) -> String {
    let mut lines = vec![
        format!("id            {}", request.id),
        format!("type          {}", request.kind.as_str()),
        format!("shop          {}", request.shop),
        format!("triggered at  {}", instant(request.triggered_at)),
        format!("created at    {}", instant(request.created_at)),
        format!("due at        {}", instant(request.due_at)),
        format!("processed at  {}", optional_instant(request.processed_at).unwrap_or_else(|| "not yet".to_owned())),
        format!("erased at     {}", optional_instant(request.erased_at).unwrap_or_else(|| "-".to_owned())),
        format!("outcome       {}", state(request)),
        format!("ordered by    {}", request.ordered_by.as_str()),
    ];
    let Hold { found_live_at, keys_used_at, shopify_says, decision, decided_at, .. } = request.hold;
    if let Some(found) = found_live_at {
        let used = optional_instant(keys_used_at).unwrap_or_else(|| "never".to_owned());
        lines.push(format!("live store    found {}, its keys were last used: {used}", instant(found)));
    }
    lines.extend(shopify_says.map(|says| format!("shopify says  {}", says.as_str())));
    lines.extend(
        decision.zip(decided_at).map(|(decision, at)| format!("decision      {} {}", decision.as_str(), instant(at))),
    );
    lines.extend(request.deleted.iter().map(|(table, rows)| format!("deleted       {rows} {table}")));
    lines.join("\n")
}

fn verification_text(verification: &Verification) -> String {
    let chain = &verification.chain;
    let mut lines = vec![match chain.broken_at {
        None => {
            let head = Head { sequence: chain.last, hash: chain.head };
            format!("receipts: {}, each follows from the one before; head {head}", chain.receipts)
        }
        Some((sequence, why)) => format!("receipts: BROKEN at number {sequence}: {why}"),
    }];
    for Finding { place, what, times } in &verification.mismatches {
        lines.push(format!("MISMATCH in {place}: {what} ({times} times)"));
    }
    for leftover in &verification.leftovers {
        lines.push(format!("LEFT OVER in {}: {} ({} times)", leftover.place, leftover.what, leftover.times));
    }
    if verification.leftovers.is_empty() {
        lines.push("leftovers: none".to_owned());
    }
    if verification.to_scrub > 0 {
        lines.push(format!(
            "{} requests still wait for the scrub, run or start `quotegrid serve`",
            verification.to_scrub
        ));
    }
    lines.join("\n")
}
