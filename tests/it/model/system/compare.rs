//! The rows against what the model says.

use super::{System, act_payload, shop};
use crate::model::ops::{Hook, SHOPS};
use crate::model::reference::Model;
use crate::model::rows::{Job, Payload, Status, What};
use quotegrid::db;
use quotegrid::domain::ids::{JobId, RequestId};
use quotegrid::erasure::{self, receipts};
use quotegrid::queue;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::collections::BTreeMap;

impl System {
    pub(super) fn compare(&self, model: &Model) {
        let compared = self.processes[1].app.db.read(|connection| {
            compare_requests(connection, model, &mut self.requests.borrow_mut())?;
            let requests = self.requests.borrow();
            self.compare_jobs(connection, model, &requests)?;
            compare_stores(connection, model)?;
            self.compare_deliveries(connection, model)?;
            self.compare_receipts(connection, model, &requests)
        });
        compared.expect("readable");
    }

    fn compare_jobs(&self, connection: &Connection, model: &Model, requests: &[RequestId]) -> db::Result<()> {
        let mut statement = connection.prepare_cached(
            "SELECT id, type, status, attempts, max_attempts, scheduled_at, scheduled_from, processed_at,
                 error IS NOT NULL AS has_error, claim, recoveries, payload, claimed_at, lease_expires_at, batched,
                 (SELECT length(value) FROM meta WHERE name = 'effect ' || id) AS effects,
                 (SELECT group_concat(claim || ':' || attempt || ' ' || started_at || '..' || ended_at || ' ' || outcome
                      || ' ' || iif(error IS NULL, 'false', 'true'), ', ' ORDER BY claim)
                  FROM job_attempts WHERE job_id = job_queue.id) AS history
             FROM job_queue",
        )?;
        let rows = statement.query_map((), |row| {
            let id: JobId = row.get("id")?;
            let text = format!(
                "{id} {} {} attempts {}/{} at {} from {:?} processed {:?} error {} claim {} recoveries {} payload {} \
                 claimed {:?} lease {:?} batched {} effects {} history {}",
                row.get::<_, String>("type")?,
                row.get::<_, String>("status")?,
                row.get::<_, i64>("attempts")?,
                row.get::<_, i64>("max_attempts")?,
                row.get::<_, i64>("scheduled_at")?,
                row.get::<_, Option<i64>>("scheduled_from")?,
                row.get::<_, Option<i64>>("processed_at")?,
                row.get::<_, bool>("has_error")?,
                row.get::<_, i64>("claim")?,
                row.get::<_, i64>("recoveries")?,
                row.get::<_, Value>("payload")?,
                row.get::<_, Option<i64>>("claimed_at")?,
                row.get::<_, Option<i64>>("lease_expires_at")?,
                row.get::<_, bool>("batched")?,
                row.get::<_, Option<i64>>("effects")?.unwrap_or_default(),
                row.get::<_, Option<String>>("history")?.unwrap_or_default(),
            );
            Ok((id, text))
        })?;
        let rows: BTreeMap<JobId, String> = rows.collect::<rusqlite::Result<_>>()?;
        let kept = model.jobs.iter().zip(&self.jobs).filter(|(job, _)| !job.is_pruned);
        let expected: BTreeMap<JobId, String> = kept.map(|(job, id)| (*id, job_text(job, *id, requests))).collect();
        assert_eq!(rows, expected);
        let counts = queue::counts(connection)?;
        let counted =
            [counts.pending, counts.processing, counts.completed, counts.failed, counts.cancelled].into_iter();
        for (status, counted) in queue::Status::ALL.into_iter().zip(counted) {
            let of_model = kept_jobs(model).filter(|job| job.status.as_str() == status.as_str()).count();
            assert_eq!(counted, of_model as u64, "{}", status.as_str());
        }
        Ok(())
    }

    fn compare_deliveries(&self, connection: &Connection, model: &Model) -> db::Result<()> {
        let mut expected: Vec<_> = model
            .deliveries
            .iter()
            .map(|((hook, _), (number, received_at, job))| {
                let topic = match hook {
                    Hook::DataRequest => "customers/data_request",
                    Hook::CustomersRedact => "customers/redact",
                    Hook::ShopRedact => "shop/redact",
                    Hook::Uninstalled => "app/uninstalled",
                };
                let job = job.map(|job| self.jobs[job].to_string());
                (topic.to_owned(), shop(*number).to_string(), *received_at, job)
            })
            .collect();
        expected.sort();
        let mut statement = connection.prepare_cached(
            "SELECT topic, shop, received_at, job_id FROM webhook_deliveries ORDER BY topic, shop, received_at",
        )?;
        let found = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        assert_eq!(found.collect::<rusqlite::Result<Vec<_>>>()?, expected);
        Ok(())
    }

    fn compare_receipts(&self, connection: &Connection, model: &Model, requests: &[RequestId]) -> db::Result<()> {
        let found = receipts::list_after(connection, 0, usize::MAX >> 1)?;
        let found: Vec<_> = found
            .iter()
            .map(|receipt| {
                let counts: Value = serde_json::from_str(&receipt.counts).expect("JSON");
                (
                    receipt.kind.clone(),
                    receipt.request_id.clone(),
                    receipt.request_type.clone(),
                    receipt.subject_hash,
                    receipt.outcome.clone(),
                    counts,
                    receipt.created_at.timestamp_millis(),
                )
            })
            .collect();
        let expected: Vec<_> = model
            .receipts
            .iter()
            .map(|receipt| {
                let request = &model.requests[receipt.request];
                (
                    receipt.kind.to_owned(),
                    Some(requests[receipt.request].to_string()),
                    request.kind.as_str().to_owned(),
                    erasure::subject_hash(&self.app().hasher, &shop(request.shop)),
                    receipt.outcome.to_owned(),
                    counts(receipt.deleted_store),
                    receipt.created_at,
                )
            })
            .collect();
        assert_eq!(found, expected);
        Ok(())
    }
}

