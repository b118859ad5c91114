//! The database layer: settings, savepoints, group commit, errors at opening.

use quotegrid::db::{self, Db, Options};
use std::sync::mpsc::channel;

fn open() -> (tempfile::TempDir, Db) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let db = Db::open(&Options::new(directory.path().join("test.db"))).expect("a new database");
    (directory, db)
}

fn note(tx: &db::Tx<'_>, name: &str) -> db::Result<()> {
    tx.execute("INSERT INTO meta (name, value) VALUES (?1, x'00')", [name])?;
    Ok(())
}

fn names(db: &Db) -> Vec<String> {
    db.read(|connection| -> db::Result<_> {
        let mut statement = connection.prepare("SELECT name FROM meta ORDER BY name")?;
        let names = statement.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(names)
    })
    .expect("readable")
}

#[test]
fn a_change_is_readable_once_it_is_answered() {
    let (_directory, db) = open();
    db.write(|tx| note(tx, "a")).expect("written");
    assert_eq!(names(&db), ["a"]);
}

#[test]
fn a_failing_or_panicking_change_undoes_itself_and_spares_its_batch_mates() {
    let (_directory, db) = open();
    let (sender, receiver) = channel();
    for number in 0..30 {
        let sender = sender.clone();
        db.write_then(
            move |tx| -> db::Result<()> {
                note(tx, &format!("{number:02}"))?;
                match number % 3 {
                    0 => Ok(()),
                    1 => Err(db::Error::LostRow { operation: "test", changed: 0 }),
                    _ => panic!("on purpose"),
                }
            },
            move |outcome| sender.send((number, outcome.is_ok())).expect("the test waits"),
        );
    }
    drop(sender);
    let mut answers: Vec<_> = receiver.iter().collect();
    answers.sort_unstable();
    assert_eq!(answers, (0..30).map(|number| (number, number % 3 == 0)).collect::<Vec<_>>());
    assert_eq!(names(&db), (0..30).step_by(3).map(|number| format!("{number:02}")).collect::<Vec<_>>());
}
