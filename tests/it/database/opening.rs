//! What cannot be opened: a clear error through the real binary, exit code 3, and everything as it was before.

use super::{SmallDisk, size_of};
use crate::support::command::program;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// One that must find a current database, one that may make it, one that may migrate it.
const COMMANDS: [&[&str]; 3] = [&["stores", "list"], &["jobs", "enqueue", "some_type", "{}"], &["migrate"]];

fn command(path: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("--database").arg(path).args(arguments).env("QUOTEGRID_LOG", "off");
    command
}

/// Every file below `directory` with its bytes.
fn everything_in(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("listed") {
        let entry = entry.expect("listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().expect("typed").is_dir() {
            for (below, bytes) in everything_in(&entry.path()) {
                found.insert(format!("{name}/{below}"), bytes);
            }
            found.insert(format!("{name}/"), Vec::new());
        } else if entry.file_type().expect("typed").is_file() {
            found.insert(name, fs::read(entry.path()).expect("read"));
        } else {
            found.insert(name, Vec::new());
        }
    }
    found
}

fn assert_refusal(output: &Output, words: &[&str], what: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{what}: {told}");
    assert!(output.stdout.is_empty(), "{what}");
    assert_eq!(told.lines().count(), 1, "{what}: {told}");
    for word in words {
        assert!(told.contains(word), "{what}: {told}");
    }
}

