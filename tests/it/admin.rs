//! The admin API: who is let in, what its routes do, and that their answers have the documented shapes.

use quotegrid::http::{Headers, Method, Request, Response};
use quotegrid::queue::{Claim, Context, Finish, Handler, JobError, NewJob, Registry};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const SHOP: &str = "panes.myshopify.com";

fn get(fixture: &Fixture, path: &str) -> (u16, Value) {
    answer("GET", path, &fixture.admin("GET", path, None))
}

fn post(fixture: &Fixture, path: &str, body: Value) -> (u16, Value) {
    answer("POST", path, &fixture.admin("POST", path, Some(&body)))
}

fn answer(method: &str, target: &str, response: &Response) -> (u16, Value) {
    crate::storefront::spec::check(method, target.split('?').next().unwrap_or_default(), response);
    let content_type = response.header("content-type");
    if response.status >= 400 {
        assert_eq!(content_type, Some("application/problem+json"), "{response:?}");
        assert_eq!(response.json_body()["status"], response.status, "{response:?}");
    }
    (response.status, response.json_body())
}

fn faults(body: &Value) -> Vec<&str> {
    body["errors"].as_object().expect("faults by field").keys().map(String::as_str).collect()
}

fn with_authorization(values: &[&str]) -> Request {
    let mut headers = Headers::default();
    for value in values {
        headers.push("Authorization", *value);
    }
    Request {
        method: Method::Get,
        path: "/admin/api/stores".to_owned(),
        query: String::new(),
        headers,
        body: Vec::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "r".to_owned(),
    }
}

struct Broken;

impl Handler for Broken {
    fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        Err(JobError::Permanent("it broke".to_owned()))
    }
}

#[test]
fn only_the_bearer_of_the_token_is_let_in() {
    let fixture = Fixture::new();
    let bearer = format!("Bearer {}", Fixture::ADMIN_TOKEN);
    assert_eq!(fixture.call(with_authorization(&[&bearer])).status, 200);
    assert_eq!(fixture.call(with_authorization(&[&format!("bearer  {}", Fixture::ADMIN_TOKEN)])).status, 200);
    for wrong in [
        &[][..],
        &[""],
        &["Bearer"],
        &["Bearer "],
        &[Fixture::ADMIN_TOKEN],
        &["Basic fixture-admin-token"],
        &["Bearer fixture-admin-toke"],
        &["Bearer fixture-admin-tokens"],
        &[&bearer, &bearer],
    ] {
        let response = fixture.call(with_authorization(wrong));
        assert_eq!((response.status, response.header("www-authenticate")), (401, Some("Bearer")), "{wrong:?}");
    }
    // A client without the token learns neither paths nor methods.
    for path in ["/admin/api", "/admin/api/", "/admin/api/nothing", "/admin/api/jobs/run"] {
        let request = Request { path: path.to_owned(), ..with_authorization(&[]) };
        assert_eq!(fixture.call(request).status, 401, "{path}");
    }
    // Next to it is the console, which asks to sign in whatever the path is.
    let similar = Request { path: "/admin/apiary".to_owned(), ..with_authorization(&[]) };
    assert_eq!(fixture.call(similar).status, 303);
}

#[test]
fn without_a_token_there_is_no_admin_api() {
    let fixture = Fixture::new();
    let site = quotegrid::http::AppState::new(fixture.app.clone(), quotegrid::shopify::Secrets::new(["hush"]));
    let router = quotegrid::http::Router::new(std::sync::Arc::new(site));
    for authorization in [&[][..], &["Bearer "], &["Bearer x"]] {
        let (sender, answer) = std::sync::mpsc::channel();
        let reply = quotegrid::http::Reply::new(move |response: Response| sender.send(response).expect("awaited"));
        quotegrid::http::Service::call(&router, with_authorization(authorization), reply);
        let response = answer.recv().expect("answered");
        assert_eq!((response.status, response.json_body()["detail"].as_str()), (404, Some("path not found")));
    }
}

