//! `quotegrid backup`: a checked copy of the database, while others serve from it.

use super::Failure;
use super::output::Output;
use crate::backup;
use crate::config::DatabaseSettings;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write; readable by its owner only
    file: PathBuf,
    /// Overwrite the file when it exists
    #[arg(long)]
    force: bool,
}

/// Progress is reported each time another tenth is done.
const TENTHS: u64 = 10;

/// How much later than others this process gets its turn once the copy is made.
const CHECK_NICENESS: i32 = 10;

pub(super) fn run(database: &DatabaseSettings, args: &Args, output: Output) -> Result<(), Failure> {
    let mut shown = 0;
    backup::create(&database.database, &args.file, args.force, &mut |done, all| {
        let tenth = done * TENTHS / all.max(1);
        if tenth > shown {
            shown = tenth;
            eprintln!("backup: {} % of {all} pages", tenth * 100 / TENTHS);
        }
        if done == all {
            // The check that follows computes for seconds and blocks nothing: a server on the same database goes first.
            let _as_before_if_refused = rustix::process::nice(CHECK_NICENESS);
        }
    })?;
    // It is there and sound, whatever a look at its size says.
    let bytes = args.file.metadata().map_or(0, |found| found.len());
    let (source, file) = (database.database.display().to_string(), args.file.display().to_string());
    output.print(&json!({ "database": source, "backup": file, "bytes": bytes }), || {
        format!(
            "{file} is a backup of {source}, checked ({bytes} bytes). It keeps what is erased later: delete it in time."
        )
    })?;
    Ok(())
}
