//! Every write: refused where it is forged, and recorded in the transaction that makes it.

use super::{Person, request};
use quotegrid::access::Role;
use quotegrid::access::links::{self, Invitation, LINK_LIFE};
use quotegrid::queue::{self, NewJob};
use quotegrid::testing::Fixture;
use serde_json::json;

#[test]
fn a_form_needs_the_token_of_its_own_session_and_must_come_from_our_own_page() {
    let fixture = Fixture::new();
    let job = fixture.app.enqueue(NewJob::new("later", json!({}))).expect("enqueued");
    let (operator, other) = (Person::operator(&fixture), Person::operator(&fixture));
    let path = format!("/admin/jobs/{job}/cancel");
    assert_ne!(operator.csrf, other.csrf);
    for body in [String::new(), "csrf=".to_owned(), format!("csrf={}", other.csrf), format!("csrf={}0", operator.csrf)]
    {
        let response = fixture.call(request("POST", &path, Some(&operator.cookie), &body));
        assert_eq!(response.status, 403, "{body}");
    }
    let body = format!("csrf={}", operator.csrf);
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let mut forged = request("POST", &path, Some(&operator.cookie), &body);
        forged.headers.push(name, value);
        assert_eq!(fixture.call(forged).status, 403, "{name}: {value}");
    }
    assert_eq!(fixture.job(job).status, queue::Status::Pending);
    assert_eq!(operator.get(&path).status, 404, "a link changes nothing");
    assert_eq!(operator.post(&path, "").status, 303);
    assert_eq!(fixture.job(job).status, queue::Status::Cancelled);
}

#[test]
fn a_page_behind_a_proxy_that_hides_the_host_works_where_the_public_address_is_set() {
    let fixture = Fixture::new();
    fixture.router.state().set_public_url("https://quotes.example.com");
    let token = super::link(&fixture, Role::Operator, None);
    let mut entered = request("POST", "/admin/enter", None, &format!("token={token}"));
    entered.headers = quotegrid::http::Headers::default();
    entered.headers.push("Host", "backend.internal");
    entered.headers.push("Origin", "https://quotes.example.com");
    assert_eq!(fixture.call(entered).status, 303);
}

fn last_entry(fixture: &Fixture) -> String {
    fixture
        .query("SELECT role || ' ' || actor || ' ' || action || ' ' || objects FROM audit_log ORDER BY id DESC LIMIT 1")
}

#[test]
fn every_write_is_recorded_with_who_what_and_which() {
    let fixture = Fixture::new();
    let job = fixture.app.enqueue(NewJob::new("later", json!({}))).expect("enqueued");
    let operator = Person::operator(&fixture);
    fixture.advance(std::time::Duration::from_millis(1));
    assert_eq!(operator.post(&format!("/admin/jobs/{job}/cancel"), "").status, 303);
    assert_eq!(last_entry(&fixture), format!("operator a operator job.cancel {job}"));
    fixture.advance(std::time::Duration::from_millis(1));
    assert_eq!(fixture.admin("POST", &format!("/admin/api/jobs/{job}/retry"), None).status, 200);
    assert_eq!(last_entry(&fixture), format!("operator api job.retry {job}"));
    let before = fixture.count("audit_log");
    // What failed was not done.
    assert_eq!(fixture.admin("POST", &format!("/admin/api/jobs/{job}/retry"), None).status, 409);
    assert_eq!(fixture.admin("POST", "/admin/api/jobs/cancel", Some(&json!({ "dryRun": true }))).status, 200);
    assert_eq!(fixture.count("audit_log"), before);
}

#[test]
fn a_second_price_list_of_a_name_is_asked_for_twice() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let operator = Person::operator(&fixture);
    let (path, lists) = (format!("/admin/shops/{}/prices", demo.shop), fixture.count("price_matrices"));
    assert_eq!(operator.post(&path, "name=Roller+%3Cb%3E").status, 303);
    let asked = operator.post(&path, "name=Roller+%3Cb%3E");
    let page = super::text(&asked);
    let id: String = fixture.query("SELECT id FROM price_matrices WHERE name = 'Roller <b>'");
    assert_eq!(asked.status, 409);
    assert!(page.contains(&format!("prices/{id}\"")) && page.contains(r#"name="confirmed""#), "{page}");
    assert!(page.contains("value=\"Roller &#60;b&#62;\""), "what was entered is still there: {page}");
    assert_eq!(fixture.count("price_matrices"), lists + 1);
    assert_eq!(operator.post(&path, "name=Roller+%3Cb%3E&confirmed=yes").status, 303);
    assert_eq!(fixture.count("price_matrices"), lists + 2);
    // Another name needs no confirmation.
    assert_eq!(operator.post(&path, "name=Roller").status, 303);
}

#[test]
fn the_log_names_no_shop_and_outlives_its_erasure() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let path = format!("/admin/api/stores/{}/keys", demo.shop);
    assert_eq!(fixture.admin("POST", &path, Some(&json!({ "label": "Shop page" }))).status, 201);
    let rows = || fixture.query::<String>("SELECT group_concat(action || hex(store_hash) || objects) FROM audit_log");
    assert!(rows().starts_with("key.issue") && !rows().contains("demo"), "{}", rows());
    let list = fixture.admin("GET", &format!("/admin/api/audit?shop={}", demo.shop), None).json_body();
    assert_eq!(list["entries"][0]["action"], "key.issue");
    let body = json!({ "shop_id": 1, "shop_domain": demo.shop.as_str() });
    fixture.post_webhook("shop/redact", &body);
    fixture.run_jobs();
    assert!(rows().starts_with("key.issue"));
}

