//! The console's pages of a shop: prices, options, products, orders, and the shop itself. First as a browser without scripts uses them
//! (`forms.rs`, `orders.rs`, `shops.rs`), then in a real one (`sheet.rs`, `looks.rs`).

mod forms;
mod looks;
mod orders;
mod sheet;
mod shops;

use quotegrid::access::Role;
use quotegrid::access::links::{self, Invitation};
use quotegrid::catalog::stores::{self, NewStore, Scope};
use quotegrid::domain::ids::ShopDomain;
use quotegrid::http::{Headers, Method, Request, Response};
use quotegrid::testing::Fixture;
use std::net::IpAddr;

/// A shop of the fixture without anything in it.
pub(super) const SHOP: &str = "blinds.myshopify.com";

/// A server with an empty shop.
pub(super) fn with_shop() -> (Fixture, Scope) {
    let fixture = Fixture::new();
    let scope = install(&fixture, SHOP);
    (fixture, scope)
}

/// Installs a shop in euros and millimetres.
pub(super) fn install(fixture: &Fixture, shop: &str) -> Scope {
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let shop: ShopDomain = shop.parse().expect("a shop");
    let mut new = NewStore::new(shop);
    new.currency = "EUR".parse().expect("a currency");
    let installed = fixture.app.db.write(move |tx| stores::install_new(tx, now, entropy.as_ref(), &new));
    installed.expect("installed").scope()
}

/// The token of a link that lets somebody in.
pub(super) fn link(fixture: &Fixture, role: Role, scope: Option<Scope>) -> String {
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let store = scope.map(|scope| scope.store);
    let invitation = Invitation { role, store, label: format!("a {role}") };
    let expires_at = now + links::LINK_LIFE;
    let token = fixture.app.db.write(move |tx| links::insert(tx, now, entropy.as_ref(), &invitation, expires_at));
    token.expect("a link").expose().to_owned()
}

/// Somebody who is signed in, with a browser that runs no scripts.
pub(super) struct Visitor<'a> {
    fixture: &'a Fixture,
    cookie: String,
}

impl<'a> Visitor<'a> {
    pub(super) fn new(fixture: &'a Fixture, role: Role, scope: Option<Scope>) -> Self {
        let mut visitor = Self { fixture, cookie: String::new() };
        let token = link(fixture, role, scope);
        let entered = visitor.send("POST", "/admin/enter", format!("token={token}&next=admin").into_bytes(), FORM);
        assert_eq!(entered.status, 303, "{}", text(&entered));
        let cookie = entered.header("Set-Cookie").expect("a session");
        visitor.cookie = cookie.split(';').next().expect("a cookie").to_owned();
        visitor
    }

    pub(super) fn get(&self, path: &str) -> Response {
        self.send("GET", path, Vec::new(), "")
    }

    /// The page's text.
    pub(super) fn page(&self, path: &str) -> String {
        let response = self.get(path);
        assert_eq!(response.status, 200, "{path}: {}", text(&response));
        text(&response)
    }

    /// Sends fields as the form of the page `from` does: with its token.
    pub(super) fn post_from(&self, from: &str, to: &str, fields: &[(&str, &str)]) -> Response {
        let csrf = value_of(&self.page(from), "csrf");
        let fields = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied());
        let body: Vec<String> = fields.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.send("POST", to, body.join("&").into_bytes(), FORM)
    }

    /// The same where the page's form leads to the page itself.
    pub(super) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.post_from(path, path, fields)
    }

    pub(super) fn send(&self, method: &str, path: &str, body: Vec<u8>, content_type: &str) -> Response {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut headers = Headers::default();
        headers.push("Host", "127.0.0.1:8080");
        if !self.cookie.is_empty() {
            headers.push("Cookie", self.cookie.clone());
        }
        if !content_type.is_empty() {
            headers.push("Content-Type", content_type);
            headers.push("Origin", "http://127.0.0.1:8080");
        }
        self.fixture.call(Request {
            method: Method::from(method),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body,
            client: IpAddr::from([127, 0, 0, 1]),
            id: "test".to_owned(),
        })
    }
}

/// What forms are sent as.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("UTF-8")
}

/// Where a write leads.
pub(super) fn location(response: &Response) -> String {
    assert_eq!(response.status, 303, "{}", text(response));
    let location = response.header("Location").expect("a location").trim_start_matches("../").to_owned();
    format!("/{location}")
}

/// The value of a field of the page.
pub(super) fn value_of(page: &str, field: &str) -> String {
    values_of(page, field).into_iter().next().unwrap_or_else(|| panic!("no field {field} in {page}"))
}

/// The values of all fields of this name, in their order.
pub(super) fn values_of(page: &str, field: &str) -> Vec<String> {
    let name = format!("name=\"{field}\"");
    let inputs = page.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap_or_default());
    let values = inputs.filter(|input| input.contains(&name)).map(|input| {
        let value = input.split("value=\"").nth(1).unwrap_or_default();
        value.split('"').next().unwrap_or_default().to_owned()
    });
    values.collect()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
