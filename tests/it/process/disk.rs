//! No room left, in the middle of batches: what cannot be committed is refused with 503, and all goes on once there is room.

use super::harness::*;
use crate::support::waiting::SetAtEnd;
use quotegrid::shopify::Topic;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Senders post while room runs out, and go on for a while; then it returns. Every webhook is sent until it is acknowledged.
fn runs_out_of_room(machine: &Machine, mut server: Process, take_room: impl FnOnce(), give_room: impl FnOnce()) {
    let (ledger, refused, out, stop) =
        (Ledger::default(), AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
    let refused_hooks = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let _stops = SetAtEnd(&stop);
        for number in 0..3 {
            let (mut client, ledger, refused, out, stop) = (server.client(), &ledger, &refused, &out, &stop);
            let refused_hooks = &refused_hooks;
            scope.spawn(move || {
                let mut turn = number;
                while !stop.load(Ordering::Relaxed) {
                    turn += 1;
                    let hook = Hook::new(DUTIES[turn % 3].clone(), &format!("room-{}.myshopify.com", turn % 7));
                    let answer = client.post(&hook);
                    match answer.status {
                        200 => ledger.note(&hook, &answer),
                        503 => {
                            assert!(answer.field("Retry-After").is_some(), "{answer:?}");
                            assert!(out.load(Ordering::Relaxed), "there is room: {answer:?}");
                            refused.fetch_add(1, Ordering::Relaxed);
                            refused_hooks.lock().expect("no panic").push(hook);
                            std::thread::sleep(std::time::Duration::from_millis(5));
                        }
                        other => panic!("{other}: {answer:?}"),
                    }
                }
            });
        }
        wait_until("there is load", || ledger.len() > 30);
        out.store(true, Ordering::Relaxed);
        take_room();
        wait_until("webhooks are refused", || refused.load(Ordering::Relaxed) > 60);
        assert!(!server.has_ended(), "{}", server.log());
    });
    // Nothing of what was refused has stayed: the same ids are new when they come again.
    let refused_hooks = refused_hooks.into_inner().expect("no panic");
    let connection = machine.connection();
    let taken: std::collections::HashMap<String, i64> =
        rows(&connection, "SELECT webhook_id, 1 FROM webhook_deliveries", |row| Ok((row.get(0)?, row.get(1)?)));
    let stayed = refused_hooks.iter().filter(|hook| taken.contains_key(&hook.id)).count();
    assert_eq!(stayed, 0, "of {} that were refused", refused_hooks.len());
    give_room();
    let mut client = server.client();
    let mut hooks = refused_hooks.clone();
    wait_until("it takes everything again, without a restart", || {
        hooks.retain(|hook| {
            let answer = client.post(hook);
            ledger.note(hook, &answer);
            answer.status != 200
        });
        hooks.is_empty()
    });
    machine.settle();
    println!("acknowledged {}, refused for want of room {}", ledger.len(), refused_hooks.len());
    ledger.assert_kept(&machine.connection());
    assert_exactly_once(machine);
    assert_eq!(server.stop(), Some(0));
}

/// A small file system of its own, gone with this.
struct Small(PathBuf);

impl Small {
    /// With room for a WAL at its longest next to the database: one that has taken the last of the room cannot be moved into the file.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).expect("a mount point");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_path_buf()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _reported = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn on_a_full_disk_nothing_acknowledged_is_lost_and_nothing_refused_stays() {
    let mut machine = Machine::new();
    let Some(small) = Small::mount(&machine.directory().join("small")) else {
        println!("skipped: no file system may be mounted here; the limit on file sizes is tested instead");
        return;
    };
    machine.database = small.0.join("quotegrid.db");
    let ballast = small.0.join("ballast");
    let server = machine.serve(&[]).ready();
    runs_out_of_room(
        &machine,
        server,
        || {
            // Copied until nothing more fits, to the last byte.
            let mut file = std::fs::File::create(&ballast).expect("a file");
            let full = std::io::copy(&mut std::io::repeat(1), &mut file);
            assert!(full.is_err(), "the file system is small");
        },
        || std::fs::remove_file(&ballast).expect("the ballast goes"),
    );
    drop(machine);
    drop(small);
}

#[test]
fn when_its_files_may_not_grow_nothing_acknowledged_is_lost_and_nothing_refused_stays() {
    let machine = Machine::new();
    machine.json(&["migrate"]);
    // A process whose file grows past the limit gets a signal that ends it, unless it is ignored; a shell hands that on.
    let serve = machine.command(&["serve", "--json", "--listen", "127.0.0.1:0"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(serve.get_program()).args(serve.get_args());
    shell.env("QUOTEGRID_SHOPIFY_API_SECRET", SECRET);
    let server = machine.start(shell).ready();
    let id = Pid::from_raw(i32::try_from(server.id()).expect("an id")).expect("not 0");
    let limit = |bytes: Option<u64>| {
        prlimit(Some(id), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("our own child");
    };
    runs_out_of_room(&machine, server, || limit(Some(64 * 1024)), || limit(None));
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "needs failpoints, which no release build has")]
fn a_redaction_that_runs_out_of_room_is_done_when_there_is_some_again() {
    let mut machine = Machine::new();
    let Some(small) = Small::mount(&machine.directory().join("small")) else {
        println!("skipped: no file system may be mounted here");
        return;
    };
    machine.database = small.0.join("quotegrid.db");
    let ballast = small.0.join("ballast");
    let hold = machine.hold();
    let server = machine.serve(&[]).held_at("erasure::step", &hold).ready();
    fill(&mut machine.connection(), "room.myshopify.com", "room-mark");
    let (ledger, hook) = (Ledger::default(), Hook::new(Topic::ShopRedact, "room.myshopify.com"));
    ledger.note(&hook, &server.client().post(&hook));
    let connection = machine.connection();
    wait_until("it has begun", || query(&connection, "SELECT count(erasing_since) = 1 FROM stores"));
    // What the WAL holds already it could write over, and need no room.
    wait_until("the WAL is empty", || query::<i64>(&connection, "PRAGMA wal_checkpoint(TRUNCATE)") == 0);
    let mut file = std::fs::File::create(&ballast).expect("a file");
    assert!(std::io::copy(&mut std::io::repeat(1), &mut file).is_err(), "the file system is small");
    drop(file);
    drop(hold);
    wait_until("it is told", || server.log().contains("job failed") || server.log().contains("could not be recorded"));
    assert_eq!(query::<i64>(&connection, "SELECT count(processed_at) FROM gdpr_requests"), 0);
    std::fs::remove_file(&ballast).expect("the ballast goes");
    machine.settle();
    let requests = machine.json(&["gdpr", "list"]);
    assert_eq!(requests["requests"][0]["deleted"], serde_json::json!(filled_counts()));
    ledger.assert_kept(&connection);
    assert_exactly_once(&machine);
    assert_eq!(server.stop(), Some(0));
    drop(connection);
    drop(small);
}
