//! The catalog: what merchants keep, its admin API and commands, and that no store reaches another's.

mod command_line;
mod commands;
mod endings;
mod hostile;
mod matrices;
mod options;
mod price_lists;
mod products;
mod reading;
mod settings;
mod tenancy;

use quotegrid::http::{Headers, Method, Request, Response};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

/// A fixture and one of its shops, asked over the admin API.
pub(crate) struct Shop<'a> {
    fixture: &'a Fixture,
    name: &'static str,
}

impl<'a> Shop<'a> {
    /// A new store in euros and millimetres.
    fn install(fixture: &'a Fixture, name: &'static str) -> Self {
        Self::install_in(fixture, name, "EUR", "mm")
    }

    fn install_in(fixture: &'a Fixture, name: &'static str, currency: &str, unit: &str) -> Self {
        let body = json!({ "shop": format!("{name}.myshopify.com"), "currency": currency, "unit": unit });
        assert_eq!(fixture.admin("POST", "/admin/api/stores", Some(&body)).status, 201);
        Self { fixture, name }
    }

    fn path(&self, rest: &str) -> String {
        format!("/admin/api/stores/{}.myshopify.com{rest}", self.name)
    }

    /// Sends anything below the store, with `If-Match` where there is one.
    fn send(&self, method: &str, rest: &str, if_match: Option<&str>, body: &[u8]) -> Response {
        let path = self.path(rest);
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let mut headers = Headers::default();
        headers.push("Authorization", format!("Bearer {}", Fixture::ADMIN_TOKEN));
        if let Some(tag) = if_match {
            headers.push("If-Match", tag);
        }
        let response = self.fixture.call(Request {
            method: Method::from(method),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.to_vec(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            id: "r".to_owned(),
        });
        crate::storefront::spec::check(method, path, &response);
        if response.status >= 400 {
            assert_eq!(response.header("content-type"), Some("application/problem+json"), "{response:?}");
            let detail = response.json_body()["detail"].as_str().map(str::len);
            assert!(detail.is_some_and(|length| length > 0), "{response:?}");
        }
        response
    }

    fn json(&self, method: &str, rest: &str, if_match: Option<&str>, body: Option<&Value>) -> (u16, Value) {
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let response = self.send(method, rest, if_match, &bytes);
        let document = if response.body.is_empty() { Value::Null } else { response.json_body() };
        (response.status, document)
    }

    fn get(&self, rest: &str) -> Value {
        let (status, document) = self.json("GET", rest, None, None);
        assert_eq!(status, 200, "{document}");
        document
    }

    fn post(&self, rest: &str, body: &Value) -> (u16, Value) {
        self.json("POST", rest, None, Some(body))
    }

    fn put(&self, rest: &str, if_match: Option<&str>, body: &Value) -> (u16, Value) {
        self.json("PUT", rest, if_match, Some(body))
    }

    /// A matrix of three widths and two heights; returns its id.
    fn matrix(&self, name: &str) -> String {
        made(self.post("/matrices", &grid(name)))
    }

    /// An option group with two choices; returns its id.
    fn group(&self, name: &str) -> String {
        made(self.post("/option-groups", &group(name)))
    }

    /// Has a product priced by a matrix.
    fn assign(&self, product: &str, matrix: &str) {
        let body = json!({ "matrixId": matrix, "title": "A product" });
        let (status, answer) = self.put(&format!("/products/{product}/matrix"), None, &body);
        assert_eq!(status, 200, "{answer}");
    }
}

fn made((status, answer): (u16, Value)) -> String {
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

fn grid(name: &str) -> Value {
    json!({
        "name": name,
        "widths": [300, 600, 900.5],
        "heights": [200, 400],
        "prices": [["10.00", "15.50", null], [20, 25.5, "30"]],
    })
}

fn group(name: &str) -> Value {
    json!({
        "name": name,
        "requirement": "REQUIRED",
        "choices": [
            { "label": "White", "modifierType": "FIXED", "modifierValue": 0, "isDefault": true },
            { "label": "Oak", "modifierType": "PERCENTAGE", "modifierValue": 1500 },
        ],
    })
}

fn fields(problem: &Value) -> Vec<&str> {
    problem["errors"].as_object().map(|errors| errors.keys().map(String::as_str).collect()).unwrap_or_default()
}
