//! The demo store of `serve --dev` and of test fixtures: a shop with matrices, options, products and orders, big enough to see.
//! Its data is `data/demo-store.json`, embedded in the binary.

use crate::app::App;
use crate::catalog::assignments;
use crate::catalog::keys::{self, IssuedKey};
use crate::catalog::matrices::{self, NewMatrix};
use crate::catalog::options::{self, NewChoice, NewGroup};
use crate::catalog::stores::{self, Installed};
use crate::db::Tx;
use crate::domain::ids::{ChoiceId, DraftOrderId, MatrixId, OptionGroupId, ShopDomain};
use crate::entropy::Entropy;
use crate::error::{Error, Kind};
use crate::orders::records::{self, NewRecord};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

const DATA: &str = include_str!("../data/demo-store.json");

/// Thousandths in a unit of length.
const THOUSANDTHS: i64 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Demo {
    shop: String,
    currency: String,
    unit: String,
    matrices: Vec<Matrix>,
    option_groups: Vec<Group>,
    products: Vec<Product>,
    draft_orders: Vec<Order>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Matrix {
    name: String,
    widths: Vec<i64>,
    heights: Vec<i64>,
    prices_minor: Vec<Vec<Option<i64>>>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    requirement: String,
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Choice {
    label: String,
    modifier_type: String,
    modifier_value: i64,
    is_default: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Product {
    product_id: String,
    title: String,
    matrix: usize,
    option_groups: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    product: usize,
    width: i64,
    height: i64,
    quantity: i64,
    base_price_minor: i64,
    unit_price_minor: i64,
    total_price_minor: i64,
    selections: Value,
}

/// The demo store, present and with a key of its own.
#[derive(Debug, Clone)]
pub struct DemoStore {
    /// Its shop.
    pub shop: ShopDomain,
    /// A key that was issued just now.
    pub key: IssuedKey,
}

/// Makes sure that the demo store is there and live, filling it when it is new, and issues a key for it.
///
/// # Errors
/// The database's, and `Conflict` while it is being erased.
pub fn load(app: &App) -> Result<DemoStore, Error> {
    let (entropy, now) = (app.entropy.clone(), app.clock.now());
    app.db.write(move |tx| {
        let demo: Demo = serde_json::from_str(DATA).expect("the embedded demo store is valid");
        let shop: ShopDomain = demo.shop.parse().expect("the demo store has a shop domain");
        let store = match stores::install(tx, now, entropy.as_ref(), &shop, &demo.currency, &demo.unit) {
            Ok(Installed::New(store)) => {
                fill(tx, now, entropy.as_ref(), store, &demo)?;
                store
            }
            Ok(Installed::Again(store)) => store,
            Err(error) if error.kind() == Kind::Conflict && error.retry_after().is_none() => {
                stores::find(tx, &shop)?.ok_or(error)?.id
            }
            Err(error) => return Err(error),
        };
        let key = keys::issue(tx, now, entropy.as_ref(), store, Some("demo"))?;
        Ok(DemoStore { shop, key })
    })
}

fn fill(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    store: crate::domain::ids::StoreId,
    demo: &Demo,
) -> Result<(), Error> {
    let mut matrix_ids = Vec::new();
    for matrix in &demo.matrices {
        let id = MatrixId::new(now, entropy.array());
        let thousandths = |values: &[i64]| values.iter().map(|value| value * THOUSANDTHS).collect::<Vec<_>>();
        let (widths, heights) = (thousandths(&matrix.widths), thousandths(&matrix.heights));
        let new = NewMatrix { name: &matrix.name, widths: &widths, heights: &heights, prices: &matrix.prices_minor };
        matrices::insert(tx, now, id, store, &new)?;
        matrix_ids.push(id);
    }
    let mut group_ids = Vec::new();
    for (place, group) in demo.option_groups.iter().enumerate() {
        let id = OptionGroupId::new(now, entropy.array());
        let new = NewGroup { name: &group.name, requirement: &group.requirement, sort_order: place };
        options::insert_group(tx, now, id, store, new)?;
        for (place, choice) in group.choices.iter().enumerate() {
            let new = NewChoice {
                label: &choice.label,
                modifier_type: &choice.modifier_type,
                modifier_value: choice.modifier_value,
                is_default: choice.is_default,
                sort_order: place,
            };
            options::insert_choice(tx, now, ChoiceId::new(now, entropy.array()), id, new)?;
        }
        group_ids.push(id);
    }
    for product in &demo.products {
        let id = &product.product_id;
        assignments::insert_matrix(tx, now, store, id, &product.title, matrix_ids[product.matrix])?;
        for (place, group) in product.option_groups.iter().enumerate() {
            assignments::insert_group(tx, now, store, id, group_ids[*group], place)?;
        }
    }
    for order in &demo.draft_orders {
        let product = &demo.products[order.product];
        let record = NewRecord {
            matrix: matrix_ids[product.matrix],
            matrix_name: &demo.matrices[product.matrix].name,
            product_id: &product.product_id,
            product_title: &product.title,
            width: order.width * THOUSANDTHS,
            height: order.height * THOUSANDTHS,
            unit: &demo.unit,
            quantity: order.quantity,
            currency: &demo.currency,
            base_price_minor: order.base_price_minor,
            unit_price_minor: order.unit_price_minor,
            total_price_minor: order.total_price_minor,
            selections: &order.selections,
        };
        let id = DraftOrderId::new(now, entropy.array());
        records::insert(tx, now, id, &records::new_token(now, entropy), store, &record)?;
    }
    Ok(())
}
