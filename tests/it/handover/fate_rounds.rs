//! Rounds of random faults in all that becomes of orders: variants that are refused, checkouts without an address yet, orders that are
//! called off before, while and after their draft is asked for, shoppers who pay meanwhile, and webhooks that come before our own
//! answer, late, twice or never. Whatever happens in whatever order, in the end each order is what Shopify and its merchant made of it.

use super::fake::{Manner, Underway, Variant};
use super::fates::{completed, look};
use super::rounds::{plan, retry_failed};
use super::{PRODUCT, Shop, rounds};
use crate::support::dice::Dice;
use parking_lot::Mutex;
use quotegrid::http::{Headers, Method, Reply, Request, Response, Router, Service};
use quotegrid::shopify::sample::sign;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

const VARIANT: &str = "gid://shopify/ProductVariant/77";

/// Rounds that the gate has time for.
const ROUNDS: u64 = 40;

/// Those who act from outside, also while a call is under way.
#[derive(Clone)]
pub(super) struct Outside {
    router: Router,
    shop: String,
    /// Orders that were called off here.
    called_off: Arc<Mutex<HashSet<String>>>,
    /// What Shopify will still tell, once.
    late: Arc<Mutex<Vec<(&'static str, Value)>>>,
}

impl Outside {
    pub(super) fn of(shop: &Shop) -> Self {
        let (router, shop) = (shop.fixture.router.clone(), shop.demo.shop.to_string());
        Self { router, shop, called_off: Arc::default(), late: Arc::default() }
    }

    fn call(&self, path: String, fields: &[(&str, &str)], body: Vec<u8>) -> Response {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name, *value);
        }
        let request = Request {
            method: Method::Post,
            path,
            query: String::new(),
            headers,
            body,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            id: "outside".to_owned(),
        };
        let (sender, answer) = channel();
        self.router.call(request, Reply::new(move |response| sender.send(response).expect("somebody waits")));
        answer.recv_timeout(Duration::from_secs(120)).expect("an answer")
    }

    /// Calls an order off; returns the status of the answer.
    pub(super) fn cancel(&self, order: &str) -> u16 {
        let path = format!("/admin/api/stores/{}/draft-orders/{order}/cancel", self.shop);
        let token = format!("Bearer {}", Fixture::ADMIN_TOKEN);
        let answer = self.call(path, &[("Authorization", &token)], Vec::new());
        match answer.status {
            200 => drop(self.called_off.lock().insert(order.to_owned())),
            // It is known that the shopper has ordered.
            409 => {}
            _ => panic!("{answer:?}"),
        }
        answer.status
    }

    pub(super) fn tell(&self, topic: &str, body: &Value) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (text, id) = (body.to_string(), format!("told-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        let signature = sign(Fixture::SECRET, text.as_bytes());
        let fields = [
            ("X-Shopify-Topic", topic),
            ("X-Shopify-Shop-Domain", &*self.shop),
            ("X-Shopify-Webhook-Id", &id),
            ("X-Shopify-Hmac-Sha256", &signature),
        ];
        let answer = self.call("/webhooks".to_owned(), &fields, text.into_bytes());
        assert_eq!(answer.status, 200, "{topic} {body}: {answer:?}");
    }

    /// Has Shopify tell it now, twice, late or never.
    fn tell_somehow(&self, dice: u64, topic: &'static str, body: Value) {
        match dice % 4 {
            0 => self.tell(topic, &body),
            1 => (0..2).for_each(|_| self.tell(topic, &body)),
            2 => self.late.lock().push((topic, body)),
            _ => {}
        }
    }
}

/// What happens while a draft is being asked for.
fn meanwhile(outside: &Outside, dice: &mut Dice) -> Box<dyn FnOnce(&Underway<'_>) + Send> {
    let (outside, what, how) = (outside.clone(), dice.below(4), dice.below(4));
    Box::new(move |call| match (what, &call.order, call.number) {
        (0, Some(order), _) => drop(outside.cancel(order)),
        (1, _, Some(number)) => {
            call.complete("#M");
            outside.tell_somehow(how, "draft_orders/update", completed(number));
        }
        (2, _, Some(number)) => outside.tell("draft_orders/update", &json!({ "id": number, "status": "open" })),
        _ => {}
    })
}

/// What happens while one is being deleted: Shopify tells of it before it answers.
fn meanwhile_deleted(outside: &Outside, dice: &mut Dice) -> Box<dyn FnOnce(&Underway<'_>) + Send> {
    let (outside, how) = (outside.clone(), dice.below(4));
    Box::new(move |call| {
        if let (Some(_), Some(number)) = (&call.order, call.number) {
            // What is told must be so: one that was paid is not deleted.
            outside.tell_somehow(how, "draft_orders/update", json!({ "id": number, "status": "open" }));
        }
    })
}

