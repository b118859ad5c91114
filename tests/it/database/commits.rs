//! Group commit: one transaction for many, each undone alone where it can be, answered after the commit.

use super::{FOREVER, Fixture, all, assert_sound, names, names_in, note};
use quotegrid::db::{self, Db, Error, Options};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{channel, sync_channel};
use std::time::Duration;

#[test]
fn one_commit_serves_many_changes() {
    let fixture = Fixture::new();
    let before = fixture.db.writer_figures().commits.load(Ordering::Relaxed);
    let changes_before = fixture.db.writer_figures().changes.load(Ordering::Relaxed);
    let release = fixture.block_writer();
    let (sender, answers) = channel();
    for number in 0..400 {
        let sender = sender.clone();
        fixture.db.write_then(
            move |tx| note(tx, &format!("{number:03}")),
            move |outcome| sender.send(outcome.is_ok()).expect("the test waits"),
        );
    }
    drop(release);
    assert!(all(answers, 400).into_iter().all(|ok| ok));
    assert_eq!(names(&fixture.db).len(), 400);
    let figures = fixture.db.writer_figures();
    assert_eq!(figures.changes.load(Ordering::Relaxed) - changes_before, 401);
    assert_eq!(figures.waiting.load(Ordering::Relaxed), 0);
    let commits = figures.commits.load(Ordering::Relaxed) - before;
    assert!(commits <= 100, "{commits} commits for 401 changes");
}

#[test]
fn an_answer_comes_only_after_the_commit_that_holds_the_change() {
    let fixture = Fixture::new();
    std::thread::scope(|scope| {
        for producer in 0..16 {
            let fixture = &fixture;
            scope.spawn(move || {
                let other = fixture.other();
                for number in 0..20 {
                    let name = format!("{producer:02}-{number:02}");
                    let noted = name.clone();
                    match number % 3 {
                        0 => fixture.db.write(move |tx| note(tx, &noted)).expect("written"),
                        turn => {
                            let (sender, answered) = sync_channel(1);
                            let answer = move |outcome: db::Result<()>| sender.send(outcome).expect("the test waits");
                            if turn == 1 {
                                fixture.db.write_then(move |tx| note(tx, &noted), answer);
                            } else {
                                fixture.db.write_unbounded(move |tx| note(tx, &noted), answer);
                            }
                            answered.recv_timeout(FOREVER).expect("answered").expect("written");
                        }
                    }
                    let seen: bool = other
                        .query_row("SELECT count(*) FROM meta WHERE name = ?1", [&name], |row| row.get(0))
                        .expect("readable");
                    assert!(seen, "{name} was answered before it was committed");
                }
            });
        }
    });
    let figures = fixture.db.writer_figures();
    assert!(figures.commits.load(Ordering::Relaxed) < figures.changes.load(Ordering::Relaxed));
}

#[test]
fn a_lone_caller_that_waits_runs_and_commits_its_change_itself() {
    let fixture = Fixture::new();
    let own = std::thread::current().id();
    let waited = || -> db::Result<_> { fixture.db.write(|_tx| Ok(std::thread::current().id())) };
    // What was before it may have been a batch of several, and then the thread of the writer does the next.
    let _earlier = waited();
    assert_eq!(waited().expect("written"), own);
    let led: db::Result<()> = fixture.db.write(|tx| note(tx, "led"));
    led.expect("written");
    assert_eq!(names_in(&fixture.other()).expect("readable"), ["led"]);
}

#[test]
fn a_lone_caller_that_does_not_wait_leads_its_commit_unless_another_process_holds_the_lock() {
    let fixture = Fixture::new();
    let own = std::thread::current().id();
    let _earlier: db::Result<()> = fixture.db.write(|_tx| Ok(()));
    let hand_over = |name: &'static str| {
        let (sender, answered) = channel();
        fixture.db.with_savepoint().write_then_or_lead(
            move |tx| note(tx, name).map(|()| std::thread::current().id()),
            move |outcome: db::Result<_>| sender.send((outcome, std::thread::current().id())).expect("the test waits"),
        );
        answered
    };
    let (ran, gave) = hand_over("led").try_recv().expect("it was answered before it returned");
    assert_eq!((ran.expect("written"), gave), (own, own));
    let other = fixture.other();
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let answered = hand_over("handed over");
    // The call has returned although the lock is held, and the thread of the writer waits for that.
    answered.try_recv().expect_err("it is not committed");
    other.execute_batch("ROLLBACK").expect("free");
    let (ran, _) = answered.recv_timeout(FOREVER).expect("answered");
    assert_ne!(ran.expect("written"), own);
    assert_eq!(names(&fixture.db), ["handed over", "led"]);
}

