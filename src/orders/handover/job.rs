//! The handler of `draft_order_handover`.

use super::differences::{differences, is_about_refused_variant, total_of};
use super::fate::{self, Report};
use super::rows::{self, HandoverState, Sent};
use super::sessions::Sessions;
use super::{Handover, ORDER_ID, Parts};
use crate::db::{self, Tx};
use crate::domain::ids::DraftOrderId;
use crate::error::Error;
use crate::orders::lines::Line;
use crate::orders::records::{self, Record};
use crate::queue::{Claim, Context, Finish, Handler, JobError};
use crate::shopify::admin::{self, Draft, DraftLine, DraftOrder, ShopifyError};
use chrono::{DateTime, TimeDelta, Utc};
use log::{error, info, warn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// With rests that double from two seconds to six hours, the last try is more than three days after the first.
pub(super) const ATTEMPTS: u32 = 25;

/// Where this process has no app and another may have one.
const NO_APP_DELAY: Duration = Duration::from_secs(60);

/// How long an order waits for its turn, where another one finds out whether Shopify answers again.
const PERMIT_DELAY: Duration = Duration::from_secs(10);

/// How soon after an unclear call its draft is looked for; then at twice the age each time.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// How soon after a draft was made without an address for its checkout that is asked for; then at twice the age each time.
const FIRST_ADDRESS_LOOK: Duration = Duration::from_secs(2);

/// The longest rest between two such looks.
const ADDRESS_REST_MAX: Duration = Duration::from_secs(3_600);

/// For how long the address is asked for: as long as an order is tried to be handed over.
const ADDRESS_SOUGHT: Duration = Duration::from_secs(3 * 86_400);

/// What an order says whose draft never got an address.
const NO_ADDRESS: &str =
    "Shopify has given no address for the checkout: send the shopper an invoice from the draft order";

/// An order that is older is looked for before its first draft is asked for: it costs one call, and a database that was restored from
/// an old copy does not know what it has handed over since.
const FRESH: Duration = Duration::from_secs(60);

/// Hands orders over.
pub struct HandoverJob(Arc<Parts>);

impl HandoverJob {
    /// The handler of the jobs that `handover` enqueues.
    pub fn new(handover: &Handover) -> Self {
        Self(handover.0.clone())
    }
}

impl Handler for HandoverJob {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let id: Option<DraftOrderId> = job.payload[ORDER_ID].as_str().and_then(|id| id.parse().ok());
        let id = id.ok_or_else(|| JobError::Permanent(format!("the payload must name an order as {ORDER_ID}")))?;
        let outcome = self.hand_over(id, context);
        if outcome.is_err() {
            // Nothing comes of it now: requests that wait for it are answered with our own page.
            self.0.waiting.answer(id);
        }
        if matches!(outcome, Ok(_) | Err(JobError::Permanent(_))) {
            self.0.turns.end(id);
        }
        outcome
    }

    fn max_attempts(&self) -> u32 {
        ATTEMPTS
    }

    fn calls_external_service(&self) -> bool {
        true
    }

    fn operator_hint(&self) -> Option<&'static str> {
        Some(
            "- the order is kept and its page is open, but it is not at Shopify: fix the cause and `quotegrid jobs retry` it",
        )
    }
}

