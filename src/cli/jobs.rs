//! `quotegrid jobs`: enqueue, list, show, run the next, retry, cancel, prune, count.

use super::output::{Output, table};
use super::{Failure, open, open_with, recorded, remove_unfinished, write_recorded};
use crate::access::audit::Entry;
use crate::background::Stop;
use crate::clock::instant;
use crate::config::{DatabaseSettings, ShopifySettings, UpkeepSettings};
use crate::db::{Schema, Tx};
use crate::domain::ids::{JobId, ShopDomain};
use crate::erasure;
use crate::error::{Error, Kind};
use crate::queue::{
    self, Attempt, BulkChange, BulkOutcome, Counts, Filter, Job, NewJob, Queue, Selection, Status, StepOutcome,
};
use crate::views::jobs as views;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Enqueue a job and print its id
    Enqueue {
        /// The job's type, such as shop_redact; one that is not known yet is kept for a later version
        #[arg(value_name = "TYPE")]
        job_type: String,
        /// Its payload, a JSON document such as '{"shop":"example.myshopify.com"}'
        #[arg(value_name = "JSON")]
        payload: String,
        /// How often it is tried; its type's own number where unset
        #[arg(long, value_name = "TIMES")]
        max_attempts: Option<u32>,
        /// When it is due (RFC 3339, such as 2027-01-31T08:00:00Z); now where unset
        #[arg(long, value_name = "TIME")]
        at: Option<DateTime<Utc>>,
        /// Do nothing when an unfinished job of this type has the same key; its id is printed then
        #[arg(long, value_name = "KEY")]
        dedupe_key: Option<String>,
    },
    /// List jobs, newest first
    List {
        /// Only those that are pending, processing, completed, failed or cancelled
        #[arg(long)]
        status: Option<Status>,
        /// Only those of this type
        #[arg(long = "type", value_name = "TYPE")]
        job_type: Option<String>,
        /// Only those about this shop
        #[arg(long)]
        shop: Option<ShopDomain>,
        /// Only those enqueued before this one: the last of the page before
        #[arg(long, value_name = "ID")]
        before: Option<JobId>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Show a job with its payload and attempts
    Show {
        /// Its id
        id: JobId,
    },
    /// Run the oldest due job now, in this process; exit code 0 also when it fails
    RunNext {
        #[command(flatten)]
        shopify: ShopifySettings,
        #[command(flatten)]
        upkeep: UpkeepSettings,
    },
    /// Delete finished jobs that are older than they are kept, with their attempts; a server does so by itself every hour
    Prune {
        #[command(flatten)]
        upkeep: UpkeepSettings,
    },
    /// Try a failed or cancelled job again, with a fresh set of attempts; with --all those that match
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Call off a job that has not begun; with --all those that match
    Cancel {
        #[command(flatten)]
        which: Which,
    },
    /// Keep jobs of a type from being run until it is resumed; not those of legal obligations
    Pause {
        /// The type
        #[arg(value_name = "TYPE")]
        job_type: String,
    },
    /// Run jobs of a paused type again
    Resume {
        /// The type
        #[arg(value_name = "TYPE")]
        job_type: String,
    },
    /// Count the jobs by status
    Stats,
}

/// A job, or all that match.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Its id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<JobId>,
    /// All jobs that match the following
    #[arg(long)]
    all: bool,
    /// Only those that are failed or cancelled (retry), pending (cancel)
    #[arg(long, requires = "all")]
    status: Option<Status>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE", requires = "all")]
    job_type: Option<String>,
    /// Only those with exactly this error
    #[arg(long, value_name = "TEXT", requires = "all")]
    error: Option<String>,
    /// Only count them
    #[arg(long, requires = "all")]
    dry_run: bool,
}

