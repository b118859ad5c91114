//! The handbook's way from nothing to an order and its page, run as it is printed.

use crate::support::command::PROGRAM;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// What a reader pastes: the price list, and the commands of both sections.
fn sections() -> (String, String) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/getting_started.md");
    let page = fs::read_to_string(page).expect("the page");
    let text = page.split("## From nothing to a priced size\n").nth(1).expect("the section");
    let text = text.split("\n## ").next().expect("its end");
    let blocks = |language: &str| -> String {
        let opening = format!("```{language}\n");
        text.split(&opening).skip(1).filter_map(|block| block.split("```").next()).collect()
    };
    (blocks("csv"), blocks("sh"))
}

#[test]
fn a_newcomer_prices_a_size_orders_it_and_opens_its_page() {
    let (list, commands) = sections();
    let directory = tempfile::tempdir().expect("a temporary directory");
    fs::write(directory.path().join("Roller blind.csv"), list).expect("written");
    // A port that is free on this machine, and what a reader does by eye: take the key over, and wait for the server.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let commands = commands
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
        .replace("--currency EUR ", "--currency EUR | tee added.txt ")
        .replace("export KEY=pm_…", "export KEY=$(grep -o 'pm_[0-9a-f]*' added.txt)")
        .replace("quotegrid serve --dev &", "quotegrid serve --dev > ready.txt & SERVER=$!; trap 'kill $SERVER' EXIT\nuntil grep -q listening ready.txt; do kill -0 $SERVER; sleep 0.1; done");
    let script = format!(
        "set -e -o pipefail\n{commands}\necho\ncurl -s -f $(quotegrid orders show D1 --shop my-shop.myshopify.com | grep -o 'http://.*')\ncat orders.csv\n"
    );
    fs::write(directory.path().join("script.sh"), &script).expect("written");
    let binary = Path::new(PROGRAM).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a search path");
    let mut command = Command::new("bash");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUOTEGRID_")) {
        command.env_remove(name);
    }
    let output = command
        .arg("script.sh")
        .current_dir(directory.path())
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("QUOTEGRID_LOG", "error")
        .env("QUOTEGRID_LISTEN", format!("127.0.0.1:{port}"))
        .env("QUOTEGRID_PUBLIC_URL", format!("http://127.0.0.1:{port}"))
        .output()
        .expect("bash runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{said}\n{complained}");
    for expected in [
        "3 widths x 3 heights",
        "is priced by Roller blind",
        r#"{"price":30,"currency":"EUR","dimensions":{"width":450,"height":350,"unit":"mm"}"#,
        r##""name":"#D1","checkoutUrl":"http://127.0.0.1:"##,
        r#""total":"60.00","currency":"EUR""#,
        r##""name":"#D2""##,
        r#""total":"110.00""#,
        r#""label":"Kitchen, left""#,
        "2 x Made-to-measure blind",
        "priced as   600 x 400 mm by Roller blind",
        "<h1>Made-to-measure blind</h1>",
        "\"Kitchen, right\",600,400,mm,600 x 400,1,30.00,30.00,EUR,http://",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}\n{complained}");
    }
}
