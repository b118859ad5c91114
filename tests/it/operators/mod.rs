//! What operators live with: retention, alerts, figures, and the commands and servers that the binary offers them.

mod access;
mod alerts;
mod commands;
mod deployment;
pub(crate) mod ephemeral;
mod handbook;
mod metrics;
mod proxies;
mod retention;

use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

/// The binary on the database at `database`, with nothing of this process's own settings.
fn quotegrid(database: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quotegrid"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUOTEGRID_")) {
        command.env_remove(name);
    }
    command.env("QUOTEGRID_LOG", "error").arg("--database").arg(database).args(arguments);
    command
}

/// Runs a command to its end: its exit code and what it printed.
fn run(database: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = quotegrid(database, arguments).output().expect("the binary runs");
    let text = String::from_utf8(stdout).expect("text");
    let code = status.code().expect("it ends by itself");
    assert!(code != 101, "it panicked: {}", String::from_utf8_lossy(&stderr));
    (code, text)
}

/// The same with `--json`.
fn run_json(database: &Path, arguments: &[&str]) -> (i32, Value) {
    let (code, text) = run(database, &[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn redact(fixture: &Fixture, shop: &str) {
    let body = json!({ "shop_id": 1, "shop_domain": shop });
    assert_eq!(fixture.post_webhook("shop/redact", &body).status, 200);
}

pub(crate) fn plan(fixture: &Fixture, sql: &str) -> String {
    let lines = fixture.app.db.read(|connection| -> quotegrid::db::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let lines = statement.query_map((), |row| row.get("detail"))?.collect::<Result<_, _>>()?;
        Ok(lines)
    });
    lines.unwrap_or_else(|error| panic!("{sql}: {error}")).join("\n")
}
