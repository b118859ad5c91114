//! A small Admin API: a real server on loopback that grants tokens, makes draft orders and searches them as Shopify does, late index
//! included, and fails in every way that it is told to.

use super::documents::{check, check_input};
use crate::support::waiting::PATIENCE;
use parking_lot::{Condvar, Mutex, MutexGuard};
use quotegrid::clock::{Clock, ManualClock};
use quotegrid::shopify::admin::{CREATE, DELETE, FIND, LOOK, STATES};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const CLIENT_ID: &str = "id-of-a-fake-app";
pub(crate) const CLIENT_SECRET: &str = "quiet-4f9c71be-hush";

/// Where redirects lead: nobody may come there with a token.
const ELSEWHERE: &str = "/elsewhere";

/// How a call ends. Each is combined with whether the work was done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Answer,
    /// With this status and an empty object.
    Status(u16),
    /// 400 with this code, as OAuth refuses a token.
    Refused(&'static str),
    /// 429 with a Retry-After of so many seconds.
    RetryAfter(u16, u64),
    /// 200 with an error of this code and no data.
    Code(&'static str),
    /// 200 with an error of this code about something within the answer, and no data: what could not be null was.
    CodeWithin(&'static str),
    /// 200 with a cost throttle.
    Throttled,
    /// 429 with a text where errors stand, and no Retry-After: as Shopify's edge does it.
    Busy,
    /// The connection is closed without a byte.
    Close,
    /// 200 and something that is no JSON.
    Garbage,
    /// A promised length, half of it, and the end.
    HalfAnswer,
    /// An answer that is larger than anybody wants.
    Endless,
    /// Nothing until the caller gives up or the fake lets go.
    Hang,
    /// Fields of a head without end, a byte at a time, until the caller gives up or the fake lets go.
    DripHead,
    /// The same with the bytes of a body.
    DripBody,
    /// As it should, in chunks of a byte, after some interim answers.
    Chunks,
    /// JSON that is nested more deeply than anybody reads.
    Deep,
    /// The head of the next answer where the body should go on.
    Shortened,
    /// A redirect to another host.
    Redirect,
    /// 200 with user errors.
    UserErrors,
    /// 200 with a user error that is about no field.
    Passing,
    /// 422 with a text that says that there were too many requests.
    TooMany,
    /// An answer with neither a draft nor an error.
    Nothing,
    /// The draft of another order, as a cache on the way would answer.
    Anothers,
}

/// What is to happen to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Whether the draft is made all the same.
    pub(crate) works: bool,
    pub(crate) manner: Manner,
}

impl Fault {
    pub(crate) fn before(manner: Manner) -> Self {
        Self { works: false, manner }
    }

    pub(crate) fn after(manner: Manner) -> Self {
        Self { works: true, manner }
    }
}

/// A draft order that was made.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) shop: String,
    pub(crate) input: Value,
    /// Searches that will still not find it.
    pub(crate) hidden_for: usize,
    /// By the time that has really passed: searches before this do not find it.
    hidden_until: Option<Duration>,
    /// Looks by id that will still find no address.
    unready_for: usize,
    has_idle_address: bool,
    number: u64,
    /// The variants of its shop when it was made.
    variants: HashMap<String, Variant>,
    /// The order that it became, once it is completed.
    pub(crate) completed: Option<&'static str>,
}

impl Draft {
    /// From now on searches find it.
    pub(crate) fn appear(&mut self) {
        (self.hidden_for, self.hidden_until) = (0, None);
    }

    pub(crate) fn tag(&self) -> &str {
        let tags = self.input["tags"].as_array().expect("tags");
        tags.iter().filter_map(Value::as_str).find(|tag| tag.starts_with("pm-")).expect("a tag of its own")
    }

    fn id(&self) -> String {
        format!("gid://shopify/DraftOrder/{}", self.number)
    }

