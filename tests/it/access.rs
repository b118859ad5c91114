//! Who may come in: links, sessions and the audit log, on a real file.

use crate::support::files::holds;
use chrono::{DateTime, TimeDelta, Utc};
use quotegrid::access::audit::{self, Entry};
use quotegrid::access::links::{self, Invitation, LINK_LIFE};
use quotegrid::access::sessions::{self, ABSOLUTE_END, IDLE_END, Session};
use quotegrid::access::{Actor, Role, Token, TokenDigest};
use quotegrid::catalog::stores;
use quotegrid::db;
use quotegrid::testing::Fixture;
use std::time::Duration;

fn invitation() -> Invitation {
    Invitation { role: Role::Viewer, store: None, label: "till".to_owned() }
}

fn link(fixture: &Fixture, invitation: Invitation) -> Token {
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let made = fixture.app.db.write(move |tx| links::insert(tx, now, entropy.as_ref(), &invitation, now + LINK_LIFE));
    made.expect("a working database")
}

fn take(fixture: &Fixture, digest: TokenDigest) -> Option<Invitation> {
    let now = fixture.now();
    fixture.app.db.write(move |tx| links::take(tx, now, digest)).expect("a working database")
}

fn begin(fixture: &Fixture, invitation: Invitation) -> Token {
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let begun = fixture.app.db.write(move |tx| sessions::begin(tx, now, entropy.as_ref(), &invitation));
    begun.expect("a working database")
}

fn find(fixture: &Fixture, token: &Token) -> Option<Session> {
    let (now, digest) = (fixture.now(), token.digest());
    fixture.app.db.read(move |connection| sessions::find(connection, now, digest)).expect("a working database")
}

fn std(delta: TimeDelta) -> Duration {
    delta.to_std().expect("not negative")
}

#[test]
fn a_link_lets_in_once_and_for_its_hour() {
    let fixture = Fixture::new();
    let token = link(&fixture, invitation());
    assert_eq!(take(&fixture, TokenDigest::of("guessed")), None);
    assert_eq!(take(&fixture, token.digest()), Some(invitation()));
    assert_eq!(take(&fixture, token.digest()), None, "once");
    let late = link(&fixture, invitation());
    fixture.advance(std(LINK_LIFE));
    assert_eq!(take(&fixture, late.digest()), None);
}

#[test]
fn a_session_ends_when_it_is_idle_when_it_is_old_and_when_it_is_ended() {
    let fixture = Fixture::new();
    let token = begin(&fixture, invitation());
    let session = find(&fixture, &token).expect("signed in");
    assert_eq!((session.role, session.label.as_str()), (Role::Viewer, "till"));
    fixture.advance(std(IDLE_END) - Duration::from_millis(1));
    assert!(find(&fixture, &token).is_some());
    fixture.advance(Duration::from_millis(1));
    assert_eq!(find(&fixture, &token), None, "idle for too long");

    let token = begin(&fixture, invitation());
    let id = find(&fixture, &token).expect("signed in").id;
    let start = fixture.now();
    while fixture.now() < start + ABSOLUTE_END - TimeDelta::hours(6) {
        fixture.advance(Duration::from_secs(6 * 60 * 60));
        assert!(find(&fixture, &token).is_some_and(|session| session.use_is_news(fixture.now())));
        let now = fixture.now();
        fixture.app.db.write(move |tx| sessions::note_used(tx, now, id)).expect("a working database");
    }
    fixture.advance(Duration::from_secs(6 * 60 * 60));
    assert_eq!(find(&fixture, &token), None, "however much it was used");

    let token = begin(&fixture, invitation());
    let id = find(&fixture, &token).expect("signed in").id;
    let end = || fixture.app.db.write(move |tx| sessions::end(tx, id)).expect("a working database");
    assert!(end() && !end());
    assert_eq!(find(&fixture, &token), None);
}