#[test]
fn whatever_comes_while_a_caller_leads_is_committed_with_it_or_after_it() {
    let fixture = Fixture::new();
    let _earlier: db::Result<()> = fixture.db.write(|_tx| Ok(()));
    let (answer, answers) = channel();
    let db = fixture.db.clone();
    let led: db::Result<()> = fixture.db.write(move |tx| {
        // Handed over from within, on the thread that leads, and from others: none of them may be forgotten when it goes.
        for number in 0..4 {
            let answer = answer.clone();
            db.write_then(
                move |tx| note(tx, &format!("within-{number}")),
                move |outcome: db::Result<()>| answer.send(outcome).expect("the test waits"),
            );
        }
        note(tx, "leader")
    });
    led.expect("written");
    for _ in 0..4 {
        answers.recv_timeout(FOREVER).expect("answered").expect("written");
    }
    assert_eq!(names(&fixture.db).len(), 5);
}

#[test]
fn a_leading_callers_change_that_waits_for_another_fails_and_the_next_caller_is_served() {
    let fixture = Fixture::new();
    let _earlier: db::Result<()> = fixture.db.write(|_tx| Ok(()));
    let db = fixture.db.clone();
    let nested: db::Result<()> = fixture.db.write(move |_tx| db.write(|tx| note(tx, "inner")));
    assert!(matches!(nested, Err(Error::Panicked)), "{nested:?}");
    let next: db::Result<()> = fixture.db.write(|tx| note(tx, "next"));
    next.expect("written");
    assert_eq!(names(&fixture.db), ["next"]);
}

#[test]
fn a_failing_or_panicking_change_undoes_itself_and_spares_its_batch_mates() {
    let fixture = Fixture::new();
    let release = fixture.block_writer();
    let (sender, answers) = channel();
    let (told, tellings) = channel();
    for number in 0..30 {
        let (sender, told) = (sender.clone(), told.clone());
        fixture.db.write_then(
            move |tx| -> db::Result<()> {
                tx.after_commit(move || told.send(number).expect("the test waits"));
                note(tx, &format!("{number:02}"))?;
                match number % 3 {
                    0 => Ok(()),
                    1 => Err(Error::LostRow { operation: "test", changed: 0 }),
                    _ => panic!("on purpose"),
                }
            },
            move |outcome| {
                let kind = match outcome {
                    Ok(()) => 0,
                    Err(Error::LostRow { .. }) => 1,
                    Err(Error::Panicked) => 2,
                    Err(other) => panic!("{other}"),
                };
                sender.send((number, kind)).expect("the test waits");
            },
        );
    }
    drop((release, told, sender));
    let mut answers: Vec<_> = answers.iter().collect();
    answers.sort_unstable();
    assert_eq!(answers, (0..30).map(|number| (number, number % 3)).collect::<Vec<_>>());
    assert_eq!(names(&fixture.db), (0..30).step_by(3).map(|number| format!("{number:02}")).collect::<Vec<_>>());
    let mut tellings: Vec<_> = tellings.iter().collect();
    tellings.sort_unstable();
    assert_eq!(tellings, (0..30).step_by(3).collect::<Vec<_>>(), "what follows a commit follows only those committed");
}

#[test]
fn what_follows_a_commit_comes_before_the_answer_and_may_panic() {
    let fixture = Fixture::new();
    let (told, tellings) = channel();
    let from_answer = told.clone();
    fixture.db.write_then(
        move |tx| {
            tx.after_commit(|| panic!("on purpose"));
            tx.after_commit(move || told.send("followed").expect("the test waits"));
            note(tx, "a")
        },
        move |outcome| {
            outcome.expect("written");
            from_answer.send("answered").expect("the test waits");
            panic!("on purpose too");
        },
    );
    assert_eq!(all(tellings, 2), ["followed", "answered"]);
    fixture.db.write(|tx| note(tx, "b")).expect("the next one is served as ever");
}

