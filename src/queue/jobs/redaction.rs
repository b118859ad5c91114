//! What jobs say of their subjects, and how they forget it.

use super::operators::UNFINISHED_ABOUT;
use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::JobId;
use crate::queue::{Status, attempts};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Rows, named_params};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The jobs among those looked at that say something of their subject.
#[derive(Debug, Clone)]
pub struct ToForget {
    /// Which.
    pub ids: Vec<JobId>,
    /// The last one looked at: the next look begins behind it. `None`: there was none.
    pub looked_until: Option<JobId>,
    /// Whether there may be more behind it.
    pub more: bool,
}

/// Looks at up to `limit` jobs about `subject` but `except`, in the order of their ids, beginning behind `after`: which of them say
/// more than the payload member `keep` of an unfinished one? For a reader: what has nothing left to forget costs the writer nothing.
///
/// # Errors
/// When the database fails.
pub fn list_to_forget(
    connection: &Connection,
    subject: &str,
    except: Option<JobId>,
    keep: &str,
    after: Option<JobId>,
    limit: usize,
) -> db::Result<ToForget> {
    let ids = format!("{UNFINISHED_ABOUT} UNION ALL SELECT id FROM ({FINISHED_ABOUT})");
    let mut statement = connection.prepare_cached(&look_at(&ids))?;
    let params = named_params! { ":subject": subject, ":after": after, ":limit": limit };
    look(statement.query(params)?, except, keep, after, limit)
}

/// Every job about any of `subjects`, whatever has become of it, as of one moment, with the place of its subject among them. However many
/// subjects there are, the indexes of jobs that wait or run are read once, and no job's row is.
///
/// # Errors
/// When the database fails.
pub fn list_about(connection: &Connection, subjects: &[String]) -> db::Result<Vec<(JobId, usize)>> {
    let places: HashMap<&str, usize> =
        subjects.iter().enumerate().map(|(place, subject)| (&**subject, place)).collect();
    let mut statement = connection.prepare_cached(ABOUT_ANY)?;
    let mut rows = statement.query(named_params! { ":subjects": Value::from(subjects).to_string() })?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        let subject = row.get_ref("subject")?.as_str().map_err(rusqlite::Error::from)?;
        if let Some(place) = places.get(subject) {
            jobs.push((row.get("id")?, *place));
        }
    }
    Ok(jobs)
}

/// The jobs about any of the subjects in a JSON array. Each part says the condition of its index word by word.
const ABOUT_ANY: &str = "SELECT id, subject FROM job_queue INDEXED BY job_queue_pending
     WHERE status = 'pending' AND subject IN (SELECT value FROM json_each(:subjects))
     UNION ALL
     SELECT id, subject FROM job_queue INDEXED BY job_queue_processing
     WHERE status = 'processing' AND subject IN (SELECT value FROM json_each(:subjects))
     UNION ALL
     SELECT id, subject FROM job_queue INDEXED BY job_queue_subject
     WHERE subject IN (SELECT value FROM json_each(:subjects)) AND status NOT IN ('pending', 'processing')";

/// Whether a job says more of its subject than it has to. An unfinished one has to keep the payload member `keep`. A finished one may:
/// what it fulfilled says nothing of anybody, and of a busy subject there are many such.
///
/// # Errors
/// When the database fails.
pub fn says_more(connection: &Connection, id: JobId, keep: &str) -> db::Result<bool> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT status, payload, error IS NOT NULL AS has_error, {SAYS_MORE} AS says_more FROM job_queue WHERE id = :id"
    ))?;
    let says_more = statement.query_row(named_params! { ":id": id }, |row| {
        let (status, payload): (Status, Value) = (row.get("status")?, row.get("payload")?);
        if is_unfinished(status) {
            return Ok(row.get("says_more")? || reduced(status, &payload, keep) != (status, payload));
        }
        let others = payload.as_object().is_none_or(|members| members.keys().any(|member| member != keep));
        Ok(others || row.get("has_error")?)
    });
    Ok(says_more.optional()?.unwrap_or(false))
}

/// Newest jobs of all that [`list_new_to_forget`] goes through at the most.
const NEW_LOOKED_AT: usize = 20_000;

/// As [`list_to_forget`], of the jobs that have been enqueued since `since`, for the writer: goes through those of all subjects, which
/// are few, and through no index of all that wait. Not all are found: not one whose id was made before `since`, by a clock that was
/// behind, and none behind many newer ones.
///
/// # Errors
/// When the database fails.
pub fn list_new_to_forget(
    tx: &Tx<'_>,
    subject: &str,
    except: JobId,
    keep: &str,
    since: DateTime<Utc>,
    limit: usize,
) -> db::Result<Vec<JobId>> {
    let after = JobId::new(since, [0; 10]);
    let newest = format!(
        "SELECT id FROM (SELECT id, subject FROM job_queue WHERE id > :after ORDER BY id DESC LIMIT {NEW_LOOKED_AT})
         WHERE subject = :subject"
    );
    let mut statement = tx.prepare_cached(&look_at(&newest))?;
    let params = named_params! { ":subject": subject, ":after": after, ":limit": limit };
    Ok(look(statement.query(params)?, Some(except), keep, Some(after), limit)?.ids)
}

