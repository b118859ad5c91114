//! `/metrics`: who may ask, and what is told.

use super::redact;
use quotegrid::http::{Headers, Method, Request, Response};
use quotegrid::testing::Fixture;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

fn ask(fixture: &Fixture, authorization: Option<&str>) -> Response {
    let mut headers = Headers::default();
    if let Some(authorization) = authorization {
        headers.push("Authorization", authorization);
    }
    fixture.call(Request {
        method: Method::Get,
        path: "/metrics".to_owned(),
        query: String::new(),
        headers,
        body: Vec::new(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "r".to_owned(),
    })
}

#[test]
fn metrics_need_their_token() {
    let fixture = Fixture::new();
    assert_eq!(ask(&fixture, None).status, 401);
    assert_eq!(ask(&fixture, Some("Bearer wrong")).status, 401);
    let response = ask(&fixture, Some(&format!("Bearer {}", Fixture::ADMIN_TOKEN)));
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some(quotegrid::metrics::CONTENT_TYPE));
}

#[test]
fn the_figures_follow_what_happens() {
    let fixture = Fixture::new();
    let page = || String::from_utf8(fixture.admin("GET", "/metrics", None).body).expect("text");
    let empty = page();
    for line in [
        "quotegrid_jobs{status=\"pending\"} 0",
        "quotegrid_privacy_next_deadline_seconds NaN",
        "quotegrid_webhooks_last_accepted_seconds NaN",
    ] {
        assert!(empty.lines().any(|found| found == line), "{line} in {empty}");
    }
    redact(&fixture, "a.myshopify.com");
    fixture.enqueue("shop_redact", json!({ "shop": 7 }));
    fixture.advance(Duration::from_secs(60));
    assert_eq!(fixture.call(unsigned()).status, 401);
    let waiting = page();
    for line in [
        "quotegrid_jobs{status=\"pending\"} 2",
        "quotegrid_jobs_oldest_due_seconds 60.0",
        "quotegrid_privacy_requests{status=\"open\"} 1",
        "quotegrid_privacy_next_deadline_seconds 2591940.0",
        "quotegrid_webhooks_last_accepted_seconds 60.0",
        "quotegrid_webhooks_total{outcome=\"accepted\"} 1",
        "quotegrid_webhooks_total{outcome=\"unsigned\"} 1",
    ] {
        assert!(waiting.lines().any(|found| found == line), "{line} in {waiting}");
    }
    fixture.run_jobs();
    let done = page();
    for line in [
        "quotegrid_jobs{status=\"completed\"} 1",
        "quotegrid_jobs_failed_privacy 1",
        "quotegrid_privacy_requests{status=\"open\"} 0",
        "quotegrid_privacy_requests{status=\"to_scrub\"} 0",
        "quotegrid_jobs_oldest_due_seconds 0.0",
    ] {
        assert!(done.lines().any(|found| found == line), "{line} in {done}");
    }
    assert!(!done.contains("myshopify"), "no figure names a shop");
    assert!(done.ends_with("# EOF\n"));
}

fn unsigned() -> Request {
    Request {
        method: Method::Post,
        path: "/webhooks".to_owned(),
        query: String::new(),
        headers: Headers::default(),
        body: b"{}".to_vec(),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        id: "r".to_owned(),
    }
}
