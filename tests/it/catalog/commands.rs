//! What the command line does to the catalog, and that it can do whatever the admin API can.

use super::command_line::CommandLine;
use crate::support::command::program;
use quotegrid::http::router;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::Stdio;

/// Runs a command that is refused; its exit code and what it told.
fn refused(line: &CommandLine, arguments: &[&str]) -> (Option<i32>, String) {
    let output = line.run(arguments, "");
    assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[test]
fn whatever_the_admin_api_does_a_command_does() {
    let commands: BTreeMap<(&str, &str), &str> = [
        (("GET", "/stores"), "stores list"),
        (("POST", "/stores"), "stores add"),
        (("GET", "/stores/{shop}"), "stores show"),
        (("PATCH", "/stores/{shop}"), "stores set"),
        (("DELETE", "/stores/{shop}"), "stores erase"),
        (("GET", "/stores/{shop}/export"), "stores export"),
        (("GET", "/stores/{shop}/keys"), "stores keys x.myshopify.com list"),
        (("POST", "/stores/{shop}/keys"), "stores keys x.myshopify.com issue"),
        (("GET", "/stores/{shop}/keys/{id}"), "stores keys x.myshopify.com list"),
        (("DELETE", "/stores/{shop}/keys/{id}"), "stores keys x.myshopify.com revoke"),
        (("GET", "/stores/{shop}/matrices"), "matrices list"),
        (("POST", "/stores/{shop}/matrices"), "matrices add"),
        (("POST", "/stores/{shop}/matrices/import"), "matrices import"),
        (("PUT", "/stores/{shop}/matrices/{id}/import"), "matrices import"),
        (("GET", "/stores/{shop}/matrices/{id}/export"), "matrices export"),
        (("GET", "/stores/{shop}/matrices/{id}"), "matrices show"),
        // A grid comes from a file.
        (("PUT", "/stores/{shop}/matrices/{id}"), "matrices import"),
        (("PATCH", "/stores/{shop}/matrices/{id}"), "matrices set"),
        (("DELETE", "/stores/{shop}/matrices/{id}"), "matrices delete"),
        (("POST", "/stores/{shop}/matrices/{id}/duplicate"), "matrices duplicate"),
        (("POST", "/stores/{shop}/matrices/{id}/adjust"), "matrices adjust"),
        (("GET", "/stores/{shop}/products"), "products list"),
        (("GET", "/stores/{shop}/products/{productId}"), "products show"),
        (("PATCH", "/stores/{shop}/products/{productId}"), "products set"),
        (("PUT", "/stores/{shop}/products/{productId}/matrix"), "matrices assign"),
        (("DELETE", "/stores/{shop}/products/{productId}/matrix"), "matrices unassign"),
        (("PUT", "/stores/{shop}/products/{productId}/option-groups/{groupId}"), "options assign"),
        (("DELETE", "/stores/{shop}/products/{productId}/option-groups/{groupId}"), "options unassign"),
        (("GET", "/stores/{shop}/option-groups"), "options list"),
        (("POST", "/stores/{shop}/option-groups"), "options add"),
        (("GET", "/stores/{shop}/option-groups/{id}"), "options show"),
        (("PUT", "/stores/{shop}/option-groups/{id}"), "options set"),
        (("DELETE", "/stores/{shop}/option-groups/{id}"), "options delete"),
        (("POST", "/stores/{shop}/option-groups/{id}/duplicate"), "options duplicate"),
        (("GET", "/stores/{shop}/draft-orders"), "orders list"),
        (("GET", "/stores/{shop}/draft-orders.csv"), "orders export"),
        (("GET", "/stores/{shop}/draft-orders/{id}"), "orders show"),
        (("POST", "/stores/{shop}/draft-orders/{id}/cancel"), "orders cancel"),
        (("GET", "/jobs"), "jobs list"),
        (("POST", "/jobs"), "jobs enqueue"),
        (("GET", "/jobs/{id}"), "jobs show"),
        (("POST", "/jobs/{id}/retry"), "jobs retry"),
        (("POST", "/jobs/{id}/cancel"), "jobs cancel"),
        (("POST", "/jobs/run"), "jobs run-next"),
        (("GET", "/gdpr/requests"), "gdpr list"),
        (("GET", "/gdpr/requests/{id}"), "gdpr show"),
        (("GET", "/gdpr/requests/{id}/report"), "gdpr report"),
        (("GET", "/gdpr/verify"), "gdpr verify"),
    ]
    .into();
    for (method, pattern) in router::all() {
        let pattern = pattern.replace("{*", "{");
        let Some(path) = pattern.strip_prefix("/admin/api").filter(|path| *path != "/clock") else { continue };
        // Other surfaces add routes of their own, each with a command: those of the catalog are named here one by one.
        let Some(command) = commands.get(&(method, path)) else {
            assert!(!path.starts_with("/stores"), "no command does what {method} {path} does");
            continue;
        };
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.push("--help");
        let help = program().args(&arguments).output().expect("it runs");
        let text = String::from_utf8(help.stdout).expect("text");
        let last = arguments[arguments.len() - 2];
        let usage = text.lines().find(|line| line.starts_with("Usage: ")).unwrap_or_default();
        assert!(help.status.success() && usage.contains(&format!(" {last} ")), "{method} {path}: {command}: {text}");
    }
}

#[test]
fn whole_option_groups_are_made_changed_assigned_and_deleted() {
    let line = CommandLine::new();
    let choices =
        ["--choice", "None", "--choice", "Oak=5%", "--choice", "Handle = 89.00", "--choice", "Second choice=-2.5"];
    let add = [&["options", "add", "Frame", "--required", "--default", "Oak"][..], &choices].concat();
    let made = line.json(&add, "");
    assert_eq!(
        (&made["name"], &made["requirement"], &made["version"]),
        (&json!("Frame"), &json!("REQUIRED"), &json!(1))
    );
    let shown = |group: &Value| -> Vec<(String, Value, Value, bool)> {
        let choices = group["choices"].as_array().expect("choices").iter();
        let text = |choice: &Value| choice["label"].as_str().expect("a label").to_owned();
        choices
            .map(|choice| {
                (text(choice), choice["amount"].clone(), choice["percent"].clone(), choice["isDefault"] == true)
            })
            .collect()
    };
    let expected = [
        ("None".to_owned(), json!("0.00"), Value::Null, false),
        ("Oak".to_owned(), Value::Null, json!("5"), true),
        ("Handle".to_owned(), json!("89.00"), Value::Null, false),
        ("Second choice".to_owned(), json!("-2.50"), Value::Null, false),
    ];
    assert_eq!(shown(&made), expected);

    // Those of the same label keep their ids, and with them what shoppers have picked.
    let set = [
        "options",
        "set",
        "Frame",
        "--name",
        "Frame colour",
        "--requirement",
        "optional",
        "--choice",
        "Oak=7.5%",
        "--choice",
        "Black",
    ];
    let changed = line.json(&set, "");
    assert_eq!(
        (&changed["name"], &changed["requirement"], &changed["version"]),
        (&json!("Frame colour"), &json!("OPTIONAL"), &json!(2))
    );
    assert_eq!(
        (&changed["choices"][0]["id"], &changed["choices"][0]["percent"]),
        (&made["choices"][1]["id"], &json!("7.5"))
    );
    let changed = line.json(&["options", "set", "Frame colour", "--default", "Black"], "");
    assert_eq!(shown(&changed)[1], ("Black".to_owned(), json!("0.00"), Value::Null, true));

    let assigned = line.json(&["options", "assign", "Frame colour", "1001", "1002"], "");
    assert_eq!(assigned["products"][1]["optionGroups"][0]["name"], "Frame colour");
    let (code, told) = refused(&line, &["options", "delete", "Frame colour"]);
    assert!(code == Some(1) && told.contains("2 products") && told.contains("--confirm"), "{told}");
    line.succeeds(&["options", "unassign", "Frame colour", "1001"], "");
    assert_eq!(line.json(&["products", "list"], "")["products"].as_array().map(Vec::len), Some(1));
    let copy = line.json(&["options", "duplicate", "Frame colour"], "");
    assert_eq!((&copy["name"], &copy["products"]), (&json!("Frame colour (copy)"), &json!(0)));
    line.succeeds(&["options", "delete", "Frame colour", "--confirm"], "");
    assert_eq!(line.json(&["options", "list"], "")["optionGroups"].as_array().map(Vec::len), Some(1));
    assert!(line.succeeds(&["options", "list"], "").contains("Oak (+7.5 %), Black (+0.00 EUR)"));
}

#[test]
fn an_unknown_option_group_is_refused_with_what_to_do() {
    let line = CommandLine::new();
    for (arguments, tells) in [
        (&["--choice", "Oak=five"][..], "percentage such as 5%"),
        (&["--choice", "Oak=5,5"], "Oak=5,5"),
        (&["--choice", "Oak=0.005"], "too many decimals"),
        (&["--choice", "=5"], "label"),
        (&["--choice", "Oak=1", "--choice", "Oak=2"], "label of another choice"),
        (&["--choice", "Oak=1", "--default", "Ash"], "must be the label of a choice"),
        (&[], "--choice"),
    ] {
        let (code, told) = refused(&line, &[&["options", "add", "Frame"], arguments].concat());
        assert!(code == Some(2) && told.contains(tells), "{arguments:?}: {told}");
    }
    for _ in 0..2 {
        line.succeeds(&["options", "add", "twice", "--choice", "x"], "");
    }
    assert!(refused(&line, &["options", "show", "twice"]).1.contains("name one by its id"));
    assert!(refused(&line, &["options", "show", "never"]).1.contains("not found"));
    assert_eq!(refused(&line, &["options", "set", "twice"]).0, Some(2), "nothing is to be changed");
}

#[test]
fn price_matrices_are_adjusted_renamed_limited_copied_and_deleted() {
    let line = CommandLine::new();
    line.json(
        &["matrices", "import", "-", "--name", "Blind"],
        "width,height,price\n300,200,10\n600,200,15.50\n300,400,20\n600,400,-\n",
    );
    let adjust = ["matrices", "adjust", "Blind", "--percent", "4", "--round", "0.05"];
    let preview = line.json(&[&adjust[..], &["--preview"]].concat(), "");
    assert_eq!((&preview["changed"], &preview["version"]), (&json!(3), &json!(1)));
    let done = line.json(&adjust, "");
    assert_eq!((&done["changes"], &done["version"]), (&preview["changes"], &json!(2)));
    assert_eq!(line.json(&["matrices", "show", "Blind"], "")["prices"], json!([["10.40", "16.10"], ["20.80", null]]));
    let text =
        line.succeeds(&["matrices", "adjust", "Blind", "--percent", "-2.5", "--cell", "300x400", "--preview"], "");
    assert!(text.contains("300 x 400  20.80  20.28") && text.contains("nothing was changed"), "{text}");
    for (arguments, tells) in [
        (&["--percent", "4", "--round", "0.95"][..], "such as .95"),
        (&["--percent", "4 %"], "4 %"),
        (&["--percent", "-100"], "more than -100"),
        (&["--percent", "4", "--cell", "301x200"], "301 x 200"),
        (&["--percent", "4", "--cell", "300"], "600x400"),
    ] {
        let (code, told) = refused(&line, &[&["matrices", "adjust", "Blind"], arguments].concat());
        assert!(code == Some(2) && told.contains(tells), "{arguments:?}: {told}");
    }

    line.succeeds(&["matrices", "rename", "Blind", "Roller blind"], "");
    line.succeeds(
        &["matrices", "set", "Roller blind", "--outside", "clamp", "--max-width", "900", "--min-width", "100"],
        "",
    );
    line.succeeds(&["matrices", "set", "Roller blind", "--min-width", "none"], "");
    let shown = line.json(&["matrices", "show", "Roller blind"], "");
    assert_eq!(
        (&shown["outside"], &shown["limits"]["maxWidth"], &shown["limits"]["minWidth"]),
        (&json!("clamp"), &json!(900), &Value::Null)
    );
    assert_eq!(refused(&line, &["matrices", "set", "Roller blind"]).0, Some(2));
    let copy = line.json(&["matrices", "duplicate", "Roller blind"], "");
    line.succeeds(&["matrices", "assign", "Roller blind", "1001", "1002"], "");
    let (code, told) = refused(&line, &["matrices", "delete", "Roller blind"]);
    assert!(
        code == Some(1) && told.contains("2 products") && told.contains("1001") && told.contains("--confirm"),
        "{told}"
    );
    line.succeeds(&["matrices", "unassign", "1001"], "");
    assert_eq!(refused(&line, &["matrices", "unassign", "1002", "1001"]).0, Some(1), "one of them has no price");
    assert_eq!(line.json(&["products", "show", "1002"], "")["matrix"]["name"], "Roller blind", "all or none");
    line.succeeds(&["matrices", "delete", "Roller blind", "--confirm"], "");
    line.succeeds(&["matrices", "delete", copy["id"].as_str().expect("an id")], "");
    line.succeeds(&["matrices", "add", "From a template", "--template", "small"], "");
    assert_eq!(line.json(&["matrices", "list"], "")["matrices"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_store_that_is_added_says_what_it_measures_in_and_its_settings_can_be_changed() {
    let line = CommandLine::new();
    let text = line.succeeds(&["stores", "add", "blinds.myshopify.com", "--unit", "cm"], "");
    assert!(text.starts_with("blinds.myshopify.com is ready: prices in USD, sizes in cm\n"), "{text}");
    let set = ["stores", "set", "panes.myshopify.com"];
    line.succeeds(&["matrices", "import", "-", "--name", "m", "--shop", "panes.myshopify.com"], "30,20,10\n");
    let (code, told) = refused(&line, &[&set[..], &["--currency", "USD"]].concat());
    assert!(code == Some(1) && told.contains("their figures stay") && told.contains("--confirm"), "{told}");
    let done = line.json(&[&set[..], &["--currency", "USD", "--confirm", "--unit", "cm"]].concat(), "");
    assert_eq!((&done["currency"], &done["unit"]), (&json!("USD"), &json!("cm")));
    assert_eq!(refused(&line, &[&set[..], &["--unit", "mm", "--no-convert"]].concat()).0, Some(1));
    assert_eq!(refused(&line, &set).0, Some(2));
}

/// Runs `stores erase` with a terminal for its input, on which a person types.
fn erase_at_a_terminal(line: &CommandLine, arguments: &[&str], typed: &str) -> (bool, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("granted");
    unlockpt(&ours).expect("unlocked");
    let name = ptsname(&ours, Vec::new()).expect("a name").into_string().expect("text");
    let theirs = std::fs::OpenOptions::new().read(true).write(true).open(name).expect("opened");
    let mut ours = std::fs::File::from(ours);
    ours.write_all(typed.as_bytes()).expect("typed");
    let mut child = program()
        .args(["stores", "erase"])
        .args(arguments)
        .env("QUOTEGRID_DATABASE", line.0.path().join("quotegrid.db"))
        .env("QUOTEGRID_LOG", "error")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut told = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut told).expect("text");
    (child.wait().expect("it ends").success(), told)
}

#[test]
fn at_a_terminal_an_erasure_asks_for_the_name_and_scripts_are_not_asked() {
    let line = CommandLine::new();
    let shop = "panes.myshopify.com";
    let jobs = || line.json(&["jobs", "list"], "")["jobs"].as_array().map_or(0, Vec::len);
    for typed in ["yes\n", "\n", "blinds.myshopify.com\n", "\u{4}"] {
        let (done, told) = erase_at_a_terminal(&line, &[shop], typed);
        assert!(
            !done && told.contains("Type the shop's domain") && told.contains("nothing was erased"),
            "{typed:?}: {told}"
        );
    }
    let (done, told) = erase_at_a_terminal(&line, &["nobody.myshopify.com"], "\n");
    assert!(!done && told.contains("not found") && !told.contains("Type"), "{told}");
    assert_eq!(jobs(), 0);
    let (done, told) = erase_at_a_terminal(&line, &[shop], "Panes.myshopify.com\n");
    assert!(done && told.contains("Type the shop's domain"), "{told}");
    assert_eq!(jobs(), 1);
    let (done, told) = erase_at_a_terminal(&line, &[shop, "--yes"], "");
    assert!(done && told.is_empty(), "{told}");
    line.succeeds(&["stores", "erase", shop], "");
}
