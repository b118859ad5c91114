//! `/admin/privacy`: what privacy law asks, what became of it, and the proof of what was done.

use super::layout::{Frame, Section, page};
use super::words::{figure, many, optional_time, span, time};
use super::{Page, Visit};
use crate::access::Role;
use crate::backup::verify_with_copies;
use crate::domain::ids::{RequestId, ShopDomain};
use crate::erasure;
use crate::erasure::hold::{self, Decision};
use crate::erasure::receipts::{self, Receipt};
use crate::erasure::requests::{self, Filter, PrivacyRequest, RequestKind, RequestOutcome};
use crate::erasure::verify::Verification;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::Deferred;
use crate::http::query::Query;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::keyed_hash::hex;
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Page] = &[
    Page::show("/admin/privacy", list),
    Page::write("/admin/privacy/verify", "chain.verify", verify),
    Page::show("/admin/privacy/{id}", show),
    Page::show("/admin/privacy/{id}/report", report),
    Page::write("/admin/privacy/{id}/confirm", "request.confirm", confirm),
    Page::write("/admin/privacy/{id}/reject", "request.reject", reject),
];

/// A request that is due within this is near its end.
const NEARLY_DUE: TimeDelta = TimeDelta::days(3);

/// What a page says after a write.
const DONE: &[(&str, &str)] = &[
    ("confirmed", "The erasure is confirmed: it runs now."),
    ("rejected", "The request is rejected: the store stays."),
];

struct Row {
    id: RequestId,
    kind: &'static str,
    shop: String,
    came: String,
    due: String,
    state: &'static str,
    tone: &'static str,
    left: String,
}

impl Row {
    fn new(request: &PrivacyRequest, now: DateTime<Utc>) -> Self {
        let (state, tone) = state_of(request, now);
        let left = match request.processed_at {
            Some(_) => String::new(),
            None if request.due_at < now => format!("{} late", span(now - request.due_at)),
            None => format!("{} left", span(request.due_at - now)),
        };
        Self {
            id: request.id,
            kind: kind_of(request.kind),
            shop: request.shop.to_string(),
            came: time(request.created_at),
            due: time(request.due_at),
            state,
            tone,
            left,
        }
    }
}

fn kind_of(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::CustomersDataRequest => "Report on a customer",
        RequestKind::CustomersRedact => "Erase a customer",
        RequestKind::ShopRedact => "Erase a shop",
    }
}

fn state_of(request: &PrivacyRequest, now: DateTime<Utc>) -> (&'static str, &'static str) {
    match request.outcome {
        None if request.hold.held_until.is_some() && request.hold.decision.is_none() => ("waits for you", "warn"),
        None if request.due_at < now => ("overdue", "bad"),
        None if request.due_at - now < NEARLY_DUE => ("nearly due", "warn"),
        None => ("open", "quiet"),
        Some(RequestOutcome::Rejected) => ("rejected", "quiet"),
        Some(_) if request.erased_at.is_none() && request.kind == RequestKind::ShopRedact => {
            ("last bytes to go", "warn")
        }
        Some(_) => ("done", "good"),
    }
}

#[derive(Template)]
#[template(path = "privacy.html", config = "src/http/console/askama.toml")]
struct Requests {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    shop: String,
    receipts: String,
    may_verify: bool,
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let query = Query::of(&visit.request, &["shop", "cursor", "limit"])?;
    let asked = query.page::<RequestId>()?;
    let shop: Option<ShopDomain> = query.parse("shop", "must look like name.myshopify.com")?;
    let filter = Filter { shop: shop.clone(), before: asked.after, limit: asked.fetch() };
    let (mut found, receipts) = state.app.db.read(|connection| -> crate::db::Result<_> {
        Ok((requests::list(connection, &filter)?, receipts::last(connection)?))
    })?;
    let next = asked.cut(&mut found, |request| request.id.to_string());
    let now = state.app.clock.now();
    let template = Requests {
        frame: visit.frame(Section::Privacy),
        rows: found.iter().map(|request| Row::new(request, now)).collect(),
        next,
        shop: shop.map(|shop| shop.to_string()).unwrap_or_default(),
        receipts: many(u64::try_from(receipts).unwrap_or(0), "receipt", "receipts"),
        may_verify: visit.session.role == Role::Operator,
    };
    page(200, &template)
}

#[derive(Template)]
#[template(path = "privacy_request.html", config = "src/http/console/askama.toml")]
struct OneRequest {
    frame: Frame,
    row: Row,
    triggered_at: String,
    processed_at: String,
    erased_at: String,
    outcome: &'static str,
    deleted: Vec<(String, String)>,
    receipts: Vec<ReceiptRow>,
    has_report: bool,
    is_held: bool,
    held_until: String,
    may_decide: bool,
}

