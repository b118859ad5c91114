//! The handler of `draft_order_deletion`: deletes the draft at Shopify of an order that its merchant has cancelled.
//!
//! From the commit on in which an order is cancelled no draft is asked for any more: the note before each call is fenced by the
//! order's state. A call that is under way then may still make one. Its answer names it, or it is looked for by its tag for as long
//! as one that was made may take to appear. Deleting twice does no harm, so there is nothing to fence.

use super::fate;
use super::looks::reported;
use super::rows::{self, HandoverState};
use super::sessions::Sessions;
use super::{Handover, ORDER_ID, Parts};
use crate::domain::ids::DraftOrderId;
use crate::queue::{Claim, Context, Finish, Handler, JobError};
use crate::shopify::admin::{self, Fate, ShopifyError};
use log::info;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As often as an order is tried to be handed over: for more than three days.
const ATTEMPTS: u32 = super::job::ATTEMPTS;

/// Where this process has no app and another may have one.
const NO_APP_REST: Duration = Duration::from_secs(60);

/// How long it waits for a call that is under way, and for a draft to appear: at twice the age each time.
const FIRST_REST: Duration = Duration::from_secs(5);

/// Deletes drafts of cancelled orders.
pub struct DraftDeletionJob(Arc<Parts>);

impl DraftDeletionJob {
    /// The handler of the jobs that `handover` enqueues.
    pub fn new(handover: &Handover) -> Self {
        Self(handover.0.clone())
    }
}

impl Handler for DraftDeletionJob {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let id: Option<DraftOrderId> = job.payload[ORDER_ID].as_str().and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| JobError::Permanent(format!("the payload must name an order as {ORDER_ID}")))?;
        // Asked before the row is read: a call that has ended by then has written down what came of it.
        if self.0.uncertain.is_called(id) {
            return Err(JobError::Snooze(FIRST_REST));
        }
        let state = context.db().read(|connection| rows::state(connection, id))?;
        let Some(state) = state.filter(|state| state.is_live && state.is_draft_deletion_due) else {
            return Ok(Finish::done());
        };
        let (Some(sessions), Some(options)) = (&self.0.sessions, &self.0.options) else {
            return Err(JobError::Snooze(NO_APP_REST));
        };
        if context.is_stopping() {
            return Err(JobError::Stopped);
        }
        if let Some(rest) = sessions.pause_left(&state.shop) {
            return Err(JobError::Snooze(rest));
        }
        let run = CancelRun { parts: &self.0, sessions, settle: options.settle, context, id, state };
        match run.state.draft.clone() {
            Some(draft) => run.delete(&draft),
            None => run.look_up(),
        }
    }

    fn max_attempts(&self) -> u32 {
        ATTEMPTS
    }

    fn calls_external_service(&self) -> bool {
        true
    }

    fn operator_hint(&self) -> Option<&'static str> {
        Some(
            "- the order is cancelled here, but its draft order is still at Shopify: delete it there, or `quotegrid jobs retry` it",
        )
    }
}

struct CancelRun<'a> {
    parts: &'a Arc<Parts>,
    sessions: &'a Sessions,
    settle: Duration,
    context: &'a Context,
    id: DraftOrderId,
    state: HandoverState,
}

impl CancelRun<'_> {
    /// Deletes the order's draft, and writes down what became of it.
    fn delete(self, draft: &str) -> Result<Finish, JobError> {
        let (id, store) = (self.id, self.state.store);
        match self.fate_of(draft)? {
            None => {
                info!("the draft of a cancelled order was deleted at Shopify id={id}");
                Ok(Finish::with(move |tx, _now| Ok(fate::end_draft_deletion(tx, store, id)?)))
            }
            Some(fate) => {
                let (shop, draft, report) = (self.state.shop, draft.to_owned(), reported(fate));
                Ok(Finish::with(move |tx, now| Ok(fate::report(tx, now, &shop, &draft, &report).map(drop)?)))
            }
        }
    }

    /// Has Shopify delete a draft. `None`: it has done so now. Else what became of the draft before.
    fn fate_of(&self, draft: &str) -> Result<Option<Fate>, JobError> {
        let shop = &self.state.shop;
        let answer = self.sessions.ask(shop, &admin::delete(draft), Instant::now());
        let answer = answer
            .and_then(|reply| admin::read_deleted(draft, reply.status, reply.retry_after.as_deref(), &reply.body));
        fail_point!("handover::deleted");
        if answer.map_err(|failure| self.put_off(failure))? {
            return Ok(None);
        }
        // It is not there any more, or Shopify keeps it because it was ordered.
        let drafts = [draft.to_owned()];
        let answer = self.sessions.ask(shop, &admin::states(&drafts), Instant::now());
        let answer = answer
            .and_then(|reply| admin::read_states(&drafts, reply.status, reply.retry_after.as_deref(), &reply.body));
        match answer.map_err(|failure| self.put_off(failure))?.into_iter().next() {
            Some(fate @ (Fate::Deleted | Fate::Completed { .. })) => Ok(Some(fate)),
            _ => Err(JobError::Retry("Shopify does not delete the draft order".to_owned())),
        }
    }

    /// No draft is known; one may have been made.
    fn look_up(self) -> Result<Finish, JobError> {
        let (id, store) = (self.id, self.state.store);
        let Some(noted_at) = self.state.attempted_at else {
            return Ok(Finish::with(move |tx, _now| Ok(fate::end_draft_deletion(tx, store, id)?)));
        };
        // A clock that was set back makes the note young again: it is looked for longer.
        let age = (self.context.now() - noted_at).to_std().unwrap_or_default();
        let age = self.parts.uncertain.age(id, age, self.sessions.uptime(), self.settle);
        let answer = self.sessions.ask(&self.state.shop, &admin::find(&id.to_string()), Instant::now());
        let answer = answer.and_then(|reply| {
            admin::read_found(&id.to_string(), reply.status, reply.retry_after.as_deref(), &reply.body)
        });
        let mut found = answer.map_err(|failure| self.put_off(failure))?;
        if found.is_empty() {
            return if age >= self.settle {
                self.parts.uncertain.end(id);
                Ok(Finish::with(move |tx, _now| Ok(fate::end_draft_deletion(tx, store, id)?)))
            } else {
                Err(JobError::Snooze(age.max(FIRST_REST).min(self.settle - age)))
            };
        }
        // All but one go before the last is written down: a run that is cut off finds by the tag what is left. The one that somebody has
        // ordered is the order's.
        let mut draft = found.remove(0);
        for other in found {
            if let Some(Fate::Completed { .. }) = self.fate_of(&other.id)? {
                self.fate_of(&draft.id)?;
                draft = other;
            }
        }
        let (noted, name) = (draft.id.clone(), draft.name.clone());
        self.context.write(move |tx| Ok(rows::note_draft_of_cancelled(tx, store, id, &noted, &name)?))?;
        self.delete(&draft.id)
    }

    fn put_off(&self, failure: ShopifyError) -> JobError {
        if let ShopifyError::Throttled { after } = failure {
            self.sessions.pause(&self.state.shop, after);
            return JobError::Snooze(after);
        }
        JobError::Retry(failure.to_string())
    }
}
