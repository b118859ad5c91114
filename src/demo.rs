//! The demo store of `serve --dev` and of test fixtures: a shop with matrices, options, products and orders, big enough to see.
//! Its data is `data/demo-store.json`, embedded in the binary.

use crate::app::App;
use crate::catalog::assignments::{self, SettingsEdit};
use crate::catalog::keys::{self, IssuedKey};
use crate::catalog::matrices;
use crate::catalog::options::{self, NewChoice, NewGroup};
use crate::catalog::stores::{self, Installed, Scope};
use crate::db::Tx;
use crate::domain::ids::{ChoiceId, DraftOrderId, MatrixId, OptionGroupId, ProductId, ShopDomain};
use crate::domain::length::{Length, Unit};
use crate::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::money::{Currency, Minor};
use crate::domain::name::Name;
use crate::domain::options::{Modifier, Requirement};
use crate::domain::weight::Weight;
use crate::entropy::Entropy;
use crate::error::{Error, Kind};
use crate::orders::lines::Line;
use crate::orders::records::{self, NewRecord, PageToken};
use crate::orders::snapshot::SelectedOption;
use chrono::{DateTime, Utc};
use serde::Deserialize;

const DATA: &str = include_str!("../data/demo-store.json");

/// What the demo store's keys are called.
const LABEL: &str = "demo";

/// How many of its older keys stay alive alongside a new one: a browser tab of yesterday should go on working.
const KEYS_KEPT: usize = 9;