#[test]
fn writes_of_the_api_of_every_kind_leave_their_row() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let store = format!("/admin/api/stores/{}", demo.shop);
    let matrix: String = fixture.query("SELECT id FROM price_matrices LIMIT 1");
    let group: String = fixture.query("SELECT id FROM option_groups LIMIT 1");
    let product = "gid://shopify/Product/77";
    for (method, path, body, action) in [
        ("POST", format!("{store}/matrices/{matrix}/duplicate"), json!({}), "matrix.duplicate"),
        ("POST", format!("{store}/matrices/{matrix}/adjust"), json!({ "percent": "4" }), "matrix.adjust"),
        ("PATCH", format!("{store}/matrices/{matrix}"), json!({ "name": "New" }), "matrix.update"),
        (
            "PUT",
            format!("{store}/products/{product}/matrix"),
            json!({ "matrixId": matrix, "title": "T" }),
            "product.assign",
        ),
        ("PUT", format!("{store}/products/{product}/option-groups/{group}"), json!({}), "product.offer"),
        ("DELETE", format!("{store}/products/{product}/option-groups/{group}"), json!({}), "product.withdraw"),
        ("DELETE", format!("{store}/products/{product}/matrix"), json!({}), "product.unassign"),
        ("POST", format!("{store}/option-groups/{group}/duplicate"), json!({}), "option_group.duplicate"),
        ("DELETE", format!("{store}/option-groups/{group}?confirm=true"), json!({}), "option_group.delete"),
        ("PATCH", store.clone(), json!({ "unit": "cm" }), "store.update"),
        ("POST", "/admin/api/jobs/run".to_owned(), json!({}), "jobs.run"),
        ("POST", "/admin/api/clock".to_owned(), json!({ "advanceMs": 1 }), "clock.advance"),
        ("DELETE", store.clone(), json!({ "confirm": demo.shop.as_str() }), "store.erase"),
    ] {
        fixture.advance(std::time::Duration::from_millis(1));
        let mut request = request(method, &path, None, &body.to_string());
        request.headers.push("Authorization", format!("Bearer {}", Fixture::ADMIN_TOKEN));
        if method == "PATCH" || method == "DELETE" || path.ends_with("adjust") {
            request.headers.push("If-Match", "*");
        }
        let response = fixture.call(request);
        assert!(response.status < 300, "{method} {path}: {} {}", response.status, super::text(&response));
        let entry = last_entry(&fixture);
        assert!(entry.starts_with(&format!("operator api {action}")), "{method} {path}: {entry}");
    }
}

#[test]
fn no_label_of_a_merchant_outlives_their_shop_and_the_log_still_says_whose_session_it_was() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let store: String = fixture.query("SELECT id FROM stores");
    let invitation = Invitation {
        role: Role::Merchant,
        store: Some(store.parse().expect("an id")),
        label: "Ann Example of Blinds".to_owned(),
    };
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let made = fixture.app.db.write(move |tx| links::insert(tx, now, entropy.as_ref(), &invitation, now + LINK_LIFE));
    let token = made.expect("a link");
    let entered = fixture.call(request("POST", "/admin/enter", None, &format!("token={}", token.expose())));
    let cookie = super::cookie_of(&entered).expect("a cookie");
    let page = super::text(&fixture.call(request("GET", "/admin/nowhere", Some(&cookie), "")));
    assert!(page.contains("Ann Example"), "they themselves are called by it");
    let csrf = page.split(r#"name="csrf" value=""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a token");
    fixture.advance(std::time::Duration::from_millis(1));
    let left = fixture.call(request("POST", "/admin/sign-out", Some(&cookie), &format!("csrf={csrf}")));
    assert_eq!(left.status, 303);
    let session: String = fixture.query("SELECT objects FROM audit_log WHERE action = 'session.begin'");
    let listed = fixture.admin("GET", &format!("/admin/api/audit?shop={}", demo.shop), None).json_body();
    for (entry, action) in listed["entries"].as_array().expect("a list").iter().zip(["session.end", "session.begin"]) {
        assert_eq!((&entry["action"], &entry["actor"]), (&json!(action), &json!("merchant")));
        assert_eq!(entry["objects"], json!([session]));
    }
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(2));
    fixture.post_webhook("shop/redact", &json!({ "shop_id": 1, "shop_domain": demo.shop.as_str() }));
    fixture.run_jobs();
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM audit_log WHERE actor LIKE '%Ann%'"), 0);
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM audit_log WHERE action = 'session.begin'"), 1);
}

