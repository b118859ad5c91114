//! Names, mounts, owners and modes of the files, through the real binary.

use super::size_of;
use crate::support::command::{PROGRAM, program};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// A user who is not root and owns nothing else.
const SERVER: u32 = 54_321;

fn command(directory: &Path, database: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command.current_dir(directory).args(["--database", database]).args(arguments).env("QUOTEGRID_LOG", "warn");
    command
}

fn run(directory: &Path, database: &str, arguments: &[&str]) -> Output {
    command(directory, database, arguments).output().expect("it runs")
}

#[track_caller]
fn succeeds(directory: &Path, database: &str, arguments: &[&str]) -> String {
    let output = run(directory, database, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn doctor_says(directory: &Path, database: &str, words: &[&str]) {
    let output = run(directory, database, &["doctor"]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    for word in words {
        assert!(told.contains(word), "{word}: {told}");
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("listed").map(|entry| entry.expect("listed").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_path_is_taken_literally_whatever_it_begins_with() {
    for name in ["file:test.db", "file:test.db?mode=memory", "-test.db", ":memory:", "--json"] {
        let directory = directory();
        let directory = directory.path();
        succeeds(directory, name, &["stores", "add", "literal.myshopify.com"]);
        assert!(succeeds(directory, name, &["stores", "list"]).contains("literal.myshopify.com"), "{name}");
        assert!(size_of(&directory.join(name), "").is_some_and(|size| size > 0), "{name}");
        // The scan of the bytes is a process of its own, and must look at the same file.
        let verified = succeeds(directory, name, &["gdpr", "verify", "--json"]);
        assert!(verified.contains("\"ok\":true"), "{name}: {verified}");
        succeeds(directory, name, &["doctor"]);
        succeeds(directory, name, &["backup", "--", &format!("{name}.copy")]);
        assert!(succeeds(directory, &format!("{name}.copy"), &["stores", "list"]).contains("literal"), "{name}");
        succeeds(directory, name, &["restore", "--", &format!("{name}.copy")]);
        assert!(succeeds(directory, name, &["stores", "list"]).contains("literal"), "{name}");
        assert_eq!(
            names_in(directory),
            {
                let mut names = vec![
                    name.to_owned(),
                    format!("{name}.copy"),
                    format!("{name}.copy.locks"),
                    format!("{name}.locks"),
                ];
                names.retain(|name| directory.join(name).exists());
                names.sort();
                names
            },
            "{name}"
        );
    }
}

#[test]
fn a_database_with_two_names_is_a_problem_to_doctor() {
    let directory = directory();
    let directory = directory.path();
    succeeds(directory, "test.db", &["migrate"]);
    succeeds(directory, "test.db", &["doctor"]);
    fs::hard_link(directory.join("test.db"), directory.join("other.db")).expect("linked");
    doctor_says(directory, "test.db", &["2 names", "quotegrid backup"]);
    fs::remove_file(directory.join("other.db")).expect("removed");
    succeeds(directory, "test.db", &["doctor"]);
}

#[test]
fn a_database_that_is_mounted_alone_is_a_problem_to_doctor() {
    let directory = directory();
    let (real, mounted) = (directory.path().join("real"), directory.path().join("mounted"));
    for path in [&real, &mounted] {
        fs::create_dir(path).expect("made");
    }
    succeeds(&real, "test.db", &["migrate"]);
    fs::write(mounted.join("test.db"), "").expect("made");
    let bind = Command::new("mount").arg("--bind").arg(real.join("test.db")).arg(mounted.join("test.db")).output();
    if !bind.is_ok_and(|output| output.status.success()) {
        eprintln!("not tested: this user may not mount");
        return;
    }
    let output = run(&mounted, "test.db", &["doctor"]);
    let _unmounted = Command::new("umount").arg("-l").arg(mounted.join("test.db")).output();
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(told.contains("mounted as a single file") && told.contains("Mount the directory"), "{told}");
}

#[test]
fn a_command_run_as_root_leaves_nothing_that_the_servers_user_cannot_open() {
    if !is_root() {
        eprintln!("not tested: not root");
        return;
    }
    let directory = directory();
    let directory = directory.path();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("set");
    let home = directory.join("home");
    fs::create_dir(&home).expect("made");
    chown(&home, Some(SERVER), Some(SERVER)).expect("given");
    let as_server = |arguments: &[&str]| command(&home, "data/test.db", arguments).uid(SERVER).gid(SERVER).output();
    if as_server(&["--version"]).is_err() {
        eprintln!("not tested: the binary cannot be run as another user");
        return;
    }
    succeeds(&home, "data/test.db", &["migrate"]);
    succeeds(&home, "data/test.db", &["stores", "add", "root.myshopify.com"]);
    succeeds(&home, "data/test.db", &["jobs", "run-next"]);
    let output = as_server(&["jobs", "run-next"]).expect("it runs");
    assert!(output.status.success(), "{output:?}");
    for entry in ["data", "data/test.db", "data/test.db.locks", "data/test.db.locks/worker-0"] {
        assert_eq!(fs::metadata(home.join(entry)).expect("there").uid(), SERVER, "{entry}");
    }
    // One that an older version has left: the error names the file, who asks and what to do, and doctor names it too.
    let lock = home.join("data/test.db.locks/worker-0");
    chown(&lock, Some(0), Some(0)).expect("taken");
    let output = as_server(&["jobs", "run-next"]).expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    for word in ["worker-0", "user root (0)", &format!("user {SERVER}"), "chown"] {
        assert!(told.contains(word), "{told}");
    }
    doctor_says(&home, "data/test.db", &["worker-0", "belongs to user root (0)", &format!("chown {SERVER}")]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_with_who_asks_whose_it_is_and_what_to_do() {
    let directory = directory();
    let directory = directory.path();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("set");
    succeeds(directory, "test.db", &["stores", "add", "panes.myshopify.com"]);
    let closed = directory.join("closed");
    fs::create_dir(&closed).expect("made");
    for file in ["secret", "list.csv", "body.json", "closed/secret"] {
        fs::write(directory.join(file), "a secret that is long enough").expect("written");
        fs::set_permissions(directory.join(file), fs::Permissions::from_mode(0o600)).expect("set");
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("set");
    let serve: &[&str] = &["serve", "--listen", "127.0.0.1:0"];
    let send = |option: &'static str, file: &'static str| {
        vec![
            "webhook",
            "send",
            "shop/redact",
            "--shop",
            "panes.myshopify.com",
            "--url",
            "http://127.0.0.1:9",
            option,
            file,
        ]
    };
    let send_body = |file| [send("--file", file), vec!["--secret", "hush-hush-hush"]].concat();
    let import = |file: &'static str| vec!["matrices", "import", file, "--shop", "panes.myshopify.com"];
    let told = |command: &mut Command| {
        let output = command.output().expect("it runs");
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    // What is not there, or is no file, has words of ours.
    for (arguments, says) in [
        (vec!["restore", "missing"], "missing cannot be read: there is no such file"),
        (import("missing.csv"), "missing.csv cannot be read: there is no such file"),
        (import("closed"), "closed cannot be read: it is a directory"),
        (send("--secret-file", "missing"), "missing cannot be read: there is no such file"),
        (send_body("missing.json"), "missing.json cannot be read: there is no such file"),
    ] {
        let told = told(&mut command(directory, "test.db", &arguments));
        assert!(told.contains(says) && !told.contains("os error"), "{arguments:?}: {told}");
    }
    if !is_root() {
        eprintln!("the rest not tested: not root");
        return;
    }
    for entry in ["test.db", "test.db.locks", "."] {
        chown(directory.join(entry), Some(SERVER), Some(SERVER)).expect("given");
    }
    let as_server = |arguments: &[&str]| {
        let mut command = command(directory, "test.db", arguments);
        command.uid(SERVER).gid(SERVER);
        command
    };
    if as_server(&["--version"]).output().is_err() {
        eprintln!("the rest not tested: the binary cannot be run as another user");
        return;
    }
    let names_all = |told: &str, file: &str| {
        for word in [&format!("{file} cannot be read"), "user root (0)", &format!("user {SERVER}"), "chown"] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert!(!told.contains("--database"), "{told}");
    };
    for variable in ["QUOTEGRID_SHOPIFY_API_SECRET_FILE", "QUOTEGRID_ADMIN_TOKEN_FILE", "QUOTEGRID_ALERT_URL_FILE"] {
        let told = told(as_server(serve).env(variable, "secret"));
        assert!(told.contains(variable.trim_end_matches("_FILE")), "{told}");
        names_all(&told, "secret");
    }
    let hidden = told(as_server(serve).env("QUOTEGRID_ADMIN_TOKEN_FILE", "closed/secret"));
    names_all(&hidden, "closed/secret");
    assert!(hidden.contains("closed: it belongs to"), "{hidden}");
    names_all(&told(&mut as_server(&import("list.csv"))), "list.csv");
    names_all(&told(&mut as_server(&send("--secret-file", "secret"))), "secret");
    names_all(&told(&mut as_server(&send_body("body.json"))), "body.json");
    fs::set_permissions(directory.join("test.db"), fs::Permissions::from_mode(0o600)).expect("set");
    chown(directory.join("test.db"), Some(0), Some(0)).expect("taken");
    names_all(&told(&mut as_server(&["gdpr", "scan-bytes"])), "test.db");
}

#[test]
fn new_directories_are_for_their_owner_alone_whatever_the_umask() {
    for umask in ["0000", "0022", "0377"] {
        let directory = directory();
        let program = PROGRAM;
        let script = format!("umask {umask}; exec \"{program}\" --database new/below/test.db migrate");
        let output = Command::new("sh").arg("-c").arg(script).current_dir(directory.path()).output().expect("it runs");
        assert!(output.status.success() || umask == "0377", "{umask}: {output:?}");
        for made in ["new", "new/below", "new/below/test.db.locks"] {
            let mode = fs::metadata(directory.path().join(made)).expect("made").mode() & 0o7777;
            assert_eq!(mode, 0o700, "{made} with the umask {umask}");
        }
    }
}

#[test]
fn what_everybody_may_open_is_a_problem_to_doctor() {
    let directory = directory();
    let path = directory.path().join("test.db");
    succeeds(directory.path(), "test.db", &["migrate"]);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).expect("set");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
    succeeds(directory.path(), "test.db", &["doctor"]);
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("set");
    doctor_says(directory.path(), "test.db", &["everybody", "0644", "chmod"]);
}

#[test]
fn neither_a_lock_file_nor_a_backup_follows_a_symbolic_link() {
    let directory = directory();
    let directory = directory.path();
    succeeds(directory, "test.db", &["migrate"]);
    let precious = directory.join("precious");
    fs::write(&precious, "precious").expect("written");
    for link in ["copy.db.backing-up", "copy.db", "test.db.locks/worker-0"] {
        let link = directory.join(link);
        let _none = fs::remove_file(&link);
        std::os::unix::fs::symlink(&precious, &link).expect("linked");
    }
    let output = run(directory, "test.db", &["backup", "--force", "copy.db"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("symbolic link"), "{output:?}");
    fs::remove_file(directory.join("copy.db.backing-up")).expect("removed");
    succeeds(directory, "test.db", &["backup", "--force", "copy.db"]);
    assert!(fs::symlink_metadata(directory.join("copy.db")).expect("there").is_file());
    let output = run(directory, "test.db", &["jobs", "run-next"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("symbolic link"), "{output:?}");
    assert_eq!(fs::read_to_string(&precious).expect("there"), "precious");
}

#[test]
fn a_directory_of_locks_that_is_a_symbolic_link_is_not_followed() {
    let directory = directory();
    let directory = directory.path();
    succeeds(directory, "test.db", &["migrate"]);
    succeeds(directory, "test.db", &["backup", "copy.db"]);
    let (locks, elsewhere) = (directory.join("test.db.locks"), directory.join("elsewhere"));
    fs::remove_dir_all(&locks).expect("removed");
    for is_there in [false, true] {
        if is_there {
            fs::create_dir(&elsewhere).expect("made");
        }
        std::os::unix::fs::symlink(&elsewhere, &locks).expect("linked");
        for command in [["jobs", "run-next"], ["restore", "copy.db"]] {
            let output = run(directory, "test.db", &command);
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{command:?}: {output:?}");
            assert!(told.contains("test.db.locks is a symbolic link, which is not followed: remove it"), "{told}");
        }
        fs::remove_file(&locks).expect("removed");
    }
    assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 0, "nothing is made where it leads");
    succeeds(directory, "test.db", &["jobs", "run-next"]);
}
