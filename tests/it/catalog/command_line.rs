//! Price lists on the command line.

use crate::support::command::program;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Output, Stdio};

/// Runs the binary on a database of its own.
pub(super) struct CommandLine(pub(super) tempfile::TempDir);

impl CommandLine {
    pub(super) fn new() -> Self {
        let line = Self(tempfile::tempdir().expect("a directory"));
        line.succeeds(&["stores", "add", "panes.myshopify.com", "--currency", "EUR"], "");
        line
    }

    pub(super) fn run(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = program()
            .args(arguments)
            .current_dir(self.0.path())
            .env("QUOTEGRID_DATABASE", self.0.path().join("quotegrid.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        // A command that fails early does not read it.
        let _closed = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
        child.wait_with_output().expect("it ends")
    }

    pub(super) fn succeeds(&self, arguments: &[&str], stdin: &str) -> String {
        let output = self.run(arguments, stdin);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    pub(super) fn json(&self, arguments: &[&str], stdin: &str) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        serde_json::from_str(&self.succeeds(&arguments, stdin)).expect("one JSON document")
    }
}

#[test]
fn the_command_line_imports_exports_lists_and_assigns() {
    let line = CommandLine::new();
    std::fs::write(line.0.path().join("Roller blind.csv"), "h/w,300,600\n200,10,15\n400,20,\n").expect("written");
    let preview = line.json(&["matrices", "import", "Roller blind.csv", "--preview"], "");
    assert_eq!((&preview["cells"], &preview["layout"]), (&json!(4), &json!("grid")));
    let made = line.json(&["matrices", "import", "Roller blind.csv"], "");
    assert_eq!(made["version"], 1);
    let listed = line.json(&["matrices", "list"], "");
    assert_eq!((&listed["matrices"][0]["id"], &listed["matrices"][0]["name"]), (&made["id"], &json!("Roller blind")));

    let exported = line.succeeds(&["matrices", "export", "Roller blind"], "");
    assert_eq!(exported, "width,height,price\n300,200,10.00\n600,200,15.00\n300,400,20.00\n600,400,-\n");
    let id = made["id"].as_str().expect("an id");
    let again = line.json(&["matrices", "import", "-", "--into", id], &exported);
    assert_eq!(again["version"], 2);
    assert_eq!(line.succeeds(&["matrices", "export", id], ""), exported, "the same matrix, losslessly");

    let assigned = line.json(&["matrices", "assign", "Roller blind", "1001", "gid://shopify/Product/1002"], "");
    assert_eq!(assigned["products"][1]["productId"], "gid://shopify/Product/1002");
    line.succeeds(&["matrices", "import", "-", "--name", "other"], "1,1,1");
    let refused = line.run(&["matrices", "assign", "other", "1001"], "");
    assert_eq!(refused.status.code(), Some(1));
    line.succeeds(&["matrices", "assign", "other", "1001", "--confirm"], "");

    let document: Value =
        serde_json::from_str(&line.succeeds(&["stores", "export", "panes.myshopify.com"], "")).expect("JSON");
    assert_eq!(document["store"]["shop"], "panes.myshopify.com");
    let count = |name: &str| document[name].as_array().expect("a list").len();
    assert_eq!((count("keys"), count("matrices"), count("products"), count("jobs")), (1, 2, 2, 0));
}

#[test]
fn what_has_no_end_is_read_as_far_as_an_upload_would_be_and_the_error_says_what_to_do() {
    let line = CommandLine::new();
    let directory = line.0.path();
    for name in ["large.xlsx", "large.csv"] {
        let file = std::fs::File::create(directory.join(name)).expect("made");
        file.set_len(1_048_577).expect("made longer");
    }
    let list = "has more than 1048576 bytes, the most of a price list";
    let body = "has more than 1048576 bytes, the most of a webhook: name the file of one body";
    let secret = "has more than 65536 bytes: name the file that holds the secret alone";
    let send = "webhook send shop/redact --shop panes.myshopify.com --url http://127.0.0.1:9/webhooks --secret";
    for (arguments, says) in [
        ("matrices import /dev/zero".to_owned(), format!("/dev/zero {list}: leave out all but sizes and prices")),
        ("matrices import - --name x < /dev/zero".to_owned(), format!("the price list {list}: leave out")),
        ("matrices import large.csv".to_owned(), format!("large.csv {list}: leave out")),
        ("matrices import large.xlsx".to_owned(), format!("large.xlsx {list}: save its sheet as CSV")),
        (format!("{send} hush-hush-hush --file /dev/zero"), format!("/dev/zero {body}")),
        (format!("{send} hush-hush-hush --file - < /dev/zero"), format!("standard input {body}")),
        (format!("{send}-file /dev/zero"), format!("/dev/zero {secret}")),
        ("serve --admin-token-file /dev/zero".to_owned(), format!("/dev/zero {secret}")),
    ] {
        // Without a bound it would take all memory there is, of this machine too.
        let script = format!("ulimit -v 1500000; exec \"{}\" {arguments}", crate::support::command::PROGRAM);
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .current_dir(directory)
            .env_clear()
            .env("QUOTEGRID_DATABASE", directory.join("quotegrid.db"))
            .stdin(Stdio::null())
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| (1..100).contains(&code)), "{arguments}: {output:?}");
        assert!(told.contains(&says), "{arguments}: {told}");
    }
    assert_eq!(line.json(&["matrices", "list"], "")["matrices"], json!([]));
}

