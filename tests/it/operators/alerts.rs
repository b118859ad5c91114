//! Alerts: what is raised, once, and how it reaches whoever listens.

use super::{quotegrid, redact};
use quotegrid::alerts;
use quotegrid::app::{App, Options, Ran};
use quotegrid::clock::{Clock, ManualClock};
use quotegrid::entropy::SeededEntropy;
use quotegrid::queue::NewJob;
use quotegrid::secret::Secret;
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A receiver that answers with each of `statuses` in turn, and what it was posted.
fn receiver(statuses: &'static [u16]) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook?token=hush", listener.local_addr().expect("an address"));
    let (posted, received) = channel();
    let here = url.clone();
    std::thread::spawn(move || {
        for status in statuses {
            let (mut socket, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            let body = loop {
                let count = socket.read(&mut piece).expect("a request");
                request.extend_from_slice(&piece[..count]);
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().expect("a length"))
                });
                if body.len() >= length.expect("a body of known length") {
                    break body.to_owned();
                }
            };
            posted.send(serde_json::from_str(&body).expect("JSON")).expect("the test listens");
            let elsewhere = if (300..400).contains(status) { format!("Location: {here}\r\n") } else { String::new() };
            let answer = format!("HTTP/1.1 {status} X\r\n{elsewhere}Content-Length: 0\r\nConnection: close\r\n\r\n");
            socket.write_all(answer.as_bytes()).expect("answered");
        }
    });
    (url, received)
}

struct Alerted {
    app: App,
    clock: Arc<ManualClock>,
    _directory: tempfile::TempDir,
}

fn alerted(url: &str) -> Alerted {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let clock = Arc::new(ManualClock::default());
    let mut options = Options::new(directory.path().join("test.db"));
    options.clock = clock.clone();
    options.entropy = Arc::new(SeededEntropy::new(3));
    options.database.write_wait = Duration::from_secs(120);
    options.alerts = alerts::Options { url: Some(Secret::new(url)), silence: Some(chrono::TimeDelta::hours(24)) };
    Alerted { app: App::open(options).expect("a new database"), clock, _directory: directory }
}

#[test]
fn a_job_that_failed_for_good_is_alerted_once_and_again_when_the_receiver_was_down() {
    let (url, posted) = receiver(&[503, 200]);
    let Alerted { app, clock, _directory } = alerted(&url);
    app.enqueue(NewJob::new("shop_redact", json!({ "shop": "not a shop" }))).expect("enqueued");
    let failed = app.run_due(10).expect("a working database");
    assert_eq!((failed.processed, failed.errors), (1, 1));
    assert_eq!(app.alerts().look(clock.now()).expect("a working database"), 1);
    assert_eq!(app.alerts().look(clock.now()).expect("a working database"), 0, "told once");
    assert_eq!(app.run_due(10).expect("a working database").errors, 1, "the receiver is down");
    let error: String = app
        .db
        .read(|connection| -> quotegrid::db::Result<_> {
            Ok(connection.query_row("SELECT error FROM job_queue WHERE type = 'alert'", (), |row| row.get(0))?)
        })
        .expect("readable");
    assert_eq!(error, "the address for alerts answered 503", "the address is a secret");
    clock.advance(Duration::from_secs(2));
    assert_eq!(app.run_due(10).expect("a working database").errors, 0);
    let (first, second) = (posted.recv().expect("posted"), posted.recv().expect("posted again"));
    assert_eq!(first, second);
    assert_eq!((&first["alert"], &first["jobs"][0]["type"]), (&json!("job_failed"), &json!("shop_redact")));
    assert!(first["text"].as_str().is_some_and(|text| text.contains("failed permanently")), "{first}");
}

#[test]
fn an_unreachable_receiver_costs_attempts_and_its_failure_raises_no_alert() {
    // Nobody listens there; a port that was free a moment ago may be another test's by now.
    let Alerted { app, clock, _directory } = alerted("http://127.0.0.1:1/hook");
    app.enqueue(NewJob::new("alert", json!({ "alert": "test" })).max_attempts(1)).expect("enqueued");
    assert_eq!(app.run_due(10).expect("a working database").errors, 1);
    assert_eq!(app.alerts().look(clock.now()).expect("a working database"), 0);
}