impl HandoverJob {
    fn hand_over(&self, id: DraftOrderId, context: &Context) -> Result<Finish, JobError> {
        let (Some(sessions), Some(options)) = (&self.0.sessions, &self.0.options) else {
            warn!(
                "an order waits to be handed over to Shopify, and no app is configured here: set QUOTEGRID_SHOPIFY_CLIENT_ID"
            );
            return Err(JobError::Snooze(NO_APP_DELAY));
        };
        let found = context.db().read(|connection| -> db::Result<_> {
            let Some(state) = rows::state(connection, id)? else { return Ok(None) };
            let record = records::find(connection, state.store, id)?;
            Ok(record.map(|record| (state, record)))
        })?;
        let Some((state, record)) = found else { return Ok(self.leave(id)) };
        if state.is_sent && state.sought.is_none() {
            self.0.uncertain.end(id);
            self.0.waiting.answer(id);
            return Ok(Finish::done());
        }
        if state.is_over {
            return Ok(self.leave(id));
        }
        if !state.is_live {
            // Tokens do not survive an uninstallation.
            sessions.forget(&state.shop);
            return Ok(self.leave(id));
        }
        if context.is_stopping() {
            return Err(JobError::Stopped);
        }
        if let Some(rest) = sessions.pause_left(&state.shop) {
            return Err(JobError::Snooze(self.0.turns.of(id).after(rest)));
        }
        let Some(_turn) = sessions.permit(&state.shop) else {
            return Err(JobError::Snooze(self.0.turns.of(id).after(PERMIT_DELAY)));
        };
        let order = HandoverRun { parts: &self.0, sessions, settle: options.settle, context, id, state, record };
        if let Some((draft, since)) = order.state.sought.clone() {
            return order.seek_address(&draft, since);
        }
        let age = (context.now() - order.record.created_at).to_std().unwrap_or_default();
        match order.state.attempted_at {
            None if age <= FRESH => order.create(),
            attempted_at => order.look_up(attempted_at),
        }
    }

    /// There is nothing to hand over any more, or no app to hand it to.
    fn leave(&self, id: DraftOrderId) -> Finish {
        self.0.uncertain.end(id);
        count(&self.0.figures.left);
        self.0.waiting.answer(id);
        Finish::done()
    }
}

fn count(figure: &AtomicU64) {
    figure.fetch_add(1, Ordering::Relaxed);
}

/// An order on its way.
struct HandoverRun<'a> {
    parts: &'a Arc<Parts>,
    sessions: &'a Sessions,
    settle: Duration,
    context: &'a Context,
    id: DraftOrderId,
    state: HandoverState,
    record: Record,
}