#[test]
fn what_a_write_makes_is_named_by_its_row() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let operator = Person::operator(&fixture);
    let shop = format!("/admin/shops/{}", demo.shop);
    let api = format!("/admin/api/stores/{}", demo.shop);
    let newest = |table: &str| fixture.query::<String>(&format!("SELECT id FROM {table} ORDER BY id DESC LIMIT 1"));
    let step = || fixture.advance(std::time::Duration::from_millis(1));
    let objects = |action: &str| {
        let entry = last_entry(&fixture);
        let objects = entry.split(' ').skip_while(|word| *word != action).skip(1).map(str::to_owned);
        let objects: Vec<String> = objects.collect();
        assert!(entry.contains(action), "{action}: {entry}");
        objects
    };
    let (matrix, group) = (newest("price_matrices"), newest("option_groups"));

    step();
    let made = fixture.admin("POST", &format!("{api}/keys"), Some(&json!({}))).json_body();
    assert_eq!(objects("key.issue"), [made["id"].as_str().expect("an id")]);
    step();
    let made = fixture.admin("POST", "/admin/api/jobs", Some(&json!({ "type": "a", "payload": {} }))).json_body();
    assert_eq!(objects("job.enqueue"), [made["jobId"].as_str().expect("an id")]);
    step();
    fixture.admin("POST", &format!("{api}/matrices/{matrix}/duplicate"), None);
    assert_eq!(objects("matrix.duplicate"), [matrix.clone(), newest("price_matrices")]);
    step();
    fixture.admin("POST", &format!("{api}/option-groups/{group}/duplicate"), None);
    assert_eq!(objects("option_group.duplicate"), [group.clone(), newest("option_groups")]);
    step();
    let added = fixture.admin("POST", "/admin/api/stores", Some(&json!({ "shop": "other.myshopify.com" })));
    assert_eq!(added.status, 201);
    let listed = fixture.admin("GET", "/admin/api/audit?shop=other.myshopify.com", None).json_body();
    assert_eq!(listed["entries"][0]["action"], "store.add");

    step();
    assert_eq!(operator.post(&format!("{shop}/prices"), "name=New").status, 303);
    assert_eq!(objects("matrix.create"), [newest("price_matrices")]);
    step();
    assert_eq!(operator.post(&format!("{shop}/prices/{matrix}/duplicate"), "").status, 303);
    assert_eq!(objects("matrix.duplicate"), [matrix.clone(), newest("price_matrices")]);
    step();
    assert_eq!(operator.post(&format!("{shop}/options/{group}/duplicate"), "").status, 303);
    assert_eq!(objects("option_group.duplicate"), [group, newest("option_groups")]);
    step();
    assert_eq!(operator.post(&format!("{shop}/keys"), "").status, 201);
    assert_eq!(objects("key.issue").len(), 1);
    step();
    let assigned = operator.post(&format!("{shop}/products"), &format!("list={matrix}&new=7001+Blind%0A7002+Awning"));
    assert_eq!(assigned.status, 303, "{}", super::text(&assigned));
    assert_eq!(objects("product.assign"), ["gid://shopify/Product/7001", "gid://shopify/Product/7002"]);
    step();
    assert_eq!(operator.post("/admin/jobs/types/pause", "type=later").status, 303);
    assert_eq!(objects("jobs.pause"), ["later"]);
    step();
    assert_eq!(operator.post("/admin/jobs/types/resume", "type=later").status, 303);
    assert_eq!(objects("jobs.resume"), ["later"]);
    step();
    assert_eq!(operator.post(&format!("{shop}/erase"), &format!("confirm={}", demo.shop)).status, 303);
    assert_eq!(objects("store.erase").len(), 1, "the job");
}