    /// As Shopify shows it, with what it takes where nothing was said.
    fn node(&self) -> Value {
        let items = self.input["lineItems"].as_array().expect("lines");
        // Exactly, with the decimals of the price, and then those that Shopify adds.
        let mut decimals = 0;
        let total: i128 = items
            .iter()
            .map(|item| {
                let price = price_of(item)["amount"].as_str().expect("text");
                let (whole, rest) = price.split_once('.').unwrap_or((price, ""));
                decimals = rest.len();
                let minor: i128 = format!("{whole}{rest}").parse().expect("a number");
                minor * i128::from(item["quantity"].as_i64().expect("a number"))
            })
            .sum();
        let total = format!("{total:0>width$}", width = decimals + 1);
        let (whole, decimals) = total.split_at(total.len() - decimals);
        let total = format!("{whole}.{decimals}0");
        let currency = &price_of(&items[0])["currencyCode"];
        let is_ready = self.unready_for == 0;
        let address = format!("https://{}/invoices/{}", self.shop, self.number);
        json!({
            "id": self.id(),
            "name": format!("#S{}", self.number),
            "ready": is_ready,
            "invoiceUrl": (is_ready || self.has_idle_address).then_some(address),
            "tags": self.input["tags"],
            "totalPriceSet": { "presentmentMoney": { "amount": total, "currencyCode": currency } },
            "lineItems": { "nodes": items.iter().map(|item| self.line(item)).collect::<Vec<_>>() },
        })
    }

    /// As a search shows it: its lines are not asked for there.
    fn found(&self) -> Value {
        let mut node = self.node();
        node.as_object_mut().expect("an object").remove("lineItems");
        node
    }

    fn line(&self, item: &Value) -> Value {
        let variant = item["variantId"].as_str();
        let seen = variant.and_then(|id| self.variants.get(id)).copied();
        json!({
            "quantity": item["quantity"],
            "custom": variant.is_none(),
            "requiresShipping": seen.map_or(item["requiresShipping"] == true, |seen| seen.requires_shipping),
            "taxable": seen.map_or(item["taxable"] != false, |seen| seen.taxable),
            "variant": variant.map(|id| json!({ "id": id })),
            "priceOverride": item["priceOverride"],
            // Of a variant it is the variant's own.
            "originalUnitPriceSet": { "presentmentMoney":
                if variant.is_some() { json!({ "amount": "1.0", "currencyCode": price_of(item)["currencyCode"] }) }
                else { price_of(item).clone() } },
        })
    }
}

fn price_of(item: &Value) -> &Value {
    let name = if item["variantId"].is_null() { "originalUnitPriceWithCurrency" } else { "priceOverride" };
    &item[name]
}

/// A variant that the shop has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Variant {
    pub(crate) requires_shipping: bool,
    pub(crate) taxable: bool,
}

/// What Shopify does not take, as user errors; `None`: nothing is wrong.
fn refusal(input: &Value, variants: &HashMap<String, Variant>, names_no_field: bool) -> Option<Value> {
    let fault = |field: Value, message: &str| Some(json!([{ "field": field, "message": message }]));
    let at = |place: usize, name: &str| json!(["input", "lineItems", place.to_string(), name]);
    let items = input["lineItems"].as_array().expect("lines");
    if items.is_empty() || items.len() > 499 {
        return fault(json!(["input", "lineItems"]), "must have from 1 to 499 lines");
    }
    let is_long = |value: &Value, most: usize| value.as_str().is_some_and(|text| text.chars().count() > most);
    if input["tags"].as_array().expect("tags").iter().any(|tag| is_long(tag, 40)) {
        return fault(json!(["input", "tags"]), "is too long (maximum is 40 characters)");
    }
    for (place, item) in items.iter().enumerate() {
        if !(1..=i64::from(i32::MAX)).contains(&item["quantity"].as_i64().expect("a number")) {
            return fault(at(place, "quantity"), "must be greater than or equal to 1");
        }
        let price = price_of(item);
        if price["currencyCode"] != input["presentmentCurrencyCode"] {
            return fault(at(place, "originalUnitPriceWithCurrency"), "must be in the currency of the draft order");
        }
        if price["amount"].as_str().is_none_or(|amount| amount.starts_with('-')) {
            return fault(at(place, "originalUnitPriceWithCurrency"), "must be greater than or equal to 0");
        }
        match item["variantId"].as_str() {
            Some(id) if !variants.contains_key(id) => {
                let field = if names_no_field { Value::Null } else { at(place, "variantId") };
                return fault(field, "Product with ID is no longer available");
            }
            Some(_) => {}
            None if item["title"].as_str().is_none_or(str::is_empty) => {
                return fault(at(place, "title"), "can't be blank");
            }
            None => {}
        }
        if is_long(&item["title"], 255) || is_long(&item["sku"], 255) {
            return fault(at(place, "title"), "is too long (maximum is 255 characters)");
        }
        let attributes = item["customAttributes"].as_array().cloned().unwrap_or_default();
        let mut keys = HashSet::new();
        for attribute in &attributes {
            let key = attribute["key"].as_str().expect("text");
            if key.is_empty() || is_long(&attribute["key"], 255) || !keys.insert(key.to_owned()) {
                return fault(at(place, "customAttributes"), "keys must be there once and have up to 255 characters");
            }
        }
    }
    None
}

