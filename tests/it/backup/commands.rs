//! The commands.

use super::{House, PROGRAM, install};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn the_commands_do_what_they_say() {
    let house = House::new();
    let app = house.open();
    install(&app, "one");
    drop(app);
    let run = |command: &str, more: &[&str]| -> (Value, bool) {
        let output = Command::new(PROGRAM)
            .args([command, "--json"])
            .args(more)
            .arg("--database")
            .args([house.database(), house.path("b")])
            .output()
            .expect("it runs");
        (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.success())
    };
    let (document, done) = run("backup", &[]);
    assert!(done && document["bytes"].as_u64().is_some_and(|bytes| bytes > 8_192), "{document}");
    assert!(!run("backup", &[]).1, "it exists");
    assert!(run("backup", &["--force"]).1);
    let (document, done) = run("restore", &[]);
    assert!(done, "{document}");
    assert_eq!(document["erasedAgain"], json!(0));
}
