//! The README's examples for test suites in other languages, run as they are printed; its commands and its table of contents.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("README.md")
}

/// The example in `language`, and what runs it; `None` where this machine lacks it.
fn example(language: &str, program: &str) -> Option<String> {
    let readme = readme();
    let section = readme.split("## As a test fixture").nth(1).expect("the section");
    let example = section.split(&format!("```{language}\n")).nth(1).and_then(|rest| rest.split("\n```").next());
    let example = example.unwrap_or_else(|| panic!("an example in {language}")).to_owned();
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    found.then_some(example)
}

fn try_out(language: &str, program: &str, file: &str) {
    let Some(example) = example(language, program) else { return };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let script = directory.path().join(file);
    fs::write(&script, example).expect("written");
    let binary = Path::new(env!("CARGO_BIN_EXE_quotegrid")).parent().expect("a directory");
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
    let readme = readme();
    let list = readme.split("### Commands\n\n```text\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let lines: Vec<&str> = list.expect("a list of commands").lines().collect();
    let name = |line: &str| line.strip_prefix("quotegrid ")?.split(' ').next().map(str::to_owned);
    let named: BTreeSet<String> = lines.iter().filter_map(|line| name(line)).collect();
    let uses: BTreeSet<&str> = lines.iter().map(|line| line[..27].trim_end()).collect();
    assert_eq!(uses.len(), lines.len(), "one is named twice: {lines:#?}");
    let help = Command::new(env!("CARGO_BIN_EXE_quotegrid")).arg("--help").output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("commands");
    // What is told in two lines goes on further right.
    let commands = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: BTreeSet<String> =
        commands.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect();
    assert_eq!(named, commands);
}

#[test]
fn the_links_to_sections_lead_to_them() {
    let readme = readme();
    let outside_code: Vec<&str> = readme.split("```").step_by(2).collect();
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect::<String>()
    };
    let lines = outside_code.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with('#'));
    let headings: BTreeSet<String> = lines.map(|line| anchor(line.trim_start_matches('#').trim())).collect();
    let links: Vec<&str> =
        readme.split("](#").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)).collect();
    assert!(links.len() > 15, "{links:?}");
    for link in links {
        assert!(headings.contains(link), "{link} is not among {headings:#?}");
    }
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
    let until = Instant::now() + Duration::from_secs(120);
    while !printed().contains("gdpr verify") && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(10));
    }
    let printed = printed();
    let commands = printed.lines().filter_map(|line| line.strip_prefix("  "));
    let outputs: Vec<_> = commands.map(|command| Command::new("sh").args(["-c", command]).output()).collect();
    // Before anything can fail.
    server.kill().and_then(|()| server.wait()).expect("our own child");
    let answer = |output: std::io::Result<std::process::Output>| {
        let output = output.expect("a shell");
        assert!(output.status.success(), "{output:?}\n{printed}");
        String::from_utf8(output.stdout).expect("text")
    };
    let answers: Vec<String> = outputs.into_iter().map(answer).collect();
    let expected =
        ["\"price\":", "\"checkoutUrl\":", "Shelf, solid oak", "demo", "\"products\":", "200 OK"].into_iter();
    for (answer, part) in answers.iter().zip(expected) {
        assert!(answer.contains(part), "no {part} in {answer}\n{printed}");
    }
    assert_eq!(answers.len(), 9, "{printed}");
}