#[test]
fn a_store_is_installed_once_and_again_after_an_uninstall() {
    let fixture = Fixture::new();
    let (status, made) =
        post(&fixture, "/admin/api/stores", json!({ "shop": "Panes.myshopify.com", "currency": "EUR", "unit": "cm" }));
    assert_eq!((status, &made["shop"]), (201, &json!(SHOP)));
    assert!(made["apiKey"].as_str().is_some_and(|key| key.starts_with("pm_")), "{made}");
    let listed = fixture.admin("GET", "/admin/api/stores", None);
    assert_eq!(listed.header("cache-control"), Some("no-store"));
    let (status, problem) = post(&fixture, "/admin/api/stores", json!({ "shop": SHOP }));
    assert_eq!((status, &problem["detail"]), (409, &json!("store panes.myshopify.com exists already")));
    let (status, store) = get(&fixture, "/admin/api/stores/panes.myshopify.com");
    assert_eq!(status, 200);
    assert_eq!(
        store,
        json!({
            "allowDiscountCodes": false, "allowAutomaticDiscounts": false,
            "shop": SHOP, "currency": "EUR", "unit": "cm", "installedAt": "2026-01-01T00:00:00.000Z",
            "uninstalledAt": null, "erasingSince": null, "matrices": 0, "optionGroups": 0, "draftOrders": 0,
            "taxLabel": "none", "locale": null, "rows": { "api_keys": 1 },
        })
    );
    let body = json!({ "myshopify_domain": SHOP, "id": 1 });
    assert_eq!(fixture.post_webhook("app/uninstalled", &body).status, 200);
    fixture.advance(Duration::from_secs(1));
    let (status, again) = post(&fixture, "/admin/api/stores", json!({ "shop": SHOP }));
    assert_eq!(status, 200);
    assert_ne!(again["apiKey"], made["apiKey"]);
}

#[test]
fn faults_of_a_body_are_named_by_field_and_invalid_json_is_malformed() {
    let fixture = Fixture::new();
    for body in ["", "{", "[]", "7", "\"x\""] {
        let mut request = with_authorization(&[&format!("Bearer {}", Fixture::ADMIN_TOKEN)]);
        request.method = Method::Post;
        request.body = body.as_bytes().to_vec();
        let response = fixture.call(request);
        assert_eq!(response.status, 400, "{body:?}");
    }
    let wrong = json!({ "shop": "panes", "currency": "usd", "unit": "inch", "curency": "USD" });
    let (status, problem) = post(&fixture, "/admin/api/stores", wrong);
    assert_eq!((status, faults(&problem)), (422, vec!["curency", "currency", "shop", "unit"]));
    let (status, problem) = post(&fixture, "/admin/api/stores", json!({}));
    assert_eq!((status, faults(&problem)), (422, vec!["shop"]));
    let (status, problem) =
        post(&fixture, "/admin/api/jobs", json!({ "type": "a b", "payload": {}, "maxAttempts": 1001 }));
    assert_eq!((status, faults(&problem)), (422, vec!["maxAttempts", "type"]));
    let (status, problem) =
        post(&fixture, "/admin/api/jobs", json!({ "maxAttempts": 1.5, "scheduledAt": "tomorrow", "dedupeKey": 1 }));
    assert_eq!((status, faults(&problem)), (422, vec!["dedupeKey", "maxAttempts", "payload", "scheduledAt", "type"]));
    assert_eq!((fixture.count("stores"), fixture.count("job_queue")), (0, 0));
    let (status, problem) = get(&fixture, "/admin/api/jobs?status=done&state=failed&limit=1000");
    assert_eq!((status, faults(&problem)), (422, vec!["state"]));
    for query in ["status=done", "limit=0", "limit=201", "cursor=x", "shop=x", "limit=1&limit=2"] {
        assert_eq!(get(&fixture, &format!("/admin/api/jobs?{query}")).0, 422, "{query}");
    }
}

#[test]
fn lists_are_walked_page_by_page_without_gap_or_repetition() {
    let fixture = Fixture::new();
    for number in 0..7 {
        let shop = format!("s{number}.myshopify.com");
        assert_eq!(post(&fixture, "/admin/api/stores", json!({ "shop": shop })).0, 201);
        fixture.advance(Duration::from_millis(1));
        let body = json!({ "shop_id": 1, "shop_domain": shop });
        assert_eq!(fixture.post_webhook("shop/redact", &body).status, 200);
        assert_eq!(post(&fixture, "/admin/api/stores/s0.myshopify.com/keys", json!({ "label": shop })).0, 201);
    }
    for (path, list, name, expected) in [
        ("/admin/api/stores", "stores", "shop", 7),
        ("/admin/api/jobs", "jobs", "id", 7),
        ("/admin/api/gdpr/requests", "requests", "id", 7),
        ("/admin/api/stores/s0.myshopify.com/keys", "keys", "id", 8),
    ] {
        let (status, all) = get(&fixture, path);
        assert_eq!((status, &all["next"]), (200, &Value::Null), "{path}");
        let all: Vec<Value> = all[list].as_array().expect("a list").iter().map(|item| item[name].clone()).collect();
        assert_eq!(all.len(), expected, "{path}");
        let (mut walked, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) = get(&fixture, &format!("{path}?limit=3{cursor}"));
            assert_eq!(status, 200);
            let items = page[list].as_array().expect("a list");
            assert!(items.len() <= 3 && !items.is_empty(), "{path}");
            walked.extend(items.iter().map(|item| item[name].clone()));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(walked, all, "{path}");
    }
}

