//! The direction of the code, written as absences, and the documents held against the code. Each rule's reason is in
//! ARCHITECTURE.md.

use crate::support::command::PROGRAM;
use crate::support::files::contains;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `place`, as a path from the root with its code: comments and tests at the end of a file left out.
fn code_below(place: &str) -> Vec<(String, String)> {
    let place = root().join(place);
    let files = if place.is_dir() { files_below(&place) } else { vec![place] };
    let code = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a readable file");
        let text = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        (relative(&path), lines.collect::<Vec<_>>().join("\n"))
    };
    let is_code = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs");
    files.into_iter().filter(is_code).map(code).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
}

/// Whether `word` is in `code` with no letter, digit or underscore alongside it.
fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_part) && !code[at + word.len()..].starts_with(is_part))
}

#[track_caller]
fn assert_absent(places: &[&str], words: &[&str]) {
    for place in places {
        for (path, code) in code_below(place) {
            for word in words {
                assert!(!has_word(&code, word), "{path} names {word}");
            }
        }
    }
}

/// Files below `src/` other than `allowed` that name `word`.
#[track_caller]
fn assert_only_in(word: &str, allowed: &[&str]) {
    for (path, code) in code_below("src") {
        if !allowed.iter().any(|allowed| path.starts_with(allowed)) {
            assert!(!has_word(&code, word), "{path} names {word}, which only {allowed:?} may");
        }
    }
}

#[test]
fn domain_knows_nothing_of_sql_time_logs_or_http() {
    assert_absent(
        &["src/domain"],
        &["rusqlite", "crate::db", "log", "crate::http", "crate::queue", "Utc::now", "Instant", "SystemTime"],
    );
}

#[test]
fn shopify_turns_wire_formats_into_values_and_knows_no_database() {
    assert_absent(&["src/shopify"], &["rusqlite", "crate::db", "crate::queue", "crate::erasure", "crate::catalog"]);
}

#[test]
fn the_queue_knows_nothing_of_what_its_jobs_are_about() {
    // An atomic's `store` is none of those meant.
    assert_absent(
        &["src/queue"],
        &["gdpr", "shop", "shops", "stores", "webhook", "webhooks", "erasure", "catalog", "orders", "crate::http"],
    );
}

/// The modules of this crate from the top down. A module imports from lower layers only: nothing from above it, nothing from
/// its own layer.
const LAYERS: &[&[&str]] = &[
    &["main", "docs"],
    &["cli"],
    &["config"],
    &["edge", "testing"],
    &["http"],
    &["findings"],
    &["backup", "demo"],
    &["app"],
    &["housekeeping"],
    &["export", "alerts", "workshop"],
    &["views", "intake"],
    &["erasure"],
    &["orders"],
    &["pricing"],
    &["catalog"],
    &["queue", "disk", "access", "activity"],
    &["error", "keyed_hash"],
    &["shopify", "db"],
    &["domain", "languages", "metrics", "clock", "entropy", "secret", "background", "failpoints", "log_limit"],
];

/// The module that a file is, as its path in this crate: `src/http/guard/mod.rs` is `http::guard`.
fn module_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")).expect("a Rust file of src");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner.split('/').map(str::to_owned).collect()
}

/// The paths that `text` begins with, one for each branch of its braces.
fn branches(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inner) = text.strip_prefix('{') {
        let (mut depth, mut from, mut found) = (0_usize, 0, Vec::new());
        for (at, c) in inner.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    found.extend(branches(&inner[from..at]));
                    from = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
        return found;
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return Vec::new();
    }
    let Some(rest) = rest.strip_prefix("::") else { return vec![vec![name.to_owned()]] };
    let mut below = branches(rest);
    if below.is_empty() {
        below.push(Vec::new());
    }
    below.into_iter().map(|path| [vec![name.to_owned()], path].concat()).collect()
}

/// Every path that `code` of the module `own` takes from this crate, as it is from the crate's root.
fn imports(own: &[String], code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate", "quotegrid", "super"] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            let before = &code[..at];
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') || before.ends_with("super::") {
                continue;
            }
            let (mut base, mut rest) = match root {
                "super" => (own.to_vec(), &code[at..]),
                _ => (Vec::new(), &code[at + root.len() + 2..]),
            };
            while let Some(after) = rest.strip_prefix("super::") {
                base.pop();
                rest = after;
            }
            found.extend(branches(rest).into_iter().map(|path| [base.clone(), path].concat()));
        }
    }
    found
}

