//! What every page has, and what the pages of the server show.

use super::{Person, SERVER_PAGES, request, text};
use chrono::TimeDelta;
use quotegrid::access::Role;
use quotegrid::access::links::{self, Invitation, LINK_LIFE};
use quotegrid::activity::{self, Event};
use quotegrid::http::{AppState, Reply, Router, Service};
use quotegrid::shopify::Secrets;
use quotegrid::shopify::webhook::Topic;
use quotegrid::testing::Fixture;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn every_page_has_a_content_security_policy_and_is_not_cached() {
    let fixture = Fixture::new();
    let operator = Person::operator(&fixture);
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";
    let enter = fixture.call(request("GET", "/admin/enter", None, ""));
    let pages = SERVER_PAGES.map(|path| operator.get(path));
    let errors = [operator.get("/admin/nowhere"), operator.post("/admin/jobs/x/retry", "")];
    for page in pages.iter().chain(&errors).chain([&enter]) {
        assert_eq!(page.header("content-security-policy"), Some(policy));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("cache-control"), Some("private, no-store"));
        let html = text(page);
        for forbidden in ["<style", " style=", "onclick=", "javascript:", "http-equiv=\"refresh\""] {
            assert!(!html.contains(forbidden), "{forbidden} in {html}");
        }
        assert!(html.contains("<html lang=\"en\">") && html.contains("<title>"));
    }
    assert_eq!(errors.map(|page| page.status), [404, 404]);
}

#[test]
fn styles_and_scripts_are_named_by_their_content_and_kept_for_ever() {
    let fixture = Fixture::new();
    let page = text(&Person::operator(&fixture).get("/admin"));
    let assets: Vec<&str> = page.split('"').filter(|part| part.starts_with("admin/assets/")).collect();
    assert_eq!(assets.len(), 2, "{page}");
    for asset in assets {
        let served = fixture.call(request("GET", &format!("/{asset}"), None, ""));
        assert_eq!((served.status, served.header("cache-control")), (200, Some("public, max-age=31536000, immutable")));
        let other = asset.replace('-', "-0");
        assert_eq!(fixture.call(request("GET", &format!("/{other}"), None, "")).status, 404);
    }
}

#[test]
fn pages_work_below_any_prefix_for_every_address_in_them_is_relative() {
    let fixture = Fixture::new();
    let job = fixture.enqueue("later", json!({}));
    let operator = Person::operator(&fixture);
    for path in SERVER_PAGES.iter().map(|path| (*path).to_owned()).chain([format!("/admin/jobs/{job}")]) {
        let page = text(&operator.get(&path));
        let root = "../".repeat(path.matches('/').count() - 1);
        for attribute in ["href=\"", "action=\"", "src=\""] {
            for address in page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                let is_ours = address == "#main"
                    || address
                        .strip_prefix(&root)
                        .is_some_and(|rest| rest.starts_with("admin") || rest == "favicon.ico");
                assert!(is_ours, "{path}: {address}");
            }
        }
    }
}

#[test]
fn what_strangers_have_written_is_shown_as_they_wrote_it() {
    let fixture = Fixture::new();
    let payload = json!({ "name": "<script>alert(1)</script>" });
    let job = fixture.enqueue("a<img>", payload);
    let operator = Person::operator(&fixture);
    for path in
        [format!("/admin/jobs/{job}"), "/admin/jobs".to_owned(), "/admin/jobs?type=%22%3E%3Cscript%3E".to_owned()]
    {
        let page = text(&operator.get(&path));
        assert!(!page.contains("<script>") && !page.contains("<img>"), "{path}: {page}");
    }
}

#[test]
fn an_erasure_is_seen_to_come_in_and_finish_with_both_receipts() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let operator = Person::operator(&fixture);
    assert!(text(&operator.get("/admin/privacy")).contains("No requests"));
    fixture.post_webhook("shop/redact", &json!({ "shop_id": 1, "shop_domain": demo.shop.as_str() }));
    let id: String = fixture.query("SELECT id FROM gdpr_requests");
    let page = |path: &str| text(&operator.get(path));
    assert!(page("/admin/privacy").contains(&id));
    let open = page(&format!("/admin/privacy/{id}"));
    assert!(open.contains("30 days left") && !open.contains("<h3>Receipt"), "{open}");
    let job: String = fixture.query("SELECT id FROM job_queue");
    assert!(page(&format!("/admin/jobs/{job}")).contains("Still to be deleted"));
    fixture.run_jobs();
    let done = page(&format!("/admin/privacy/{id}"));
    assert_eq!(done.matches("<h3>Receipt").count(), 2, "{done}");
    assert!(done.contains("matrix_cells") && done.contains(">done<"), "{done}");
}