/// The ids of the first jobs about `:subject` that have finished.
const FINISHED_ABOUT: &str = "SELECT id FROM job_queue INDEXED BY job_queue_subject
     WHERE subject = :subject AND status NOT IN ('pending', 'processing') AND (:after IS NULL OR id > :after)
     ORDER BY id LIMIT :limit";

/// Whether a job says anything elsewhere than in its payload.
const SAYS_MORE: &str = "(error IS NOT NULL OR dedupe_key IS NOT NULL
     OR EXISTS (SELECT 1 FROM job_attempts WHERE job_id = job_queue.id AND job_attempts.error IS NOT NULL))";

/// What the first of these jobs say.
fn look_at(ids: &str) -> String {
    format!(
        "SELECT id, status, payload, {SAYS_MORE} AS says_more
         FROM job_queue
         WHERE id IN ({ids}) AND (:after IS NULL OR id > :after)
         ORDER BY id LIMIT :limit"
    )
}

fn look(
    mut rows: Rows<'_>,
    except: Option<JobId>,
    keep: &str,
    after: Option<JobId>,
    limit: usize,
) -> db::Result<ToForget> {
    let (mut found, mut looked) = (ToForget { ids: Vec::new(), looked_until: after, more: false }, 0);
    while let Some(row) = rows.next()? {
        let id: JobId = row.get("id")?;
        looked += 1;
        found.looked_until = Some(id);
        let (status, payload) = (row.get("status")?, row.get("payload")?);
        if Some(id) != except && (row.get("says_more")? || reduced(status, &payload, keep) != (status, payload)) {
            found.ids.push(id);
        }
    }
    found.more = looked == limit;
    Ok(found)
}

/// Makes these jobs forget their subject: all lose their dedupe keys and errors, finished ones their payload too; unfinished ones
/// keep only the payload member `keep`, and those that have none are cancelled.
///
/// # Errors
/// When the database fails.
pub fn forget(tx: &Tx<'_>, now: DateTime<Utc>, jobs: &[JobId], keep: &str) -> db::Result<()> {
    let mut look = tx.prepare_cached("SELECT status, payload FROM job_queue WHERE id = :id")?;
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue
         SET payload = :payload, error = NULL, dedupe_key = NULL, status = :status,
             processed_at = iif(:ends, :now, processed_at),
             claimed_by = iif(:ends, NULL, claimed_by),
             claimed_at = iif(:ends, NULL, claimed_at),
             lease_expires_at = iif(:ends, NULL, lease_expires_at)
         WHERE id = :id",
    )?;
    for id in jobs {
        // Looked at again: it may have gone on since it was listed.
        let found = look.query_row(named_params! { ":id": id }, |row| Ok((row.get("status")?, row.get("payload")?)));
        let Some((before, payload)) = found.optional()? else { continue };
        let (status, payload) = reduced(before, &payload, keep);
        let params = named_params! {
            ":payload": payload.to_string(),
            ":status": status.as_str(),
            // A running job whose payload is gone is cancelled under its worker: its fence no longer holds.
            ":ends": status != before,
            ":now": Millis(now),
            ":id": id,
        };
        expect_one(statement.execute(params)?, "queue::jobs::forget")?;
        attempts::forget_errors(tx, *id)?;
    }
    Ok(())
}

/// A job's status, and what is left of its payload, once it has forgotten its subject.
fn reduced(status: Status, payload: &Value, keep: &str) -> (Status, Value) {
    let unfinished = is_unfinished(status);
    match payload.get(keep).filter(|_| unfinished) {
        Some(value) => (status, Value::Object(Map::from_iter([(keep.to_owned(), value.clone())]))),
        None => (if unfinished { Status::Cancelled } else { status }, Value::Object(Map::new())),
    }
}

fn is_unfinished(status: Status) -> bool {
    matches!(status, Status::Pending | Status::Processing)
}

/// The next jobs of all, `TEXTS_LOOK` at once, that have `needle` in any of their texts.
#[derive(Debug, Clone)]
pub struct Mentions {
    /// Them, with all their texts in one.
    pub jobs: Vec<(JobId, String)>,
    /// Behind which the next look begins; `None`: that was all.
    pub until: Option<JobId>,
}

/// Jobs that one look goes through: a few milliseconds of a reader's time.
const TEXTS_LOOK: usize = 2_000;

/// All texts of a job: what an enqueuer may have written anything into, and what went wrong.
const TEXTS: &str = "type || ' ' || payload || ' ' || coalesce(dedupe_key, '') || ' ' || coalesce(error, '') || ' ' ||
     coalesce((SELECT group_concat(job_attempts.error, ' ') FROM job_attempts WHERE job_id = job_queue.id), '')";

