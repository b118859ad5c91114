//! `quotegrid products`: what is assigned to which product, which `matrices` and `options` change, and what its line at Shopify is to
//! have.

use super::matrices::scope_of;
use super::output::{Output, table};
use super::{Failure, open, write_in_store};
use crate::access::audit::Entry;
use crate::catalog::assignments::{self, Product, SettingsEdit, Title};
use crate::config::DatabaseSettings;
use crate::db::Schema;
use crate::domain::ids::{ProductId, ShopDomain, VariantId};
use crate::domain::name::Sku;
use crate::domain::weight::{self, NotGrams, Weight};
use crate::error::Error;
use crate::views::catalog as views;
use clap::{ArgAction, Args, Subcommand, ValueEnum};
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct Products {
    /// The store's domain, name.myshopify.com; may be left out where the database holds one store only
    #[arg(long, global = true)]
    shop: Option<ShopDomain>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a store's products with their price matrix and option groups
    List {
        /// Only those after this product: the last of the page before
        #[arg(long, value_name = "PRODUCT")]
        after: Option<ProductId>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Show a product
    Show {
        /// The digits of its id, or gid://shopify/Product/ and the digits
        product: ProductId,
    },
    /// Say what a product's line at Shopify is to have; orders that are there keep what they were made with
    Set {
        /// The digits of its id, or gid://shopify/Product/ and the digits
        product: ProductId,
        #[command(flatten)]
        what: SetWhat,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct SetWhat {
    /// Its title, instead of the one that it was assigned with
    #[arg(long)]
    title: Option<Title>,
    /// Its stock keeping unit
    #[arg(long)]
    sku: Option<Sku>,
    /// The variant that Shopify takes title, weight, tax and shipping from: digits, or gid://shopify/ProductVariant/ and digits
    #[arg(long)]
    variant: Option<VariantId>,
    /// Whether it is shipped; it is where this was never set
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    requires_shipping: Option<bool>,
    /// Whether it is taxed; it is where this was never set
    #[arg(long, value_name = "true|false", action = ArgAction::Set)]
    taxable: Option<bool>,
    /// What a piece weighs, whatever its size
    #[arg(long, value_name = "GRAMS", value_parser = grams, conflicts_with_all = ["grams_per_square_metre", "base_grams"])]
    weight: Option<u32>,
    /// What a square metre weighs: a piece weighs that by its area
    #[arg(long, value_name = "GRAMS", value_parser = grams)]
    grams_per_square_metre: Option<u32>,
    /// What comes on top of the weight by area
    #[arg(long, value_name = "GRAMS", value_parser = grams, requires = "grams_per_square_metre")]
    base_grams: Option<u32>,
    /// Takes back what was set; may be repeated
    #[arg(long, value_name = "SETTING")]
    clear: Vec<Setting>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    Title,
    Sku,
    Variant,
    RequiresShipping,
    Taxable,
    Weight,
}

fn grams(text: &str) -> Result<u32, String> {
    let number = text.parse().map_err(|_unreadable| NotGrams.to_string())?;
    weight::grams(number).map_err(|fault| fault.to_string())
}

impl SetWhat {
    fn edit(self) -> SettingsEdit {
        let clear = |setting| self.clear.contains(&setting);
        let weight = match (self.weight, self.grams_per_square_metre) {
            (Some(grams), _) => Some(Weight::Piece { grams }),
            (None, Some(grams_per_square_metre)) => {
                Some(Weight::Area { grams_per_square_metre, base_grams: self.base_grams.unwrap_or(0) })
            }
            (None, None) => None,
        };
        SettingsEdit {
            title: edited(self.title, clear(Setting::Title)),
            sku: edited(self.sku, clear(Setting::Sku)),
            variant: edited(self.variant, clear(Setting::Variant)),
            requires_shipping: edited(self.requires_shipping, clear(Setting::RequiresShipping)),
            taxable: edited(self.taxable, clear(Setting::Taxable)),
            weight: edited(weight, clear(Setting::Weight)),
        }
    }
}

/// A new value, or none, or no change.
fn edited<T>(value: Option<T>, clear: bool) -> Option<Option<T>> {
    if value.is_some() || clear { Some(value) } else { None }
}

pub(super) fn run(database: &DatabaseSettings, products: Products, output: Output) -> Result<(), Failure> {
    let Products { shop, command } = products;
    let app = open(database, Schema::MustBeCurrent)?;
    let scope = app.db.read(|connection| scope_of(connection, shop.as_ref()))?;
    let store = scope.store;
    match command {
        Command::List { after, limit } => {
            let found =
                app.db.read(|connection| assignments::list_products(connection, store, after.as_ref(), limit))?;
            let document = json!({ "products": found.iter().map(views::product).collect::<Vec<_>>() });
            output.print(&document, || list_text(&found))?;
        }
        Command::Show { product } => {
            let found = app.db.read(|connection| assignments::find_product(connection, store, &product))?;
            let found = found.ok_or_else(|| Error::not_found(format!("product {product}")))?;
            output.print(&views::product(&found), || product_text(&found))?;
        }
        Command::Set { product, what } => {
            let (now, edit) = (app.clock.now(), what.edit());
            let entry = Entry::new("product.update").object(&product);
            let found = write_in_store(&app, scope, entry, move |tx| {
                assignments::edit_settings(tx, now, scope, &product, edit)
            })?;
            output.print(&views::product(&found), || product_text(&found))?;
        }
    }
    Ok(())
}

fn product_text(product: &Product) -> String {
    let settings = &product.settings;
    let said = |is: bool, yes: &str, no: &str| if is { yes.to_owned() } else { no.to_owned() };
    let weight = settings.weight.map(|weight| weight.to_string());
    let groups: Vec<&str> = product.groups.iter().map(|(_, name)| name.as_str()).collect();
    let dash = || "-".to_owned();
    [
        ("product", product.id.to_string()),
        ("title", product.title.clone().unwrap_or_else(dash)),
        ("price matrix", product.matrix.as_ref().map_or_else(dash, |(_, name)| name.to_string())),
        ("option groups", if groups.is_empty() { dash() } else { groups.join(", ") }),
        ("sku", settings.sku.clone().unwrap_or_else(dash)),
        ("variant", settings.variant_id.clone().unwrap_or_else(dash)),
        ("shipping", said(settings.is_shipped(), "is shipped", "is not shipped")),
        ("tax", said(settings.is_taxable(), "is taxed", "is not taxed")),
        ("weight", weight.unwrap_or_else(dash)),
    ]
    .map(|(name, value)| format!("{name:<15}{value}"))
    .into_iter()
    .chain(settings.warnings().into_iter().map(|warning| format!("note           {warning}")))
    .collect::<Vec<_>>()
    .join("\n")
}

fn list_text(found: &[Product]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|product| {
            let groups: Vec<&str> = product.groups.iter().map(|(_, name)| name.as_str()).collect();
            vec![
                product.id.to_string(),
                product.title.clone().unwrap_or_default(),
                product.matrix.as_ref().map_or_else(|| "-".to_owned(), |(_, name)| name.to_string()),
                groups.join(", "),
                product.settings.sku.clone().unwrap_or_default(),
            ]
        })
        .collect();
    table(&["PRODUCT", "TITLE", "PRICE MATRIX", "OPTION GROUPS", "SKU"], &rows, "no products")
}