pub(super) fn run(database: &DatabaseSettings, command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Enqueue { job_type, payload, max_attempts, at, dedupe_key } => {
            let payload: Value = serde_json::from_str(&payload)
                .map_err(|error| Error::new(Kind::Malformed, format!("the payload is not JSON: {error}")))?;
            let mut job = NewJob::new(job_type, payload);
            if let Some(attempts) = max_attempts {
                job = job.max_attempts(attempts);
            }
            if let Some(at) = at {
                job = job.scheduled_at(at);
            }
            if let Some(key) = dedupe_key {
                job = job.dedupe_key(key);
            }
            let app = open(database, Schema::MakeIfMissing)?;
            let (queue, now, job) = (app.queue.clone(), app.clock.now(), app.about_its_shop(job));
            let id = write_recorded(&app, Entry::new("job.enqueue"), move |tx| queue.enqueue(tx, now, job))?;
            output.print(&json!({ "jobId": id.to_string() }), || id.to_string())?;
        }
        Command::List { status, job_type, shop, before, limit } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let subject = shop.map(|shop| erasure::subject(&app.hasher, &shop));
            let filter = Filter { status, job_type, error: None, subject, before, limit };
            let jobs = app.db.read(|connection| queue::list(connection, &filter))?;
            let document = json!({ "jobs": jobs.iter().map(views::job).collect::<Vec<_>>() });
            output.print(&document, || jobs_text(&jobs))?;
        }
        Command::Show { id } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let (job, attempts) = app.db.read(|connection| -> Result<_, Failure> {
                let job = queue::find(connection, id)?.ok_or_else(|| Error::not_found(format!("job {id}")))?;
                Ok((job, queue::list_attempts(connection, id)?))
            })?;
            output.print(&views::job_in_full(&job, &attempts), || job_text(&job, &attempts))?;
        }
        Command::Prune { upkeep } => {
            let app = open_with(database, &upkeep, None, Schema::MustBeCurrent)?;
            let pruned = app.housekeeper().prune_jobs(&Stop::default())?;
            output.print(&json!({ "jobs": pruned }), || format!("{pruned} jobs pruned"))?;
        }
        Command::RunNext { shopify, upkeep } => {
            let app = open_with(database, &upkeep, shopify.handover()?, Schema::MakeIfMissing)?;
            remove_unfinished(&app);
            let step = app.process_next_job()?;
            let document = match &step {
                StepOutcome::Idle => json!({ "processed": false }),
                StepOutcome::Ran { id, job_type, error } => {
                    json!({ "processed": true, "jobId": id.to_string(), "type": job_type, "error": error })
                }
            };
            output.print(&document, || match step {
                StepOutcome::Idle => "no job is due".to_owned(),
                StepOutcome::Ran { id, job_type, error: None } => format!("{job_type} {id} completed"),
                StepOutcome::Ran { id, job_type, error: Some(error) } => format!("{job_type} {id} failed: {error}"),
            })?;
        }
        Command::Retry { which } => match which.id {
            Some(id) => change(database, id, "job.retry", Queue::retry, "is due again", output)?,
            None => change_all(database, which, BulkChange::Retry, output)?,
        },
        Command::Cancel { which } => match which.id {
            Some(id) => change(database, id, "job.cancel", Queue::cancel, "is cancelled", output)?,
            None => change_all(database, which, BulkChange::Cancel, output)?,
        },
        Command::Pause { job_type } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let (queue, now, wanted) = (app.queue.clone(), app.clock.now(), job_type.clone());
            let entry = Entry::new("jobs.pause").object(&job_type);
            write_recorded(&app, entry, move |tx| queue.pause(tx, now, &wanted))?;
            output.print(&json!({ "type": job_type, "paused": true }), || format!("{job_type} is paused"))?;
        }
        Command::Resume { job_type } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let (queue, wanted) = (app.queue.clone(), job_type.clone());
            let entry = Entry::new("jobs.resume").object(&job_type);
            write_recorded(&app, entry, move |tx| queue.resume(tx, &wanted))?;
            output.print(&json!({ "type": job_type, "paused": false }), || format!("{job_type} is resumed"))?;
        }
        Command::Stats => {
            let app = open(database, Schema::MustBeCurrent)?;
            let counts = app.db.read(queue::counts)?;
            output.print(&views::counts(&counts), || counts_text(&counts))?;
        }
    }
    Ok(())
}

