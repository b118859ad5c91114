//! `quotegrid matrices`: list, import and export price lists, and say which product a matrix prices.

use super::output::{Output, table};
use super::terminal::visible;
use super::{Failure, open};
use crate::app::App;
use crate::catalog::Expected;
use crate::catalog::assignments::{self, NotATitle, Title};
use crate::catalog::matrices::{self, Edit, FIRST_VERSION, MatrixSummary};
use crate::catalog::stores::{self, Scope, Store};
use crate::config::DatabaseSettings;
use crate::db::Schema;
use crate::documents::catalog as documents;
use crate::domain::ids::{MatrixId, ProductId, ShopDomain};
use crate::domain::matrix_csv::{self, BYTES_MAX, Import, Layout};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use clap::{Args, Subcommand};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
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
    Import(ImportArgs),
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
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The price list; - reads it from stdin
    file: PathBuf,
    /// The new matrix's name; the file's where unset
    #[arg(long)]
    name: Option<Name>,
    /// Replace the grid of this matrix (its id, or its name where only one has it) instead of making a new one
    #[arg(long, value_name = "MATRIX")]
    into: Option<String>,
    /// Only show what the list holds, what is wrong with it, and what it would change
    #[arg(long)]
    preview: bool,
    /// How it is laid out: a line for each size (long), or widths along the top and heights down the side (grid)
    #[arg(long, value_name = "auto|long|grid", default_value = "auto", value_parser = parse_layout)]
    layout: WantedLayout,
    /// Leave bad lines out: sizes without a price are not offered then
    #[arg(long)]
    skip_bad: bool,
}

/// A layout, or `None`: find out. A name of its own, or clap would take it for an argument that may be absent.
type WantedLayout = Option<Layout>;

fn parse_layout(text: &str) -> std::result::Result<WantedLayout, String> {
    match text {
        "auto" => Ok(None),
        text => text.parse().map(Some).map_err(|_unknown| "must be auto, long or grid".to_owned()),
    }
}

