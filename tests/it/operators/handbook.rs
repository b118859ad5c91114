//! The handbook (`src/docs`) and the README held against the program: examples run as they are printed, commands, settings with
//! their defaults, and links.

use crate::support::command::{PROGRAM, program};
use crate::support::waiting::wait_until;
use quotegrid::http::{Headers, Method, Request};
use quotegrid::testing::Fixture;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The example in `language`, and what runs it; `None` where this machine lacks it.
fn example(language: &str, program: &str) -> Option<String> {
    let page = text("src/docs/embedding.md");
    let example = page.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("\n```").next());
    let example = example.unwrap_or_else(|| panic!("an example in {language}")).to_owned();
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    found.then_some(example)
}

fn try_out(language: &str, program: &str, file: &str) {
    let Some(example) = example(language, program) else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let script = directory.path().join(file);
    fs::write(&script, example).expect("written");
    let binary = Path::new(PROGRAM).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a search path");
    let output = Command::new(program)
        .args((program == "bash").then_some("-e"))
        .arg(&script)
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("QUOTEGRID_LOG", "error")
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{language}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_shell_example_runs_as_printed() {
    if Command::new("curl").arg("--version").output().is_ok() {
        try_out("bash", "bash", "example.sh");
    }
}

#[test]
fn the_node_example_runs_as_printed() {
    try_out("js", "node", "example.mjs");
}

#[test]
fn the_python_example_runs_as_printed() {
    try_out("python", "python3", "example.py");
}

/// The same body under the same topic is a repetition where nothing else tells them apart, and a second erasure would not be done.
#[test]
fn every_example_that_signs_a_webhook_gives_it_an_id_of_its_own() {
    for (language, program, fresh) in [("js", "node", "randomUUID()"), ("python", "python3", "uuid.uuid4()")] {
        let Some(example) = example(language, program) else { continue };
        let named = example.split("\"X-Shopify-Webhook-Id\":").nth(1).and_then(|rest| rest.lines().next());
        assert!(named.is_some_and(|value| value.contains(fresh)), "{language}: {named:?}");
    }
}

#[test]
fn every_command_is_named_once() {
    let page = text("src/docs/commands.md");
    let list = page.split("```text\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let lines: Vec<&str> = list.expect("a list of commands").lines().collect();
    let name = |line: &str| line.strip_prefix("quotegrid ")?.split(' ').next().map(str::to_owned);
    let named: BTreeSet<String> = lines.iter().filter_map(|line| name(line)).collect();
    let uses: BTreeSet<&str> = lines.iter().map(|line| line[..27].trim_end()).collect();
    assert_eq!(uses.len(), lines.len(), "one is named twice: {lines:#?}");
    let help = program().arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("commands");
    // A second line of help goes on further right.
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: BTreeSet<String> =
        commands.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect();
    assert_eq!(named, commands);
}

/// What a cell of a table or a bracket in the help begins with: `365` of "365, or 0".
fn first_word(value: &str) -> String {
    value.split([',', ';', ' ', '\n']).next().unwrap_or_default().replace('`', "")
}

/// The settings that `serve` takes, each with its default where it has one.
fn settings_of_serve() -> BTreeMap<String, Option<String>> {
    let mut command = program();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUOTEGRID_")) {
        command.env_remove(name);
    }
    let help = command.args(["serve", "--help"]).output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let setting = |flag: &str| {
        let name = flag.split("[env: ").nth(1)?.split(['=', ']']).next()?.to_owned();
        let default = flag.split("[default: ").nth(1).and_then(|rest| rest.split(']').next()).map(first_word);
        Some((name, default))
    };
    help.split("\n      --").filter_map(setting).collect()
}

#[test]
fn the_settings_page_gives_the_defaults_that_the_help_gives() {
    let page = text("src/docs/settings.md");
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.trim_end_matches('`').to_owned(), first_word(cells.next()?)))
    };
    let rows: BTreeMap<String, String> = page.lines().filter_map(row).collect();
    let settings = settings_of_serve();
    assert!(settings.len() > 30, "the test still finds settings: {settings:?}");
    for (name, default) in settings {
        let given = rows.get(&name).unwrap_or_else(|| panic!("{name} is not on the settings page"));
        match default {
            Some(default) => assert_eq!(given, &default, "{name}"),
            // In words: "none", or where it comes from.
            None => assert!(given.starts_with(|first: char| first.is_alphabetic()), "{name} has no default: {given}"),
        }
    }
}

/// README and handbook: the files that hold links to each other.
fn pages() -> Vec<PathBuf> {
    let pages =
        fs::read_dir(root().join("src/docs")).expect("the handbook").map(|entry| entry.expect("readable").path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|end| end == "md") && !path.ends_with("links.md");
    pages.filter(is_page).chain(["README.md", "ARCHITECTURE.md"].map(|name| root().join(name))).collect()
}

