//! The notices of what is compiled in, `data/third-party-notices.txt`: made from what cargo knows, and held against it here. After a
//! change of dependencies `QUOTEGRID_WRITE_NOTICES=1 cargo test --test it notices` writes the file anew.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The platform whose crates are listed: that of the documented installation.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

struct Crate {
    title: String,
    directory: String,
}

#[test]
fn every_crate_that_is_compiled_in_has_its_notice() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/third-party-notices.txt");
    let expected = notices(&crates_compiled_in());
    if std::env::var_os("QUOTEGRID_WRITE_NOTICES").is_some() {
        fs::write(&file, &expected).expect("written");
    }
    let found = fs::read_to_string(&file).expect("readable");
    assert!(
        found == expected,
        "data/third-party-notices.txt is not what Cargo.lock asks for: write it anew with QUOTEGRID_WRITE_NOTICES=1"
    );
}

/// The crates that reach the binary: normal dependencies of the package and of those, not what only builds or tests need.
fn crates_compiled_in() -> Vec<Crate> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", PLATFORM])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a list");
    let node = |id: &str| nodes.iter().find(|node| node["id"] == id).expect("a node for each id");
    let root = metadata["resolve"]["root"].as_str().expect("an id");
    let (mut seen, mut open) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(id) = open.pop() {
        for dependency in node(&id)["deps"].as_array().expect("a list") {
            let kinds = dependency["dep_kinds"].as_array().expect("a list");
            let package = dependency["pkg"].as_str().expect("an id");
            if kinds.iter().any(|kind| kind["kind"].is_null()) && seen.insert(package.to_owned()) {
                open.push(package.to_owned());
            }
        }
    }
    let packages = metadata["packages"].as_array().expect("a list");
    let text = |package: &Value, member: &str| package[member].as_str().unwrap_or("not said").to_owned();
    let compiled_in = packages.iter().filter(|package| seen.contains(package["id"].as_str().expect("an id")));
    let mut crates: Vec<Crate> = compiled_in
        .map(|package| Crate {
            title: format!("{} {}: {}", text(package, "name"), text(package, "version"), text(package, "license")),
            directory: Path::new(&text(package, "manifest_path")).parent().expect("a directory").display().to_string(),
        })
        .collect();
    crates.sort_by(|one, other| one.title.cmp(&other.title));
    crates
}

/// The list, and each text of a licence once, with those it belongs to.
fn notices(crates: &[Crate]) -> String {
    let mut texts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for found in crates {
        for text in licence_texts(Path::new(&found.directory)) {
            texts.entry(text).or_default().push(&found.title);
        }
    }
    let mut notices =
        "quotegrid is compiled from its own source and from these crates, each with its licence. SQLite, compiled in by
libsqlite3-sys, is in the public domain. The texts of the licences follow, each once.

"
        .to_owned();
    for found in crates {
        writeln!(notices, "{}", found.title).expect("memory");
    }
    let mut texts: Vec<(String, Vec<&str>)> = texts.into_iter().collect();
    texts.sort_by(|(_, one), (_, other)| one.cmp(other));
    for (text, titles) in texts {
        write!(notices, "\n{}\nOf {}\n\n{text}\n", "-".repeat(80), titles.join(", ")).expect("memory");
    }
    notices
}

/// The files of a crate that say under which licence it is, with plain ends of lines. Of a choice the short text is taken: most crates
/// may be used under MIT's, and Apache's is in the others.
fn licence_texts(directory: &Path) -> Vec<String> {
    let mut names: Vec<PathBuf> = fs::read_dir(directory)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().to_ascii_uppercase();
            path.is_file()
                && ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"].iter().any(|of| name.starts_with(of))
        })
        .collect();
    names.sort();
    let is_long = |path: &PathBuf| path.to_string_lossy().to_ascii_uppercase().ends_with("APACHE");
    if names.len() > 1 && !names.iter().all(is_long) {
        names.retain(|path| !is_long(path));
    }
    let plain = |text: String| {
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        lines.join("\n").trim().to_owned()
    };
    names.iter().map(|path| plain(fs::read_to_string(path).expect("text"))).filter(|text| !text.is_empty()).collect()
}
