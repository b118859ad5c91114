//! What the storefront reads: by index, from one store, and never stale.

use quotegrid::catalog::keys::{self, KeyDigest, LiveKey};
use quotegrid::catalog::{Expected, assignments, matrices, options, stores};
use quotegrid::db;
use quotegrid::domain::ids::ProductId;
use quotegrid::domain::length::Unit;
use quotegrid::domain::money::Currency;
use quotegrid::error::Error;
use quotegrid::testing::Fixture;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use rusqlite::{Connection, StatementStatus};
use std::cell::RefCell;
use std::time::Duration;

fn find_live(fixture: &Fixture, key: &str) -> Option<LiveKey> {
    fixture.app.db.read(|connection| keys::find_live(connection, KeyDigest::of(key))).expect("readable")
}

/// Another store that sells the same products.
fn second_store(fixture: &Fixture) {
    let (entropy, now) = (fixture.app.entropy.clone(), fixture.now());
    let written = fixture.app.db.write(move |tx| -> Result<(), Error> {
        let shop = "second.myshopify.com".parse().expect("a shop");
        let scope = stores::install(tx, now, entropy.as_ref(), &shop, Currency::USD, Unit::Mm)?.scope();
        keys::issue(tx, now, entropy.as_ref(), scope.store, None)?;
        Ok(())
    });
    written.expect("written");
}

fn product(number: &str) -> ProductId {
    number.parse().expect("a product")
}

/// The products of the demo store.
fn demo_products(fixture: &Fixture) -> Vec<ProductId> {
    let ids: String = fixture.query("SELECT group_concat(product_id) FROM product_matrices");
    ids.split(',').map(product).collect()
}

#[test]
fn a_key_opens_its_store_until_it_is_revoked() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let live = find_live(&fixture, &demo.key.key).expect("it is live");
    assert_eq!((live.id, live.shop.clone(), live.currency.code()), (Some(demo.key.id), demo.shop.clone(), "EUR"));
    for wrong in ["", "pm_", &demo.key.key[..66], &demo.key.key.to_uppercase()] {
        assert_eq!(find_live(&fixture, wrong), None, "{wrong}");
    }
    let now = fixture.now();
    fixture.app.db.write(move |tx| keys::revoke(tx, now, live.store, demo.key.id)).expect("revoked");
    assert_eq!(find_live(&fixture, &demo.key.key), None);
}

#[test]
fn a_key_is_dead_while_its_store_is_uninstalled_or_being_erased() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let (shop, now) = (demo.shop.clone(), fixture.advance(Duration::from_secs(1)));
    fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &shop, now, now)).expect("written");
    assert_eq!(find_live(&fixture, &demo.key.key), None);

    let demo = fixture.demo_store();
    assert!(find_live(&fixture, &demo.key.key).is_some());
    let (shop, now) = (demo.shop.clone(), fixture.now());
    fixture.app.db.write(move |tx| stores::begin_erasure(tx, now, &shop, now)).expect("written");
    assert_eq!(find_live(&fixture, &demo.key.key), None);
}

#[test]
fn the_last_use_of_a_key_is_written_seldom_and_known_well_enough() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let note = |fixture: &Fixture| {
        let now = fixture.now();
        fixture.app.db.write(move |tx| keys::note_used(tx, now, demo.key.id)).expect("written");
        find_live(fixture, &demo.key.key).expect("live").last_used_at
    };
    let first = fixture.now();
    assert!(find_live(&fixture, &demo.key.key).expect("live").use_is_news(first));
    assert_eq!(note(&fixture), Some(first));
    let soon = fixture.advance(Duration::from_secs(60));
    assert!(!find_live(&fixture, &demo.key.key).expect("live").use_is_news(soon));
    assert_eq!(note(&fixture), Some(first));
    let later = fixture.advance(Duration::from_secs(600));
    assert_eq!(note(&fixture), Some(later));
}

#[test]
fn the_demo_store_can_be_started_any_number_of_times() {
    let fixture = Fixture::new();
    let keys: Vec<String> = (0..keys::KEYS_MAX + 5)
        .map(|_| {
            fixture.advance(Duration::from_secs(1));
            fixture.demo_store().key.key
        })
        .collect();
    assert!(find_live(&fixture, keys.last().expect("many")).is_some());
    assert!(find_live(&fixture, &keys[0]).is_none());
}

#[test]
fn a_product_has_the_matrix_and_the_options_that_were_assigned_in_order() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let live = find_live(&fixture, &demo.key.key).expect("live");
    let read = |connection: &Connection| -> Result<(), Error> {
        let mut with_options = 0;
        for product in demo_products(&fixture) {
            let assigned = assignments::find_matrix(connection, live.store, &product)?.expect("assigned");
            let stored = matrices::load(connection, live.store, assigned.matrix)?;
            assert!(!stored.matrix.widths().is_empty() && stored.version == 1);
            for group in options::list_of_product(connection, live.store, &product)? {
                with_options += 1;
                assert!(!group.choices.is_empty());
                assert_eq!(options::load(connection, live.store, group.id)?.group, group);
            }
        }
        assert!(with_options > 0);
        assert!(assignments::find_matrix(connection, live.store, &product("404"))?.is_none());
        assert!(options::list_of_product(connection, live.store, &product("404"))?.is_empty());
        Ok(())
    };
    fixture.app.db.read(read).expect("readable");
}