/// A page without its code.
fn prose(path: &Path) -> String {
    let page = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    page.split("```").step_by(2).collect()
}

/// The names by which the headings of a page are linked.
fn anchors(path: &Path) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect::<String>()
    };
    prose(path)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

/// The links that a page defines at its end, by their labels.
fn definitions(prose: &str) -> BTreeMap<&str, &str> {
    let definition = |line: &'_ str| -> Option<(usize, usize)> {
        let end = line.strip_prefix('[')?.find("]: ")? + 1;
        Some((end, end + 3))
    };
    let lines = prose.lines().filter_map(|line| definition(line).map(|(end, target)| (&line[1..end], &line[target..])));
    lines.collect()
}

#[test]
fn every_link_leads_to_a_page_or_a_section_that_is_there() {
    let mut seen = 0;
    for page in pages() {
        let prose = prose(&page);
        let defined = definitions(&prose);
        let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in inline.chain(defined.values().copied()).filter(|target| !target.starts_with("https://")) {
            let (file, section) =
                target.split_once('#').map_or((target, None), |(file, section)| (file, Some(section)));
            let file = if file.is_empty() { page.clone() } else { page.parent().expect("a directory").join(file) };
            assert!(file.exists(), "{}: {target}", page.display());
            if let Some(section) = section {
                assert!(
                    anchors(&file).contains(section),
                    "{}: {target} is not among {:#?}",
                    page.display(),
                    anchors(&file)
                );
            }
            seen += 1;
        }
        for label in prose.split("][").skip(1).filter_map(|rest| rest.split(']').next()) {
            assert!(defined.contains_key(label), "{}: no link is called {label}", page.display());
        }
    }
    assert!(seen > 40, "the test still finds links: {seen}");
}

/// `cargo doc` shows the pages as modules: there each link needs a second target, which rustdoc checks.
#[test]
fn every_link_between_pages_leads_to_the_same_place_in_the_documentation() {
    let links = text("src/docs/links.md");
    let documented = definitions(&links);
    for page in pages().into_iter().filter(|page| page.starts_with(root().join("src"))) {
        let prose = prose(&page);
        for (label, target) in definitions(&prose)
            .into_iter()
            .filter(|(_, target)| !target.starts_with("https://") && !target.starts_with('#'))
        {
            let (file, section) = target.split_once('#').map_or((target, ""), |(file, section)| (file, section));
            let (module, section) = match file.strip_prefix("../../data/deploy") {
                Some(file) => {
                    let kept = file.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == '-').collect();
                    ("deployment".to_owned(), kept)
                }
                None => (file.trim_end_matches(".md").to_owned(), section.to_owned()),
            };
            let separator = if section.is_empty() { "" } else { "#" };
            let expected = format!("crate::docs::{module}{separator}{section}");
            assert_eq!(documented.get(label), Some(&expected.as_str()), "{}: [{label}]", page.display());
        }
    }
}

#[test]
fn every_page_is_in_the_documentation_and_linked_from_the_readme() {
    let (modules, readme) = (text("src/docs/mod.rs"), text("README.md"));
    for page in pages().iter().filter(|page| page.starts_with(root().join("src"))) {
        let name = page.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(
            modules.contains(&format!("page!({}, \"{name}\");", name.trim_end_matches(".md"))),
            "{name} is no module"
        );
        assert!(readme.contains(&format!("(src/docs/{name})")), "the README does not link {name}");
    }
}

#[test]
fn the_readme_is_short() {
    let length = text("README.md").len();
    assert!(length <= 10 * 1024, "{length} bytes: move what is new to a page of src/docs");
}