#[test]
fn neither_a_link_nor_a_session_can_be_read_from_the_file() {
    let fixture = Fixture::new();
    let (link, session) = (link(&fixture, invitation()), begin(&fixture, invitation()));
    fixture.app.db.empty_wal(Duration::from_secs(60)).expect("emptied");
    for token in [link, session] {
        assert!(!holds(fixture.app.db.path(), token.expose()));
    }
}

#[test]
fn a_merchants_links_and_sessions_go_with_the_store() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let shop = demo.shop.clone();
    let store =
        fixture.app.db.read(move |connection| stores::find(connection, &shop)).expect("readable").expect("there");
    let merchant = Invitation { role: Role::Merchant, store: Some(store.id), label: "demo".to_owned() };
    link(&fixture, merchant.clone());
    let token = begin(&fixture, merchant);
    let operator = begin(&fixture, Invitation { role: Role::Operator, ..invitation() });
    fixture.post_webhook("shop/redact", &serde_json::json!({ "shop_id": 1, "shop_domain": demo.shop.as_str() }));
    fixture.run_jobs();
    assert_eq!((find(&fixture, &token), fixture.count("admin_links")), (None, 0));
    assert!(find(&fixture, &operator).is_some(), "others stay");
}

#[test]
fn the_first_way_in_is_remembered_for_ever() {
    let first = |fixture: &Fixture| fixture.app.db.write(sessions::note_first_link).expect("a working database");
    let fixture = Fixture::new();
    assert_eq!((first(&fixture), first(&fixture)), (true, false), "once");

    let fixture = Fixture::new();
    begin(&fixture, invitation());
    fixture.app.db.write(|tx| sessions::end_all(tx, None)).expect("a working database");
    assert!(!first(&fixture), "a session that has ended counts");
}

#[test]
fn the_audit_log_is_listed_by_pages_and_by_store_and_old_rows_go() {
    let fixture = Fixture::new();
    let record = |at: DateTime<Utc>, entry: Entry| {
        let entropy = fixture.app.entropy.clone();
        let recorded = fixture.app.db.write(move |tx| audit::record(tx, at, entropy.as_ref(), &Actor::api(), &entry));
        recorded.expect("a working database");
    };
    let start = fixture.now();
    for minute in 0..5 {
        record(start + TimeDelta::minutes(minute), Entry::new("job.retry").object(minute));
    }
    record(start + TimeDelta::minutes(9), Entry::new("matrix.update").of_store([7; 32]).object("m"));
    let list = |filter: audit::Filter| -> Vec<audit::Recorded> {
        fixture.app.db.read(move |connection| audit::list(connection, &filter)).expect("readable")
    };
    let page = list(audit::Filter { limit: 3, ..Default::default() });
    let actions: Vec<&str> = page.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["matrix.update", "job.retry", "job.retry"]);
    let next = list(audit::Filter { limit: 3, before: Some(page[2].id), ..Default::default() });
    assert_eq!(next.iter().map(|row| row.objects.join(",")).collect::<Vec<_>>(), ["2", "1", "0"]);
    assert_eq!(list(audit::Filter { limit: 9, store: Some([7; 32]), ..Default::default() }).len(), 1);
    let before = start + TimeDelta::minutes(2);
    let pruned =
        fixture.app.db.write(move |tx| -> db::Result<_> { audit::prune(tx, before, 100) }).expect("a working database");
    assert_eq!((pruned, list(audit::Filter { limit: 9, ..Default::default() }).len()), (2, 4));
}

#[test]
fn no_look_at_sessions_or_the_log_walks_a_whole_table() {
    let fixture = Fixture::new();
    for (sql, index) in [
        ("SELECT id FROM admin_sessions WHERE digest = x'00'", "SEARCH admin_sessions USING"),
        (
            "SELECT id FROM audit_log WHERE store_hash = x'00' AND id < 'x' ORDER BY id DESC LIMIT 1",
            "audit_log_store_hash",
        ),
        (
            "SELECT id FROM audit_log WHERE id < coalesce(NULL, '~') ORDER BY id DESC LIMIT 1",
            "SEARCH audit_log USING PRIMARY KEY",
        ),
    ] {
        let plan = crate::support::plans::plan(&fixture, sql);
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}