/// Looks behind `after` for jobs with `needle` in their texts, in any case. Of the types `known`, whose handlers leave nothing in a
/// completed job, those are passed over, and so are waiting ones that are about a subject, by which they are found.
///
/// # Errors
/// When the database fails.
pub fn list_mentions(
    connection: &Connection,
    needle: &str,
    known: &[&str],
    after: Option<JobId>,
) -> db::Result<Mentions> {
    let known = known.iter().map(|known| format!("type = '{known}'")).collect::<Vec<_>>().join(" OR ");
    // In the words of the index, which holds few jobs however many there are; SQLite refuses others.
    let may_mention = format!(
        "NOT (status = 'completed' AND ({known})) AND (subject IS NULL OR status NOT IN ('pending', 'processing'))
           AND (:after IS NULL OR id > :after)"
    );
    let mut last = connection.prepare_cached(&format!(
        "SELECT id FROM job_queue INDEXED BY job_queue_mentions WHERE {may_mention} ORDER BY id LIMIT 1 OFFSET :look",
    ))?;
    let until: Option<JobId> =
        last.query_row(named_params! { ":after": after, ":look": TEXTS_LOOK - 1 }, |row| row.get("id")).optional()?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, {TEXTS} AS texts FROM job_queue INDEXED BY job_queue_mentions
         WHERE {may_mention} AND (:until IS NULL OR id <= :until)
           AND {TEXTS} LIKE '%' || :needle || '%'
         ORDER BY id"
    ))?;
    let params = named_params! { ":after": after, ":until": until, ":needle": needle };
    let jobs = statement.query_map(params, |row| Ok((row.get("id")?, row.get("texts")?)))?;
    Ok(Mentions { jobs: jobs.collect::<rusqlite::Result<_>>()?, until })
}

/// Puts what `change` makes of each text in the place of the texts of a job. A dedupe key that is changed goes: two that become the
/// same are not the same.
///
/// # Errors
/// When the database fails, and those of `change`.
pub fn change_texts(tx: &Tx<'_>, id: JobId, change: impl Fn(&str) -> db::Result<String>) -> db::Result<()> {
    let mut look = tx.prepare_cached("SELECT type, payload, error, dedupe_key FROM job_queue WHERE id = :id")?;
    let texts = look.query_row(named_params! { ":id": id }, |row| {
        let text = |name| row.get::<_, Option<String>>(name);
        Ok((row.get::<_, String>("type")?, row.get::<_, String>("payload")?, text("error")?, text("dedupe_key")?))
    });
    let Some((job_type, payload, error, key)) = texts.optional()? else { return Ok(()) };
    let changed_type = change(&job_type)?;
    let key = match key {
        Some(key) if changed_type == job_type && change(&key)? == key => Some(key),
        _ => None,
    };
    let mut statement = tx.prepare_cached(
        "UPDATE job_queue SET type = :type, payload = :payload, error = :error, dedupe_key = :dedupe_key WHERE id = :id",
    )?;
    let params = named_params! {
        ":type": changed_type,
        ":payload": change(&payload)?,
        ":error": error.map(|error| change(&error)).transpose()?,
        ":dedupe_key": key,
        ":id": id,
    };
    expect_one(statement.execute(params)?, "queue::jobs::change_texts")?;
    attempts::change_errors(tx, id, change)
}

/// Calls `look` with the texts of every finished job.
///
/// # Errors
/// When the database fails, and those of `look`.
pub fn each_finished(connection: &Connection, mut look: impl FnMut(Status, &str) -> db::Result<()>) -> db::Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT status, {TEXTS} AS texts FROM job_queue
         WHERE status NOT IN ('pending', 'processing')"
    ))?;
    let mut rows = statement.query(())?;
    while let Some(row) = rows.next()? {
        look(row.get("status")?, row.get_ref("texts")?.as_str().map_err(rusqlite::Error::from)?)?;
    }
    Ok(())
}

/// Calls `look` with type and payload of every unfinished job of these types that is about any of `subjects`, or about nothing: by
/// hand, with a payload that names no shop.
///
/// # Errors
/// When the database fails.
pub fn each_unfinished(
    connection: &Connection,
    types: &[&str],
    subjects: &[String],
    mut look: impl FnMut(&str, &Value),
) -> db::Result<()> {
    let mut statement = connection.prepare_cached(UNFINISHED_ABOUT_ANY)?;
    let mut rows = statement.query(named_params! { ":subjects": Value::from(subjects).to_string() })?;
    while let Some(row) = rows.next()? {
        let job_type = row.get_ref("type")?.as_str().map_err(rusqlite::Error::from)?;
        if types.contains(&job_type) {
            look(job_type, &row.get("payload")?);
        }
    }
    Ok(())
}

/// Looks for them within two indexes, which are read from end to end without a row.
const UNFINISHED_ABOUT_ANY: &str = "SELECT type, payload FROM job_queue WHERE id IN (
         SELECT id FROM job_queue INDEXED BY job_queue_pending
         WHERE status = 'pending' AND (subject IS NULL OR subject IN (SELECT value FROM json_each(:subjects)))
         UNION ALL
         SELECT id FROM job_queue INDEXED BY job_queue_processing
         WHERE status = 'processing' AND (subject IS NULL OR subject IN (SELECT value FROM json_each(:subjects))))";
