//! What the fake answers to each document, and to who asks for a token.

use super::draft::{Draft, refusal};
use super::wire::{Call, answer, field};
use super::{CLIENT_ID, CLIENT_SECRET, ELSEWHERE, Fault, Manner, Shared, State, Underway};
use crate::handover::documents::{check, check_answer};
use parking_lot::MutexGuard;
use quotegrid::clock::Clock;
use quotegrid::shopify::admin::{CREATE, DELETE, FIND, LOOK, PRODUCTS, STATES, VARIANTS};
use serde_json::{Value, json};
use std::net::TcpStream;

pub(super) fn number_of(id: &str) -> Option<u64> {
    id.rsplit('/').next()?.parse().ok()
}

impl Shared {
    pub(super) fn serve(&self, socket: &TcpStream) {
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
        check(&body);
        if body["query"] == CREATE {
            self.create(socket, shop, &body["variables"]["input"]);
        } else if body["query"] == FIND {
            self.find(socket, shop, body["variables"]["search"].as_str().expect("a search"));
        } else if body["query"] == LOOK {
            self.look(socket, shop, body["variables"]["id"].as_str().expect("an id"));
        } else if body["query"] == STATES {
            self.states(socket, shop, body["variables"]["ids"].as_array().expect("ids"));
        } else if body["query"] == VARIANTS {
            self.variants(socket, body["variables"]["ids"].as_array().expect("ids"));
        } else if body["query"] == PRODUCTS {
            self.products(socket, &body["variables"]);
        } else if body["query"] == DELETE {
            self.delete(socket, shop, body["variables"]["input"]["id"].as_str().expect("an id"));
        } else {
            panic!("nobody knows this document: {}", body["query"]);
        }
    }

    /// Ends a call whose `good` answer is one that the schema allows to this document: a field that nothing asked for would be missing
    /// at Shopify.
    fn end_as(&self, socket: &TcpStream, manner: Manner, document: &str, good: &Value) {
        check_answer(document, good);
        self.end(socket, manner, good);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Sixty blinds, fifty a page; the cursor is the last one's number.
    fn products(&self, socket: &TcpStream, variables: &Value) {
        let is_denied = {
            let mut state = self.lock();
            state.product_lists += 1;
            state.denies_products
        };
        if is_denied {
            let error =
                json!({ "message": "Access denied for products field.", "extensions": { "code": "ACCESS_DENIED" } });
            return answer(socket, 200, "", &json!({ "errors": [error], "data": null }).to_string());
        }
        let after: u64 = variables["after"].as_str().map_or(0, |after| after.parse().expect("a cursor of ours"));
        let search = variables["search"].as_str().unwrap_or_default();
        let title = |number: u64| format!("Blind {number:02} <b>\"wide\"</b>");
        let found: Vec<u64> = (1..=60).filter(|number| *number > after && title(*number).contains(search)).collect();
        let page: Vec<u64> = found.iter().copied().take(50).collect();
        let status = |number: u64| if number.is_multiple_of(2) { "ACTIVE" } else { "DRAFT" };
        let node = |number: &u64| json!({ "id": format!("gid://shopify/Product/{}", 7_000 + number), "title": title(*number), "status": status(*number) });
        let info = json!({ "hasNextPage": found.len() > page.len(), "endCursor": page.last().map(u64::to_string) });
        let nodes: Vec<Value> = page.iter().map(node).collect();
        self.end_as(
            socket,
            Manner::Answer,
            PRODUCTS,
            &json!({ "data": { "products": { "nodes": nodes, "pageInfo": info } } }),
        );
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
                state.numbers.insert(draft.tag().to_owned(), number);
                state.drafts.push(draft);
                node
            });
            (fault, made, refused)
        };
        self.changed.notify_all();
        let number = made.as_ref().and_then(|node| number_of(node["id"].as_str()?));
        let tags = input["tags"].as_array().expect("tags").iter().filter_map(Value::as_str);
        let order = tags.filter_map(|tag| tag.strip_prefix("pm-")).next().map(str::to_owned);
        let meanwhile = self.lock().during_create.pop_front();
        meanwhile.into_iter().for_each(|act| act(&Underway { order: order.clone(), number, state: &self.state }));
        let payload = json!({ "draftOrder": made, "userErrors": refused.unwrap_or_else(|| json!([])) });
        self.end_as(socket, fault.manner, CREATE, &json!({ "data": { "draftOrderCreate": payload } }));
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
                        node["order"] = json!({ "name": name, "legacyResourceId": draft.order_number().to_string() });
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
        self.end_as(socket, manner, STATES, &answer);
    }

    fn variants(&self, socket: &TcpStream, ids: &[Value]) {
        let answer = {
            let mut state = self.lock();
            state.variant_looks += 1;
            let node = |id: &Value| {
                let id = id.as_str().expect("an id");
                state.variants.get(id).filter(|_| !state.hides_products).map(|variant| variant.node(id))
            };
            let nodes: Vec<_> = ids.iter().map(node).collect();
            let shop = json!({ "currencyCode": state.currencies[0], "enabledPresentmentCurrencies": state.currencies });
            let mut answer = json!({ "data": { "shop": shop, "nodes": nodes } });
            if state.hides_products && !ids.is_empty() {
                let denied = |place| {
                    json!({ "message": "Access denied for ProductVariant", "path": ["nodes", place],
                    "extensions": { "code": "ACCESS_DENIED" } })
                };
                answer["errors"] = (0..ids.len()).map(denied).collect();
            }
            answer
        };
        self.changed.notify_all();
        self.end_as(socket, Manner::Answer, VARIANTS, &answer);
    }

    fn delete(&self, socket: &TcpStream, shop: &str, id: &str) {
        let (manner, payload, order) = {
            let mut state = self.lock();
            state.deletes += 1;
            let manner = state.delete_faults.pop_front().unwrap_or(Manner::Answer);
            let works = matches!(manner, Manner::Answer | Manner::Chunks | Manner::Close | Manner::HalfAnswer);
            let place = state.drafts.iter().position(|draft| draft.shop == shop && draft.id() == id);
            let order = place.map(|place| state.drafts[place].tag()["pm-".len()..].to_owned());
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
            (manner, payload, order)
        };
        self.changed.notify_all();
        let (number, meanwhile) = (number_of(id), self.lock().during_delete.pop_front());
        meanwhile.into_iter().for_each(|act| act(&Underway { order: order.clone(), number, state: &self.state }));
        self.end_as(socket, manner, DELETE, &json!({ "data": { "draftOrderDelete": payload } }));
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
        self.end_as(socket, manner, LOOK, &json!({ "data": { "draftOrder": node } }));
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
        self.end_as(
            socket,
            manner,
            FIND,
            &json!({ "data": { "tagged": { "nodes": tagged }, "newest": { "nodes": newest } } }),
        );
    }
}
