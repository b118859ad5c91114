//! No answer comes from what is no longer true: not after an edit, not after the end of a key or a store, whoever wrote it.

use super::harness::{Example, PRODUCT, SHOP, Server, body, entropy, fixed, grid, matrix, selections};
use crate::support::command::program;
use quotegrid::app::{App, Options};
use quotegrid::catalog::options::{EditedChoice, GroupEdit, NewChoice};
use quotegrid::catalog::settings::Change;
use quotegrid::catalog::stores::Scope;
use quotegrid::catalog::{Expected, assignments, keys, matrices, options, settings, stores};
use quotegrid::db::Tx;
use quotegrid::domain::ids::{MatrixId, ProductId, ShopDomain};
use quotegrid::domain::matrix::OutOfRange;
use quotegrid::error::Error;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SIZE: &str = "width=450&height=350";

fn price(server: &Server, example: &Example) -> Value {
    body(&server.price(&example.shop.key, SIZE))["price"].clone()
}

fn status(server: &Server, example: &Example) -> u16 {
    server.price(&example.shop.key, SIZE).status
}

fn shop() -> ShopDomain {
    SHOP.parse().expect("a shop")
}

/// Another app on the same file: to SQLite, another process.
fn other_app(server: &Server) -> Arc<App> {
    let mut options = Options::new(server.fixture.database());
    options.clock = server.fixture.clock.clone();
    Arc::new(App::open(options).expect("the same database"))
}

fn write<T: Send + 'static>(app: &App, change: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static) -> T {
    app.db.write(change).expect("written")
}