#[test]
fn a_redirect_is_no_delivery_and_is_not_followed() {
    let (url, posted) = receiver(&[302, 307]);
    let Alerted { app, clock, _directory } = alerted(&url);
    app.enqueue(NewJob::new("alert", json!({ "alert": "test" }))).expect("enqueued");
    for _ in 0..2 {
        assert_eq!(app.run_due(10).expect("a working database"), Ran { processed: 1, errors: 1 });
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(posted.iter().count(), 2, "each was posted once, and nowhere else");
}

#[test]
fn an_alert_is_tried_on_the_command_line() {
    let (url, posted) = receiver(&[204, 500]);
    let test = |url: &str| {
        let mut command = quotegrid(Path::new("unused.db"), &["alert", "test", "--json"]);
        let output = command.env("QUOTEGRID_ALERT_URL", url).output().expect("the binary runs");
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("text"),
            String::from_utf8(output.stderr).expect("text"),
        )
    };
    assert_eq!(test(&url), (Some(0), "{\"delivered\":true}\n".to_owned(), String::new()));
    assert_eq!(posted.recv().expect("posted")["alert"], "test");
    let (code, _, told) = test(&url);
    assert_eq!((code, told.trim_end()), (Some(1), "quotegrid: the address for alerts answered 500"));
    let (code, _, told) = test("");
    assert!(code == Some(1) && told.contains("set QUOTEGRID_ALERT_URL"), "{told}");
    let (code, _, told) = test("http://alerts.example.com/hush");
    assert!(code == Some(4) && told.contains("https") && !told.contains("hush"), "{told}");
}

#[test]
fn an_alert_is_sent_at_each_share_of_a_deadline_and_after_a_day_of_silence() {
    let fixture = Fixture::new();
    redact(&fixture, "slow.myshopify.com");
    let options = alerts::Options { url: None, silence: Some(chrono::TimeDelta::hours(24)) };
    let alerts = alerts::Alerts::new(fixture.app.db.clone(), fixture.app.queue.clone(), &options);
    let look = || alerts.look(fixture.now()).expect("a working database");
    let last = || -> Value {
        let payload: String =
            fixture.query("SELECT payload FROM job_queue WHERE type = 'alert' ORDER BY id DESC LIMIT 1");
        serde_json::from_str(&payload).expect("JSON")
    };
    fixture.advance(DAY);
    assert_eq!(look(), 0);
    fixture.advance(Duration::from_millis(1));
    assert_eq!((look(), last()["alert"].clone()), (1, json!("no_webhook")));
    assert_eq!(look(), 0, "one silence is one alert");
    let start = ManualClock::default().now();
    for (hour, share) in [(360, 50), (576, 80), (684, 95)] {
        loop {
            fixture.advance(DAY / 4);
            if fixture.now() >= start + chrono::TimeDelta::hours(hour) {
                break;
            }
            assert_eq!(look(), 0, "nothing new before hour {hour}");
        }
        assert_eq!(look(), 1, "hour {hour}");
        let told = last();
        assert_eq!((&told["alert"], &told["requests"][0]["timeUsedPercent"]), (&json!("deadline_near"), &json!(share)));
        assert!(!told.to_string().contains("myshopify"), "an alert names no shop");
    }
    redact(&fixture, "other.myshopify.com");
    assert_eq!(look(), 0);
    fixture.advance(DAY + Duration::from_millis(1));
    assert_eq!((look(), last()["alert"].clone()), (1, json!("no_webhook")), "another silence");
}