struct ReceiptRow {
    sequence: i64,
    what: &'static str,
    created_at: String,
    counts: String,
    version: String,
    previous_hash: String,
    subject_hash: String,
    hash: String,
}

impl ReceiptRow {
    fn new(receipt: &Receipt) -> Self {
        Self {
            sequence: receipt.sequence,
            what: if receipt.kind == "erased" { "The rows were deleted" } else { "The bytes were gone from the files" },
            created_at: time(receipt.created_at),
            counts: receipt.counts.clone(),
            version: receipt.version.clone(),
            previous_hash: hex(&receipt.previous_hash),
            subject_hash: hex(&receipt.subject_hash),
            hash: hex(&receipt.hash),
        }
    }
}

fn show(state: &Arc<AppState>, visit: &Visit, params: &Params) -> Result<Response> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let (request, receipts) = state.app.db.read(|connection| -> Result<_> {
        let request = requests::load(connection, id)?;
        let subject = erasure::subject_hash(&state.app.hasher, &request.shop);
        let receipts = receipts::list_of_request(connection, &subject, id)?;
        Ok((request, receipts))
    })?;
    let deleted = request.deleted.iter().map(|(table, rows)| (table.to_string(), figure(rows))).collect();
    let is_held =
        request.processed_at.is_none() && request.hold.held_until.is_some() && request.hold.decision.is_none();
    let template = OneRequest {
        frame: visit.frame(Section::Privacy).with_flash(visit.flash(DONE)),
        row: Row::new(&request, state.app.clock.now()),
        triggered_at: time(request.triggered_at),
        processed_at: optional_time(request.processed_at),
        erased_at: optional_time(request.erased_at),
        outcome: request.outcome.map_or("", RequestOutcome::as_str),
        deleted,
        receipts: receipts.iter().map(ReceiptRow::new).collect(),
        has_report: request.kind == RequestKind::CustomersDataRequest && request.processed_at.is_some(),
        is_held,
        held_until: optional_time(request.hold.held_until),
        may_decide: visit.session.role == Role::Operator,
    };
    page(200, &template)
}

fn report(state: &Arc<AppState>, _visit: &Visit, params: &Params) -> Result<Response> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let report = state.app.db.read(|connection| requests::load_report(connection, id))?;
    let text = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::new(Kind::Internal, "the report could not be written").with_source(error))?;
    Ok(Response::new(200, "application/json", text)
        .with_header("Content-Disposition", format!("attachment; filename=\"report-{id}.json\""))
        .with_header("Cache-Control", "private, no-store")
        .with_header("X-Content-Type-Options", "nosniff"))
}

fn confirm(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    decide(state, &visit, params, Decision::Confirmed)
}

fn reject(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    decide(state, &visit, params, Decision::Rejected)
}

fn decide(state: &Arc<AppState>, visit: &Visit, params: &Params, decision: Decision) -> Result<Deferred> {
    let id: RequestId = params.parse("id", "privacy request")?;
    let (queue, hasher, now) = (state.app.queue.clone(), state.app.hasher.clone(), state.app.clock.now());
    let done = if decision == Decision::Confirmed { "confirmed" } else { "rejected" };
    let away = visit.see_other(&format!("admin/privacy/{id}?done={done}"));
    let change = move |tx: &crate::db::Tx<'_>| match decision {
        Decision::Confirmed => hold::confirm(tx, now, &queue, &hasher, id).map(|_job| ()),
        _ => hold::reject(tx, now, id),
    };
    Ok(Deferred::commit(change, |()| away))
}

#[derive(Template)]
#[template(path = "privacy_verified.html", config = "src/http/console/askama.toml")]
struct Verified {
    frame: Frame,
    is_ok: bool,
    receipts: String,
    head: String,
    broken: Option<String>,
    findings: Vec<String>,
    to_scrub: u64,
}

/// Reads every page of the files, in a process of its own.
fn verify(_state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    Ok(Deferred::on_own_thread(move |state, _record| {
        let failed =
            |error: std::io::Error| Error::new(Kind::Internal, "the files could not be verified").with_source(error);
        let program = match &state.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(failed)?,
        };
        let found = verify_with_copies(&state.app.db, &state.app.hasher, &program).map_err(failed)?;
        page(200, &Verified::new(&visit, &found))
    }))
}

impl Verified {
    fn new(visit: &Visit, found: &Verification) -> Self {
        let findings = found.mismatches.iter().chain(&found.leftovers);
        Self {
            frame: visit.frame(Section::Privacy),
            is_ok: found.is_ok(),
            receipts: many(found.chain.receipts, "receipt", "receipts"),
            head: hex(&found.chain.head),
            broken: found.chain.broken_at.as_ref().map(|(sequence, why)| format!("at number {sequence}: {why}")),
            findings: findings
                .map(|finding| format!("{}: {} ({} times)", finding.place, finding.what, finding.times))
                .collect(),
            to_scrub: found.to_scrub,
        }
    }
}
