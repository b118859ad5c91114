//! The console: who may come in, what they may do, and what its pages show.

mod browser;
mod commands;
mod jobs;
mod pages;
mod roles;
mod scriptless;
mod signing_in;
mod walk;
mod writes;

use quotegrid::access::Role;
use quotegrid::access::links::{self, Invitation, LINK_LIFE};
use quotegrid::domain::ids::StoreId;
use quotegrid::http::{Headers, Method, Request, Response};
use quotegrid::testing::Fixture;
use std::net::IpAddr;

/// Where the fixture's browser thinks it is.
const HOST: &str = "127.0.0.1:8080";

/// Every page that concerns the whole server.
const SERVER_PAGES: [&str; 6] =
    ["/admin", "/admin/jobs", "/admin/privacy", "/admin/webhooks", "/admin/activity", "/admin/health"];

/// A request as a browser on the fixture's own page sends it.
fn request(method: &str, path: &str, cookie: Option<&str>, body: &str) -> Request {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut headers = Headers::default();
    headers.push("Host", HOST);
    headers.push("Accept", "text/html");
    if let Some(cookie) = cookie {
        headers.push("Cookie", format!("theme=dark; {cookie}"));
    }
    if method != "GET" {
        headers.push("Origin", format!("http://{HOST}"));
        headers.push("Sec-Fetch-Site", "same-origin");
    }
    Request {
        method: Method::from(method),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
        client: IpAddr::from([127, 0, 0, 1]),
        id: "test".to_owned(),
    }
}

/// A link's token for a person of a role.
fn link(fixture: &Fixture, role: Role, store: Option<StoreId>) -> String {
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let invitation = Invitation { role, store, label: format!("a {role}") };
    let made = fixture.app.db.write(move |tx| links::insert(tx, now, entropy.as_ref(), &invitation, now + LINK_LIFE));
    made.expect("a working database").expose().to_owned()
}

/// The session's cookie that a response sets, as a browser sends it back.
fn cookie_of(response: &Response) -> Option<String> {
    let field = response.header("set-cookie")?;
    Some(field.split(';').next().unwrap_or_default().to_owned())
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.clone()).expect("text")
}

/// A person who is signed in, with a browser.
struct Person<'a> {
    fixture: &'a Fixture,
    cookie: String,
    csrf: String,
}

impl<'a> Person<'a> {
    fn sign_in(fixture: &'a Fixture, role: Role, store: Option<StoreId>) -> Self {
        Self::enter(fixture, &link(fixture, role, store))
    }

    /// By a link's token.
    fn enter(fixture: &'a Fixture, token: &str) -> Self {
        let entered = fixture.call(request("POST", "/admin/enter", None, &format!("token={token}")));
        assert_eq!(entered.status, 303, "{}", text(&entered));
        let mut person = Self { fixture, cookie: cookie_of(&entered).expect("a cookie"), csrf: String::new() };
        // Any page has the token of its forms: an error's too, for a merchant sees no other without a shop's pages.
        let page = text(&person.get("/admin/nowhere"));
        let csrf = page.split(r#"name="csrf" value=""#).nth(1).and_then(|rest| rest.split('"').next());
        csrf.expect("a token in the page's form").clone_into(&mut person.csrf);
        person
    }

    fn operator(fixture: &'a Fixture) -> Self {
        Self::sign_in(fixture, Role::Operator, None)
    }

    fn get(&self, path: &str) -> Response {
        self.fixture.call(request("GET", path, Some(&self.cookie), ""))
    }

    /// Sends a form with its token.
    fn post(&self, path: &str, fields: &str) -> Response {
        let body = format!("csrf={}&{fields}", self.csrf);
        self.fixture.call(request("POST", path, Some(&self.cookie), &body))
    }

    /// Asks the admin API with the session.
    fn ask(&self, method: &str, path: &str, body: &str) -> Response {
        let mut request = request(method, path, Some(&self.cookie), body);
        request.headers.push("X-CSRF-Token", self.csrf.clone());
        self.fixture.call(request)
    }
}