#[test]
fn erasing_a_store_must_be_confirmed_and_is_the_same_as_a_shop_redact() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let path = format!("/admin/api/stores/{}", demo.shop);
    let (status, rehearsal) = answer("DELETE", &path, &fixture.admin("DELETE", &format!("{path}?dryRun=true"), None));
    assert_eq!(status, 200);
    assert_eq!((&rehearsal["rows"]["matrix_cells"], &rehearsal["rows"]["stores"]), (&json!(1_390), &json!(1)));
    for body in [None, Some(json!({})), Some(json!({ "confirm": "other.myshopify.com" }))] {
        let (status, problem) = answer("DELETE", &path, &fixture.admin("DELETE", &path, body.as_ref()));
        assert_eq!((status, faults(&problem)), (422, vec!["confirm"]));
    }
    assert_eq!((fixture.count("job_queue"), fixture.count("stores")), (0, 1));
    let confirmed = json!({ "confirm": demo.shop.as_str() });
    let (status, accepted) = answer("DELETE", &path, &fixture.admin("DELETE", &path, Some(&confirmed)));
    assert_eq!(status, 202);
    // Asked twice it is erased once.
    let spelled = json!({ "confirm": "Demo-Store.MyShopify.com" });
    let (_, again) = answer("DELETE", &path, &fixture.admin("DELETE", &path, Some(&spelled)));
    assert_eq!(again, accepted);
    let job = format!("/admin/api/jobs/{}", accepted["jobId"].as_str().expect("an id"));
    assert_eq!(get(&fixture, &job).1["type"], "shop_redact");
    assert_eq!(post(&fixture, "/admin/api/jobs/run", json!({})), (200, json!({ "processed": 1, "errors": 0 })));
    assert_eq!(get(&fixture, &path).0, 404);
    assert_eq!(answer("DELETE", &path, &fixture.admin("DELETE", &path, Some(&confirmed))).0, 404);
    let (_, requests) = get(&fixture, "/admin/api/gdpr/requests");
    let request = &requests["requests"][0];
    assert_eq!((&request["outcome"], &request["deleted"]), (&json!("erased"), &rehearsal["rows"]));
    assert!(request["erasedAt"].is_string(), "{request}");
}

#[test]
fn a_store_that_is_being_erased_takes_no_installation_and_no_key() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let (now, shop) = (fixture.now(), demo.shop.clone());
    let begun = fixture.app.db.write(move |tx| quotegrid::catalog::stores::begin_erasure(tx, now, &shop, now));
    begun.expect("writable");
    for (path, body) in [
        ("/admin/api/stores".to_owned(), json!({ "shop": demo.shop.as_str() })),
        (format!("/admin/api/stores/{}/keys", demo.shop), json!({})),
    ] {
        let response = fixture.admin("POST", &path, Some(&body));
        assert_eq!((response.status, response.header("retry-after")), (409, Some("5")), "{path}");
    }
}

#[test]
fn keys_are_issued_listed_and_revoked_within_their_store() {
    let fixture = Fixture::new();
    for shop in [SHOP, "other.myshopify.com"] {
        assert_eq!(post(&fixture, "/admin/api/stores", json!({ "shop": shop })).0, 201);
    }
    fixture.advance(Duration::from_secs(1));
    let keys = "/admin/api/stores/panes.myshopify.com/keys";
    let (status, issued) =
        post(&fixture, keys, json!({ "label": " Shop page ", "origins": ["https://panes.example.com"] }));
    assert_eq!(status, 201);
    let key = issued["apiKey"].as_str().expect("a key");
    let id = issued["id"].as_str().expect("an id");
    let (_, list) = get(&fixture, keys);
    assert_eq!(
        list["keys"][0],
        json!({
            "id": id, "prefix": &key[..8], "label": "Shop page", "origins": ["https://panes.example.com"],
            "createdAt": "2026-01-01T00:00:01.000Z", "lastUsedAt": null, "revokedAt": null,
        })
    );
    assert!(!list.to_string().contains(key), "a key is shown once");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM api_keys WHERE instr(digest, prefix) > 0"), 0);
    for origins in
        [json!(["panes.example.com"]), json!(["https://a/b"]), json!("https://a"), json!([7]), json!(["https://"])]
    {
        let (status, problem) = post(&fixture, keys, json!({ "origins": origins }));
        assert_eq!((status, faults(&problem)), (422, vec!["origins"]), "{origins}");
    }
    assert_eq!(post(&fixture, keys, json!({ "label": "a\nb" })).0, 422);
    // Another store's key does not exist below this one.
    let of_another_store = format!("/admin/api/stores/other.myshopify.com/keys/{id}");
    assert_eq!(get(&fixture, &of_another_store).0, 404);
    assert_eq!(fixture.admin("DELETE", &of_another_store, None).status, 404);
    let path = format!("{keys}/{id}");
    let revoked = fixture.admin("DELETE", &path, None);
    assert_eq!((revoked.status, revoked.body.len()), (204, 0));
    fixture.advance(Duration::from_secs(1));
    assert_eq!(fixture.admin("DELETE", &path, None).status, 204, "once more does no harm");
    assert_eq!(get(&fixture, &path).1["revokedAt"], "2026-01-01T00:00:01.000Z");
    for missing in ["/admin/api/stores/none.myshopify.com/keys", "/admin/api/stores/x/keys"] {
        assert_eq!((get(&fixture, missing).0, post(&fixture, missing, json!({})).0), (404, 404), "{missing}");
    }
}