impl HandoverRun<'_> {
    /// Asks for the draft. Nothing has been asked for, or it is sure that nothing was made.
    fn create(self) -> Result<Finish, JobError> {
        let begun = Instant::now();
        let (id, store) = (self.id, self.state.store);
        // First what may fail without a trace: a note costs two commits.
        if let Err(failure) = self.sessions.prepare(&self.state.shop) {
            self.record_why(&failure)?;
            return self.put_off(failure);
        }
        let parts = self.parts.clone();
        let Some(call) = parts.uncertain.call(id) else { return Err(JobError::Snooze(PERMIT_DELAY)) };
        let draft = draft_of(&self.record, self.state.allow_discounts);
        let (now, seen) = (self.context.now(), self.state.attempted_at);
        let noted = self.context.write(move |tx| Ok(rows::note_attempt(tx, now, store, id, seen)?));
        if let Err(error) = noted {
            return self.refused_by_us(error);
        }
        self.parts.uncertain.begin(id, self.sessions.uptime());
        fail_point!("handover::noted");
        let mut answer = self.ask_for(&draft, begun);
        let mut refused = None;
        if let Err(ShopifyError::VariantRefused(why) | ShopifyError::Refused(why)) = &answer
            && draft.has_variants()
        {
            // Nothing was made, and the note still says that a draft may be: under it the same order goes over once more.
            warn!("order {id} goes over without variants: {why}");
            fail_point!("handover::variant_refused");
            refused = Some(why.clone());
            answer = self.ask_for(&draft.without_variants(), begun);
        }
        // What was made was made by now: from here on it is late, if it is not found.
        self.parts.uncertain.begin(id, self.sessions.uptime());
        drop(call);
        fail_point!("handover::answered");
        match answer {
            Ok(draft) => self.close(draft, refused.as_deref(), false),
            Err(ShopifyError::Uncertain { why, after }) => {
                let ended = self.context.now();
                self.uncertain(&why, after, Some(ended))
            }
            Err(failure) => {
                let error = failure.to_string();
                let keep = !matches!(failure, ShopifyError::Throttled { .. });
                self.context.write(move |tx| {
                    Ok(rows::note_failure(tx, store, id, true, Some(error.as_str()).filter(|_| keep))?)
                })?;
                self.parts.uncertain.end(id);
                fail_point!("handover::cleared");
                self.put_off(failure)
            }
        }
    }

    /// Sends a draft, and reads what comes back.
    fn ask_for(&self, draft: &Draft, begun: Instant) -> Result<DraftOrder, ShopifyError> {
        let reply = self.sessions.ask(&self.state.shop, &admin::create(draft), begun)?;
        admin::read_created(&draft.order_id, reply.status, reply.retry_after.as_deref(), &reply.body)
    }

    /// Checks if the draft was made that was asked for at `attempted_at`, and asks anew once it is too late for it to appear; at
    /// once where none is known to have been asked for.
    fn look_up(self, attempted_at: Option<DateTime<Utc>>) -> Result<Finish, JobError> {
        let (id, store, now) = (self.id, self.state.store, self.context.now());
        // Before anything else is looked at: what ends later has begun the settling time anew.
        if self.parts.uncertain.is_called(id) {
            // By a run that has lost the job meanwhile, and whose call is still under way: what comes of it is to be seen.
            return Err(JobError::Snooze(PERMIT_DELAY));
        }
        let Ok(age) = attempted_at.map_or(Ok(self.settle), |at| (now - at).to_std()) else {
            // The clock was set back. From now on, then: rather too late than twice.
            self.context.write(move |tx| Ok(rows::note_attempt(tx, now, store, id, attempted_at)?))?;
            self.parts.uncertain.begin(id, self.sessions.uptime());
            return Err(JobError::Snooze(self.settle.min(FIRST_LOOK)));
        };
        let age = match attempted_at {
            Some(_) => self.parts.uncertain.age(id, age, self.sessions.uptime(), self.settle),
            None => age,
        };
        let body = admin::find(&id.to_string());
        let answer = self.sessions.ask(&self.state.shop, &body, Instant::now());
        let answer = answer.and_then(|reply| {
            admin::read_found(&id.to_string(), reply.status, reply.retry_after.as_deref(), &reply.body)
        });
        fail_point!("handover::looked");
        match answer {
            Ok(drafts) => {
                if drafts.len() > 1 {
                    let count = drafts.len();
                    error!("order {id} is at Shopify {count} times: keep the oldest draft order and delete the others");
                }
                match drafts.into_iter().next() {
                    Some(draft) => {
                        let draft = self.with_lines(draft);
                        self.close(draft, None, true)
                    }
                    None if age >= self.settle => self.create(),
                    None => Err(JobError::Snooze(age.max(FIRST_LOOK).min(self.settle - age))),
                }
            }
            Err(ShopifyError::Uncertain { why, after }) => self.uncertain(&why, after, None),
            Err(failure) => {
                self.record_why(&failure)?;
                // Whatever is wrong with the look, the draft may be there: it is never the end.
                self.put_off(match failure {
                    ShopifyError::Refused(why) | ShopifyError::VariantRefused(why) => ShopifyError::Blocked(why),
                    other => other,
                })
            }
        }
    }

    /// Has the order say why it is not at Shopify, where a person must fix something and it does not say so yet.
    fn record_why(&self, failure: &ShopifyError) -> Result<(), JobError> {
        let why = failure.to_string();
        if matches!(failure, ShopifyError::Throttled { .. }) || self.record.handover_error.as_ref() == Some(&why) {
            return Ok(());
        }
        let (id, store) = (self.id, self.state.store);
        self.context.write(move |tx| Ok(rows::note_failure(tx, store, id, false, Some(&why))?))
    }

    /// Nothing was done by this call.
    fn put_off(self, failure: ShopifyError) -> Result<Finish, JobError> {
        let Self { parts, sessions, .. } = self;
        let (figures, shop) = (&parts.figures, &self.state.shop);
        match failure {
            ShopifyError::Throttled { after } => {
                count(&figures.throttled);
                sessions.pause(shop, after);
                Err(JobError::Snooze(after))
            }
            ShopifyError::Refused(why) | ShopifyError::VariantRefused(why) => {
                count(&figures.refused);
                Err(JobError::Permanent(why))
            }
            ShopifyError::Passing(why) => {
                count(&figures.passing);
                Err(JobError::Retry(why))
            }
            ShopifyError::TokenRefused | ShopifyError::Blocked(_) | ShopifyError::Uncertain { .. } => {
                count(&figures.blocked);
                let why = failure.to_string();
                sessions.note(shop, Some(&why));
                Err(JobError::Retry(why))
            }
        }
    }

    /// The note stays, and the next run looks the draft up: for the settling time from `call_ended` on, if it was a call for it.
    fn uncertain(
        self,
        why: &str,
        after: Option<Duration>,
        call_ended: Option<DateTime<Utc>>,
    ) -> Result<Finish, JobError> {
        let (id, store) = (self.id, self.state.store);
        count(&self.parts.figures.uncertain);
        self.sessions.note(&self.state.shop, Some(why));
        if let Some(after) = after {
            self.sessions.pause(&self.state.shop, after);
        }
        let error = why.to_owned();
        self.context.write(move |tx| Ok(rows::note_uncertain(tx, call_ended, store, id, &error)?))?;
        Err(JobError::Retry(why.to_owned()))
    }

    /// Our own database did not let the draft be asked for: the store has just gone, or something is wrong here.
    fn refused_by_us(self, error: JobError) -> Result<Finish, JobError> {
        let (id, parts) = (self.id, self.parts);
        let state = self.context.db().read(|connection| rows::state(connection, id))?;
        if state.is_some_and(|state| state.is_live && !state.is_sent && !state.is_over) {
            return Err(error);
        }
        count(&parts.figures.left);
        parts.waiting.answer(id);
        Ok(Finish::done())
    }

    /// The draft is there: the order says so from the commit on that ends the job. One whose checkout has no address yet is written
    /// down at once, and the job goes on to ask for it.
    fn close(self, draft: DraftOrder, refused_variant: Option<&str>, is_found: bool) -> Result<Finish, JobError> {
        let (id, store, parts) = (self.id, self.state.store, self.parts.clone());
        parts.uncertain.end(id);
        self.sessions.note(&self.state.shop, None);
        let (total, differing) = self.compare(&draft, refused_variant);
        let is_whole = draft.checkout_url.is_some();
        // The answer that names a draft comes at once: a webhook that found no order came within moments. One that was found by its tag
        // may have stood there for long.
        let look_after = if is_found { TimeDelta::zero() } else { fate::FIRST_LOOK };
        let mark = move |tx: &Tx<'_>, now: DateTime<Utc>| -> Result<(), Error> {
            let sought_since = (!is_whole).then_some(now);
            let sent = Sent { draft: &draft, total_minor: total, differing: &differing };
            let is_kept = rows::mark_sent(tx, store, id, &sent, sought_since, now + look_after)?;
            tx.after_commit(move || {
                let figures = &parts.figures;
                count(match (is_kept, is_found) {
                    (true, true) => &figures.found,
                    (true, false) => &figures.sent,
                    (false, _) => &figures.left,
                });
                parts.waiting.answer(id);
                info!("draft order handed over id={id} kept={is_kept}");
            });
            Ok(())
        };
        if is_whole {
            return Ok(Finish::with(mark));
        }
        let now = self.context.now();
        self.context.write(move |tx| mark(tx, now))?;
        fail_point!("handover::without_address");
        Err(JobError::Snooze(FIRST_ADDRESS_LOOK))
    }

    /// A draft that a search has found, with its lines, which a search does not show; without them where Shopify does not answer.
    fn with_lines(&self, found: DraftOrder) -> DraftOrder {
        let answer = self.sessions.ask(&self.state.shop, &admin::look(&found.id), Instant::now());
        let answer = answer
            .and_then(|reply| admin::read_seen(&found.id, reply.status, reply.retry_after.as_deref(), &reply.body));
        answer.ok().flatten().unwrap_or(found)
    }

    /// What the draft comes to, and what it has otherwise than the order; logged where that is new.
    fn compare(&self, draft: &DraftOrder, refused_variant: Option<&str>) -> (Option<i64>, Vec<String>) {
        let differing = differences(&self.record, draft, refused_variant);
        let is_known = |text: &String| self.record.handover_warnings.contains(text);
        if !differing.iter().all(is_known) {
            count(&self.parts.figures.differing);
            warn!("order {} is not at Shopify as it was quoted: {}", self.id, differing.join("; "));
        }
        (total_of(draft, self.record.currency), differing)
    }

    /// Asks for the address of the checkout of a draft that had none when it was made. Only a look: whatever goes wrong, it is asked
    /// for again.
    fn seek_address(self, draft_id: &str, since: DateTime<Utc>) -> Result<Finish, JobError> {
        let (id, store) = (self.id, self.state.store);
        // A clock that was set back makes it young again: it is asked for more often, and for longer.
        let age = (self.context.now() - since).to_std().unwrap_or_default();
        let answer = self.sessions.ask(&self.state.shop, &admin::look(draft_id), Instant::now());
        let answer = answer
            .and_then(|reply| admin::read_seen(draft_id, reply.status, reply.retry_after.as_deref(), &reply.body));
        match answer {
            Ok(Some(draft)) if draft.checkout_url.is_some() => {
                let (total, mut differing) = self.compare(&draft, None);
                // Why a variant was not taken is known of the first answer only.
                let earlier = self.record.handover_warnings.iter().filter(|text| is_about_refused_variant(text));
                differing.extend(earlier.filter(|text| !differing.contains(text)).cloned().collect::<Vec<_>>());
                Ok(Finish::with(move |tx, _now| {
                    let sent = Sent { draft: &draft, total_minor: total, differing: &differing };
                    Ok(rows::note_checkout(tx, store, id, &sent)?)
                }))
            }
            Ok(None) => {
                info!("a draft order was deleted at Shopify before it had a checkout id={id}");
                let (shop, draft) = (self.state.shop, draft_id.to_owned());
                Ok(Finish::with(move |tx, now| Ok(fate::report(tx, now, &shop, &draft, &Report::Deleted).map(drop)?)))
            }
            Err(ShopifyError::Throttled { after }) => {
                count(&self.parts.figures.throttled);
                self.sessions.pause(&self.state.shop, after);
                Err(JobError::Snooze(after))
            }
            Ok(Some(_)) | Err(_) if age >= ADDRESS_SOUGHT => {
                warn!("order {id}: {NO_ADDRESS}");
                let mut warnings = self.record.handover_warnings;
                warnings.push(NO_ADDRESS.to_owned());
                Ok(Finish::with(move |tx, _now| Ok(rows::end_search(tx, store, id, Some(&warnings))?)))
            }
            Ok(Some(_)) | Err(_) => Err(JobError::Snooze(age.clamp(FIRST_ADDRESS_LOOK, ADDRESS_REST_MAX))),
        }
    }
}