/// The command line on the same file: another process to everybody.
fn command(server: &Server, arguments: &[&str]) {
    let output =
        program().arg("--database").arg(server.fixture.database()).args(arguments).output().expect("the program runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_edit_counts_from_its_commit_in_every_process() {
    let server = Server::new();
    let example = server.example();
    let (scope, now) = (example.shop.scope, server.fixture.now());
    let product: ProductId = PRODUCT.parse().expect("a product");
    let other = other_app(&server);
    assert_eq!(price(&server, &example), json!(30));
    for round in 1..=20_i64 {
        let app = if round % 2 == 0 { &server.fixture.app } else { &other };
        let (id, product) = (MatrixId::new(now, entropy().array()), product.clone());
        let flat = matrix(&[1_000], &[1_000], &[vec![Some(round * 100)]], OutOfRange::Clamp);
        write(app, move |tx| {
            matrices::insert(tx, now, id, scope, &"flat".parse().expect("a name"), &flat)?;
            assignments::set_matrix(tx, now, scope, &product, &"a pane".parse().expect("a title"), id)
        });
        for _from_memory_too in 0..3 {
            assert_eq!(price(&server, &example), json!(round));
        }
    }
}

#[test]
fn every_kind_of_edit_counts_at_once() {
    let server = Server::new();
    let example = server.example();
    let other = other_app(&server);
    let (scope, now, product) =
        (example.shop.scope, server.fixture.now(), PRODUCT.parse::<ProductId>().expect("a product"));
    let (matrix_id, optional, fixed_id) = (example.matrix, example.optional, example.fixed);
    let with_option = format!("{SIZE}&options={}", selections(&[(optional, fixed_id)]));
    // Status, price and currency without options, and status and price with one, each asked twice: once from memory.
    let look = || {
        let plain = server.price(&example.shop.key, SIZE);
        let with = server.price(&example.shop.key, &with_option);
        let found = (plain.status, body(&plain)["price"].clone(), with.status, body(&with)["price"].clone());
        assert_eq!(server.price(&example.shop.key, SIZE).body, plain.body);
        found
    };
    assert_eq!(look(), (200, json!(30), 200, json!(35)));

    let doubled = matrix(&[600], &[400], &[vec![Some(6_000)]], OutOfRange::Reject);
    let grid_edit = matrices::Edit { grid: Some(doubled), ..matrices::Edit::default() };
    write(&other, move |tx| matrices::edit(tx, now, scope, matrix_id, Some(Expected::Any), &grid_edit));
    assert_eq!(look(), (422, Value::Null, 422, Value::Null), "450 is below the only step");
    let policy = matrices::PolicyEdit { outside: Some(OutOfRange::Clamp), ..matrices::PolicyEdit::default() };
    let clamp = matrices::Edit { policy, ..matrices::Edit::default() };
    write(&other, move |tx| matrices::edit(tx, now, scope, matrix_id, Some(Expected::Any), &clamp));
    assert_eq!(look(), (200, json!(60), 200, json!(65)));

    let choice =
        NewChoice { id: fixed_id, label: "Two".parse().expect("a name"), modifier: fixed(700), is_default: false };
    let choices = Some(vec![EditedChoice { choice, is_known: true }]);
    let edit = GroupEdit { name: Some("Holes".parse().expect("a name")), requirement: None, choices };
    write(&other, move |tx| options::replace(tx, now, scope, optional, Some(Expected::Any), edit));
    assert_eq!(look(), (200, json!(60), 200, json!(67)));

    let shop_domain = shop();
    let dinar = Change { currency: Some("KWD".parse().expect("a currency")), convert: true, ..Change::default() };
    let checked = other.db.read(|connection| settings::check(connection, &shop_domain, dinar)).expect("exact");
    assert!(write(&other, move |tx| settings::apply(tx, now, &checked)));
    assert_eq!(body(&server.price(&example.shop.key, SIZE))["currency"], json!("KWD"));
    assert_eq!(look(), (200, json!(60), 200, json!(67)));
    let scope = Scope { currency: "KWD".parse().expect("a currency"), ..scope };

    let gone = product.clone();
    write(&other, move |tx| assignments::remove_group(tx, now, scope, &gone, optional));
    assert_eq!(look(), (200, json!(60), 400, Value::Null));
    write(&other, move |tx| assignments::remove_matrix(tx, now, scope, &product));
    assert_eq!(look(), (404, Value::Null, 404, Value::Null));
    server.assign(scope, PRODUCT, matrix_id);
    assert_eq!(look().0, 200);
    write(&other, move |tx| matrices::delete(tx, now, scope, matrix_id, Some(Expected::Any), 1_000));
    assert_eq!(look().0, 404);
}

#[test]
fn what_others_write_elsewhere_costs_no_entry() {
    let server = Server::new();
    let example = server.example();
    assert_eq!(price(&server, &example), json!(30));
    let other = other_app(&server);
    write(&other, |tx| Ok(tx.touch()?));
    server.fixture.enqueue("shop_redact", json!({ "shop": "unknown.myshopify.com" }));
    assert_eq!(price(&server, &example), json!(30));
    assert_eq!(server.fixture.app.pricing.kept(), (1, 1));
}

#[test]
fn an_erased_store_is_gone_from_memory_without_a_sweep() {
    let server = Server::new();
    let example = server.example();
    assert_eq!(price(&server, &example), json!(30));
    assert_eq!(server.fixture.app.pricing.kept(), (1, 1));
    server.fixture.enqueue("shop_redact", json!({ "shop": shop().as_str() }));
    server.fixture.run_jobs();
    // What follows a commit runs on another thread. Nobody sweeps in this test.
    while server.fixture.app.pricing.kept() != (0, 0) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_price_of_nothing_is_not_remembered_either() {
    let server = Server::new();
    let example = server.example();
    let target = format!("/api/v1/products/5/price?{SIZE}");
    assert_eq!(server.get(&example.shop.key, &target).status, 404);
    server.assign(example.shop.scope, "5", example.matrix);
    assert_eq!(server.get(&example.shop.key, &target).status, 200);
}

#[test]
fn a_revoked_key_is_dead_at_once_and_the_other_lives() {
    let server = Server::new();
    let example = server.example();
    let second = server.key(example.shop.scope, &[]);
    assert_eq!(status(&server, &example), 200);
    let (now, store, id) = (server.fixture.now(), example.shop.scope.store, example.shop.key.id);
    write(&other_app(&server), move |tx| keys::revoke(tx, now, store, id));
    assert_eq!(status(&server, &example), 401);
    assert_eq!(server.price(&second, SIZE).status, 200);
}

#[test]
fn an_uninstalled_store_is_silent_until_it_is_installed_again() {
    let server = Server::new();
    let example = server.example();
    assert_eq!(status(&server, &example), 200);
    server.fixture.advance(Duration::from_secs(1));
    let now = server.fixture.now();
    write(&other_app(&server), move |tx| Ok(stores::mark_uninstalled(tx, &shop(), now, now)?));
    assert_eq!(status(&server, &example), 401);
    assert_eq!(server.fixture.app.pricing.kept(), (0, 0), "nothing of it is kept in memory");
    let scope = example.shop.scope;
    server.write(move |tx| stores::install(tx, now, entropy(), &shop(), scope.currency, scope.unit));
    assert_eq!(price(&server, &example), json!(30));
}

#[test]
fn an_erasure_by_another_process_ends_the_keys_and_empties_memory() {
    let server = Server::new();
    let example = server.example();
    assert_eq!(status(&server, &example), 200);
    assert_eq!(server.fixture.app.pricing.kept(), (1, 1));
    command(&server, &["jobs", "enqueue", "shop_redact", &json!({ "shop": SHOP }).to_string()]);
    assert_eq!(status(&server, &example), 200, "enqueued is not yet erased");
    command(&server, &["jobs", "run-next"]);
    assert_eq!(server.fixture.count("stores"), 0);
    // Even if nobody asks for it again.
    server.fixture.app.pricing.sweep(&server.fixture.app.db).expect("swept");
    assert_eq!(server.fixture.app.pricing.kept(), (0, 0));
    assert_eq!(status(&server, &example), 401);
    // The same shop anew is another store: nothing of the old one comes back.
    let again = server.shop(SHOP);
    assert_eq!(status(&server, &example), 401);
    assert_eq!(server.price(&again.key, SIZE).status, 404);
}

#[test]
fn an_erasure_that_has_begun_ends_the_keys() {
    let server = Server::new();
    let example = server.example();
    assert_eq!(status(&server, &example), 200);
    server.fixture.advance(Duration::from_secs(1));
    let now = server.fixture.now();
    write(&other_app(&server), move |tx| Ok(stores::begin_erasure(tx, now, &shop(), now)?));
    assert_eq!(status(&server, &example), 401);
    assert_eq!(server.fixture.app.pricing.kept(), (0, 0));
}

#[test]
fn memory_is_bounded_however_many_products_are_asked_for() {
    let server = Server::new();
    let example = server.example();
    let largest = matrix(
        &(1..=50).collect::<Vec<i64>>(),
        &(1..=50).collect::<Vec<i64>>(),
        &vec![vec![Some(1); 50]; 50],
        OutOfRange::Clamp,
    );
    let id = server.matrix(example.shop.scope, "largest", largest);
    let (scope, now) = (example.shop.scope, server.fixture.now());
    server.write(move |tx| {
        for product in 0..400 {
            let product: ProductId = product.to_string().parse().expect("a product");
            assignments::set_matrix(tx, now, scope, &product, &"a pane".parse().expect("a title"), id)?;
        }
        Ok(())
    });
    for product in 0..400 {
        let target = format!("/api/v1/products/{product}/price?width=1&height=1");
        assert_eq!(
            server
                .ask_unchecked(super::harness::request("GET", &target, &[("X-API-Key", &example.shop.key.key)]))
                .status,
            200
        );
    }
    let (_keys, products) = server.fixture.app.pricing.kept();
    assert!((90..=210).contains(&products), "{products} matrices of 40 KiB within 8 MiB");
}

#[test]
fn readers_never_see_a_price_that_never_was() {
    // Two prices that only make sense together: a writer moves both at once, readers must never see one of each.
    let server = Server::new();
    let example = server.example();
    let (scope, now) = (example.shop.scope, server.fixture.now());
    let product: ProductId = PRODUCT.parse().expect("a product");
    let other = other_app(&server);
    let cheap = server.matrix(scope, "cheap", matrix(&[1_000], &[1_000], &[vec![Some(100)]], OutOfRange::Clamp));
    let dear = server.matrix(scope, "dear", grid(OutOfRange::Clamp));
    std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for round in 0..60 {
                let (id, product) = (if round % 2 == 0 { cheap } else { dear }, product.clone());
                write(&other, move |tx| {
                    assignments::set_matrix(tx, now, scope, &product, &"a pane".parse().expect("a title"), id)
                });
            }
        });
        let mut answers = 0;
        while !writer.is_finished() || answers < 50 {
            let found = body(&server.price(&example.shop.key, SIZE));
            let pair = (found["matrix"].as_str().expect("a name"), found["price"].to_string());
            assert!(matches!((pair.0, &*pair.1), ("cheap", "1") | ("dear", "30") | ("Glass", "30")), "{pair:?}");
            answers += 1;
        }
    });
    assert_eq!(price(&server, &example), json!(30));
}