/// Runs `commands` on `path` and checks that each is refused with `words` and that nothing around it has changed.
fn assert_refused(path: &Path, commands: &[&[&str]], words: &[&str]) {
    let directory = path.parent().expect("a directory");
    let before = everything_in(directory);
    for arguments in commands {
        let begun = Instant::now();
        let output = command(path, arguments).output().expect("runs");
        // It takes milliseconds; a pool's time-out would take half a minute.
        assert!(begun.elapsed() < Duration::from_secs(15), "{arguments:?} took {:?}", begun.elapsed());
        assert_refusal(&output, words, &format!("{arguments:?}"));
        let after = everything_in(directory);
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{arguments:?}");
        assert!(before == after, "{arguments:?} changed a file");
    }
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn make(path: &Path) {
    let output = command(path, &["stores", "add", "demo.myshopify.com"]).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_text_file_is_refused() {
    for length in [1, 20, 100, 600, 5_000, 100_000] {
        let directory = directory();
        let path = directory.path().join("notes.txt");
        fs::write(&path, &"Buy milk. ".repeat(length / 10 + 1)[..length]).expect("written");
        assert_refused(&path, &COMMANDS, &["notes.txt is not a database", "--database"]);
    }
}

#[test]
fn a_directory_or_a_pipe_is_refused() {
    let directory = directory();
    let path = directory.path().join("folder");
    fs::create_dir(&path).expect("made");
    assert_refused(&path, &COMMANDS, &["folder is not a file", "--database"]);
    let pipe = directory.path().join("pipe");
    if Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        assert_refused(&pipe, &COMMANDS, &["pipe is not a file"]);
    }
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let made: [(&str, &str); 4] = [
        ("plain", "CREATE TABLE notes (text); INSERT INTO notes VALUES ('milk')"),
        ("in WAL mode", "PRAGMA journal_mode = WAL; CREATE TABLE notes (text); INSERT INTO notes VALUES ('milk')"),
        ("with refinery", "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255),
          applied_on VARCHAR(255), checksum VARCHAR(255)); INSERT INTO refinery_schema_history VALUES (1, 'a', 'b', '1');
          CREATE TABLE meta (name)"),
        ("with refinery, nothing applied", "CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255),
          applied_on VARCHAR(255), checksum VARCHAR(255)); CREATE TABLE notes (text)"),
    ];
    for (what, sql) in made {
        let directory = directory();
        let path = directory.path().join("other.db");
        rusqlite::Connection::open(&path).expect("opened").execute_batch(sql).expect(what);
        assert_refused(&path, &COMMANDS, &["other.db is a database of another program", "--database"]);
    }
}

#[test]
fn another_programs_wal_is_not_moved_into_its_file() {
    let directory = directory();
    let (path, copy) = (directory.path().join("made.db"), directory.path().join("other.db"));
    let other = rusqlite::Connection::open(&path).expect("opened");
    other
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE notes (text)")
        .expect("made");
    // As its death would leave them.
    let wal = |of: &Path| format!("{}-wal", of.display());
    fs::copy(&path, &copy).expect("copied");
    fs::copy(wal(&path), wal(&copy)).expect("copied");
    drop(other);
    let before = [fs::read(&copy).expect("read"), fs::read(wal(&copy)).expect("read")];
    for arguments in COMMANDS {
        let output = command(&copy, arguments).output().expect("runs");
        assert_refusal(&output, &["other.db is a database of another program"], &format!("{arguments:?}"));
        assert!(before == [fs::read(&copy).expect("read"), fs::read(wal(&copy)).expect("read")], "{arguments:?}");
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = directory();
    let path = directory.path().join("test.db");
    make(&path);
    rusqlite::Connection::open(&path)
        .expect("opened")
        .execute(
            "INSERT INTO refinery_schema_history SELECT 99, 'later', applied_on, '1' FROM refinery_schema_history",
            (),
        )
        .expect("pretended");
    assert_refused(&path, &COMMANDS, &["schema version 99", "install the newer quotegrid"]);
}

#[test]
fn a_file_without_a_schema_is_refused_by_commands_that_must_find_one() {
    let directory = directory();
    let path = directory.path().join("empty.db");
    fs::write(&path, "").expect("written");
    assert_refused(&path, &COMMANDS[..1], &["schema version 0", "quotegrid migrate"]);
    // For the others it is as good as none.
    make(&path);
}

#[test]
fn a_missing_file_is_refused_by_commands_that_must_find_one() {
    let directory = directory();
    assert_refused(&directory.path().join("none.db"), &COMMANDS[..1], &["none.db does not exist", "quotegrid migrate"]);
}

#[test]
fn a_damaged_file_is_refused() {
    let directory = directory();
    let path = directory.path().join("test.db");
    make(&path);
    let whole = fs::read(&path).expect("read");
    // Cut off, with a damaged first page, with a damaged header.
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    assert_refused(&path, &COMMANDS, &["test.db is damaged", "restore it from a backup"]);
    let mut torn = whole.clone();
    torn[100..4000].fill(0xaa);
    fs::write(&path, &torn).expect("written");
    assert_refused(&path, &COMMANDS, &["test.db is damaged", "restore it from a backup"]);
    let mut headless = whole.clone();
    headless[..100].fill(0);
    fs::write(&path, &headless).expect("written");
    assert_refused(&path, &COMMANDS, &["test.db is not a database"]);
    fs::write(&path, &whole).expect("written");
    assert!(command(&path, &["stores", "list"]).output().expect("runs").status.success(), "the whole file is well");
}

#[test]
fn a_read_only_place_is_refused() {
    let Some(disk) = SmallDisk::mount(4096) else { return };
    let path = disk.path().join("test.db");
    make(&path);
    disk.remount_read_only();
    assert_refused(&path, &COMMANDS, &["test.db cannot be written", "read-only"]);
    assert_refused(&disk.path().join("none.db"), &COMMANDS[1..], &["cannot be written", "read-only"]);
}

#[test]
fn a_file_or_directory_without_permission_is_refused() {
    // Permissions do not bind root, so the binary runs as somebody else then.
    const NOBODY: u32 = 65534;
    let directory = directory();
    let path = directory.path().join("test.db");
    make(&path);
    let may_read_all = fs::File::create(directory.path().join("probe")).is_ok_and(|_| {
        fs::set_permissions(directory.path().join("probe"), std::os::unix::fs::PermissionsExt::from_mode(0o000)).is_ok()
            && fs::read(directory.path().join("probe")).is_ok()
    });
    let run = |path: &Path, arguments: &[&str]| {
        let mut command = command(path, arguments);
        if may_read_all {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output()
    };
    let set_mode = |mode_of_file, mode_of_directory| {
        let mode = |mode| <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(mode);
        fs::set_permissions(&path, mode(mode_of_file)).expect("set");
        fs::set_permissions(directory.path(), mode(mode_of_directory)).expect("set");
    };
    set_mode(0o644, 0o755);
    if let Err(error) = run(&path, &["--version"]) {
        eprintln!("not tested: the binary cannot be run as another user: {error}");
        return;
    }
    for (mode_of_file, mode_of_directory) in [(0o444, 0o555), (0o666, 0o555), (0o000, 0o755), (0o444, 0o777)] {
        set_mode(mode_of_file, mode_of_directory);
        let before = fs::read(&path).ok();
        for arguments in COMMANDS {
            let what = format!("{arguments:?} {mode_of_file:o} {mode_of_directory:o}");
            assert_refusal(&run(&path, arguments).expect("runs"), &["cannot be written"], &what);
        }
        assert!(before == fs::read(&path).ok());
        assert!(!directory.path().join("test.db-wal").exists(), "{mode_of_file:o} {mode_of_directory:o}");
    }
    set_mode(0o644, 0o755);
}

#[test]
fn a_full_disk_is_refused_and_nothing_half_made_is_left_on_it() {
    // Whatever is the first thing that does not fit: a directory, the file, its schema.
    for kib in [0, 4, 8, 16, 32, 64, 128, 256] {
        let Some(disk) = SmallDisk::mount(2048) else { return };
        let filler = disk.fill();
        let file = fs::OpenOptions::new().write(true).open(&filler).expect("opened");
        let size = file.metadata().expect("its size").len();
        file.set_len(size - kib * 1024).expect("a little room");
        drop(file);
        assert_refused(&disk.path().join("test.db"), &COMMANDS[1..], &["full", "free some space"]);
        fs::remove_file(filler).expect("removed");
        make(&disk.path().join("test.db"));
    }
}

#[test]
fn a_database_on_a_full_disk_is_refused_and_left_alone() {
    let Some(disk) = SmallDisk::mount(4096) else { return };
    let path = disk.path().join("test.db");
    make(&path);
    let filler = disk.fill();
    let before = fs::read(&path).expect("read");
    for arguments in COMMANDS {
        let output = command(&path, arguments).output().expect("runs");
        assert_refusal(&output, &["full", "free some space"], &format!("{arguments:?}"));
        assert!(before == fs::read(&path).expect("read"), "{arguments:?}");
        // SQLite may leave its own empty ones; removing them could take them from a process that has just opened it.
        assert!(size_of(&path, "-wal").is_none_or(|bytes| bytes == 0), "{arguments:?}");
    }
    fs::remove_file(filler).expect("removed");
    let output = command(&path, &["stores", "list"]).output().expect("runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("demo.myshopify.com"));
}