#[test]
fn a_report_is_downloaded_as_a_file() {
    let fixture = Fixture::new();
    let body = json!({ "shop_id": 1, "shop_domain": "a.myshopify.com", "orders_requested": [], "customer": { "id": 7 }, "data_request": { "id": 9 } });
    fixture.post_webhook("customers/data_request", &body);
    fixture.run_jobs();
    let id: String = fixture.query("SELECT id FROM gdpr_requests");
    let operator = Person::operator(&fixture);
    assert!(text(&operator.get(&format!("/admin/privacy/{id}"))).contains("Download the report"));
    let report = operator.get(&format!("/admin/privacy/{id}/report"));
    let name = format!("attachment; filename=\"report-{id}.json\"");
    assert_eq!((report.status, report.header("content-disposition")), (200, Some(name.as_str())));
}

#[test]
fn what_happens_is_counted_by_the_hour_and_shown() {
    let fixture = Fixture::new();
    fixture.post_webhook("app/uninstalled", &json!({ "id": 1, "myshopify_domain": "a.myshopify.com" }));
    fixture.post_webhook("orders/create", &json!({ "id": 1 }));
    let mut unsigned = request("POST", "/webhooks", None, "{}");
    unsigned.headers.push("X-Shopify-Topic", "shop/redact");
    assert_eq!(fixture.call(unsigned).status, 401);
    fixture.app.activity.flush(&fixture.app.db).expect("flushed");
    fixture.app.activity.flush(&fixture.app.db).expect("nothing twice");
    let counted =
        "SELECT group_concat(name || '=' || count) FROM (SELECT name, count FROM activity_counts ORDER BY name)";
    assert_eq!(fixture.query::<String>(counted), "app/uninstalled=1,ignored=1,unsigned=1");
    let operator = Person::operator(&fixture);
    let page = text(&operator.get("/admin/webhooks"));
    assert!(page.contains("a.myshopify.com"), "{page}");
    assert!(text(&operator.get("/admin")).contains("Webhooks in the last 24 hours, by hour: 1 in all"));
    fixture.advance(Duration::from_secs(401 * 24 * 60 * 60));
    fixture.app.activity.count(fixture.app.clock.as_ref(), Event::Order);
    fixture.app.activity.flush(&fixture.app.db).expect("flushed");
    let stop = Default::default();
    fixture.app.housekeeper().prune(&stop).expect("pruned");
    assert_eq!(fixture.query::<String>(counted), "order=1", "what is old is gone");
}

#[test]
fn webhooks_of_every_topic_are_counted_and_shown_with_their_meaning() {
    let fixture = Fixture::new();
    for topic in Topic::all() {
        let event = activity::of_topic(topic.as_str()).expect("a known topic is counted");
        fixture.app.activity.count(fixture.app.clock.as_ref(), event);
    }
    fixture.app.activity.flush(&fixture.app.db).expect("flushed");
    let page = text(&Person::operator(&fixture).get("/admin/webhooks"));
    for topic in Topic::all() {
        let meaning = topic.meaning().expect("a known topic has one");
        let row = format!(
            "<code>{topic}</code></td><td data-label=\"Meaning\">{meaning}</td><td data-label=\"24 hours\" class=\"number\">1<"
        );
        assert!(page.contains(&row), "{row}: {page}");
    }
    assert!(activity::of_topic("orders/create").is_none());
}

#[test]
fn a_backup_is_made_from_the_health_page_and_listed() {
    let fixture = Fixture::new();
    let operator = Person::operator(&fixture);
    assert!(text(&operator.get("/admin")).contains("There is no backup in this server"));
    let done = operator.post("/admin/health/backup", "");
    assert_eq!(done.status, 303, "{}", text(&done));
    let page = text(&operator.get("/admin/health"));
    assert!(page.contains("quotegrid-20260101T000000Z.db"), "{page}");
    assert!(!text(&operator.get("/admin")).contains("There is no backup in this server"));
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM audit_log WHERE action = 'backup.create'"), 1);
}

#[test]
fn lists_page_by_key_without_gap_or_repetition() {
    let fixture = Fixture::new();
    for number in 0..7 {
        fixture.advance(Duration::from_millis(1));
        fixture.post_webhook(
            "app/uninstalled",
            &json!({ "id": 1, "myshopify_domain": format!("s{number}.myshopify.com") }),
        );
    }
    let operator = Person::operator(&fixture);
    let mut path = "/admin/webhooks?limit=3".to_owned();
    let mut shops = Vec::new();
    for _ in 0..3 {
        let page = text(&operator.get(&path));
        shops.extend((0..7).filter(|number| page.contains(&format!("s{number}.myshopify.com"))).rev());
        let next = page.split("webhooks?cursor=").nth(1).and_then(|rest| rest.split('"').next());
        let Some(next) = next else { break };
        path = format!("/admin/webhooks?limit=3&cursor={next}");
    }
    assert_eq!(shops, [6, 5, 4, 3, 2, 1, 0]);
}

