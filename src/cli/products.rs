//! `quotegrid products`: what is assigned to which product. `matrices` and `options` change it.

use super::matrices::scope_of;
use super::output::{Output, table};
use super::{Failure, open};
use crate::catalog::assignments::{self, Product};
use crate::config::DatabaseSettings;
use crate::db::Schema;
use crate::domain::ids::{ProductId, ShopDomain};
use crate::error::Error;
use crate::views::catalog as views;
use clap::{Args, Subcommand};
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
}

pub(super) fn run(database: &DatabaseSettings, products: Products, output: Output) -> Result<(), Failure> {
    let Products { shop, command } = products;
    let app = open(database, Schema::MustBeCurrent)?;
    let store = app.db.read(|connection| scope_of(connection, shop.as_ref()))?.store;
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
            output.print(&views::product(&found), || list_text(std::slice::from_ref(&found)))?;
        }
    }
    Ok(())
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
            ]
        })
        .collect();
    table(&["PRODUCT", "TITLE", "PRICE MATRIX", "OPTION GROUPS"], &rows, "no products")
}
