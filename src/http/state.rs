//! What handlers work on.

use super::guard::Guard;
use super::guard::bearer::{BearerTokens, Guesses};
use super::guard::sign_ins::SignInLimits;
use super::readiness::Readiness;
use super::webhooks::refusals::Refusals;
use crate::access::Actor;
use crate::access::audit::{Entry, Record};
use crate::app::App;
use crate::clock::ManualClock;
use crate::demo::DemoStore;
use crate::intake::Intake;
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::secret::Secret;
use crate::shopify::Secrets;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

/// Where the server listens where nothing is said.
pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8080));

/// Who runs the server, as its privacy page says.
#[derive(Debug, Clone, Default)]
pub struct Operator {
    /// The name of a person or a company.
    pub name: Option<String>,
    /// How to reach them: an e-mail address, a web page, or a sentence.
    pub contact: Option<String>,
}

/// What handlers work on.
#[derive(Debug)]
pub struct AppState {
    /// The database, the queue, the clock.
    pub app: Arc<App>,
    /// The way in for webhooks.
    pub intake: Intake,
    /// The way in for orders.
    pub orders: Orders,
    /// How people reach this server from outside; where it listens until that is known.
    public_url: OnceLock<String>,
    /// Who runs this server, for the privacy page.
    pub operator: Operator,
    /// The app's client secrets.
    pub secrets: Secrets,
    /// How many webhooks were refused, and why.
    pub refusals: Refusals,
    /// The figures that /metrics shows.
    pub metrics: Arc<Metrics>,
    /// The tokens that give access to the metrics, alongside the admin tokens.
    pub metrics_tokens: Option<BearerTokens>,
    /// The storefront's keys and limits.
    pub guard: Guard,
    /// What callers of the admin API must bear; without one there is no admin API.
    pub admin_tokens: Option<BearerTokens>,
    /// How often a client may guess one.
    pub guesses: Guesses,
    /// How often a client may fail to sign in to the console.
    pub sign_ins: SignInLimits,
    /// Whether the server can do its work, as it was found last.
    pub(super) readiness: Arc<Readiness>,
    /// The demo store, where there is one: its page shows it to anybody.
    pub demo: Option<DemoStore>,
    /// The clock, where it is frozen until it is moved.
    pub frozen_clock: Option<Arc<ManualClock>>,
    /// The quotegrid binary that scans the files for leftovers; this process's own where unset.
    pub program: Option<PathBuf>,
    /// Calls that run on threads of their own now.
    pub(super) long_calls: Arc<AtomicUsize>,
}

impl AppState {
    /// The row of the audit log for what `actor` does now.
    pub(super) fn record(&self, actor: Actor, entry: Entry) -> Record {
        Record::new(self.app.clock.now(), self.app.entropy.clone(), actor, entry)
    }

    /// The site of `app`, for webhooks signed with one of `secrets`.
    pub fn new(app: Arc<App>, secrets: Secrets) -> Self {
        let (intake, orders) = (app.intake(), app.orders());
        Self {
            app,
            intake,
            orders,
            public_url: OnceLock::new(),
            operator: Operator::default(),
            secrets,
            refusals: Refusals::default(),
            metrics: Arc::default(),
            metrics_tokens: None,
            guard: Guard::default(),
            admin_tokens: None,
            guesses: Guesses::default(),
            sign_ins: SignInLimits::default(),
            readiness: Arc::default(),
            demo: None,
            frozen_clock: None,
            program: None,
            long_calls: Arc::default(),
        }
    }

    /// The same with another limit of storefront requests; see [`Guard::new`].
    #[must_use]
    pub fn with_rate_limit(self, rate_limit: u32) -> Self {
        Self { guard: Guard::new(rate_limit), ..self }
    }

    /// The same with another limit of orders; see [`Guard::with_order_limit`].
    #[must_use]
    pub fn with_order_limit(self, order_limit: u32) -> Self {
        Self { guard: self.guard.with_order_limit(order_limit), ..self }
    }

    /// The same site, run by `operator`.
    #[must_use]
    pub fn with_operator(mut self, operator: Operator) -> Self {
        self.operator = operator;
        self
    }

    /// Says how people reach this server, without a slash at the end. The first word counts.
    pub fn set_public_url(&self, url: impl Into<String>) {
        let _known_already = self.public_url.set(url.into());
    }

    /// How people reach this server, without a slash at the end.
    pub fn public_url(&self) -> String {
        self.public_url.get().cloned().unwrap_or_else(|| format!("http://{LISTEN}"))
    }

    /// The same site with an admin API for those who bear `token`, or one of several with commas between them.
    #[must_use]
    pub fn with_admin_token(mut self, token: &Secret) -> Self {
        self.admin_tokens = Some(BearerTokens::new(token));
        self
    }

    /// The same site, showing these figures.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// The same site with a token of its own for /metrics, so that the scraper cannot do anything else.
    #[must_use]
    pub fn with_metrics_token(mut self, token: &Secret) -> Self {
        self.metrics_tokens = Some(BearerTokens::new(token));
        self
    }

    /// The same state with a page that shows the demo store.
    #[must_use]
    pub fn with_demo(self, demo: Option<DemoStore>) -> Self {
        Self { demo, ..self }
    }

    /// The same site whose app was opened with this clock, to be moved through the admin API.
    #[must_use]
    pub fn with_frozen_clock(mut self, clock: Arc<ManualClock>) -> Self {
        self.frozen_clock = Some(clock);
        self
    }
}