#[test]
fn jobs_are_enqueued_listed_by_what_they_are_about_and_shown_with_their_attempts() {
    let fixture = Fixture::with_handlers(Registry::new().with("broken", Broken));
    let (status, first) =
        post(&fixture, "/admin/api/jobs", json!({ "type": "broken", "payload": { "shop": SHOP }, "maxAttempts": 7 }));
    assert_eq!(status, 201);
    let later = json!({ "type": "later", "payload": 1, "scheduledAt": "2026-02-01T00:00:00+01:00", "dedupeKey": "k" });
    let (status, second) = post(&fixture, "/admin/api/jobs", later.clone());
    assert_eq!(status, 201);
    assert_eq!(post(&fixture, "/admin/api/jobs", later).1, second, "an unfinished job has its key");
    let ids = |query: &str| -> Vec<Value> {
        let (status, list) = get(&fixture, &format!("/admin/api/jobs?{query}"));
        assert_eq!(status, 200, "{query}");
        list["jobs"].as_array().expect("a list").iter().map(|job| job["id"].clone()).collect()
    };
    assert_eq!(
        post(&fixture, "/admin/api/jobs/run", json!({ "limit": 5 })),
        (200, json!({ "processed": 1, "errors": 1 }))
    );
    assert_eq!(ids("shop=panes.myshopify.com"), [first["jobId"].clone()]);
    assert_eq!(ids("shop=other.myshopify.com"), Vec::<Value>::new());
    assert_eq!(ids("type=later"), [second["jobId"].clone()]);
    assert_eq!(ids("status=failed&type=broken"), [first["jobId"].clone()]);
    for (status, expected) in [("pending", 1), ("processing", 0), ("completed", 0), ("failed", 1), ("cancelled", 0)] {
        assert_eq!(ids(&format!("status={status}")).len(), expected, "{status}");
        assert_eq!(ids(&format!("status={status}&shop={SHOP}&type=broken")).len(), usize::from(status == "failed"));
    }
    let (_, job) = get(&fixture, &format!("/admin/api/jobs/{}", first["jobId"].as_str().expect("an id")));
    assert_eq!((&job["error"], &job["maxAttempts"], &job["attempts"]), (&json!("it broke"), &json!(7), &json!(1)));
    assert_eq!(job["attemptHistory"][0]["outcome"], "failed");
    assert_eq!(get(&fixture, "/admin/api/jobs/nonsense").0, 404);
    assert_eq!(get(&fixture, "/admin/api/jobs/0190aaaa-0000-7000-8000-000000000000").0, 404);
}

/// A script whose variable was unset means one shop, and must not be shown all.
#[test]
fn an_empty_parameter_is_not_an_absent_one() {
    let fixture = Fixture::new();
    fixture.enqueue("shop_redact", json!({ "shop": "panes.myshopify.com" }));
    for (path, parameter) in [
        ("/admin/api/jobs?shop=", "shop"),
        ("/admin/api/jobs?status=&type=x", "status"),
        ("/admin/api/jobs?limit=", "limit"),
        ("/admin/api/gdpr/requests?shop", "shop"),
        ("/admin/api/stores?cursor=", "cursor"),
    ] {
        let (status, problem) = get(&fixture, path);
        assert_eq!((status, faults(&problem)), (422, vec![parameter]), "{path}");
    }
    assert_eq!(get(&fixture, "/admin/api/jobs?limit=1&").0, 200);
}

