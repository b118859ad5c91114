//! What was acknowledged, held against the database in the end, and what holds for every settled database.

use super::{Answer, DUTIES, Hook, Machine, query};
use quotegrid::shopify::Topic;
use rusqlite::Connection;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// What was acknowledged with 200, by whomever.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Vec<(Hook, Option<String>)>>);

impl Ledger {
    /// Notes an answer. Anything but 200 promises nothing.
    pub(crate) fn note(&self, hook: &Hook, answer: &Answer) {
        self.note_as(hook, answer.status, answer.job());
    }

    /// Notes an answer that was read otherwise.
    pub(crate) fn note_as(&self, hook: &Hook, status: u16, job: Option<String>) {
        if status == 200 {
            self.0.lock().expect("no panic").push((hook.clone(), job));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }

    /// That everything acknowledged is there.
    pub(crate) fn assert_taken(&self, connection: &Connection) {
        let acknowledged = self.0.lock().expect("no panic");
        let deliveries: HashMap<String, i64> =
            rows(connection, "SELECT webhook_id, 1 FROM webhook_deliveries", |row| Ok((row.get(0)?, row.get(1)?)));
        let lost = acknowledged.iter().filter(|(hook, _job)| !deliveries.contains_key(&hook.id)).count();
        assert_eq!(lost, 0, "of {} that were acknowledged", acknowledged.len());
    }

    /// That everything acknowledged is there, and was done exactly once.
    pub(crate) fn assert_kept(&self, connection: &Connection) {
        let acknowledged = self.0.lock().expect("no panic");
        let deliveries: HashMap<(String, String), Option<String>> =
            rows(connection, "SELECT topic, webhook_id, job_id FROM webhook_deliveries", |row| {
                Ok(((row.get(0)?, row.get(1)?), row.get(2)?))
            });
        let jobs: HashMap<String, String> =
            rows(connection, "SELECT id, status FROM job_queue", |row| Ok((row.get(0)?, row.get(1)?)));
        let requests: HashMap<(String, String), i64> = rows(
            connection,
            "SELECT type, webhook_id, count(*) FROM gdpr_requests WHERE webhook_id IS NOT NULL GROUP BY type, webhook_id",
            |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)),
        );
        let mut of_job: HashMap<&String, Vec<&String>> = HashMap::new();
        for ((_topic, id), job) in &deliveries {
            of_job.entry(job.as_ref().unwrap_or(id)).or_default().push(id);
        }
        for (hook, job) in acknowledged.iter() {
            let topic = hook.topic.as_str().to_owned();
            let delivery = deliveries.get(&(topic.clone(), hook.id.clone()));
            assert_eq!(delivery, Some(job), "acknowledged and lost, or with another job: {hook:?}");
            if DUTIES.contains(&hook.topic) {
                let kind = topic.replace('/', "_").to_ascii_uppercase();
                let job = job.as_ref().expect("a duty has a job");
                // Whoever asks again to erase a shop while that is open asks for the same, and its job is that of the first.
                let has_request = |id: &String| requests.get(&(kind.clone(), id.clone())) == Some(&1);
                let is_repetition = hook.topic == Topic::ShopRedact && of_job[job].iter().any(|id| has_request(id));
                assert!(has_request(&hook.id) || is_repetition, "no request: {hook:?}");
                assert_eq!(jobs.get(job).map(String::as_str), Some("completed"), "{hook:?}");
            }
        }
    }
}

pub(crate) fn rows<K, V, F>(connection: &Connection, sql: &str, read: F) -> HashMap<K, V>
where
    K: std::hash::Hash + Eq,
    F: FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<(K, V)>,
{
    let mut statement = connection.prepare(sql).expect("valid");
    let rows = statement.query_map((), read).expect("readable");
    rows.collect::<rusqlite::Result<_>>().expect("readable")
}

/// What holds for every settled database, whatever happened to the processes on it.
pub(crate) fn assert_exactly_once(machine: &Machine) {
    let connection = machine.connection();
    assert_eq!(query::<String>(&connection, "PRAGMA integrity_check"), "ok");
    for (what, sql) in [
        ("a job completed twice", "SELECT job_id FROM job_attempts WHERE outcome = 'completed' GROUP BY job_id HAVING count(*) > 1"),
        (
            "a job says completed without an attempt that did",
            "SELECT id FROM job_queue WHERE status = 'completed' AND id NOT IN (SELECT job_id FROM job_attempts WHERE outcome = 'completed')",
        ),
        (
            "a request has other receipts than one erased and one verified",
            "SELECT id FROM gdpr_requests WHERE type <> 'CUSTOMERS_DATA_REQUEST' AND outcome <> 'superseded_by_reinstall'
             AND outcome <> 'still_installed' AND outcome <> 'rejected'
             AND (SELECT group_concat(kind) FROM (SELECT kind FROM erasure_receipts WHERE request_id = gdpr_requests.id ORDER BY sequence))
                 IS NOT 'erased,verified'",
        ),
        ("a request has no job or several", "SELECT id FROM gdpr_requests r WHERE webhook_id IS NOT NULL AND 1 <>
             (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook_id = r.webhook_id AND d.job_id IS NOT NULL
              AND d.topic = CASE r.type WHEN 'SHOP_REDACT' THEN 'shop/redact' WHEN 'CUSTOMERS_REDACT' THEN 'customers/redact' ELSE 'customers/data_request' END)"),
        ("a duty's job is not one of a delivery", "SELECT id FROM job_queue WHERE type IN ('customer_redact', 'customers_data_request')
             AND id NOT IN (SELECT job_id FROM webhook_deliveries WHERE job_id IS NOT NULL)"),
        ("a row has lost its parent", "SELECT \"table\" FROM pragma_foreign_key_check"),
    ] {
        let first: Option<String> = {
            let mut statement = connection.prepare(sql).expect("valid");
            let mut found = statement.query(()).expect("readable");
            found.next().expect("readable").map(|row| row.get(0).expect("text"))
        };
        assert_eq!(first, None, "{what}");
    }
    let verified = machine.json(&["gdpr", "verify"]);
    assert_eq!((&verified["ok"], &verified["leftovers"]), (&Value::Bool(true), &serde_json::json!([])), "{verified}");
}

/// How often `text` is in the bytes of the database, its WAL and its shared memory: lines, as another process counts them.
/// This process must not read the file itself while it has it open in SQLite: closing it would drop SQLite's locks.
pub(crate) fn lines_with(machine: &Machine, text: &str) -> usize {
    let mut lines = 0;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = machine.database.clone().into_os_string();
        file.push(suffix);
        if !Path::new(&file).exists() {
            continue;
        }
        let output = Command::new("grep").args(["-c", "-a", "-i", "-F", "-e", text]).arg(&file).output().expect("grep");
        let count = String::from_utf8(output.stdout).expect("text");
        // 1: nothing found. 2: the file went away between the look and the search.
        assert!(matches!(output.status.code(), Some(0..=2)), "{}", output.status);
        lines += count.trim().parse::<usize>().unwrap_or(0);
    }
    lines
}