/// Changes a job's status and prints the job as it is then.
fn change(
    database: &DatabaseSettings,
    id: JobId,
    action: &'static str,
    change: fn(&Queue, &Tx<'_>, DateTime<Utc>, JobId) -> crate::error::Result<()>,
    done: &str,
    output: Output,
) -> Result<(), Failure> {
    let app = open(database, Schema::MustBeCurrent)?;
    let (queue, now) = (app.queue.clone(), app.clock.now());
    write_recorded(&app, Entry::new(action).object(id), move |tx| change(&queue, tx, now, id))?;
    let job = app.db.read(|connection| queue::find(connection, id))?;
    let job = job.ok_or_else(|| Error::not_found(format!("job {id}")))?;
    output.print(&views::job(&job), || format!("{} {id} {done}", job.job_type))?;
    Ok(())
}

/// Changes all jobs that match and prints how many they were.
fn change_all(database: &DatabaseSettings, which: Which, change: BulkChange, output: Output) -> Result<(), Failure> {
    let Which { status, job_type, error, dry_run, .. } = which;
    let selection = Selection { status: status.unwrap_or_else(|| change.default_status()), job_type, error };
    let app = open(database, Schema::MustBeCurrent)?;
    let outcome = if dry_run {
        BulkOutcome { matched: app.queue.list_for_bulk(&app.db, change, &selection)?.len(), changed: 0 }
    } else {
        let action = if change == BulkChange::Retry { "jobs.retry" } else { "jobs.cancel" };
        let entry = selection.job_type.iter().fold(Entry::new(action), |entry, job_type| entry.object(job_type));
        let record = recorded(&app, entry);
        app.queue.change_all(&app.db, app.clock.now(), change, &selection, move |tx| Ok(record.write(tx)?))?
    };
    let BulkOutcome { matched, changed } = outcome;
    output.print(&json!({ "matched": matched, "changed": changed }), || {
        format!("{matched} jobs match, {changed} were changed")
    })?;
    Ok(())
}

fn counts_text(counts: &Counts) -> String {
    let rows = [
        ("pending", counts.pending),
        ("processing", counts.processing),
        ("completed", counts.completed),
        ("failed", counts.failed),
        ("cancelled", counts.cancelled),
    ];
    rows.map(|(status, count)| format!("{status:<12}{count}")).join("\n")
}

fn jobs_text(jobs: &[Job]) -> String {
    let rows: Vec<Vec<String>> = jobs
        .iter()
        .map(|job| {
            vec![
                job.id.to_string(),
                job.job_type.clone(),
                job.status.as_str().to_owned(),
                format!("{}/{}", job.attempts, job.max_attempts),
                instant(job.scheduled_at),
                job.error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&["ID", "TYPE", "STATUS", "ATTEMPTS", "SCHEDULED AT", "ERROR"], &rows, "no jobs")
}

fn job_text(job: &Job, attempts: &[Attempt]) -> String {
    let mut lines = vec![
        format!("id            {}", job.id),
        format!("type          {}", job.job_type),
        format!("status        {}", job.status.as_str()),
        format!("attempts      {} of {}", job.attempts, job.max_attempts),
        format!("created at    {}", instant(job.created_at)),
        format!("scheduled at  {}", instant(job.scheduled_at)),
    ];
    lines.extend(job.processed_at.map(|at| format!("processed at  {}", instant(at))));
    lines.extend(job.error.as_ref().map(|error| format!("error         {error}")));
    lines.push(format!("payload       {}", job.payload));
    for attempt in attempts {
        let error = attempt.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
        let took = (attempt.ended_at - attempt.started_at).num_milliseconds();
        let started = instant(attempt.started_at);
        lines.push(format!("attempt {}     {} at {started}, {took} ms{error}", attempt.attempt, attempt.outcome));
    }
    lines.join("\n")
}