#[test]
fn a_change_that_waits_for_another_fails_and_does_not_hang() {
    let fixture = Fixture::new();
    let db = fixture.db.clone();
    let outcome = fixture.db.write(move |_tx| db.write(|tx| note(tx, "inner")));
    assert!(matches!(outcome, Err(Error::Panicked)), "{outcome:?}");
    let db = fixture.db.clone();
    let outcome = fixture.db.write(move |_tx| db.empty_wal(Duration::from_millis(1)));
    assert!(matches!(outcome, Err(Error::Panicked)), "{outcome:?}");
    assert!(names(&fixture.db).is_empty());
}

#[test]
fn answers_cannot_block_each_other_but_may_hand_changes_over() {
    let fixture = Fixture::new();
    let (sender, answers) = channel();
    for _ in 0..8 {
        let (db, sender) = (fixture.db.clone(), sender.clone());
        // More of them than threads that give answers.
        fixture.db.write_then(
            |_tx| Ok(()),
            move |outcome: db::Result<()>| {
                outcome.expect("written");
                let waiting = db.clone();
                let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    waiting.write(|tx| note(tx, "waited for"))
                }));
                assert!(refused.is_err(), "waiting within an answer is refused");
                db.write_unbounded(
                    |_tx| Ok(()),
                    move |outcome: db::Result<()>| {
                        sender.send(outcome.is_ok()).expect("the test waits");
                    },
                );
            },
        );
    }
    assert!(all(answers, 8).into_iter().all(|ok| ok));
    assert!(names(&fixture.db).is_empty());
}

#[test]
fn a_change_cannot_commit_or_roll_back_for_its_batch_mates() {
    for statement in ["COMMIT", "ROLLBACK", "RELEASE change"] {
        let fixture = Fixture::new();
        let release = fixture.block_writer();
        let (sender, answers) = channel();
        for number in 0..3 {
            let sender = sender.clone();
            fixture.db.write_then(
                move |tx| {
                    note(tx, &format!("{number}"))?;
                    if number == 1 {
                        let _what_it_deserves = tx.execute_batch(statement);
                        // Without a transaction this would be committed at once.
                        let _lost = note(tx, "stray");
                    }
                    Ok(())
                },
                move |outcome: db::Result<()>| sender.send((number, outcome.is_ok())).expect("the test waits"),
            );
        }
        drop((release, sender));
        let kept: Vec<String> = answers.iter().filter(|(_, ok)| *ok).map(|(number, _)| number.to_string()).collect();
        assert_eq!(names(&fixture.db), kept, "{statement}");
        assert!(!kept.contains(&"1".to_owned()), "{statement}");
        fixture.db.write(|tx| note(tx, "after")).expect("writes go on");
    }
}

#[test]
fn too_many_waiting_changes_are_refused_at_once() {
    let fixture = Fixture::with(|options| options.write_queue = 4);
    let release = fixture.block_writer();
    let (sender, answers) = channel();
    for number in 0..6 {
        let sender = sender.clone();
        fixture.db.write_then(
            move |tx| note(tx, &format!("{number}")),
            move |outcome| sender.send((number, outcome)).expect("the test waits"),
        );
    }
    // The writer is still blocked: these two have not waited for it.
    for expected in [4, 5] {
        let (number, outcome) = answers.recv_timeout(FOREVER).expect("answered at once");
        assert_eq!(number, expected);
        assert!(matches!(outcome, Err(Error::Overloaded)), "{outcome:?}");
        assert!(outcome.is_err_and(|error| error.is_transient()));
    }
    drop(release);
    assert!(all(answers, 4).into_iter().all(|(number, outcome)| number < 4 && outcome.is_ok()));
    assert_eq!(names(&fixture.db), ["0", "1", "2", "3"]);
}

