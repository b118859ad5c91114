//! The references: what a plain program does on the same disk, one thread, a transaction at a time, durable.

use crate::jobs::enqueue_some;
use crate::{open, rate};
use chrono::Utc;
use quotegrid::queue::Registry;
use rusqlite::Connection;
use std::path::Path;

/// A connection as a plain program would have it, durable.
pub(crate) fn connect(directory: &Path) -> Connection {
    let connection = Connection::open(directory.join("bench.db")).expect("a database");
    connection
        .execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON")
        .expect("settings");
    connection.set_prepared_statement_cache_capacity(32);
    connection
}

/// One transaction a job, one thread.
pub(crate) fn enqueue() -> f64 {
    one_transaction_each(insert)
}

/// How many transactions a second one thread commits on a new database, with one `write` in each.
fn one_transaction_each(write: impl Fn(&Connection, u64)) -> f64 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    drop(open(directory.path(), Registry::new()));
    let connection = connect(directory.path());
    let mut number = 0_u64;
    rate(|| {
        number += 1;
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        write(&connection, number);
        connection.execute_batch("COMMIT").expect("committed");
    })
}

/// Two transactions a job, one thread, with 1,000 waiting behind.
pub(crate) fn claim() -> f64 {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let app = open(directory.path(), Registry::new());
    (0..40).for_each(|_| enqueue_some(&app, 500));
    drop(app);
    let connection = connect(directory.path());
    rate(|| {
        connection.execute_batch("BEGIN IMMEDIATE").expect("begun");
        let now = Utc::now().timestamp_millis();
        let mut statement = connection
            .prepare_cached(
                "UPDATE job_queue
                 SET status = 'processing', attempts = attempts + 1, claim = claim + 1, claimed_by = 'me',
                     claimed_at = ?1, lease_expires_at = ?1 + 30000
                 WHERE id = (SELECT id FROM job_queue WHERE status = 'pending' AND held = 0 AND external = FALSE AND turn_at IS NULL AND scheduled_at <= ?1
                             ORDER BY scheduled_at, id LIMIT 1)
                   AND status = 'pending'
                 RETURNING id, claim",
            )
            .expect("prepared");
        let (id, claim): (String, i64) =
            statement.query_row([now], |row| Ok((row.get(0)?, row.get(1)?))).expect("claimed");
        connection.execute_batch("COMMIT; BEGIN IMMEDIATE").expect("committed");
        connection
            .prepare_cached(
                "UPDATE job_queue
                 SET status = 'completed', processed_at = ?3, payload = '{}', claimed_by = NULL, claimed_at = NULL,
                     lease_expires_at = NULL
                 WHERE id = ?1 AND claim = ?2",
            )
            .and_then(|mut statement| statement.execute((&id, claim, now)))
            .expect("completed");
        connection
            .prepare_cached("INSERT INTO job_attempts VALUES (?1, ?2, 1, ?3, ?3, 'completed', NULL)")
            .and_then(|mut statement| statement.execute((&id, claim, now)))
            .expect("noted");
        connection.execute_batch("COMMIT").expect("committed");
    })
}

/// One transaction a webhook, one thread.
pub(crate) fn webhook() -> f64 {
    one_transaction_each(|connection, number| {
        insert(connection, number);
        connection
            .prepare_cached(
                "INSERT INTO gdpr_requests (id, shop, type, payload, webhook_id, job_id, triggered_at, due_at, created_at)
                 VALUES (?1, 'a.myshopify.com', 'CUSTOMERS_REDACT', '{}', ?1, ?1, 1, 1, 1)",
            )
            .and_then(|mut statement| statement.execute([number.to_string()]))
            .expect("inserted");
    })
}

fn insert(connection: &Connection, number: u64) {
    let mut statement = connection
        .prepare_cached(
            "INSERT INTO job_queue (id, type, payload, scheduled_at, created_at) VALUES (?1, ?2, ?3, ?4, ?4)",
        )
        .expect("prepared");
    let payload = r#"{"shop":"a-shop-of-the-benchmark.myshopify.com","requestId":"0197f0c0"}"#;
    let now = Utc::now().timestamp_millis();
    statement.execute((format!("{now:012x}-0000-7000-8000-{number:012x}"), "noop", payload, now)).expect("inserted");
}