fn kept_jobs(model: &Model) -> impl Iterator<Item = &Job> {
    model.jobs.iter().filter(|job| !job.is_pruned)
}

/// A row of `job_queue`, as text: a difference is then told whole.
fn job_text(job: &Job, id: JobId, requests: &[RequestId]) -> String {
    let running = job.status == Status::Processing;
    let payload = match (job.payload, job.what) {
        (Payload::Empty, _) => json!({}),
        (Payload::Request(request), _) => json!({ "requestId": requests[request].to_string() }),
        (Payload::Whole, What::Act(act)) => act_payload(act, job.shop),
        (Payload::Whole, What::Duty(_, request)) => {
            let mut payload = json!({ "shop": shop(job.shop.expect("a duty has one")).as_str() });
            if let Some(request) = request {
                payload["requestId"] = json!(requests[request].to_string());
            }
            payload
        }
    };
    let history: Vec<String> = job
        .history
        .iter()
        .map(|attempt| {
            format!(
                "{}:{} {}..{} {} {}",
                attempt.claim,
                attempt.attempt,
                attempt.started_at,
                attempt.ended_at,
                attempt.outcome,
                attempt.has_error
            )
        })
        .collect();
    format!(
        "{id} {} {} attempts {}/{} at {} from {:?} processed {:?} error {} claim {} recoveries {} payload {payload} \
         claimed {:?} lease {:?} batched {} effects {} history {}",
        job.job_type(),
        job.status.as_str(),
        job.attempts,
        job.max_attempts,
        job.scheduled_at,
        job.scheduled_from,
        job.processed_at,
        job.has_error,
        job.claim,
        job.recoveries,
        running.then_some(job.claimed_at),
        running.then_some(job.lease_until),
        job.batched,
        job.effects,
        history.join(", "),
    )
}

fn counts(deleted_store: bool) -> Value {
    if deleted_store {
        json!({ "breakpoints": 3, "matrix_cells": 2, "price_matrices": 1, "stores": 1 })
    } else {
        json!({})
    }
}

/// Compares `gdpr_requests`, and adds new ones to the ids that are `known`, in the order in which they were written.
fn compare_requests(connection: &Connection, model: &Model, known: &mut Vec<RequestId>) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT id, type, shop, triggered_at, created_at, due_at - created_at AS days, processed_at, outcome, deleted,
             erased_at, payload <> '{}' AS has_payload, report IS NOT NULL AS has_report
         FROM gdpr_requests ORDER BY id",
    )?;
    let mut rows = statement.query(())?;
    let mut seen = 0;
    let before = known.len();
    while let Some(row) = rows.next()? {
        let id: RequestId = row.get("id")?;
        // New ones come in the order of their ids, but a clock that was set back puts them before older ones.
        let number = known[..before].iter().position(|known| *known == id).unwrap_or_else(|| {
            known.push(id);
            known.len() - 1
        });
        let request = model.requests.get(number).filter(|request| !request.is_pruned);
        let request = request.expect("a request that the model knows");
        seen += 1;
        let found = (
            row.get::<_, String>("type")?,
            row.get::<_, String>("shop")?,
            (row.get::<_, i64>("triggered_at")?, row.get::<_, i64>("created_at")?, row.get::<_, i64>("days")?),
            (row.get::<_, Option<i64>>("processed_at")?, row.get::<_, Option<i64>>("erased_at")?),
            row.get::<_, Option<String>>("outcome")?,
            row.get::<_, Option<Value>>("deleted")?,
            (row.get::<_, bool>("has_payload")?, row.get::<_, bool>("has_report")?),
        );
        let wanted = (
            request.kind.as_str().to_owned(),
            shop(request.shop).to_string(),
            (request.triggered_at, request.created_at, 30 * 86_400_000),
            (request.processed_at, request.erased_at),
            request.outcome.map(str::to_owned),
            request.processed_at.map(|_| counts(request.deleted_store)),
            (request.has_payload, request.outcome == Some("reported")),
        );
        assert_eq!(found, wanted);
    }
    assert_eq!(seen, model.requests.iter().filter(|request| !request.is_pruned).count(), "a request is missing");
    Ok(())
}

fn compare_stores(connection: &Connection, model: &Model) -> db::Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT installed_at, uninstalled_at, erasing_since,
             (SELECT count(*) FROM price_matrices WHERE store_id = stores.id) AS matrices
         FROM stores WHERE shop = ?1",
    )?;
    for number in 0..SHOPS {
        let found = statement
            .query_map([shop(number).as_str()], |row| {
                let erasing: Option<i64> = row.get("erasing_since")?;
                Ok((row.get(0)?, row.get(1)?, erasing, row.get::<_, i64>("matrices")? > 0))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let expected: Vec<_> = model
            .stores
            .get(&number)
            .map(|store| (store.installed_at, store.uninstalled_at, store.erasing_since, store.is_full))
            .into_iter()
            .collect();
        assert_eq!(found, expected, "shop {number}");
    }
    Ok(())
}