#[test]
fn the_command_line_names_every_fault_and_writes_nothing() {
    let line = CommandLine::new();
    let refused = line.run(&["matrices", "import", "-", "--name", "m"], "100,200,10\nabc,3,4\n5,6\n");
    let told = String::from_utf8(refused.stderr).expect("text");
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{told}");
    assert!(told.contains("line 2: width \"abc\"") && told.contains("line 3: 3 columns"), "{told}");
    assert_eq!(line.json(&["matrices", "list"], "")["matrices"], json!([]));
    for (arguments, code) in [
        (&["matrices", "import", "-"][..], 2),
        (&["matrices", "import", "missing.csv"], 1),
        (&["matrices", "export", "nothing"], 1),
        (&["matrices", "list", "--shop", "nobody.myshopify.com"], 1),
        (&["stores", "export", "nobody.myshopify.com"], 1),
    ] {
        assert_eq!(line.run(arguments, "1,1,1").status.code(), Some(code), "{arguments:?}");
    }
    // Two of one name: the command never guesses which one is meant.
    for _ in 0..2 {
        line.succeeds(&["matrices", "import", "-", "--name", "twice", "--new"], "1,1,1");
    }
    for arguments in [
        &["matrices", "export", "twice"][..],
        &["matrices", "assign", "twice", "1"],
        &["matrices", "import", "-", "--into", "twice"],
    ] {
        let refused = line.run(arguments, "1,1,2");
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && told.contains("name one by its id"), "{arguments:?}: {told}");
    }
    line.succeeds(&["stores", "add", "second.myshopify.com"], "");
    assert_eq!(line.run(&["matrices", "list"], "").status.code(), Some(2), "which store is meant?");
    line.succeeds(&["matrices", "list", "--shop", "second.myshopify.com"], "");
}

#[test]
fn the_command_line_previews_in_words_what_json_says() {
    let line = CommandLine::new();
    let csv = "Preisliste\nBreite (cm);20;40\n30;10,00;25,50\n60;15,00;0,00\n";
    let text = line.succeeds(&["matrices", "import", "-", "--preview", "--zero", "free"], csv);
    for told in [
        "grid layout, 2 of 2 lines are good: 2 widths x 2 heights",
        "fields between semicolons, decimals behind a comma, 1 line above the list left out",
        "widths 300 to 600 mm, down the side, converted from cm",
        "heights 200 to 400 mm, along the top, converted from cm",
        "prices 0.00 (600 x 400) to 25.50 (300 x 400) in EUR",
        "sold for nothing (1): 600 x 400",
        "prices that fall (2): 600 x 400 at 0.00 costs less than 300 x 400 at 25.50",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let refused = line.run(&["matrices", "import", "-", "--name", "m"], csv);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && told.contains("a price of 0 for 600 x 400"), "{told}");
    let made = line.succeeds(&["matrices", "import", "-", "--name", "m", "--zero", "free"], csv);
    assert!(made.contains("sold for nothing (1): 600 x 400"), "{made}");
    let doctor = line.json(&["doctor"], "");
    assert_eq!((&doctor["zeroPrices"][0]["matrix"], &doctor["zeroPrices"][0]["sizes"]), (&json!("m"), &json!(1)));
    let doctor = line.succeeds(&["doctor"], "");
    assert!(doctor.contains("\"m\" at panes.myshopify.com has 1 size that is sold for nothing"), "{doctor}");

    let changed =
        line.succeeds(&["matrices", "import", "-", "--into", "m", "--preview"], "h/w,300,600\n200,11,15\n400,20,-");
    assert!(
        changed.contains("prices that change, the largest first (3): 300 x 400 25.50 \u{2192} 20.00; "),
        "{changed}"
    );
    assert!(changed.contains("600 x 400 0.00 \u{2192} not offered"), "{changed}");
}

#[test]
fn a_second_list_of_a_name_asks_what_is_meant() {
    let line = CommandLine::new();
    line.succeeds(&["matrices", "import", "-", "--name", "m"], "1,1,1");
    let refused = line.run(&["matrices", "import", "-", "--name", "m"], "1,1,2");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && told.contains("--into \"m\"") && told.contains("--new"), "{told}");
    assert_eq!(
        line.succeeds(&["matrices", "export", "m"], ""),
        "width,height,price\n1,1,1.00\n",
        "nothing was written"
    );
    let preview = line.succeeds(&["matrices", "import", "-", "--name", "m", "--preview"], "1,1,2");
    assert!(preview.contains("import with --into or --new"), "{preview}");
    line.succeeds(&["matrices", "import", "-", "--into", "m"], "1,1,2");
    line.succeeds(&["matrices", "import", "-", "--name", "m", "--new"], "1,1,3");
    assert_eq!(line.json(&["matrices", "list"], "")["matrices"].as_array().map(Vec::len), Some(2));
    assert_eq!(line.run(&["matrices", "import", "-", "--into", "m", "--new"], "1,1,3").status.code(), Some(2));
}

/// A reader who has started the development server before has its demo store alongside the new one.
#[test]
fn the_handbook_names_the_shop_in_each_command_that_asks_for_one() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/getting_started.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let section = page.split("## From nothing to a priced size\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let commands = section.expect("the section").lines().filter(|line| {
        ["matrices", "orders", "quote"].iter().any(|name| line.starts_with(&format!("quotegrid {name} ")))
    });
    let commands: Vec<&str> = commands.collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in commands {
        assert!(command.contains(" --shop my-shop.myshopify.com"), "{command}");
    }
}