/// Thousandths in a unit of length.
const THOUSANDTHS: i64 = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Demo {
    shop: String,
    currency: String,
    unit: String,
    matrices: Vec<DemoMatrix>,
    option_groups: Vec<DemoGroup>,
    products: Vec<DemoProduct>,
    draft_orders: Vec<Vec<DemoItem>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoMatrix {
    name: String,
    widths: Vec<i64>,
    heights: Vec<i64>,
    prices_minor: Vec<Vec<Option<i64>>>,
}

#[derive(Deserialize)]
struct DemoGroup {
    name: String,
    requirement: String,
    choices: Vec<DemoChoice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoChoice {
    label: String,
    modifier_type: String,
    modifier_value: i64,
    is_default: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoProduct {
    product_id: String,
    title: String,
    matrix: usize,
    option_groups: Vec<usize>,
    sku: Option<String>,
    #[serde(flatten)]
    weight: Option<DemoWeight>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
struct DemoWeight {
    grams_per_square_metre: u32,
    base_grams: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DemoItem {
    product: usize,
    width: i64,
    height: i64,
    quantity: i64,
    base_price_minor: i64,
    unit_price_minor: i64,
    total_price_minor: i64,
    selections: Vec<SelectedOption>,
    label: Option<String>,
}

/// The demo store, present and with a key of its own.
#[derive(Debug, Clone)]
pub struct DemoStore {
    /// Its shop.
    pub shop: ShopDomain,
    /// A key that was issued just now.
    pub key: IssuedKey,
}

/// A product of the demo store that can be ordered without a choice of options.
pub const EXAMPLE_PRODUCT: &str = "1009";

/// A width and height in which it is offered.
pub const EXAMPLE_SIZE: (u32, u32) = (450, 175);

/// Makes sure that the demo store is there and live, filling it when it is new, and issues a key for it.
///
/// # Errors
/// When the database fails, and `Conflict` while it is being erased.
pub fn load(app: &App) -> Result<DemoStore, Error> {
    let (entropy, now) = (app.entropy.clone(), app.clock.now());
    app.db.write(move |tx| {
        let demo: Demo = serde_json::from_str(DATA).expect("the embedded demo store is valid");
        let shop: ShopDomain = demo.shop.parse().expect("the demo store has a shop domain");
        let scope = match stores::install(tx, now, entropy.as_ref(), &shop, demo.currency(), demo.unit()) {
            Ok(Installed::New(scope)) => {
                fill(tx, now, entropy.as_ref(), scope, &demo)?;
                scope
            }
            Ok(Installed::Again(scope)) => scope,
            Err(error) if error.kind() == Kind::Conflict && error.retry_after().is_none() => {
                stores::find(tx, &shop)?.ok_or(error)?.scope()
            }
            Err(error) => return Err(error),
        };
        // Every start issues a key: those of long ago make room.
        keys::revoke_labelled(tx, now, scope.store, LABEL, KEYS_KEPT)?;
        let key = keys::issue(tx, now, entropy.as_ref(), scope.store, Some(LABEL))?;
        Ok(DemoStore { shop, key })
    })
}

impl Demo {
    fn currency(&self) -> Currency {
        self.currency.parse().expect("the demo store has a currency")
    }

    fn unit(&self) -> Unit {
        self.unit.parse().expect("the demo store has a unit")
    }
}

impl DemoProduct {
    fn weight(&self) -> Option<Weight> {
        self.weight.map(|DemoWeight { grams_per_square_metre, base_grams }| Weight::Area {
            grams_per_square_metre,
            base_grams,
        })
    }
}

impl DemoMatrix {
    fn build(&self) -> PriceMatrix {
        let steps = |values: &[i64]| -> Vec<Length> { values.iter().map(|value| length(*value)).collect() };
        let prices: Vec<Vec<Option<Minor>>> =
            self.prices_minor.iter().map(|row| row.iter().map(|price| price.map(Minor::new)).collect()).collect();
        PriceMatrix::new(
            &steps(&self.widths),
            &steps(&self.heights),
            &prices,
            OutOfRange::Reject,
            SizeLimits::default(),
        )
        .expect("the demo store's matrices are sound")
    }
}

impl DemoGroup {
    fn build(&self, now: DateTime<Utc>, entropy: &dyn Entropy) -> NewGroup {
        let choices = self.choices.iter().map(|choice| NewChoice {
            id: ChoiceId::new(now, entropy.array()),
            label: name(&choice.label),
            modifier: Modifier::from_parts(&choice.modifier_type, choice.modifier_value)
                .expect("the demo store's modifiers are sound"),
            is_default: choice.is_default,
        });
        let requirement: Requirement =
            self.requirement.parse().expect("the demo store's groups say if they are required");
        NewGroup { name: name(&self.name), requirement, choices: choices.collect() }
    }
}

fn length(whole: i64) -> Length {
    Length::from_thousandths(whole * THOUSANDTHS).expect("the demo store's sizes are lengths")
}

fn name(text: &str) -> Name {
    text.parse().expect("the demo store's names are names")
}

fn fill(tx: &Tx<'_>, now: DateTime<Utc>, entropy: &dyn Entropy, scope: Scope, demo: &Demo) -> Result<(), Error> {
    let mut matrix_ids = Vec::new();
    for matrix in &demo.matrices {
        let id = MatrixId::new(now, entropy.array());
        matrices::insert(tx, now, id, scope, &name(&matrix.name), &matrix.build())?;
        matrix_ids.push(id);
    }
    let mut group_ids = Vec::new();
    for group in &demo.option_groups {
        let id = OptionGroupId::new(now, entropy.array());
        options::insert(tx, now, id, scope, &group.build(now, entropy))?;
        group_ids.push(id);
    }
    for product in &demo.products {
        let id: ProductId = product.product_id.parse().expect("the demo store's products have ids");
        let title = product.title.parse().expect("the demo store's products have titles");
        assignments::set_matrix(tx, now, scope, &id, &title, matrix_ids[product.matrix])?;
        for group in &product.option_groups {
            assignments::add_group(tx, now, scope, &id, group_ids[*group])?;
        }
        if product.sku.is_some() || product.weight.is_some() {
            let sku = product.sku.as_ref().map(|sku| sku.parse().expect("the demo store's products have units"));
            let edit = SettingsEdit { sku: Some(sku), weight: Some(product.weight()), ..SettingsEdit::default() };
            assignments::edit_settings(tx, now, scope, &id, edit)?;
        }
    }
    for order in &demo.draft_orders {
        let lines: Vec<Line> = order.iter().map(|item| line(demo, &matrix_ids, item)).collect();
        let total_price = Minor::new(lines.iter().map(|line| line.total_price.get()).sum());
        let record = NewRecord { unit: demo.unit(), currency: demo.currency(), total_price, lines: &lines };
        let id = DraftOrderId::new(now, entropy.array());
        records::insert(tx, now, id, &PageToken::new(now, entropy), scope.store, &record)?;
    }
    Ok(())
}

fn line(demo: &Demo, matrix_ids: &[MatrixId], item: &DemoItem) -> Line {
    let product = &demo.products[item.product];
    let (width, height) = (length(item.width), length(item.height));
    let priced = demo.matrices[product.matrix].build().find_cell(width, height);
    let priced = priced.expect("the demo store's orders have sizes that are offered");
    Line {
        matrix: Some(matrix_ids[product.matrix]),
        matrix_name: demo.matrices[product.matrix].name.clone(),
        product_id: product.product_id.clone(),
        product_title: product.title.clone(),
        label: item.label.clone(),
        width,
        height,
        priced_width: priced.width,
        priced_height: priced.height,
        quantity: item.quantity,
        base_price: Minor::new(item.base_price_minor),
        unit_price: Minor::new(item.unit_price_minor),
        total_price: Minor::new(item.total_price_minor),
        selections: item.selections.clone(),
        sku: product.sku.clone(),
        variant_id: None,
        requires_shipping: true,
        taxable: true,
        weight_grams: product.weight().map(|weight| weight.of_piece(width, height, demo.unit())),
    }
}