#[test]
fn what_turns_the_direction_of_writing_stays_within_what_it_was_written_in() {
    let fixture = Fixture::new();
    let turn = '\u{202e}';
    let job = fixture.enqueue("fax", json!({ "note": format!("a{turn}b") }));
    let (error, id) = (format!("it says {turn}txt.exe"), job.to_string());
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let invitation = Invitation { role: Role::Operator, store: None, label: format!("till{turn}2") };
    let made = fixture.app.db.write(move |tx| {
        let sql = "UPDATE job_queue SET status = 'failed', processed_at = 0, error = ?1 WHERE id = ?2";
        tx.execute(sql, [error, id])?;
        links::insert(tx, now, entropy.as_ref(), &invitation, now + LINK_LIFE)
    });
    let operator = Person::enter(&fixture, made.expect("a link").expose());
    let error = "it%20says%20%E2%80%AEtxt.exe";
    for path in [
        "/admin/jobs?status=failed".to_owned(),
        format!("/admin/jobs?status=failed&error={error}"),
        format!("/admin/jobs/all?change=retry&status=failed&error={error}"),
        format!("/admin/jobs/{job}"),
        "/admin/activity".to_owned(),
        "/admin".to_owned(),
    ] {
        let page = text(&operator.get(&path));
        let found = page.match_indices(turn).map(|(at, _)| &page[..at]).inspect(|before| {
            let tag = &before[before.rfind('<').expect("a tag")..];
            // Inside a tag it is an attribute's value.
            assert!(tag.starts_with("<bdi>") || tag.starts_with("<bdi ") || !tag.contains('>'), "{path}: {tag}");
        });
        assert!(found.count() > usize::from(path.contains("jobs")), "{path}: {page}");
    }
}

#[test]
fn answers_of_the_api_are_useless_to_other_origins_and_never_cached() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let operator = Person::operator(&fixture);
    for path in ["/admin/api/jobs".to_owned(), format!("/admin/api/stores/{}/draft-orders.csv", demo.shop)] {
        let answer = operator.ask("GET", &path, "");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}

#[test]
fn each_finding_says_what_to_do_and_leads_there() {
    let fixture = Fixture::opened_with(|options| options.alerts.silence = Some(TimeDelta::hours(12)));
    fixture.post_webhook("app/uninstalled", &json!({ "id": 1, "myshopify_domain": "a.myshopify.com" }));
    fixture.enqueue("a<type>&more", json!({}));
    let quiet = text(&Person::operator(&fixture).get("/admin"));
    assert!(!quiet.contains("no webhook for"), "{quiet}");
    fixture.advance(Duration::from_secs(13 * 60 * 60));
    let operator = Person::operator(&fixture);
    for path in ["/admin", "/admin/health"] {
        let page = text(&operator.get(path));
        for words in [
            "There was no webhook for 13 hours",
            "quotegrid webhook setup",
            "admin/jobs?status=pending&#38;type=a%3Ctype%3E%26more",
            "Jobs have been due for over an hour",
            "There is no backup in this server’s folder",
        ] {
            assert!(page.contains(words), "{words} in {page}");
        }
        let findings = page.matches("class=\"finding linked").count();
        assert!(findings >= 4, "{findings} in {page}");
    }
}

#[test]
fn a_setting_that_has_no_effect_is_shown() {
    let fixture = Fixture::new();
    let operator = Person::operator(&fixture);
    let fault = "QUOTEGRID_SILENCE_HOUR is not a setting and does nothing: did you mean QUOTEGRID_SILENCE_HOURS?";
    let state = AppState::new(fixture.app.clone(), Secrets::new(["hush"])).with_setting_faults(vec![fault.to_owned()]);
    let (sender, answer) = std::sync::mpsc::sync_channel(1);
    let reply = Reply::new(move |response| {
        let _nobody_waits = sender.send(response);
    });
    Router::new(Arc::new(state)).call(request("GET", "/admin", Some(&operator.cookie), ""), reply);
    let page = text(&answer.recv().expect("an answer"));
    assert!(page.contains("A setting has no effect") && page.contains(fault), "{page}");
    assert!(!text(&operator.get("/admin")).contains("A setting has no effect"));
}