#[test]
fn a_change_that_has_waited_too_long_is_refused_unless_it_is_patient() {
    let limit = Duration::from_millis(20);
    let fixture = Fixture::with(|options| options.write_wait = limit);
    let release = fixture.block_writer();
    let (sender, answers) = channel();
    let (impatient, patient) = (sender.clone(), sender);
    fixture.db.write_then(|tx| note(tx, "impatient"), move |outcome| impatient.send(outcome).expect("the test waits"));
    fixture.db.write_unbounded(|tx| note(tx, "patient"), move |outcome| patient.send(outcome).expect("the test waits"));
    std::thread::sleep(limit * 2);
    drop(release);
    let outcomes = all(answers, 2);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Overloaded))).count(), 1);
    assert_eq!(names(&fixture.db), ["patient"]);
}

#[test]
fn closing_commits_and_answers_what_waits() {
    let fixture = Fixture::new();
    let path = fixture.path();
    let release = fixture.block_writer();
    let (sender, answers) = channel();
    for number in 0..100 {
        let sender = sender.clone();
        fixture.db.write_then(
            move |tx| note(tx, &format!("{number:03}")),
            move |outcome| sender.send(outcome.is_ok()).expect("the test waits"),
        );
    }
    drop(sender);
    let Fixture { directory: _directory, db } = fixture;
    let closing = std::thread::spawn(move || drop(db));
    drop(release);
    closing.join().expect("closed");
    // All of them are here already: closing waits for them.
    assert_eq!(answers.try_iter().filter(|ok| *ok).count(), 100);
    assert_eq!(names_in(&rusqlite::Connection::open(path).expect("opened")).expect("readable").len(), 100);
}

#[test]
fn the_last_owner_may_be_a_change_or_an_answer() {
    for in_change in [true, false] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut options = Options::new(directory.path().join("test.db"));
        options.write_queue = 3;
        let db = Db::open(&options).expect("opened");
        let (release, released) = channel::<()>();
        let (begun, has_begun) = channel();
        let (sender, answers) = channel();
        let (owner, other) = if in_change { (Some(db.clone()), None) } else { (None, Some(db.clone())) };
        db.write_then(
            move |tx| {
                begun.send(()).expect("the test waits");
                let _dropped = released.recv();
                drop(owner);
                note(tx, "first")
            },
            {
                let sender = sender.clone();
                move |outcome| {
                    drop(other);
                    sender.send(outcome.is_ok()).expect("the test waits");
                }
            },
        );
        has_begun.recv_timeout(FOREVER).expect("begun");
        // As many as the queue holds, so that nothing more can be put into it.
        for number in 0..3 {
            let sender = sender.clone();
            db.write_then(
                move |tx| note(tx, &format!("{number}")),
                move |outcome| sender.send(outcome.is_ok()).expect("the test waits"),
            );
        }
        drop(db);
        drop(release);
        assert!(all(answers, 4).into_iter().all(|ok| ok), "in_change={in_change}");
        assert_sound(&options.path);
    }
}