#[test]
fn imports_of_every_form_are_read() {
    let own = ["a", "b"].map(str::to_owned);
    let read = |code: &str| imports(&own, code).iter().map(|path| path.join("::")).collect::<Vec<_>>();
    assert_eq!(read("use crate::x::{self, y::Z, w::{A, B}};"), ["x::self", "x::y::Z", "x::w::A", "x::w::B"]);
    assert_eq!(read("use crate::{x, y::Z};"), ["x", "y::Z"]);
    assert_eq!(read("crate::x::call(1); quotegrid::cli::run()"), ["x::call", "cli::run"]);
    assert_eq!(read("use super::c::D; use super::super::e;"), ["a::c::D", "e"]);
    assert_eq!(read("use super::{c, Thing};"), ["a::c", "a::Thing"]);
}

#[test]
fn imports_go_down_the_layers_only() {
    let layer = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let mut wrong = BTreeSet::new();
    for (path, code) in code_below("src") {
        let own = module_of(&path);
        if own[0] == "lib" {
            continue;
        }
        let from = layer(&own[0]).unwrap_or_else(|| panic!("{path} is in no layer"));
        for import in imports(&own, &code) {
            // Macros and items at the root are no module's.
            if let Some(to) = layer(&import[0])
                && import[0] != own[0]
                && to <= from
            {
                wrong.insert(format!("{path} imports {}", import.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "against the direction: {wrong:#?}");
}

#[test]
fn every_module_of_the_crate_has_its_layer() {
    let root = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let modules = root.lines().filter_map(|line| line.split("mod ").nth(1)?.strip_suffix(';'));
    let layered: BTreeSet<&str> = LAYERS.iter().flat_map(|layer| layer.iter().copied()).collect();
    let found: BTreeSet<&str> = modules.chain(["main"]).collect();
    assert_eq!(layered, found);
}

/// What a file takes from a folder it is in, and a folder's own file from what is in it, is not counted: the one declares the
/// other.
#[test]
fn no_files_import_each_other_in_a_circle() {
    let files = code_below("src");
    let modules: BTreeSet<Vec<String>> = files.iter().map(|(path, _)| module_of(path)).collect();
    let mut arrows: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for (path, code) in &files {
        let own = module_of(path);
        for import in imports(&own, code) {
            let Some(length) = (1..=import.len()).rev().find(|length| modules.contains(&import[..*length])) else {
                continue;
            };
            let to = &import[..length];
            if !own.starts_with(to) && !to.starts_with(&own) {
                arrows.entry(own.clone()).or_default().insert(to.to_vec());
            }
        }
    }
    let mut circles = BTreeSet::new();
    for start in arrows.keys() {
        let (mut seen, mut ahead) = (BTreeSet::new(), vec![start]);
        while let Some(part) = ahead.pop() {
            for next in arrows.get(part).into_iter().flatten() {
                if next == start {
                    circles.insert(format!("{} through {}", start.join("::"), part.join("::")));
                } else if seen.insert(next) {
                    ahead.push(next);
                }
            }
        }
    }
    assert!(circles.is_empty(), "in a circle: {circles:#?}");
}

#[test]
fn the_command_line_is_read_above_http_only() {
    assert_absent(
        &["src/http", "src/edge", "src/intake", "src/erasure", "src/catalog", "src/orders", "src/queue"],
        &["clap"],
    );
}

#[test]
fn the_edge_knows_no_route_shop_or_table_and_http_knows_no_socket() {
    assert_absent(
        &["src/edge"],
        &["rusqlite", "crate::db", "crate::catalog", "crate::app", "crate::http::router", "shop", "Shop"],
    );
    assert_absent(&["src/http"], &["TcpListener", "TcpStream", "UnixStream", "mio", "crate::edge"]);
}

#[test]
fn there_is_no_sql_in_surfaces_and_rules() {
    for place in ["src/http", "src/cli", "src/domain", "src/shopify"] {
        for (path, code) in code_below(place) {
            for verb in ["SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "PRAGMA "] {
                assert!(!code.contains(verb), "{path} has SQL: {verb}");
            }
        }
    }
}

#[test]
fn each_table_is_written_by_one_feature() {
    for (table, owner) in [
        ("job_queue", "src/queue"),
        ("job_attempts", "src/queue"),
        ("paused_job_types", "src/queue"),
        ("gdpr_requests", "src/erasure"),
        ("erasure_receipts", "src/erasure"),
        ("other_webhook_deliveries", "src/intake"),
        ("stores", "src/catalog"),
        ("api_keys", "src/catalog"),
        ("price_matrices", "src/catalog"),
        ("breakpoints", "src/catalog"),
        ("matrix_cells", "src/catalog"),
        ("product_matrices", "src/catalog"),
        ("option_groups", "src/catalog"),
        ("option_choices", "src/catalog"),
        ("product_option_groups", "src/catalog"),
        ("product_settings", "src/catalog"),
        ("draft_order_records", "src/orders"),
        ("draft_order_lines", "src/orders"),
        ("order_idempotency_keys", "src/orders"),
        ("meta", "src/keyed_hash.rs src/access"),
        ("admin_links", "src/access"),
        ("admin_sessions", "src/access"),
        ("audit_log", "src/access"),
        ("activity_counts", "src/activity.rs"),
        ("raised_alerts", "src/alerts"),
    ] {
        for (path, code) in code_below("src") {
            let statements = ["INSERT INTO ", "UPDATE ", "DELETE FROM "].map(|verb| format!("{verb}{table}"));
            let writes = statements.iter().any(|statement| has_word(&code, statement));
            assert!(
                !writes || owner.split(' ').any(|owner| path.starts_with(owner)),
                "{path} writes {table}, which is {owner}'s"
            );
        }
    }
}

#[test]
fn what_stands_in_one_place_only() {
    assert_only_in("tiny_http", &["src/edge/"]);
    assert_only_in("env::var", &["src/config.rs"]);
    assert_only_in("env::var_os", &["src/config.rs"]);
    assert_only_in("Utc::now", &["src/clock.rs"]);
    assert_only_in("SystemTime::now", &["src/clock.rs"]);
    assert_only_in("getrandom", &["src/entropy.rs"]);
    assert_only_in("now_v7", &[]);
    // parking_lot's locks are not poisoned.
    assert_only_in("PoisonError", &[]);
    assert_only_in("std::sync::Mutex", &[]);
    // By way of ours, which is nothing in a release build.
    assert_only_in("fail::fail_point", &["src/failpoints.rs"]);
    // Closing a descriptor of the database file drops SQLite's locks: its bytes are read by a process of its own. The others open
    // lock files, a directory to make its names durable, copies that were cut off, the WAL, which SQLite locks nothing of,
    // /dev/null, and price lists and secrets that people name.
    let openers = [
        "src/erasure/scan.rs",
        "src/db/wal_reader.rs",
        "src/db/wal_sync.rs",
        "src/db/wal_room.rs",
        "src/queue/lease.rs",
        "src/db/exclusive.rs",
        "src/db/files.rs",
        "src/backup/unfinished.rs",
        "src/edge/frontend/descriptors.rs",
        "src/config/file.rs",
    ];
    assert_only_in("File::open", &openers);
    assert_only_in(
        "erasure",
        &[
            "src/erasure",
            "src/intake",
            "src/app.rs",
            "src/findings",
            "src/backup",
            "src/housekeeping.rs",
            "src/alerts",
            "src/views",
            "src/export.rs",
            "src/http",
            "src/cli",
            "src/lib.rs",
        ],
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "looks at a release build")]
fn a_release_build_has_no_failpoints_whatever_it_was_built_for() {
    let program = fs::read(PROGRAM).expect("the program");
    for word in ["QUOTEGRID_KILL_AT", "QUOTEGRID_HOLD_AT", "db::before_commit", "queue::claimed"] {
        assert!(!contains(&program, word), "{word}");
    }
}

fn architecture_page() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md")
}

#[test]
fn the_map_in_the_architecture_page_names_what_is_at_the_top_of_the_source_tree() {
    let page = architecture_page();
    let section = page.split("## Where things are\n").nth(1).expect("the section");
    let map = section.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a map");
    // The names at the beginning of a line; what follows two blanks is about them.
    let names = |line: &str| -> Vec<String> {
        let names = line.split("  ").next().unwrap_or_default().split(", ");
        names.map(|name| name.trim_end_matches('/').to_owned()).collect()
    };
    let mapped: Vec<String> = map.lines().flat_map(names).collect();
    let listed: BTreeSet<String> = mapped.iter().cloned().collect();
    assert_eq!(listed.len(), mapped.len(), "one is named twice: {mapped:#?}");
    let entries = fs::read_dir(root().join("src")).expect("src").map(|entry| entry.expect("readable").path());
    let present: BTreeSet<String> = entries.map(|path| relative(&path)).collect();
    let missing: Vec<_> = present.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&present).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not on the map: {missing:?}; on it and not there: {gone:?}");
    assert!(map.lines().count() <= 30, "a map for the first minute: put small neighbours on one line");
}

/// The map stops at folders, so each file says for itself what it owns.
#[test]
fn every_source_file_begins_by_saying_what_it_is() {
    for path in files_below(&root().join("src")).iter().filter(|path| path.extension().is_some_and(|end| end == "rs")) {
        let text = fs::read_to_string(path).expect("a readable file");
        assert!(text.starts_with("//! "), "{} does not begin with a line that says what it owns", relative(path));
    }
}

#[test]
fn every_file_that_the_architecture_page_names_is_there() {
    let page = architecture_page();
    let outside_code: String = page.split("```").step_by(2).collect();
    let named: Vec<&str> = outside_code.split('`').skip(1).step_by(2).filter(|name| name.contains('/')).collect();
    let named: Vec<&str> =
        named.into_iter().filter(|name| !name.contains(|c: char| c.is_whitespace() || c == '*')).collect();
    let exists = |name: &str| root().join(name).exists() || root().join("src").join(name).exists();
    // Topics of Shopify and paths of the API look alike.
    let missing: Vec<_> =
        named.iter().filter(|name| !exists(name) && !name.starts_with('/') && **name != "shop/redact").collect();
    assert!(named.len() > 20, "the test still finds names: {named:?}");
    assert!(missing.is_empty(), "named and not there: {missing:?}");
}

#[test]
fn the_readme_opens_with_the_two_commands_and_ci_runs_the_second() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let blocks: Vec<&str> = readme.split("```").skip(1).step_by(2).take(1).collect();
    let commands: Vec<&str> =
        blocks[0].lines().skip(1).map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    assert_eq!(commands[..2], ["cargo run --release -- serve --dev", "cargo test --locked"]);
    let ci = fs::read_to_string(root().join(".ci/run")).expect(".ci/run");
    assert!(ci.lines().any(|line| line.trim() == commands[1]), "the gate runs what the README says");
}

#[test]
fn every_setting_is_on_the_settings_page() {
    let page = fs::read_to_string(root().join("src/docs/settings.md")).expect("the settings page");
    let config = [code_below("src/config.rs"), code_below("src/config")].concat();
    let variables = config.iter().flat_map(|(_, code)| code.split("env = \"").skip(1));
    let settings: BTreeSet<&str> = variables.filter_map(|rest| rest.split('"').next()).collect();
    assert!(settings.len() > 5, "the test still finds settings");
    let missing: Vec<_> =
        settings.into_iter().filter(|setting| !page.contains(&format!("\n| `{setting}` |"))).collect();
    assert!(missing.is_empty(), "not in src/docs/settings.md: {missing:?}");
}

#[test]
fn every_metric_is_on_the_metrics_page() {
    let page = fs::read_to_string(root().join("src/docs/metrics.md")).expect("the metrics page");
    let code: String =
        [code_below("src/metrics.rs"), code_below("src/metrics")].concat().into_iter().map(|(_, code)| code).collect();
    let calls = ["registry.register(", "page.gauge(", "page.gauges(", "page.counter(", "page.counters("];
    let named = |call| code.split(call).skip(1).filter_map(|rest| rest.split('"').nth(1));
    let registered: BTreeSet<&str> = calls.into_iter().flat_map(named).collect();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `quotegrid_")?.split('`').next());
    let listed: BTreeSet<&str> = rows.map(|name| name.trim_end_matches("_total")).collect();
    assert!(registered.len() > 20, "the test still finds metrics: {registered:?}");
    assert_eq!(registered, listed);
}
