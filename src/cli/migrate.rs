//! `quotegrid migrate`: brings the schema up to date and reports.

use super::output::Output;
use super::{Failure, open};
use crate::config::DatabaseSettings;
use crate::db::Schema;
use serde_json::json;

pub(super) fn run(database: &DatabaseSettings, output: Output) -> Result<(), Failure> {
    let app = open(database, Schema::BringUpToDate)?;
    let migrated = app.db.migrated();
    let path = app.db.path().display();
    let document = json!({ "database": path.to_string(), "from": migrated.from, "to": migrated.to });
    output.print(&document, || match (migrated.from, migrated.to) {
        (0, to) => format!("{path} was created with schema version {to}"),
        (from, to) if from == to => format!("{path} has schema version {to} already"),
        (from, to) => format!("{path} was migrated from schema version {from} to {to}"),
    })?;
    Ok(())
}
