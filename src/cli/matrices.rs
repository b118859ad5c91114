//! `quotegrid matrices`: import and export price lists, change price matrices, and say which product a matrix prices.

mod edits;

mod import;

use super::output::{Output, table};
use super::{Failure, open, write_in_store};
use crate::access::audit::Entry;
use crate::app::App;
use crate::catalog::assignments::{self, NotATitle, Title};
use crate::catalog::matrices::{self, MatrixSummary};
use crate::catalog::stores::{self, Scope, Store};
use crate::config::DatabaseSettings;
use crate::db::Schema;
use crate::domain::ids::{MatrixId, ProductId, ShopDomain};
use crate::domain::matrix_csv::{self, Layout};
use crate::error::{Error, Kind, Result};
use crate::views::catalog as views;
use clap::Subcommand;
use rusqlite::Connection;
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(super) struct Matrices {
    /// The store's domain, name.myshopify.com; may be left out where the database holds one store only
    #[arg(long, global = true)]
    shop: Option<ShopDomain>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a store's price matrices, newest first
    List {
        /// Only those made before this one: the last of the page before
        #[arg(long, value_name = "ID")]
        before: Option<MatrixId>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Make a price matrix from a CSV price list, or replace the grid of one; all of the list or nothing of it
    Import(import::Args),
    /// Print a price matrix as a CSV price list
    Export {
        /// Its id, or its name where only one has it
        matrix: String,
        /// A line for each size (long), or widths along the top and heights down the side (grid)
        #[arg(long, value_name = "long|grid", default_value = "long")]
        layout: Layout,
    },
    /// Have products priced by a matrix
    Assign {
        /// The matrix's id, or its name where only one has it
        matrix: String,
        /// The products: the digits of their ids, or gid://shopify/Product/ and the digits
        #[arg(required = true, value_name = "PRODUCT")]
        products: Vec<ProductId>,
        /// What the products are called; as before, or their ids, where unset
        #[arg(long)]
        title: Option<Title>,
        /// Also take products from the matrix that prices them now
        #[arg(long)]
        confirm: bool,
    },
    #[command(flatten)]
    Edit(edits::Command),
}

pub(super) fn run(database: &DatabaseSettings, matrices: Matrices, output: Output) -> std::result::Result<(), Failure> {
    let Matrices { shop, command } = matrices;
    let app = open(database, Schema::MustBeCurrent)?;
    let scope = app.db.read(|connection| scope_of(connection, shop.as_ref()))?;
    match command {
        Command::List { before, limit } => {
            let found = app.db.read(|connection| matrices::list(connection, scope.store, before, limit))?;
            let document = json!({ "matrices": found.iter().map(views::matrix_summary).collect::<Vec<_>>() });
            output.print(&document, || list_text(&found))?;
        }
        Command::Import(args) => import::run(&app, scope, args, output)?,
        Command::Export { matrix, layout } => {
            let stored = app.db.read(|connection| -> Result<_> {
                matrices::load(connection, scope.store, find(connection, scope, &matrix)?)
            })?;
            let text = matrix_csv::export(&stored.matrix, scope.currency, layout);
            let document = json!({ "id": stored.id.to_string(), "name": stored.name.as_str(), "csv": text });
            output.print(&document, || text)?;
        }
        Command::Assign { matrix, products, title, confirm } => {
            let matrix = app.db.read(|connection| find(connection, scope, &matrix))?;
            assign(&app, scope, matrix, products, title, confirm, output)?;
        }
        Command::Edit(command) => edits::run(&app, scope, command, output)?,
    }
    Ok(())
}

/// The store that is meant: the one that is named, or the only one there is.
pub(super) fn store_of(connection: &Connection, shop: Option<&ShopDomain>) -> Result<Store> {
    if let Some(shop) = shop {
        return stores::load(connection, shop);
    }
    let mut found = stores::list(connection, None, 2)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => stores::load(connection, &only.shop),
        (Some(_), false) => {
            Err(Error::new(Kind::Invalid, "there are several stores: say which one with --shop name.myshopify.com"))
        }
        (None, _) => Err(Error::new(Kind::NotFound, "there is no store yet: quotegrid stores add name.myshopify.com")),
    }
}

/// What work below that store needs to know of it.
pub(super) fn scope_of(connection: &Connection, shop: Option<&ShopDomain>) -> Result<Scope> {
    Ok(store_of(connection, shop)?.scope())
}

/// The matrix with this id or name.
fn find(connection: &Connection, scope: Scope, named: &str) -> Result<MatrixId> {
    if let Ok(id) = named.parse() {
        return Ok(id);
    }
    let mut found = matrices::find_by_name(connection, scope.store, named)?;
    match (found.pop(), found.is_empty()) {
        (Some(id), true) => Ok(id),
        (Some(_), false) => {
            Err(Error::new(Kind::Conflict, format!("several price matrices are called {named:?}: name one by its id")))
        }
        (None, _) => Err(Error::not_found(format!("price matrix {named:?}"))),
    }
}

fn assign(
    app: &App,
    scope: Scope,
    matrix: MatrixId,
    products: Vec<ProductId>,
    title: Option<Title>,
    confirmed: bool,
    output: Output,
) -> std::result::Result<(), Failure> {
    let now = app.clock.now();
    let entry = products.iter().fold(Entry::new("product.assign"), |entry, product| entry.object(product));
    let assigned = write_in_store(app, scope, entry, move |tx| -> Result<Vec<Value>> {
        let assign = |product: ProductId| {
            let known = assignments::find_matrix(tx, scope.store, &product)?.map(|assignment| assignment.title);
            let title = title.as_ref().map_or_else(|| known.unwrap_or_else(|| product.to_string()), Title::to_string);
            let title: Title =
                title.parse().map_err(|fault: NotATitle| Error::new(Kind::Invalid, fault.to_string()))?;
            assignments::assign_matrix(tx, now, scope, &product, &title, matrix, confirmed)?;
            let found = assignments::find_product(tx, scope.store, &product)?;
            Ok(found.as_ref().map_or(Value::Null, views::product))
        };
        products.into_iter().map(assign).collect()
    })?;
    output.print(&json!({ "products": assigned }), || {
        let lines = assigned.iter().map(|product| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{} is priced by {}", text(&product["productId"]), text(&product["matrix"]["name"]))
        });
        lines.collect::<Vec<_>>().join("\n")
    })?;
    Ok(())
}

fn list_text(found: &[MatrixSummary]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|matrix| {
            vec![
                matrix.id.to_string(),
                matrix.name.to_string(),
                format!("{} x {}", matrix.widths, matrix.heights),
                matrix.products.to_string(),
                matrix.version.to_string(),
                crate::clock::instant(matrix.updated_at),
            ]
        })
        .collect();
    table(&["ID", "NAME", "WIDTHS x HEIGHTS", "PRODUCTS", "VERSION", "UPDATED AT"], &rows, "no price matrices")
}
