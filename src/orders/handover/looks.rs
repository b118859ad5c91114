//! The handler of `draft_order_looks`: asks Shopify what has become of a shop's drafts, many at once. For webhooks that never come or
//! came too early, and for the names of orders, which webhooks do not carry.

use super::fate::{self, Report};
use super::{Handover, Parts};
use crate::catalog::stores;
use crate::domain::ids::ShopDomain;
use crate::queue::{Claim, Context, Finish, Handler, JobError};
use crate::shopify::admin::{self, Fate, STATES_MAX, ShopifyError};
use log::info;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The payload's one member: a name by which the shop's erasure finds it.
pub(super) const SHOP: &str = "shop";

/// How soon Shopify is asked again where it did not answer. Only a look: there is no hurry.
const REST: Duration = Duration::from_secs(3_600);

/// Looks at drafts.
pub struct LooksJob(Arc<Parts>);

impl LooksJob {
    /// The handler of the jobs that `handover` enqueues.
    pub fn new(handover: &Handover) -> Self {
        Self(handover.0.clone())
    }
}

impl Handler for LooksJob {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let shop: Option<ShopDomain> = job.payload[SHOP].as_str().and_then(|shop| shop.parse().ok());
        let shop = shop.ok_or_else(|| JobError::Permanent(format!("the payload must name a shop as {SHOP}")))?;
        // Where no app is configured Shopify cannot be asked; another process that has one enqueues it again.
        let Some(sessions) = &self.0.sessions else { return Ok(Finish::done()) };
        loop {
            let now = context.now();
            let found = context.db().read(|connection| -> crate::db::Result<_> {
                let store = stores::find(connection, &shop)?;
                let store = store.filter(|store| store.uninstalled_at.is_none() && store.erasing_since.is_none());
                let Some(store) = store else { return Ok(None) };
                Ok(Some((store.id, fate::due_looks(connection, now, store.id, STATES_MAX)?)))
            })?;
            let Some((store, drafts)) = found.filter(|(_, drafts)| !drafts.is_empty()) else {
                return Ok(Finish::done());
            };
            if context.is_stopping() {
                return Err(JobError::Stopped);
            }
            if let Some(rest) = sessions.pause_left(&shop) {
                return Err(JobError::Snooze(rest));
            }
            let answer = sessions
                .ask(&shop, &admin::states(&drafts), Instant::now())
                .and_then(|reply| admin::read_states(&drafts, reply.status, reply.retry_after.as_deref(), &reply.body));
            let fates = match answer {
                Ok(fates) => fates,
                Err(ShopifyError::Throttled { after }) => {
                    sessions.pause(&shop, after);
                    return Err(JobError::Snooze(after));
                }
                Err(failure) => {
                    info!("could not look what has become of draft orders: {failure}");
                    return Err(JobError::Snooze(REST));
                }
            };
            let shop = shop.clone();
            context.write(move |tx| {
                for (draft, fate) in drafts.iter().zip(fates) {
                    fate::report(tx, now, &shop, draft, &reported(fate))?;
                    fate::note_look(tx, now, store, draft)?;
                }
                Ok(())
            })?;
        }
    }

    fn calls_external_service(&self) -> bool {
        true
    }
}

/// What is to be written down of what was seen; of what is not known, nothing.
pub(super) fn reported(fate: Fate) -> Report {
    match fate {
        Fate::Standing | Fate::Unknown => Report::Standing,
        Fate::Completed { order_name, at } => Report::Completed { order_name, at },
        Fate::Deleted => Report::Deleted,
    }
}