thread_local! {
    static SCANS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes each statement that has walked a table from its beginning.
fn note_scan(event: TraceEvent<'_>) {
    if let TraceEvent::Profile(statement, _) = event
        && statement.get_status(StatementStatus::FullscanStep) > 0
    {
        SCANS.with_borrow_mut(|scans| scans.push(statement.sql().to_string()));
    }
}

#[test]
fn whatever_the_storefront_reads_is_found_by_index() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let live = find_live(&fixture, &demo.key.key).expect("live");
    let products = demo_products(&fixture);
    let connection = Connection::open(fixture.database()).expect("it opens");
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_PROFILE, Some(note_scan));
    // Two of everything, or a walk would have no second step.
    second_store(&fixture);
    // The trap works.
    let _count: u64 =
        connection.query_row("SELECT count(price_minor) FROM matrix_cells", (), |row| row.get(0)).expect("rows");
    assert_eq!(SCANS.take().len(), 1);
    let read = || -> Result<(), Error> {
        keys::find_live(&connection, KeyDigest::of(&demo.key.key))?;
        keys::list(&connection, live.store, None, 10)?;
        stores::find(&connection, &demo.shop)?;
        matrices::list(&connection, live.store, None, 10)?;
        options::list(&connection, live.store, None, 10)?;
        for product in &products {
            let assigned = assignments::find_matrix(&connection, live.store, product)?.expect("assigned");
            matrices::load(&connection, live.store, assigned.matrix)?;
            options::list_of_product(&connection, live.store, product)?;
            // What is in the way of a deletion is found by index too: it is looked for in the writer's time.
            assert!(
                assignments::refuse_matrix_in_use(&connection, live.store, assigned.matrix, Some(Expected::Any))
                    .is_err()
            );
        }
        for stored in options::list(&connection, live.store, None, 10)? {
            let _offered =
                assignments::refuse_group_in_use(&connection, live.store, stored.group.id, Some(Expected::Any));
            options::find_by_name(&connection, live.store, stored.group.name.as_str())?;
        }
        keys::list_unrevoked(&connection, live.store)?;
        Ok(())
    };
    read().expect("readable");
    assert_eq!(SCANS.take(), Vec::<String>::new());
}

#[test]
fn every_change_that_the_storefront_could_see_moves_the_version() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let version = |fixture: &Fixture| -> i64 { fixture.query("SELECT catalog_version FROM stores") };
    let live = find_live(&fixture, &demo.key.key).expect("live");
    assert_eq!(live.catalog_version, version(&fixture));
    let (shop, now) = (demo.shop.clone(), fixture.advance(Duration::from_secs(1)));
    fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &shop, now, now)).expect("written");
    assert_eq!(version(&fixture), live.catalog_version + 1);
    fixture.demo_store();
    assert_eq!(version(&fixture), live.catalog_version + 2);
    let (shop, now) = (demo.shop.clone(), fixture.advance(Duration::from_secs(1)));
    fixture.app.db.write(move |tx| stores::begin_erasure(tx, now, &shop, now)).expect("written");
    assert_eq!(version(&fixture), live.catalog_version + 3);
}

#[test]
fn a_key_belongs_to_a_live_store_and_there_are_not_too_many() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let store = find_live(&fixture, &demo.key.key).expect("live").store;
    let issue = |fixture: &Fixture, label: &'static str| {
        let (entropy, now) = (fixture.app.entropy.clone(), fixture.now());
        fixture
            .app
            .db
            .write(move |tx| keys::issue(tx, now, entropy.as_ref(), store, Some(label)))
            .map_err(|error: Error| error.kind())
    };
    for _ in 1..keys::KEYS_MAX {
        issue(&fixture, "theme").expect("issued");
    }
    assert_eq!(issue(&fixture, "one too many").map(|_| ()), Err(quotegrid::error::Kind::Conflict));
    let (shop, now) = (demo.shop.clone(), fixture.advance(Duration::from_secs(1)));
    fixture.app.db.write(move |tx| stores::mark_uninstalled(tx, &shop, now, now)).expect("written");
    assert_eq!(issue(&fixture, "late").map(|_| ()), Err(quotegrid::error::Kind::Conflict));
    let found: Vec<keys::ApiKey> = fixture
        .app
        .db
        .read(|connection| -> db::Result<_> { keys::list(connection, store, None, 200) })
        .expect("listed");
    assert_eq!(found.len(), keys::KEYS_MAX);
    assert!(found.iter().all(|listed| listed.prefix.len() == 8));
}
