//! Jobs about a shop that are committed after its jobs have forgotten it and before its erasure closes.

use quotegrid::app::App;
use quotegrid::erasure::SHOP_REDACT;
use quotegrid::erasure::shop::ShopRedact;
use quotegrid::queue::{self, Claim, Context, Finish, Handler, JobError, Queue, Registry, StepOutcome, Worker};

/// The real handler, and what others do before its closing transaction.
struct Interrupted<F> {
    inner: ShopRedact,
    between: F,
}

impl<F: Fn() + Send + Sync + 'static> Handler for Interrupted<F> {
    fn run(&self, job: &Claim, context: &Context) -> Result<Finish, JobError> {
        let finish = self.inner.run(job, context);
        (self.between)();
        finish
    }
}

/// Runs the next job, the erasure of a shop, and `between` at that moment. The scrub is left to the caller.
pub(crate) fn erase_with(app: &App, between: impl Fn() + Send + Sync + 'static) {
    let inner = ShopRedact::new(app.hasher.clone(), app.entropy.clone());
    let queue = Queue::new(app.entropy.clone(), Registry::new().with(SHOP_REDACT, Interrupted { inner, between }));
    let options = queue::Options::default();
    let worker = Worker::new(app.db.clone(), queue, app.clock.clone(), app.entropy.as_ref(), options);
    let step = worker.expect("a worker").step().expect("a working database");
    assert!(matches!(step, StepOutcome::Ran { error: None, .. }), "{step:?}");
}