pub(super) fn run(database: &DatabaseSettings, matrices: Matrices, output: Output) -> std::result::Result<(), Failure> {
    let Matrices { shop, command } = matrices;
    let app = open(database, Schema::MustBeCurrent)?;
    let scope = app.db.read(|connection| scope_of(connection, shop.as_ref()))?;
    match command {
        Command::List { before, limit } => {
            let found = app.db.read(|connection| matrices::list(connection, scope.store, before, limit))?;
            let document = json!({ "matrices": found.iter().map(documents::matrix_summary).collect::<Vec<_>>() });
            output.print(&document, || list_text(&found))?;
        }
        Command::Import(args) => import(&app, scope, args, output)?,
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

fn import(app: &App, scope: Scope, args: ImportArgs, output: Output) -> std::result::Result<(), Failure> {
    let ImportArgs { file, name, into, preview, layout, skip_bad } = args;
    let import = matrix_csv::import(&read(&file)?, &matrices::import_options(scope, layout, skip_bad));
    let current = app.db.read(|connection| -> Result<_> {
        let id = into.map(|named| find(connection, scope, &named)).transpose()?;
        id.map(|id| matrices::load(connection, scope.store, id)).transpose()
    })?;
    let document = documents::import(&import, current.as_ref().map(|stored| &stored.matrix), scope);
    if preview {
        output.print(&document, || import_text(&import, &document))?;
        return Ok(());
    }
    let faults = faults_text(&import);
    let grid = matrices::accept(import).inspect_err(|_refused| eprint!("{}", visible(&faults)))?;
    let (sizes, now) = (grid.widths().len() * grid.heights().len(), app.clock.now());
    let (id, version) = match current {
        Some(stored) => {
            // From the version that was read just now: an edit that comes between is not overwritten.
            let expected = Some(Expected::Version(stored.version));
            let edit = Edit { name, grid: Some(grid), ..Edit::default() };
            let edited = app.db.write(move |tx| matrices::edit(tx, now, scope, stored.id, expected, &edit))?;
            (stored.id, edited)
        }
        None => {
            let (id, name) = (MatrixId::new(now, app.entropy.array()), name.map_or_else(|| name_of(&file), Ok)?);
            app.db.write(move |tx| matrices::insert(tx, now, id, scope, &name, &grid))?;
            (id, FIRST_VERSION)
        }
    };
    // Lines that were left out are told even then.
    eprint!("{}", visible(&faults));
    output.print(&json!({ "id": id.to_string(), "version": version }), || {
        format!("price matrix {id} has {sizes} sizes, version {version}")
    })?;
    Ok(())
}

/// The name of a list's file, without what comes after the point.
fn name_of(file: &Path) -> Result<Name> {
    let stem = file.file_stem().filter(|stem| *stem != "-").map(|stem| stem.to_string_lossy().into_owned());
    stem.unwrap_or_default().parse().map_err(|_fault| {
        Error::new(Kind::Invalid, "the price matrix needs a name").with_fault("name", "say it with --name")
    })
}

fn read(file: &Path) -> std::result::Result<Vec<u8>, Failure> {
    if file == Path::new("-") {
        let mut bytes = Vec::new();
        // One byte more than is allowed, so that the import can tell.
        std::io::stdin().lock().take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    let named = |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", file.display()));
    let length = std::fs::metadata(file).map_err(named)?.len();
    if length > BYTES_MAX as u64 {
        let message = format!("{} has {length} bytes: a price list has at most {BYTES_MAX}", file.display());
        return Err(Error::new(Kind::Invalid, message).into());
    }
    Ok(std::fs::read(file).map_err(named)?)
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
    let assigned = app.db.write(move |tx| -> Result<Vec<Value>> {
        let assign = |product: ProductId| {
            let known = assignments::find_matrix(tx, scope.store, &product)?.map(|assignment| assignment.title);
            let title = title.as_ref().map_or_else(|| known.unwrap_or_else(|| product.to_string()), Title::to_string);
            let title: Title =
                title.parse().map_err(|fault: NotATitle| Error::new(Kind::Invalid, fault.to_string()))?;
            assignments::assign_matrix(tx, now, scope, &product, &title, matrix, confirmed)?;
            let found = assignments::find_product(tx, scope.store, &product)?;
            Ok(found.as_ref().map_or(Value::Null, documents::product))
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
                crate::documents::instant(matrix.updated_at),
            ]
        })
        .collect();
    table(&["ID", "NAME", "WIDTHS x HEIGHTS", "PRODUCTS", "VERSION", "UPDATED AT"], &rows, "no price matrices")
}

fn faults_text(import: &Import) -> String {
    let line = |line: usize| if line == 0 { String::new() } else { format!("line {line}: ") };
    let mut text: String =
        import.faults.iter().map(|fault| format!("{}{}\n", line(fault.line), fault.message)).collect();
    if import.more_faults > 0 {
        text.push_str(&format!("and {} more faults\n", import.more_faults));
    }
    text
}

fn import_text(import: &Import, document: &Value) -> String {
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let (widths, heights) = (count(&document["widths"]), count(&document["heights"]));
    let mut text = format!(
        "{} layout, {} of {} lines are good: {widths} widths x {heights} heights\n",
        import.layout.as_str(),
        import.valid_rows,
        import.total_rows
    );
    if let Some(changes) = document.get("changes") {
        let (widths, heights) = (
            count(&changes["widthsAdded"]) + count(&changes["widthsRemoved"]),
            count(&changes["heightsAdded"]) + count(&changes["heightsRemoved"]),
        );
        let prices = count(&changes["prices"]);
        text.push_str(&format!("changes {prices} prices, {widths} widths and {heights} heights\n"));
    }
    text + &faults_text(import)
}