#[test]
fn a_job_is_retried_and_cancelled_only_where_that_makes_sense() {
    let fixture = Fixture::with_handlers(Registry::new().with("broken", Broken));
    let keyed = |key: &str| fixture.app.enqueue(NewJob::new("broken", json!({})).dedupe_key(key)).expect("enqueued");
    let id = keyed("k");
    let retry = format!("/admin/api/jobs/{id}/retry");
    let cancel = format!("/admin/api/jobs/{id}/cancel");
    assert_eq!(post(&fixture, &retry, json!({})).0, 409, "it waits");
    fixture.run_jobs();
    let (status, problem) = post(&fixture, &cancel, json!({}));
    assert_eq!((status, problem["detail"].as_str().is_some_and(|text| text.contains("is failed"))), (409, true));
    // Another process has taken its place in the meantime.
    let other = keyed("k");
    let (status, problem) = post(&fixture, &retry, json!({}));
    assert_eq!((status, problem["detail"].as_str().is_some_and(|text| text.contains("dedupe key"))), (409, true));
    let (status, cancelled) = post(&fixture, &format!("/admin/api/jobs/{other}/cancel"), json!({}));
    assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")));
    let (status, retried) = post(&fixture, &retry, json!({}));
    assert_eq!((status, &retried["status"], &retried["attempts"]), (200, &json!("pending"), &json!(0)));
    assert_eq!((&retried["processedAt"], &retried["id"]), (&Value::Null, &json!(id.to_string())));
    fixture.run_jobs();
    let (_, job) = get(&fixture, &format!("/admin/api/jobs/{id}"));
    assert_eq!(job["attemptHistory"].as_array().map(Vec::len), Some(2), "the history stays");
    for change in ["retry", "cancel"] {
        let missing = format!("/admin/api/jobs/0190aaaa-0000-7000-8000-000000000000/{change}");
        assert_eq!(post(&fixture, &missing, json!({})).0, 404);
    }
}

#[test]
fn privacy_requests_and_their_reports_are_answered() {
    let fixture = Fixture::new();
    let body = json!({
        "shop_id": 1, "shop_domain": SHOP, "orders_requested": [],
        "customer": { "id": 7, "email": "jo@example.invalid", "phone": "555-0100" }, "data_request": { "id": 9_999 },
    });
    assert_eq!(fixture.post_webhook("customers/data_request", &body).status, 200);
    let (_, list) = get(&fixture, "/admin/api/gdpr/requests?shop=panes.myshopify.com");
    let id = list["requests"][0]["id"].as_str().expect("a request");
    let path = format!("/admin/api/gdpr/requests/{id}");
    assert_eq!(get(&fixture, &path), (200, list["requests"][0].clone()));
    let report = format!("{path}/report");
    let (status, problem) = get(&fixture, &report);
    assert_eq!(
        (status, problem["detail"].as_str().is_some_and(|text| text.ends_with("not processed yet"))),
        (404, true)
    );
    assert_eq!(post(&fixture, "/admin/api/jobs/run", json!({})).1["processed"], 1);
    let (status, document) = get(&fixture, &report);
    assert_eq!((status, &document["dataRequestId"]), (200, &json!(9_999)));
    assert_eq!(get(&fixture, "/admin/api/gdpr/requests?shop=other.myshopify.com").1["requests"], json!([]));
    assert_eq!(get(&fixture, "/admin/api/gdpr/requests/0190aaaa-0000-7000-8000-000000000000").0, 404);
}

#[test]
fn a_frozen_clock_is_advanced_and_jobs_fall_due_by_it() {
    let fixture = Fixture::new();
    let (_, made) = post(
        &fixture,
        "/admin/api/jobs",
        json!({ "type": "shop_redact", "payload": { "shop": SHOP }, "scheduledAt": "2026-01-01T01:00:00Z" }),
    );
    assert!(made["jobId"].is_string(), "{made}");
    assert_eq!(post(&fixture, "/admin/api/jobs/run", json!({})).1["processed"], 0);
    let (status, moved) = post(&fixture, "/admin/api/clock", json!({ "advanceMs": 3_600_000 }));
    assert_eq!((status, &moved["now"]), (200, &json!("2026-01-01T01:00:00.000Z")));
    assert_eq!(post(&fixture, "/admin/api/jobs/run", json!({})).1["processed"], 1);
    for wrong in [json!({}), json!({ "advanceMs": -1 }), json!({ "advanceMs": 0.5 }), json!({ "advanceMs": 1e18 })] {
        let (status, problem) = post(&fixture, "/admin/api/clock", wrong);
        assert_eq!((status, faults(&problem)), (422, vec!["advanceMs"]));
    }
}
