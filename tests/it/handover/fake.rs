//! A small Admin API: a real server on loopback that grants tokens, makes draft orders and searches them as Shopify does, late index
//! included, and fails in every way that it is told to.

mod answers;
mod draft;
mod faults;
mod wire;

pub(crate) use draft::{Draft, Variant};
pub(crate) use faults::{Fault, Manner};

use crate::support::waiting::PATIENCE;
use parking_lot::{Condvar, Mutex, MutexGuard};
use quotegrid::clock::ManualClock;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const CLIENT_ID: &str = "id-of-a-fake-app";
pub(crate) const CLIENT_SECRET: &str = "quiet-4f9c71be-hush";

/// Where redirects lead: nobody may come there with a token.
const ELSEWHERE: &str = "/elsewhere";

/// What happens while a call about a draft is under way.
pub(crate) type Meanwhile = Box<dyn FnOnce(&Underway<'_>) + Send>;

/// A call about a draft that is under way.
pub(crate) struct Underway<'a> {
    /// The order whose draft it is about, as far as it is known.
    pub(crate) order: Option<String>,
    /// The draft's number, where there is one.
    pub(crate) number: Option<u64>,
    state: &'a Mutex<State>,
}

impl Underway<'_> {
    /// The shopper orders meanwhile, where the draft stands there.
    pub(crate) fn complete(&self, name: &'static str) {
        let mut state = self.state.lock();
        if let Some(draft) = state.drafts.iter_mut().find(|draft| Some(draft.number) == self.number) {
            draft.completed = Some(name);
        }
    }
}

#[derive(Default)]
pub(crate) struct State {
    /// Whether the app has no scope for products.
    pub(crate) denies_products: bool,
    /// Lists of products that were asked for.
    pub(crate) product_lists: usize,
    pub(crate) drafts: Vec<Draft>,
    /// What happens to the next calls; those after them go well.
    pub(crate) token_faults: VecDeque<Manner>,
    pub(crate) create_faults: VecDeque<Fault>,
    pub(crate) find_faults: VecDeque<Manner>,
    pub(crate) delete_faults: VecDeque<Manner>,
    pub(crate) states_faults: VecDeque<Manner>,
    /// What the shop sells.
    pub(crate) variants: HashMap<String, Variant>,
    /// Whether a variant is refused without a word of the field.
    pub(crate) names_no_field: bool,
    /// Whether the app may not see orders.
    pub(crate) hides_orders: bool,
    /// Whether the app may not see products.
    pub(crate) hides_products: bool,
    /// What the shop takes.
    pub(crate) currencies: Vec<&'static str>,
    /// Looks at variants so far.
    pub(crate) variant_looks: usize,
    /// What is otherwise in the lines of the answers.
    pub(crate) line_change: Option<fn(&mut Value)>,
    /// Whether the last line of each draft is missing from the answers.
    pub(crate) loses_a_line: bool,
    /// What happens to every call that creates, when no other fault is left.
    pub(crate) always: Option<Fault>,
    /// How calls that have hung end.
    pub(crate) after_hang: Option<Manner>,
    /// What the next drafts come to, taxes and all, where that is not what was asked for.
    pub(crate) comes_to: Option<&'static str>,
    /// What the next drafts are charged in, where that is not what was asked for.
    pub(crate) charged_in: Option<&'static str>,
    /// The tax that is added to the next drafts, where Shopify says so.
    pub(crate) added_tax: Option<&'static str>,
    /// Looks by id at each new draft that find it without an address; and whether it has one that leads nowhere meanwhile.
    pub(crate) address_lag: usize,
    pub(crate) has_idle_address: bool,
    /// What happens to the next looks by id.
    pub(crate) look_faults: VecDeque<Manner>,
    /// Looks by id so far.
    pub(crate) looks: usize,
    /// Calls that followed a redirect.
    pub(crate) redirected: usize,
    /// Whose calls for a draft all hang.
    pub(crate) hangs: Option<String>,
    /// Searches that do not find a new draft.
    pub(crate) index_lag: usize,
    /// The clock of the test, and by its uptime how long a new draft is not found.
    pub(crate) index_lag_time: Option<(Arc<ManualClock>, Duration)>,
    /// Whether the list of the newest is as late as the search.
    pub(crate) newest_is_late: bool,
    pub(crate) token_life: u64,
    tokens: HashSet<String>,
    /// Done while the next calls that create, and those that delete, are under way: after Shopify has done its work and before it answers.
    pub(crate) during_create: VecDeque<Meanwhile>,
    pub(crate) during_delete: VecDeque<Meanwhile>,
    /// Calls so far.
    pub(crate) granted: usize,
    pub(crate) creates: usize,
    pub(crate) finds: usize,
    pub(crate) deletes: usize,
    pub(crate) states: usize,
    /// Calls that hang now.
    pub(crate) hanging: usize,
    /// How often the fake has let go of those that hang.
    let_go: usize,
    number: u64,
    /// The number of each tag's newest draft, also of one that is gone.
    numbers: HashMap<String, u64>,
}

