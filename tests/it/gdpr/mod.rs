//! Erasure: what goes, what stays, who is stamped, and the proof.

mod customers;
mod floods;
mod held;
mod late;
mod mentions;
mod ordered;
mod receipts;
mod redacting;
mod reinstalled;
mod scrubbing;
mod verifying;

use crate::support::command::PROGRAM;
use chrono::{DateTime, Utc};
use quotegrid::catalog::{keys, matrices, options, stores};
use quotegrid::demo::DemoStore;
use quotegrid::domain::ids::{ChoiceId, JobId, MatrixId, OptionGroupId, RequestId, ShopDomain};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use quotegrid::domain::money::{Currency, Minor};
use quotegrid::domain::options::{Modifier, Requirement};
use quotegrid::erasure::requests::{self, NewRequest, PrivacyRequest, RequestKind};
use quotegrid::erasure::{self, verify};
use quotegrid::error::Error;
use quotegrid::queue::NewJob;
use quotegrid::testing::Fixture;
use serde_json::json;
use std::path::Path;

/// Every table that hangs below a store.
const CHILDREN: [&str; 12] = [
    "api_keys",
    "price_matrices",
    "breakpoints",
    "matrix_cells",
    "product_matrices",
    "option_groups",
    "option_choices",
    "product_option_groups",
    "product_settings",
    "draft_order_records",
    "draft_order_lines",
    "order_idempotency_keys",
];

fn shop(name: &str) -> ShopDomain {
    format!("{name}.myshopify.com").parse().expect("a shop domain")
}

fn euro() -> Currency {
    "EUR".parse().expect("a currency")
}

/// The demo store, as if each of its orders had come with a key.
fn demo_store(fixture: &Fixture) -> DemoStore {
    let demo = fixture.demo_store();
    let done: quotegrid::db::Result<usize> = fixture.app.db.write(|tx| {
        Ok(tx.execute(
            "INSERT INTO order_idempotency_keys
             SELECT store_id, randomblob(32), zeroblob(32), id, created_at FROM draft_order_records",
            (),
        )?)
    });
    assert!(done.expect("written") > 0);
    demo
}

/// A store with one small matrix and one option group.
fn small_store(fixture: &Fixture, name: &str) -> ShopDomain {
    let (entropy, now, shop) = (fixture.app.entropy.clone(), fixture.now(), shop(name));
    let wanted = shop.clone();
    let done: Result<(), Error> = fixture.app.db.write(move |tx| {
        let scope = stores::install(tx, now, entropy.as_ref(), &wanted, euro(), Unit::Mm)?.scope();
        keys::issue(tx, now, entropy.as_ref(), scope.store, None)?;
        let step = |thousandths| Length::from_thousandths(thousandths).expect("a length");
        let matrix = PriceMatrix::new(
            &[step(100_000)],
            &[step(100_000), step(200_000)],
            &[vec![Some(Minor::new(100))], vec![None]],
            OutOfRange::Reject,
            SizeLimits::default(),
        );
        let (name, matrix) = ("small".parse().expect("a name"), matrix.expect("sound"));
        matrices::insert(tx, now, MatrixId::new(now, entropy.array()), scope, &name, &matrix)?;
        let choice = options::NewChoice {
            id: ChoiceId::new(now, entropy.array()),
            label: "choice".parse().expect("a name"),
            modifier: Modifier::Fixed(Minor::ZERO),
            is_default: false,
        };
        let group = options::NewGroup {
            name: "group".parse().expect("a name"),
            requirement: Requirement::Optional,
            choices: vec![choice],
        };
        options::insert(tx, now, OptionGroupId::new(now, entropy.array()), scope, &group)?;
        Ok(())
    });
    done.expect("writable");
    shop
}

/// Writes a request and its job, as a webhook does.
fn request(fixture: &Fixture, shop: &ShopDomain, kind: RequestKind, triggered_at: DateTime<Utc>) -> (RequestId, JobId) {
    let app = fixture.app.clone();
    let (now, shop) = (fixture.now(), shop.clone());
    let written: Result<_, Error> = fixture.app.db.write(move |tx| {
        let id = RequestId::new(now, app.entropy.array());
        let payload = match kind {
            RequestKind::CustomersRedact => json!({ "customerId": 191_167, "ordersToRedact": [299_938, 280_263] }),
            RequestKind::CustomersDataRequest => json!({ "dataRequestId": 9_999 }),
            RequestKind::ShopRedact => json!({}),
        };
        let new = NewRequest {
            shop: shop.clone(),
            kind,
            payload,
            webhook_id: Some(id.to_string()),
            event_id: None,
            job: None,
            triggered_at,
        };
        requests::insert(tx, id, now, &new)?;
        let job_type = match kind {
            RequestKind::CustomersRedact => erasure::CUSTOMER_REDACT,
            RequestKind::CustomersDataRequest => erasure::CUSTOMERS_DATA_REQUEST,
            RequestKind::ShopRedact => erasure::SHOP_REDACT,
        };
        let payload = json!({ "shop": shop.as_str(), "requestId": id.to_string() });
        let job = NewJob::new(job_type, payload).about(erasure::subject(&app.hasher, &shop));
        let job = app.queue.enqueue(tx, now, job)?;
        Ok((id, job))
    });
    written.expect("writable")
}

fn load(fixture: &Fixture, id: RequestId) -> PrivacyRequest {
    fixture.app.db.read(|connection| requests::find(connection, id)).expect("readable").expect("the request exists")
}

fn counts(fixture: &Fixture) -> Vec<u64> {
    CHILDREN.iter().map(|table| fixture.count(table)).collect()
}

/// The open requests that no job sees to.
fn without_job(fixture: &Fixture) -> Vec<PrivacyRequest> {
    let hasher = &fixture.app.hasher;
    fixture.app.db.read(|connection| erasure::list_without_job(connection, hasher)).expect("readable")
}

fn verification(fixture: &Fixture) -> verify::Verification {
    let program = Path::new(PROGRAM);
    verify::verify(&fixture.app.db, &fixture.app.hasher, program).expect("verifiable")
}