/// What is raised now, without anybody to post it to.
fn raised(fixture: &Fixture) -> Vec<Value> {
    let before: u64 = fixture.query("SELECT count(*) FROM job_queue WHERE type = 'alert'");
    let options = alerts::Options { url: None, silence: None };
    let alerts = alerts::Alerts::new(fixture.app.db.clone(), fixture.app.queue.clone(), &options);
    let count = alerts.look(fixture.now()).expect("a working database");
    let number = |at: usize| before + u64::try_from(at).expect("few");
    let alert = |at: usize| {
        let sql =
            format!("SELECT payload FROM job_queue WHERE type = 'alert' ORDER BY id LIMIT 1 OFFSET {}", number(at));
        serde_json::from_str(&fixture.query::<String>(&sql)).expect("JSON")
    };
    (0..count).map(alert).collect()
}

fn use_keys(fixture: &Fixture) {
    let now = fixture.now().timestamp_millis();
    let used: quotegrid::db::Result<usize> =
        fixture.app.db.write(move |tx| Ok(tx.execute("UPDATE api_keys SET last_used_at = ?1", [now])?));
    used.expect("writable");
}

#[test]
fn a_redaction_of_a_live_store_is_alerted_at_once_with_when_its_keys_were_last_used() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    fixture.advance(DAY / 24);
    use_keys(&fixture);
    let used = fixture.now();
    fixture.advance(DAY / 24);
    assert_eq!(raised(&fixture), Vec::<Value>::new());
    redact(&fixture, demo.shop.as_str());
    redact(&fixture, "stranger.myshopify.com");
    fixture.run_jobs();
    let told = raised(&fixture);
    assert_eq!((told.len(), &told[0]["alert"]), (1, &json!("redact_of_live_store")), "{told:?}");
    let requests = told[0]["requests"].as_array().expect("a list");
    assert_eq!((requests.len(), &requests[0]["outcome"]), (1, &json!("erased")), "{told:?}");
    let at = |text: &Value| text.as_str().expect("an instant").parse::<chrono::DateTime<chrono::Utc>>().expect("one");
    assert_eq!((at(&requests[0]["keysLastUsedAt"]), at(&requests[0]["foundLiveAt"])), (used, fixture.now()));
    assert!(!told[0].to_string().contains("myshopify"), "an alert names no shop");
    assert_eq!(raised(&fixture), Vec::<Value>::new(), "once");
}

#[test]
fn a_held_erasure_is_alerted_when_it_begins_and_when_it_is_decided() {
    let fixture = Fixture::opened_with(|options| options.redact_hold = chrono::TimeDelta::days(7));
    let demo = fixture.demo_store();
    fixture.advance(DAY / 24);
    redact(&fixture, demo.shop.as_str());
    fixture.run_jobs();
    let told = raised(&fixture);
    assert!(told.len() == 1 && told[0]["requests"][0]["heldUntil"].is_string(), "{told:?}");
    for _ in 0..7 * 24 {
        assert!(raised(&fixture).iter().all(|told| told["alert"] != "redact_of_live_store"));
        fixture.advance(DAY / 24);
        fixture.run_jobs();
    }
    let told = raised(&fixture);
    let told: Vec<&Value> = told.iter().filter(|told| told["alert"] == "redact_of_live_store").collect();
    assert!(told.len() == 1 && told[0]["requests"][0]["outcome"] == "erased", "{told:?}");
}

#[test]
fn only_the_uninstallation_of_a_store_whose_keys_were_used_within_the_hour_is_alerted() {
    for (minutes, is_told) in [(0, true), (60, true), (61, false)] {
        let fixture = Fixture::new();
        let demo = fixture.demo_store();
        use_keys(&fixture);
        fixture.advance(Duration::from_secs(minutes * 60));
        let body = json!({ "id": 1, "myshopify_domain": demo.shop.as_str() });
        assert_eq!(fixture.post_webhook("app/uninstalled", &body).status, 200);
        fixture.advance(Duration::from_secs(10));
        let told = raised(&fixture);
        assert_eq!(told.iter().any(|told| told["alert"] == "uninstalled_while_in_use"), is_told, "{minutes} {told:?}");
        assert!(told.iter().all(|told| !told.to_string().contains("myshopify")), "an alert names no shop");
        assert_eq!(raised(&fixture), Vec::<Value>::new(), "once");
    }
}