impl State {
    /// A draft with what it comes to.
    fn charged(&self, mut node: Value) -> Value {
        let money = &mut node["totalPriceSet"]["presentmentMoney"];
        if let Some(total) = self.comes_to {
            money["amount"] = json!(total);
        }
        if let Some(currency) = self.charged_in {
            money["currencyCode"] = json!(currency);
        }
        let currency = money["currencyCode"].clone();
        if let Some(change) = self.line_change {
            node["lineItems"]["nodes"].as_array_mut().expect("lines").iter_mut().for_each(change);
        }
        if self.loses_a_line {
            node["lineItems"]["nodes"].as_array_mut().expect("lines").pop();
        }
        if let Some(tax) = self.added_tax {
            node["taxesIncluded"] = json!(false);
            node["totalTaxSet"] = json!({ "presentmentMoney": { "amount": tax, "currencyCode": currency } });
        }
        node
    }
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { token_life: 86_399, currencies: vec!["EUR"], ..State::default() };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), stopping: AtomicBool::new(false) });
        let inside = shared.clone();
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if inside.stopping.load(Ordering::Relaxed) {
                    break;
                }
                let (Ok(socket), inside) = (socket, inside.clone()) else { continue };
                std::thread::spawn(move || inside.serve(&socket));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// What the program is told as Shopify's address.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/{{shop}}", self.address)
    }

    /// Also after a test has failed while it looked: what is dropped then looks too, and a second panic would end all other tests.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock()
    }

    /// The next calls that create end so.
    pub(crate) fn fail(&self, faults: &[Fault]) {
        self.state().create_faults.extend(faults);
    }

    /// Waits until `condition` holds.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let mut state = self.state();
        self.shared.changed.wait_while_for(&mut state, |state| !condition(state), PATIENCE);
        assert!(condition(&state), "waited in vain until {what}");
    }

    /// Those that hang go on, as their fault says.
    pub(crate) fn let_go(&self) {
        self.state().let_go += 1;
        self.shared.changed.notify_all();
    }

    /// All tokens end.
    pub(crate) fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    /// Calls for a token so far.
    pub(crate) fn granted(&self) -> usize {
        self.state().granted
    }

    /// Calls that ask for a draft so far.
    pub(crate) fn creates(&self) -> usize {
        self.state().creates
    }

    /// Calls that look for one so far.
    pub(crate) fn finds(&self) -> usize {
        self.state().finds
    }

    /// Each order that has more than one draft order that has more than one.
    pub(crate) fn doubles(&self) -> Vec<String> {
        let state = self.state();
        let mut seen = HashSet::new();
        state.drafts.iter().map(|draft| draft.tag().to_owned()).filter(|tag| !seen.insert(tag.clone())).collect()
    }

    /// The merchant makes a copy of an order's draft, tags and all.
    pub(crate) fn copy_draft_of(&self, order: &str) {
        let tag = format!("pm-{order}");
        let mut state = self.state();
        state.number += 1;
        let number = state.number;
        let copied = state.drafts.iter().find(|draft| draft.tag() == tag).expect("a draft").clone();
        state.drafts.push(Draft { number, ..copied });
    }

    /// The shopper orders, and the draft of an order is completed.
    pub(crate) fn complete_draft_of(&self, order: &str, name: &'static str) {
        let tag = format!("pm-{order}");
        let mut state = self.state();
        let draft = state.drafts.iter_mut().find(|draft| draft.tag() == tag).expect("a draft");
        draft.completed = Some(name);
    }

    /// Whether a draft of an order was completed.
    pub(crate) fn is_completed(&self, order: &str) -> bool {
        let tag = format!("pm-{order}");
        self.state().drafts.iter().any(|draft| draft.tag() == tag && draft.completed.is_some())
    }

    /// From now on all goes well.
    pub(crate) fn forget_faults(&self) {
        let mut state = self.state();
        state.token_faults.clear();
        state.create_faults.clear();
        state.find_faults.clear();
        state.look_faults.clear();
        state.delete_faults.clear();
        state.states_faults.clear();
        state.during_create.clear();
        state.during_delete.clear();
    }

    /// The merchant deletes every draft of an order.
    pub(crate) fn delete_drafts_of(&self, order: &str) {
        let tag = format!("pm-{order}");
        self.state().drafts.retain(|draft| draft.tag() != tag);
    }

    /// The number of the draft that an order has or had.
    pub(crate) fn number_of(&self, order: &str) -> Option<u64> {
        self.state().numbers.get(&format!("pm-{order}")).copied()
    }

    pub(crate) fn drafts_of(&self, order: &str) -> usize {
        let tag = format!("pm-{order}");
        self.state().drafts.iter().filter(|draft| draft.tag() == tag).count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.let_go();
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