#[derive(Default)]
pub(crate) struct State {
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
    /// What is otherwise in the lines of the answers.
    pub(crate) line_change: Option<fn(&mut Value)>,
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
        let state = State { token_life: 86_399, ..State::default() };
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

    /// The merchant deletes every draft of an order.
    pub(crate) fn delete_drafts_of(&self, order: &str) {
        let tag = format!("pm-{order}");
        self.state().drafts.retain(|draft| draft.tag() != tag);
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

struct Call {
    path: String,
    head: String,
    body: Vec<u8>,
}

impl Call {
    fn read(socket: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let path = head.split(' ').nth(1)?.to_owned();
        let length = field(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { path, head, body })
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

impl Shared {
    fn serve(&self, socket: &TcpStream) {
        let Some(call) = Call::read(socket) else { return };
        if call.path == ELSEWHERE {
            self.lock().redirected += 1;
            return answer(socket, 200, "", "{}");
        }
        let (shop, path) = call.path[1..].split_once('/').expect("a shop in front of the path");
        if path == "admin/oauth/access_token" {
            return self.grant(socket, &call);
        }
        assert_eq!(path, format!("admin/api/{}/graphql.json", quotegrid::shopify::admin::VERSION));
        let body: Value = serde_json::from_slice(&call.body).expect("GraphQL is asked in JSON");
        let token = field(&call.head, "x-shopify-access-token").expect("a token");
        if !self.lock().tokens.contains(token) {
            return answer(socket, 401, "", &json!({ "errors": "[API] Invalid API key or access token" }).to_string());
        }
        check(body["query"].as_str().expect("a document"));
        if body["query"] == CREATE {
            check_input("DraftOrderInput", &body["variables"]["input"]);
            self.create(socket, shop, &body["variables"]["input"]);
        } else if body["query"] == FIND {
            self.find(socket, shop, body["variables"]["search"].as_str().expect("a search"));
        } else if body["query"] == LOOK {
            self.look(socket, shop, body["variables"]["id"].as_str().expect("an id"));
        } else if body["query"] == STATES {
            self.states(socket, shop, body["variables"]["ids"].as_array().expect("ids"));
        } else if body["query"] == DELETE {
            check_input("DraftOrderDeleteInput", &body["variables"]["input"]);
            self.delete(socket, shop, body["variables"]["input"]["id"].as_str().expect("an id"));
        } else {
            panic!("nobody knows this document: {}", body["query"]);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn grant(&self, socket: &TcpStream, call: &Call) {
        let form = String::from_utf8(call.body.clone()).expect("a form");
        let right = format!("grant_type=client_credentials&client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
        let (manner, token, life) = {
            let mut state = self.lock();
            state.granted += 1;
            let token = format!("shpat_fake_{}", state.granted);
            let manner = state.token_faults.pop_front().unwrap_or(Manner::Answer);
            if form == right {
                state.tokens.insert(token.clone());
            }
            (manner, token, state.token_life)
        };
        self.changed.notify_all();
        if form != right {
            return answer(socket, 401, "", &json!({ "error": "invalid_client" }).to_string());
        }
        let granted = json!({ "access_token": token, "scope": "write_draft_orders", "expires_in": life });
        self.end(socket, manner, &granted);
    }

    fn create(&self, socket: &TcpStream, shop: &str, input: &Value) {
        let (fault, made, refused) = {
            let mut state = self.lock();
            state.creates += 1;
            let refused = refusal(input, &state.variants, state.names_no_field);
            let hangs = state.hangs.as_deref() == Some(shop);
            let hang = hangs.then_some(Fault::before(Manner::Hang));
            let fault = hang.or_else(|| state.create_faults.pop_front()).or(state.always);
            let fault = fault.unwrap_or(Fault::after(Manner::Answer));
            let hidden_for = state.index_lag;
            let made = (fault.works && refused.is_none()).then(|| {
                state.number += 1;
                let number = state.number;
                let hidden_until = state.index_lag_time.as_ref().map(|(clock, lag)| clock.uptime() + *lag);
                let (unready_for, has_idle_address) = (state.address_lag, state.has_idle_address);
                let shop = shop.to_owned();
                let input = input.clone();
                let variants = state.variants.clone();
                let completed = None;
                let draft = Draft {
                    shop,
                    input,
                    hidden_for,
                    hidden_until,
                    unready_for,
                    has_idle_address,
                    number,
                    variants,
                    completed,
                };
                let node = state.charged(draft.node());
                state.drafts.push(draft);
                node
            });
            (fault, made, refused)
        };
        self.changed.notify_all();
        let payload = json!({ "draftOrder": made, "userErrors": refused.unwrap_or_else(|| json!([])) });
        self.end(socket, fault.manner, &json!({ "data": { "draftOrderCreate": payload } }));
    }

    fn states(&self, socket: &TcpStream, shop: &str, ids: &[Value]) {
        let (manner, answer) = {
            let mut state = self.lock();
            state.states += 1;
            let mut errors = Vec::new();
            let nodes: Vec<Value> = ids
                .iter()
                .enumerate()
                .map(|(place, id)| {
                    let draft = state
                        .drafts
                        .iter()
                        .find(|draft| draft.shop == shop && draft.id() == id.as_str().expect("an id"));
                    let Some(draft) = draft else { return Value::Null };
                    let mut node = json!({ "id": draft.id(), "status": "OPEN", "completedAt": null, "order": null });
                    if let Some(name) = draft.completed {
                        node["status"] = json!("COMPLETED");
                        node["completedAt"] = json!("2026-01-01T00:00:00Z");
                        node["order"] = json!({ "name": name });
                        if state.hides_orders {
                            node["order"] = Value::Null;
                            errors.push(
                                json!({ "message": "Access denied for order field.", "path": ["nodes", place, "order"],
                                "extensions": { "code": "ACCESS_DENIED" } }),
                            );
                        }
                    }
                    node
                })
                .collect();
            let mut answer = json!({ "data": { "nodes": nodes } });
            if !errors.is_empty() {
                answer["errors"] = json!(errors);
            }
            (state.states_faults.pop_front().unwrap_or(Manner::Answer), answer)
        };
        self.changed.notify_all();
        self.end(socket, manner, &answer);
    }

    fn delete(&self, socket: &TcpStream, shop: &str, id: &str) {
        let (manner, payload) = {
            let mut state = self.lock();
            state.deletes += 1;
            let manner = state.delete_faults.pop_front().unwrap_or(Manner::Answer);
            let works = matches!(manner, Manner::Answer | Manner::Chunks | Manner::Close | Manner::HalfAnswer);
            let place = state.drafts.iter().position(|draft| draft.shop == shop && draft.id() == id);
            let fault =
                |message: &str| json!({ "deletedId": null, "userErrors": [{ "field": ["id"], "message": message }] });
            let payload = match place {
                None => fault("Draft order does not exist"),
                Some(place) if state.drafts[place].completed.is_some() => {
                    fault("Completed draft orders cannot be deleted")
                }
                Some(place) => {
                    if works {
                        state.drafts.remove(place);
                    }
                    json!({ "deletedId": id, "userErrors": [] })
                }
            };
            (manner, payload)
        };
        self.changed.notify_all();
        self.end(socket, manner, &json!({ "data": { "draftOrderDelete": payload } }));
    }

    fn look(&self, socket: &TcpStream, shop: &str, id: &str) {
        let (manner, node) = {
            let mut state = self.lock();
            state.looks += 1;
            let is_it =
                |draft: &Draft| draft.shop == shop && format!("gid://shopify/DraftOrder/{}", draft.number) == id;
            let draft = state.drafts.iter_mut().find(|draft| is_it(draft));
            let node = draft.map(|draft| {
                draft.unready_for = draft.unready_for.saturating_sub(1);
                draft.node()
            });
            (state.look_faults.pop_front().unwrap_or(Manner::Answer), node.map(|node| state.charged(node)))
        };
        self.changed.notify_all();
        self.end(socket, manner, &json!({ "data": { "draftOrder": node } }));
    }

    fn find(&self, socket: &TcpStream, shop: &str, search: &str) {
        let tag = search.strip_prefix("tag:'").and_then(|rest| rest.strip_suffix('\'')).expect("a search by tag");
        let (manner, tagged, newest) = {
            let mut state = self.lock();
            state.finds += 1;
            let now = state.index_lag_time.as_ref().map(|(clock, _)| clock.uptime());
            let is_known = |draft: &Draft| draft.hidden_for == 0 && draft.hidden_until <= now;
            let of_shop: Vec<&Draft> = state.drafts.iter().filter(|draft| draft.shop == shop).collect();
            let is_late = state.newest_is_late;
            let tagged: Vec<Value> = of_shop
                .iter()
                .filter(|draft| draft.tag() == tag && is_known(draft))
                .map(|draft| draft.found())
                .collect();
            let newest: Vec<Value> = of_shop
                .iter()
                .rev()
                .filter(|draft| !is_late || is_known(draft))
                .take(50)
                .map(|draft| draft.found())
                .collect();
            for draft in &mut state.drafts {
                draft.hidden_for = draft.hidden_for.saturating_sub(1);
            }
            (state.find_faults.pop_front().unwrap_or(Manner::Answer), tagged, newest)
        };
        self.changed.notify_all();
        self.end(socket, manner, &json!({ "data": { "tagged": { "nodes": tagged }, "newest": { "nodes": newest } } }));
    }

    fn end(&self, socket: &TcpStream, manner: Manner, good: &Value) {
        let code = |code: &str, message: &str| json!({ "data": null, "errors": [{ "message": message, "extensions": { "code": code } }] });
        match manner {
            Manner::Answer => answer(socket, 200, "", &good.to_string()),
            Manner::Status(status) => answer(socket, status, "", "{}"),
            Manner::RetryAfter(status, seconds) => answer(socket, status, &format!("Retry-After: {seconds}\r\n"), "{}"),
            Manner::Refused(code) => answer(socket, 400, "", &json!({ "error": code }).to_string()),
            Manner::Code(name) => answer(socket, 200, "", &code(name, "It failed").to_string()),
            Manner::CodeWithin(name) => {
                let mut body = code(name, "It may not be looked at");
                body["data"] = json!({ "draftOrderCreate": null, "tagged": null, "newest": null });
                body["errors"][0]["path"] = json!(["draftOrderCreate", "draftOrder", "totalPriceSet"]);
                answer(socket, 200, "", &body.to_string());
            }
            Manner::Busy => {
                answer(
                    socket,
                    429,
                    "",
                    &json!({ "errors": "Exceeded 2 calls per second for api client." }).to_string(),
                );
            }
            Manner::Throttled => {
                let mut body = code("THROTTLED", "Throttled");
                let status = json!({ "maximumAvailable": 2000.0, "currentlyAvailable": 0, "restoreRate": 100.0 });
                body["extensions"] =
                    json!({ "cost": { "requestedQueryCost": 300, "actualQueryCost": null, "throttleStatus": status } });
                answer(socket, 200, "", &body.to_string());
            }
            Manner::Close => {}
            Manner::Garbage => answer(socket, 200, "", "<html>Something went wrong</html>"),
            Manner::HalfAnswer => {
                let text = good.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
                send(socket, format!("{head}{}", &text[..text.len() / 2]).as_bytes());
            }
            Manner::Endless => {
                let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                send(socket, head);
                let block = [b' '; 64 << 10];
                let mut socket = socket;
                for _ in 0..1_000 {
                    if socket.write_all(&block).is_err() {
                        break;
                    }
                }
            }
            Manner::Hang => {
                self.hang(socket);
                let manner = self.lock().after_hang.unwrap_or(Manner::Answer);
                self.end(socket, manner, good);
            }
            Manner::DripHead => {
                send(socket, b"HTTP/1.1 200 OK\r\nX-Drip: ");
                self.drip(socket);
            }
            Manner::DripBody => {
                send(socket, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
                self.drip(socket);
            }
            Manner::Chunks => {
                let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
                let mut text = format!("{interim}{head}").into_bytes();
                for byte in good.to_string().bytes() {
                    text.extend(*b"1\r\n");
                    text.push(byte);
                    text.extend(*b"\r\n");
                }
                text.extend(*b"0\r\n\r\n");
                send(socket, &text);
            }
            Manner::Deep => answer(socket, 200, "", &"[".repeat(500_000)),
            Manner::Shortened => {
                let text = good.to_string();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len() - 1);
                send(socket, format!("{head}{text}HTTP/1.1 200 OK\r\n").as_bytes());
            }
            Manner::Redirect => {
                let address = socket.local_addr().expect("an address");
                answer(socket, 302, &format!("Location: http://{address}{ELSEWHERE}\r\n"), "");
            }
            Manner::UserErrors => {
                let errors = json!([{ "field": ["input", "lineItems", "0", "title"], "message": "Title is bad: ask bob@example.com" }]);
                let payload = json!({ "draftOrder": null, "userErrors": errors });
                answer(socket, 200, "", &json!({ "data": { "draftOrderCreate": payload } }).to_string());
            }
            Manner::Passing => {
                let errors = json!([{ "field": null, "message": "Too many attempts. Please try again later." }]);
                let payload = json!({ "draftOrder": null, "userErrors": errors });
                answer(socket, 200, "", &json!({ "data": { "draftOrderCreate": payload } }).to_string());
            }
            Manner::TooMany => answer(socket, 422, "", &json!({ "errors": "Too many requests" }).to_string()),
            Manner::Anothers => {
                let mut other = json!({ "id": "gid://shopify/DraftOrder/999", "name": "#S999", "tags": ["price-matrix", "pm-other"] });
                other["invoiceUrl"] = json!("https://other.myshopify.com/invoices/999");
                let payload = json!({ "draftOrder": other, "userErrors": [] });
                let lists = json!({ "nodes": [other] });
                let data = json!({ "draftOrderCreate": payload, "tagged": lists, "newest": lists });
                answer(socket, 200, "", &json!({ "data": data }).to_string());
            }
            Manner::Nothing => answer(socket, 200, "", &json!({ "data": { "draftOrderCreate": null } }).to_string()),
        }
    }

    /// A byte, and a rest, until the fake lets go, or the caller has.
    fn drip(&self, mut socket: &TcpStream) {
        let mut state = self.lock();
        let seen = state.let_go;
        while state.let_go == seen && socket.write_all(b"x").is_ok() {
            self.changed.wait_for(&mut state, Duration::from_millis(20));
        }
    }

    /// Waits until the fake lets go, or the caller has.
    fn hang(&self, socket: &TcpStream) {
        let mut state = self.lock();
        state.hanging += 1;
        let seen = state.let_go;
        self.changed.notify_all();
        socket.set_nonblocking(true).expect("a socket");
        loop {
            self.changed.wait_for(&mut state, Duration::from_millis(20));
            let is_gone = matches!((&*socket).read(&mut [0]), Ok(0));
            if state.let_go != seen || is_gone {
                break;
            }
        }
        state.hanging -= 1;
        drop(state);
        self.changed.notify_all();
        socket.set_nonblocking(false).expect("a socket");
    }
}

fn answer(socket: &TcpStream, status: u16, fields: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nX-Shopify-API-Version: {}\r\nConnection: close\r\n{fields}Content-Length: {}\r\n\r\n",
        quotegrid::shopify::admin::VERSION,
        body.len()
    );
    send(socket, format!("{head}{body}").as_bytes());
}

fn send(mut socket: &TcpStream, bytes: &[u8]) {
    // Who has gone does not hear it.
    let _gone = socket.write_all(bytes);
}