/// A change of `without_savepoint` between two that write, in one batch: what each caller was told, and what was written.
fn beside_two_others(
    change: impl FnOnce(&db::Tx<'_>) -> db::Result<()> + Send + 'static,
) -> (Vec<db::Result<()>>, Vec<String>) {
    let fixture = Fixture::new();
    let release = fixture.block_writer();
    let (told, answers) = channel();
    let tell = |place: usize| {
        let told = told.clone();
        move |outcome: db::Result<()>| told.send((place, outcome)).expect("the test waits")
    };
    fixture.db.write_unbounded(|tx| note(tx, "first"), tell(0));
    fixture.db.without_savepoint().write_unbounded(change, tell(1));
    fixture.db.write_unbounded(|tx| note(tx, "last"), tell(2));
    drop(release);
    let mut outcomes = all(answers, 3);
    outcomes.sort_by_key(|(place, _)| *place);
    let written = names(&fixture.db).into_iter().filter(|name| name.ends_with("st")).collect();
    (outcomes.into_iter().map(|(_, outcome)| outcome).collect(), written)
}

#[test]
fn a_change_that_refuses_before_it_writes_spares_its_batch_mates_without_a_savepoint() {
    let refuse = |_tx: &db::Tx<'_>| Err(db::Error::LostRow { operation: "a_test", changed: 0 });
    let (outcomes, written) = beside_two_others(refuse);
    assert!(matches!(outcomes[..], [Ok(()), Err(db::Error::LostRow { .. }), Ok(())]), "{outcomes:?}");
    assert_eq!(written, ["first", "last"]);
}

#[test]
fn a_change_without_a_savepoint_that_fails_or_panics_after_it_has_written_undoes_its_batch() {
    type Change = fn(&db::Tx<'_>) -> db::Result<()>;
    let faults: [Change; 2] = [
        |tx| note(tx, "worst").and(Err(db::Error::LostRow { operation: "a_test", changed: 0 })),
        |tx| {
            note(tx, "worst")?;
            panic!("after the first row")
        },
    ];
    for fault in faults {
        let (outcomes, written) = beside_two_others(fault);
        // The last one may have come too late for the batch; it is then told the truth of its own.
        assert!(
            outcomes[..2].iter().all(|outcome| matches!(outcome, Err(db::Error::NotCommitted { .. }))),
            "{outcomes:?}"
        );
        assert!(written.is_empty() == outcomes[2].is_err() && !written.contains(&"worst".to_owned()), "{written:?}");
        assert!(!written.contains(&"first".to_owned()), "{written:?}");
    }
}

#[test]
fn nothing_is_committed_to_a_file_that_the_next_start_would_not_find() {
    let fixture = Fixture::new();
    let (file, aside) = (fixture.path(), fixture.directory.path().join("aside.db"));
    let wal = fixture.directory.path().join("test.db-wal");
    let index = fixture.directory.path().join("test.db-shm");
    let refused = |name: &'static str| {
        let outcome = fixture.db.write(move |tx| note(tx, name));
        let Err(Error::NotCommitted { message, .. }) = outcome else { panic!("{name}: {outcome:?}") };
        assert!(message.contains("moved, removed or replaced"), "{message}");
    };
    fixture.db.write(|tx| note(tx, "before")).expect("committed");
    std::fs::rename(&file, &aside).expect("moved");
    refused("moved");
    std::fs::write(&file, "another").expect("replaced");
    refused("replaced");
    std::fs::rename(&aside, &file).expect("moved back");
    fixture.db.write(|tx| note(tx, "after")).expect("committed");
    for (name, file) in [("without its WAL", wal), ("without its index", index)] {
        std::fs::rename(&file, &aside).expect("moved");
        refused(name);
        let read = fixture.db.read(|connection| -> db::Result<_> { Ok(names_in(connection)?) });
        assert!(matches!(read, Err(Error::Displaced)), "{name}: {read:?}");
        std::fs::rename(&aside, &file).expect("moved back");
        fixture.db.write(|tx| tx.touch()).expect("committed");
    }
    std::fs::hard_link(&file, &aside).expect("linked");
    refused("under a second name");
    std::fs::remove_file(&aside).expect("removed");
    fixture.db.write(|tx| tx.touch()).expect("committed");
    let names = names(&fixture.db);
    assert_eq!((names.contains(&"before".to_owned()), names.contains(&"after".to_owned())), (true, true));
    let refused = ["moved", "replaced", "without its WAL", "without its index", "under a second name"];
    assert!(names.iter().all(|name| !refused.contains(&name.as_str())), "{names:?}");
}

#[test]
fn nothing_is_committed_once_the_symbolic_link_that_was_opened_leads_elsewhere() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (link, first, second) =
        (directory.path().join("link.db"), directory.path().join("first.db"), directory.path().join("second.db"));
    std::fs::write(&first, "").expect("made");
    std::fs::write(&second, "").expect("made");
    std::os::unix::fs::symlink(&first, &link).expect("linked");
    let db = Db::open(&Options::new(&link)).expect("opened");
    db.write(|tx| note(tx, "before")).expect("committed");
    std::fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(&second, &link).expect("linked");
    let outcome = db.write(|tx| note(tx, "elsewhere"));
    assert!(matches!(outcome, Err(Error::NotCommitted { .. })), "{outcome:?}");
    std::fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(&first, &link).expect("linked");
    db.write(|tx| note(tx, "after")).expect("committed");
}