#[test]
fn the_readme_shows_pictures_that_are_there_and_small_and_in_the_package() {
    let (readme, package) = (text("README.md"), text("Cargo.toml"));
    let shown: BTreeSet<&str> = readme.split("<img src=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let kept = fs::read_dir(root().join("data/pictures")).expect("pictures").map(|entry| entry.expect("readable"));
    let kept: BTreeMap<String, u64> = kept
        .map(|entry| {
            let length = entry.metadata().expect("a file").len();
            (format!("data/pictures/{}", entry.file_name().to_string_lossy()), length)
        })
        .collect();
    assert_eq!(shown, kept.keys().map(String::as_str).collect(), "shown, and kept");
    for (path, length) in kept {
        assert!(length <= 80_000, "{path}: {length} bytes");
    }
    let excluded = package.lines().find(|line| line.starts_with("exclude = ")).expect("what is not shipped");
    assert!(!excluded.contains("pictures"), "{excluded}");
}

/// Outside a checkout cargo does not read its configuration: a reader who builds there needs what it sets.
#[test]
fn the_pages_give_the_flags_that_a_checkout_builds_sqlite_with() {
    let config = text(".cargo/config.toml");
    let flags =
        config.split("LIBSQLITE3_FLAGS = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("the flags");
    for page in ["README.md", "src/docs/operating.md"] {
        assert!(text(page).contains(&format!("LIBSQLITE3_FLAGS=\"{flags}\" \\\n    cargo install --git ")), "{page}");
    }
    assert!(text("src/docs/embedding.md").contains(&format!("LIBSQLITE3_FLAGS = \"{flags}\"")));
    // A program that was built without them has no page at hand: `doctor` says the same.
    let needed = flags.split(' ').next().expect("what erasures need comes first");
    assert!(text("src/findings/server.rs").contains(&format!("LIBSQLITE3_FLAGS={needed} ")));
}

#[test]
fn the_pages_name_the_rust_version_that_the_package_asks_for() {
    let package = text("Cargo.toml");
    let version = package.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a version");
    for page in ["README.md", "src/docs/operating.md", "src/docs/getting_started.md"] {
        assert!(text(page).contains(&format!("Rust {version} or newer")), "{page}");
    }
}

#[test]
fn the_readme_shows_the_price_that_the_demo_store_answers() {
    let readme = text("README.md");
    let path = readme.split("http://127.0.0.1:8080").nth(1).and_then(|rest| rest.split('"').next()).expect("a request");
    let shown = readme.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next()).expect("its answer");
    let fixture = Fixture::new();
    let key = fixture.demo_store().key.key;
    let mut headers = Headers::default();
    headers.push("X-API-Key", key);
    let (path, query) = path.split_once('?').expect("a query");
    let response = fixture.call(Request {
        method: Method::Get,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "r".to_owned(),
    });
    let answer = String::from_utf8(response.body).expect("text");
    let beginning = shown.strip_suffix(" …}").expect("it is cut short");
    assert!(response.status == 200 && answer.starts_with(beginning), "{answer}");
}

#[test]
fn the_order_of_three_sizes_in_the_readme_is_one_that_the_demo_store_takes() {
    let readme = text("README.md");
    let body = readme.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a body");
    let fixture = Fixture::new();
    let mut headers = Headers::default();
    headers.push("X-API-Key", fixture.demo_store().key.key);
    let response = fixture.call(Request {
        method: Method::Post,
        path: "/api/v1/draft-orders".to_owned(),
        query: String::new(),
        headers,
        body: body.as_bytes().to_vec(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "r".to_owned(),
    });
    let answer = response.json_body();
    assert_eq!((response.status, answer["items"].as_array().map(Vec::len)), (201, Some(3)), "{answer}");
}

#[test]
fn the_commands_that_a_development_server_prints_price_order_and_erase() {
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("no curl on this machine: the commands are not tried");
        return;
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (database, hints) = (directory.path().join("dev.db"), directory.path().join("hints"));
    let mut server = super::quotegrid(&database, &["serve", "--dev", "--listen", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&hints).expect("a file"))
        .spawn()
        .expect("the binary runs");
    let mut ready = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut ready).expect("text");
    let printed = || std::fs::read_to_string(&hints).expect("readable");
    wait_until("all hints are printed", || printed().contains("gdpr verify"));
    let printed = printed();
    // The link that lets a person in to the console is none of them.
    let is_command = |line: &&str| !line.starts_with("http");
    let commands = printed.lines().filter_map(|line| line.strip_prefix("  ")).filter(is_command);
    let outputs: Vec<_> = commands.map(|command| Command::new("sh").args(["-c", command]).output()).collect();
    // Before anything can fail.
    server.kill().and_then(|()| server.wait()).expect("our own child");
    let answer = |output: std::io::Result<std::process::Output>| {
        let output = output.expect("a shell");
        assert!(output.status.success(), "{output:?}\n{printed}");
        String::from_utf8(output.stdout).expect("text")
    };
    let answers: Vec<String> = outputs.into_iter().map(answer).collect();
    let expected = [
        "\"price\":",
        "\"checkoutUrl\":",
        "\"label\":\"Hall\"",
        "\"Kitchen, right\",600,250,mm",
        "Shelf, solid oak",
        "demo",
        "\"products\":",
        "200 OK",
    ];
    for (answer, part) in answers.iter().zip(expected) {
        assert!(answer.contains(part), "no {part} in {answer}\n{printed}");
    }
    assert_eq!(answers.len(), 11, "{printed}");
}