/// What Shopify is to have of an order; `allow_discounts`: by code, and automatic ones.
fn draft_of(record: &Record, allow_discounts: (bool, bool)) -> Draft {
    let (allow_discount_codes, allow_automatic_discounts) = allow_discounts;
    Draft {
        order_id: record.id.to_string(),
        name: record.name(),
        currency: record.currency.code().to_owned(),
        lines: record.lines.iter().map(|line| line_of(record, line)).collect(),
        allow_discount_codes,
        allow_automatic_discounts,
    }
}

/// An item, with everything that is needed to make it.
fn line_of(record: &Record, line: &Line) -> DraftLine {
    let unit = record.unit.as_str();
    let length = |value| format!("{value}{unit}");
    let size = [("Width", length(line.width)), ("Height", length(line.height))];
    let options = line.selections.iter().map(|option| (option.option_group_name.clone(), option.choice_label.clone()));
    let own = |name: &str, value: String| (name.to_owned(), value);
    let mut attributes: Vec<_> = size.into_iter().map(|(name, value)| own(name, value)).chain(options).collect();
    attributes.extend(line.label.clone().map(|label| own("Label", label)));
    if !line.is_priced_as_asked() {
        attributes.push(own("Priced as", format!("{} x {} {unit}", line.priced_width, line.priced_height)));
    }
    attributes.push(own("Price list", line.matrix_name.clone()));
    DraftLine {
        variant_id: line.variant_id.clone(),
        title: line.product_title.clone(),
        quantity: line.quantity,
        unit_price: record.currency.format(line.unit_price),
        requires_shipping: line.requires_shipping,
        taxable: line.taxable,
        sku: line.sku.clone(),
        weight_grams: line.weight_grams,
        attributes,
    }
}