/// One thing that somebody does about an order.
fn act(shop: &Shop, outside: &Outside, dice: &mut Dice, order: &str, deleted: &mut HashSet<String>) {
    let number = || {
        let id: Option<String> = shop.column(order, "shopify_draft_order_id");
        id.and_then(|id| id.rsplit('/').next().and_then(|number| number.parse::<u64>().ok()))
    };
    let how = dice.below(4);
    match dice.below(6) {
        0 => drop(outside.cancel(order)),
        1 if shop.fake.drafts_of(order) == 1 => {
            shop.fake.complete_draft_of(order, "#P");
            if let Some(number) = number() {
                outside.tell_somehow(how, "draft_orders/update", completed(number));
            }
        }
        // Shopify deletes no draft that was completed.
        2 if shop.column::<String>(order, "status") == "sent" && !shop.fake.is_completed(order) => {
            shop.fake.delete_drafts_of(order);
            deleted.insert(order.to_owned());
            outside.tell_somehow(how, "draft_orders/delete", json!({ "id": number().expect("it was sent") }));
        }
        3 => {
            if let Some(number) = number() {
                outside.tell("draft_orders/update", &json!({ "id": number, "status": "open" }));
            }
        }
        4 => shop.fake.revoke_tokens(),
        _ => drop(shop.fixture.advance(Duration::from_secs(dice.below(700)))),
    }
}

/// The product has no variant, one that Shopify has, or one that it has no more.
fn choose_variant(shop: &Shop, dice: &mut Dice) {
    let variant = if dice.below(2) == 0 { json!(null) } else { json!("77") };
    let path =
        format!("/admin/api/stores/{}/products/{}", shop.demo.shop, PRODUCT.rsplit('/').next().expect("a number"));
    assert_eq!(shop.fixture.admin("PATCH", &path, Some(&json!({ "variantId": variant }))).status, 200);
    let mut state = shop.fake.state();
    if dice.below(2) == 0 {
        state.variants.insert(VARIANT.to_owned(), Variant::PLAIN);
    } else {
        state.variants.clear();
    }
    state.names_no_field = dice.below(2) == 0;
}

#[test]
fn over_rounds_of_faults_each_order_becomes_what_shopify_and_its_merchant_make_of_it() {
    let shop = Shop::new();
    let outside = Outside::of(&shop);
    let mut dice = Dice(0x0fa7_e0f0_0d1c);
    let (mut deleted, mut orders) = (HashSet::new(), 0);
    let mut ends = std::collections::BTreeMap::new();
    let rounds = rounds(ROUNDS);
    for round in 0..rounds {
        choose_variant(&shop, &mut dice);
        plan(&shop, &mut dice, 500);
        // The list of another search, given after the settling time, says that there is no draft where there is one: no program can
        // tell that from the truth.
        shop.fake.state().find_faults.retain(|manner| *manner != Manner::Anothers);
        for _ in 0..dice.below(3) {
            let (creating, deleting) = (meanwhile(&outside, &mut dice), meanwhile_deleted(&outside, &mut dice));
            let mut state = shop.fake.state();
            state.during_create.push_back(creating);
            state.during_delete.push_back(deleting);
        }
        for _ in 0..dice.below(3) {
            let manner = super::rounds::manner(&mut dice);
            shop.fake.state().delete_faults.push_back(manner);
            let manner = super::rounds::manner(&mut dice);
            shop.fake.state().states_faults.push_back(manner);
        }
        let placed: Vec<String> = (0..=dice.below(2)).map(|_| shop.order()).collect();
        for _ in 0..dice.below(6) {
            for _ in 0..dice.below(4) {
                shop.fixture.run_next();
            }
            let order = &placed[usize::try_from(dice.below(placed.len() as u64)).expect("few")];
            act(&shop, &outside, &mut dice, order, &mut deleted);
        }
        shop.settle();
        while retry_failed(&shop) > 0 {
            shop.settle();
        }
        for (topic, body) in std::mem::take(&mut *outside.late.lock()) {
            outside.tell(topic, &body);
        }
        shop.fake.forget_faults();
        // Of what no webhook has told a look a day learns.
        shop.fixture.advance(DAY);
        look(&shop);
        for order in &placed {
            let state: String = shop.column(order, "status");
            let is_off = outside.called_off.lock().contains(order) || deleted.contains(order);
            let expected = match (shop.fake.is_completed(order), is_off) {
                (true, _) => "ordered",
                (false, true) => "cancelled",
                (false, false) => "sent",
            };
            assert_eq!(state, expected, "round {round}, order {order}: {:?}", shop.job());
            assert_eq!(shop.fake.drafts_of(order), usize::from(expected != "cancelled"), "round {round}");
            let open: (Option<i64>, Option<i64>) =
                (shop.column(order, "handover_attempted_at"), shop.column(order, "deletion_due_at"));
            assert_eq!(open, (None, None), "round {round}, order {order}: {state}");
            *ends.entry(state).or_insert(0) += 1;
        }
        orders += placed.len();
    }
    assert_eq!(shop.fake.doubles(), Vec::<String>::new());
    let refused: u64 = shop
        .fixture
        .query("SELECT count(*) FROM draft_order_records WHERE handover_warnings LIKE '%in place of%variant%'");
    let calls = shop.fake.state();
    println!(
        "{rounds} rounds, {orders} orders: {ends:?}, {refused} with a refused variant, {} calls for drafts, {} looks for addresses, {} deletions",
        calls.creates, calls.looks, calls.deletes
    );
    assert!(ends.len() == 3 && ends.values().all(|count| *count > 2), "the rounds come to every end: {ends:?}");
    assert!(refused > 0 && calls.looks > 0 && calls.deletes > 0);
}
