//! The systemd units in `data/deploy`: what they start works with the settings they set, and systemd itself, where there is one,
//! finds nothing wrong with them.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::command::PROGRAM;

/// The files in `data/deploy`, by name, each with its text.
fn deployed() -> BTreeMap<String, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/deploy");
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("readable");
        let text = fs::read_to_string(entry.path()).expect("text");
        (entry.file_name().into_string().expect("a name in UTF-8"), text)
    };
    fs::read_dir(directory).expect("the directory").map(file).collect()
}

/// The systemd units among them.
fn units() -> BTreeMap<String, String> {
    let is_unit = |name: &str| name.ends_with(".service") || name.ends_with(".timer");
    deployed().into_iter().filter(|(name, _)| is_unit(name)).collect()
}

/// A machine's directories, in one.
struct Machine {
    directory: tempfile::TempDir,
    units: BTreeMap<String, String>,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for name in ["state", "backups", "credentials"] {
            fs::create_dir(directory.path().join(name)).expect("made");
        }
        Self { directory, units: units() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The values of a setting of a unit, with this machine's paths in the places of those of the unit.
    fn values(&self, unit: &str, key: &str) -> Vec<String> {
        let lines = self.units[unit].lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let here = |name: &str| self.path(name).display().to_string();
        let value = |line: &str| {
            line.replace("/usr/local/bin/quotegrid", PROGRAM)
                .replace("/var/lib/quotegrid", &here("state"))
                .replace("/var/backups/quotegrid", &here("backups"))
                .replace("%d", &here("credentials"))
                .replace("%%", "\0")
                .replace("%i", "quotegrid-doctor")
                .replace("%H", "a-host")
                .replace('\0', "%")
        };
        lines.map(value).collect()
    }

    /// The command that a unit runs, with the credentials and the environment it sets, and nothing of this process's settings.
    fn command(&self, unit: &str) -> Command {
        let line = self.values(unit, "ExecStart").remove(0);
        // systemd takes one level of backslashes away.
        let words: Vec<String> = match line.strip_prefix("/bin/sh -c '").and_then(|rest| rest.strip_suffix('\'')) {
            Some(script) => vec!["/bin/sh".to_owned(), "-c".to_owned(), script.replace("\\\\", "\\")],
            None => line.split(' ').map(str::to_owned).collect(),
        };
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("CREDENTIALS_DIRECTORY", self.path("credentials"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("QUOTEGRID_")) {
            command.env_remove(name);
        }
        for setting in self.values(unit, "Environment") {
            let (name, value) = setting.split_once('=').expect("a name and a value");
            command.env(name, value);
        }
        command
    }

    /// Writes the credentials that a unit loads.
    fn write_credentials(&self, unit: &str, content: impl Fn(&str) -> String) {
        for credential in self.values(unit, "LoadCredential") {
            let name = credential.split(':').next().expect("a name");
            fs::write(self.path("credentials").join(name), content(name)).expect("written");
        }
    }
}

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _gone_already = self.0.wait();
    }
}

#[test]
fn what_the_units_start_works_with_the_settings_they_set() {
    let machine = Machine::new();
    machine.write_credentials("quotegrid.service", |name| match name {
        "alert-url" => String::new(),
        name => format!("the-secret-of-{name}\n"),
    });
    let mut serve = machine.command("quotegrid.service");
    // Others may have the port.
    serve.env("QUOTEGRID_LISTEN", "127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Server(serve.spawn().expect("it runs"));
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
    let url = line.trim_end().strip_prefix("quotegrid listening on ").expect("it listens").to_owned();
    assert!(machine.path("state/quotegrid.db").exists());
    let sent = Command::new(PROGRAM)
        .args(["webhook", "send", "shop/redact", "--shop", "a.myshopify.com", "--url", &format!("{url}/webhooks")])
        .arg("--secret-file")
        .arg(machine.path("credentials/shopify-api-secret"))
        .output()
        .expect("it runs");
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));

    for unit in ["quotegrid-doctor.service", "quotegrid-backup.service"] {
        let output = machine.command(unit).output().expect("it runs");
        assert!(output.status.success(), "{unit}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let backups: Vec<_> = fs::read_dir(machine.path("backups")).expect("readable").collect();
    let name = backups[0].as_ref().expect("readable").file_name();
    let weekday = name.to_str().and_then(|name| name.strip_suffix(".db")?.parse::<u8>().ok());
    assert!(backups.len() == 1 && weekday.is_some_and(|day| (1..=7).contains(&day)), "{name:?}");
}

#[test]
fn the_settings_in_the_units_are_settings_of_this_program() {
    let help = Command::new(PROGRAM).args(["serve", "--help"]).output().expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let units = units();
    assert_eq!(units.len(), 7, "{:?}", units.keys());
    for text in units.values() {
        for setting in text.lines().filter_map(|line| line.strip_prefix("Environment=")) {
            let name = setting.split('=').next().unwrap_or_default();
            assert!(help.contains(&format!("[env: {name}")), "{setting}");
        }
    }
}

/// The documentation shows each file, and a reader who has no checkout copies it from there.
#[test]
fn every_file_names_the_place_it_belongs_in_and_is_shown_in_the_documentation() {
    let shown =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/docs/mod.rs")).expect("src/docs/mod.rs");
    for (name, text) in deployed() {
        let place = text.lines().next().and_then(|line| line.strip_prefix("# /etc/")).unwrap_or_default();
        // nginx reads every file of a directory: there it has this program's name.
        let installed = name.replace("nginx", "quotegrid");
        assert!(place.ends_with(&format!("/{installed}")), "{name}: {place}");
        assert!(
            shown.contains(&format!("include_str!(\"../../data/deploy/{name}\")")),
            "{name} is not in src/docs/mod.rs"
        );
    }
}

#[test]
fn a_failed_unit_is_reported_to_the_address_for_alerts() {
    if !Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return;
    }
    let machine = Machine::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    machine.write_credentials("quotegrid-alarm@.service", |_name| format!("http://{address}/hook?key=1\n"));
    let mut command = machine.command("quotegrid-alarm@.service");
    assert!(!format!("{command:?}").contains("hook"), "the address shows in ps");
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        while !text.contains("journalctl") {
            let length = stream.read(&mut buffer).expect("readable");
            assert!(length > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("answered");
        text
    });
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let request = receiver.join().expect("received");
    assert!(request.starts_with("POST /hook?key=1 "), "{request}");
    let body = request.split_once("\r\n\r\n").expect("a body").1;
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["text"], "quotegrid-doctor has failed on a-host, see journalctl -u quotegrid-doctor");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return;
    }
    let machine = Machine::new();
    let directory = machine.path("units");
    fs::create_dir(&directory).expect("made");
    for (name, text) in &machine.units {
        fs::write(directory.join(name), text.replace("/usr/local/bin/quotegrid", PROGRAM)).expect("written");
    }
    let paths = machine.units.keys().filter(|name| !name.contains('@')).map(|name| directory.join(name));
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(paths).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    // Of other units it may have something to say.
    let about_ours: Vec<&str> =
        told.lines().filter(|line| line.contains("quotegrid") || line.contains("litestream")).collect();
    assert!(about_ours.is_empty(), "{told}");
}
