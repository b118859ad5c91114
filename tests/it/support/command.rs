//! The real binary.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary that this build made.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_quotegrid");

/// The binary with nothing of this process's own settings, and nobody at its terminal.
pub(crate) fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUOTEGRID_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// The same on the database at `database`, with no more in its log than errors.
pub(crate) fn quotegrid(database: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.env("QUOTEGRID_LOG", "error").arg("--database").arg(database).args(arguments);
    command
}

/// Runs a command to its end: its exit code and what it printed.
#[track_caller]
pub(crate) fn run(database: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = quotegrid(database, arguments).output().expect("the binary runs");
    let text = String::from_utf8(stdout).expect("text");
    let code = status.code().expect("it ends by itself");
    assert!(code != 101, "it panicked: {}", String::from_utf8_lossy(&stderr));
    (code, text)
}

/// The same with `--json`: its exit code and the document, which is null where none was printed.
#[track_caller]
pub(crate) fn run_json(database: &Path, arguments: &[&str]) -> (i32, Value) {
    let (code, text) = run(database, &[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&text).unwrap_or(Value::Null))
}
