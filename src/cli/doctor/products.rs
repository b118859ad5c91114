//! What the doctor says of products whose line at Shopify would not be what their merchant expects, before anybody has ordered one:
//! from what was set for them, and with an app from what Shopify knows of their variants.

use crate::app::App;
use crate::catalog::assignments::{self, Product};
use crate::catalog::stores::Store;
use crate::cli::Failure;
use crate::db;
use crate::domain::ids::ShopDomain;
use crate::shopify::admin::{SeenShop, SeenVariant, VARIANTS_MAX};

/// Shops that are looked at: each is a call, and one that fails is the last.
const SHOPS: usize = 20;

/// Products of a shop that are looked at.
const PRODUCTS: usize = 1_000;

/// Products that a sentence or a shop names.
const NAMED: usize = 10;

/// What was found.
#[derive(Default)]
pub(super) struct ProductLines {
    /// What a person must set right.
    pub(super) problems: Vec<String>,
    /// What may well be meant.
    pub(super) notes: Vec<String>,
}

impl ProductLines {
    /// Looks at the products of the first shops that are in use; not at those that Shopify lets nobody into. Without an app there are no
    /// lines at Shopify.
    pub(super) fn look(app: &App, stores: &[Store], refused: &[(String, String)]) -> Result<Self, Failure> {
        let mut found = Self::default();
        if app.handover.options().is_none() {
            return Ok(found);
        }
        let is_refused = |store: &Store| refused.iter().any(|(shop, _)| shop == store.shop.as_str());
        for store in stores.iter().filter(|store| store.is_live() && !is_refused(store)).take(SHOPS) {
            let products = orderable(app, store)?;
            if products.is_empty() {
                continue;
            }
            found.judge_settings(&store.shop, &products);
            if !found.ask_shopify(app, store, &products) {
                break;
            }
        }
        Ok(found)
    }

    fn judge_settings(&mut self, shop: &ShopDomain, products: &[Product]) {
        let is_weightless = |product: &&Product| {
            let settings = &product.settings;
            settings.variant_id.is_none() && settings.is_shipped() && settings.weight.is_none()
        };
        let weightless: Vec<&Product> = products.iter().filter(is_weightless).collect();
        if !weightless.is_empty() {
            let (count, named) = (weightless.len(), named(&weightless));
            self.notes.push(format!(
                "{count} products of {shop} are shipped and have no weight, so shipping rates by weight take them for 0 g: {named} (`quotegrid products set`)"
            ));
        }
        for product in products.iter().filter(|product| product.settings.variant_id.is_some()).take(NAMED) {
            let warnings = product.settings.warnings();
            self.notes.extend(warnings.iter().map(|warning| format!("product {} of {shop}: {warning}", product.id)));
        }
    }

    /// Whether Shopify has answered.
    fn ask_shopify(&mut self, app: &App, store: &Store, products: &[Product]) -> bool {
        let with_variant: Vec<&Product> =
            products.iter().filter(|product| product.settings.variant_id.is_some()).collect();
        // One call where there is no variant, too: it returns the currencies.
        let mut rest = with_variant.as_slice();
        let mut reported = 0;
        loop {
            let (now, later) = rest.split_at(rest.len().min(VARIANTS_MAX));
            let ids: Vec<String> = now.iter().filter_map(|product| product.settings.variant_id.clone()).collect();
            let seen = match app.handover.look_at_variants(&store.shop, &ids) {
                Some(Ok(seen)) => seen,
                Some(Err(why)) => {
                    self.notes.push(format!("the variants of {} could not be looked at: {why}", store.shop));
                    return false;
                }
                None => return false,
            };
            if rest.len() == with_variant.len() {
                self.problems.extend(currency_problem(store, &seen));
            }
            for (product, variant) in now.iter().zip(&seen.variants) {
                let (problem, note) = judge_variant(store, product, variant);
                reported += usize::from(problem.is_some());
                self.problems.extend(problem.filter(|_| reported <= NAMED));
                self.notes.extend(note.filter(|_| reported <= NAMED));
            }
            if later.is_empty() {
                break;
            }
            rest = later;
        }
        if reported > NAMED {
            self.problems.push(format!("and {} more products of {} with such variants", reported - NAMED, store.shop));
        }
        true
    }
}

/// The products that can be ordered.
fn orderable(app: &App, store: &Store) -> db::Result<Vec<Product>> {
    let mut found = app.db.read(|connection| assignments::list_products(connection, store.id, None, PRODUCTS))?;
    found.retain(|product| product.matrix.is_some());
    Ok(found)
}

fn named(products: &[&Product]) -> String {
    let number = |product: &&Product| product.id.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = products.iter().take(NAMED).map(number).collect();
    if products.len() > NAMED {
        names.push("…".to_owned());
    }
    names.join(", ")
}

fn currency_problem(store: &Store, seen: &SeenShop) -> Option<String> {
    let (shop, ours) = (&store.shop, store.currency.code());
    let is_taken = seen.currencies.is_empty() || seen.currencies.iter().any(|code| code == ours);
    (!is_taken).then(|| {
        let taken = seen.currencies.join(", ");
        format!(
            "the prices of {shop} are in {ours}, and at Shopify the shop takes {taken}: its orders cannot be handed over. Enable {ours} there, or see `quotegrid stores set` for another currency"
        )
    })
}

/// What is wrong with a product's variant, and what may be meant.
fn judge_variant(store: &Store, product: &Product, variant: &SeenVariant) -> (Option<String>, Option<String>) {
    let (id, shop, settings) = (&product.id, &store.shop, &product.settings);
    let about = format!("product {id} of {shop}");
    match variant {
        SeenVariant::Unknown => (None, None),
        SeenVariant::Missing => (
            Some(format!(
                "{about} is sold as variant {}, which Shopify does not have: its orders go over with a line of their own. Set another by `quotegrid products set`",
                settings.variant_id.as_deref().unwrap_or_default()
            )),
            None,
        ),
        SeenVariant::Found { product_id, taxable, requires_shipping, has_weight } => {
            let mut wrong = Vec::new();
            if *requires_shipping == Some(false) && settings.is_shipped() {
                wrong.push("needs no shipping at Shopify: the checkout may ask for no address");
            }
            if *requires_shipping == Some(true) && !settings.is_shipped() {
                wrong.push("is shipped at Shopify, and the product is not");
            }
            match (settings.taxable, taxable) {
                (Some(true), Some(false)) => wrong.push("is not taxed at Shopify, and the product is"),
                (Some(false), Some(true)) => wrong.push("is taxed at Shopify, and the product is not"),
                _ => {}
            }
            let problem = (!wrong.is_empty()).then(|| format!("the variant of {about} {}", wrong.join("; it ")));
            let is_anothers = product_id.as_ref().is_some_and(|found| found != id.as_str());
            let note = if is_anothers {
                Some(format!("the variant of {about} is one of another product at Shopify"))
            } else if *has_weight == Some(false) && *requires_shipping == Some(true) {
                Some(format!("the variant of {about} has no weight, so shipping rates by weight take it for 0 g"))
            } else {
                None
            };
            (problem, note)
        }
    }
}
