//! `quotegrid restore`: puts a backup in the place of the database, without bringing back anyone who was erased.

use super::Failure;
use super::output::Output;
use crate::backup::{self, Restore, RestoreReport};
use crate::clock::SystemClock;
use crate::config::DatabaseSettings;
use crate::entropy::OsEntropy;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Puts a backup in the place of the database; the server must be stopped.
///
/// What the database knows and the backup does not is carried over where the law or a merchant's word demands it: erasures are
/// carried out again, receipts, privacy requests and webhook deliveries kept, uninstalled stores and revoked keys stay so. All else
/// that came after the backup is lost, and the present file is not kept: take a backup of it first if you may want it back.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The backup
    file: PathBuf,
    /// Go on although the present database cannot be read, and its erasures with it
    #[arg(long)]
    without_replay: bool,
}

pub(super) fn run(database: &DatabaseSettings, args: Args, output: Output) -> Result<(), Failure> {
    let restore = Restore {
        backup: args.file,
        database: database.database.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
        without_replay: args.without_replay,
    };
    let report = backup::restore(&restore, &mut |stage| eprintln!("restore: {stage}"))?;
    let RestoreReport { erased_again, receipts, requests, deliveries, labels, jobs, withdrawals } = report;
    let (file, path) = (restore.backup.display().to_string(), restore.database.display().to_string());
    let document = json!({
        "database": path,
        "backup": file,
        "erasedAgain": erased_again,
        "receipts": receipts,
        "requests": requests,
        "deliveries": deliveries,
        "withdrawals": withdrawals,
        "labels": labels,
        "jobs": jobs,
    });
    output.print(&document, || {
        format!(
            "{path} is now as {file} was, and knows what that did not:\n  stores erased again: {erased_again}\n  \
             receipts kept: {receipts}\n  privacy requests kept: {requests}, {jobs} of them enqueued again\n  \
             webhook deliveries kept: {deliveries}\n  uninstallations and revoked keys kept: {withdrawals}\n  \
             labels of orders forgotten again: {labels}"
        )
    })?;
    Ok(())
}
