//! Changing price matrices from the command line, each from the version that was read just now: an edit that comes between is reported.

use super::super::write_in_store;
use super::find;
use crate::access::audit::Entry;
use crate::app::App;
use crate::catalog::assignments;
use crate::catalog::matrices::{self, Adjusted, Deletion, Edit, FIRST_VERSION, PolicyEdit};
use crate::catalog::stores::Scope;
use crate::catalog::{DELETION_STEP, Expected};
use crate::cli::Failure;
use crate::cli::output::{Output, table};
use crate::domain::DecimalFault;
use crate::domain::adjustment::{Adjustment, Rounding};
use crate::domain::ids::{MatrixId, ProductId};
use crate::domain::length::Length;
use crate::domain::matrix::{OutOfRange, PriceChange, SizeLimits, Template};
use crate::domain::money::{BasisPoints, Currency};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use crate::views::catalog as views;
use clap::{Args, Subcommand};
use serde_json::json;
use std::str::FromStr;

type Outcome = std::result::Result<(), Failure>;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show a price matrix with its grid
    Show {
        /// Its id, or its name where only one has it
        matrix: String,
    },
    /// Make a price matrix from a template, to be filled in; all its prices are 0
    Add {
        /// Its name
        name: Name,
        /// 3 x 3 sizes (small), 5 x 5 (medium), or none yet (custom)
        #[arg(long, value_name = "small|medium|custom")]
        template: Template,
    },
    /// Give a price matrix another name
    Rename {
        /// Its id, or its name where only one has it
        matrix: String,
        /// The new name
        name: Name,
    },
    /// Say what becomes of sizes outside the grid, and how far sizes go
    Set(SetArgs),
    /// Raise or lower prices by a percentage; all or none. What is not offered or costs nothing stays so
    Adjust(AdjustArgs),
    /// Copy a price matrix, without its products
    Duplicate {
        /// Its id, or its name where only one has it
        matrix: String,
    },
    /// Delete a price matrix; orders keep what they were priced by
    Delete {
        /// Its id, or its name where only one has it
        matrix: String,
        /// Also where products are priced by it: they have no price afterwards
        #[arg(long)]
        confirm: bool,
    },
    /// Have products priced by nothing; their options stay
    Unassign {
        /// The products: the digits of their ids, or gid://shopify/Product/ and the digits
        #[arg(required = true, value_name = "PRODUCT")]
        products: Vec<ProductId>,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct SetWhat {
    /// Whether sizes outside the grid are refused, or cost what the nearest step costs
    #[arg(long, value_name = "reject|clamp")]
    outside: Option<OutOfRange>,
    /// The smallest width that is sold; none takes the limit away
    #[arg(long, value_name = "WIDTH|none")]
    min_width: Option<Limit>,
    /// The largest width that is sold
    #[arg(long, value_name = "WIDTH|none")]
    max_width: Option<Limit>,
    /// The smallest height that is sold
    #[arg(long, value_name = "HEIGHT|none")]
    min_height: Option<Limit>,
    /// The largest height that is sold
    #[arg(long, value_name = "HEIGHT|none")]
    max_height: Option<Limit>,
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The matrix's id, or its name where only one has it
    matrix: String,
    #[command(flatten)]
    what: SetWhat,
}

/// A limit, or none.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<Length>);

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            text => text
                .parse()
                .map(|length| Self(Some(length)))
                .map_err(|fault: <Length as FromStr>::Err| fault.to_string()),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct AdjustArgs {
    /// The matrix's id, or its name where only one has it
    matrix: String,
    /// How much is added, such as 4 or -2.5
    #[arg(long, allow_hyphen_values = true, value_parser = percent)]
    percent: BasisPoints,
    /// Round to the nearest multiple of a step, such as 0.05 or 1, or to the nearest price that ends so, such as .95
    #[arg(long, value_name = "STEP|.ENDING")]
    round: Option<String>,
    /// Only this step of the grid, such as 600x400; may be repeated
    #[arg(long = "cell", value_name = "WIDTHxHEIGHT")]
    cells: Vec<Cell>,
    /// Only show what would change
    #[arg(long)]
    preview: bool,
}

fn percent(text: &str) -> std::result::Result<BasisPoints, DecimalFault> {
    BasisPoints::parse_percent(text)
}

/// A width and a height step.
#[derive(Debug, Clone, Copy)]
struct Cell(Length, Length);

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (width, height) = text.split_once('x').ok_or("is not a width and a height such as 600x400")?;
        let side = |text: &str| text.trim().parse::<Length>().map_err(|fault| format!("{text:?} {fault}"));
        Ok(Self(side(width)?, side(height)?))
    }
}

pub(super) fn run(app: &App, scope: Scope, command: Command, output: Output) -> Outcome {
    let named = |matrix: &str| app.db.read(|connection| find(connection, scope, matrix));
    match command {
        Command::Show { matrix } => show(app, scope, named(&matrix)?, output),
        Command::Add { name, template } => add(app, scope, name, template, output),
        Command::Rename { matrix, name } => {
            edit(app, scope, named(&matrix)?, Edit { name: Some(name), ..Edit::default() }, output)
        }
        Command::Set(SetArgs { matrix, what }) => {
            let SetWhat { outside, min_width, max_width, min_height, max_height } = what;
            let limit = |limit: Option<Limit>| limit.map(|Limit(length)| length);
            let policy = PolicyEdit {
                outside,
                min_width: limit(min_width),
                max_width: limit(max_width),
                min_height: limit(min_height),
                max_height: limit(max_height),
            };
            edit(app, scope, named(&matrix)?, Edit { policy, ..Edit::default() }, output)
        }
        Command::Adjust(args) => adjust(app, scope, named(&args.matrix)?, args, output),
        Command::Duplicate { matrix } => {
            let (now, original) = (app.clock.now(), named(&matrix)?);
            let id = MatrixId::new(now, app.entropy.array());
            let entry = Entry::new("matrix.duplicate").object(original).object(id);
            write_in_store(app, scope, entry, move |tx| matrices::duplicate(tx, now, id, scope, original))?;
            show_changed(id, FIRST_VERSION, output)
        }
        Command::Delete { matrix, confirm } => delete(app, scope, named(&matrix)?, confirm, output),
        Command::Unassign { products } => unassign(app, scope, products, output),
    }
}

fn show(app: &App, scope: Scope, id: MatrixId, output: Output) -> Outcome {
    let stored = app.db.read(|connection| matrices::load(connection, scope.store, id))?;
    output.print(&views::matrix(&stored, scope), || {
        let matrix = &stored.matrix;
        let mut heads = vec![format!("{} x {}", scope.unit, scope.unit)];
        heads.extend(matrix.widths().iter().map(ToString::to_string));
        let rows: Vec<Vec<String>> = matrix
            .heights()
            .iter()
            .zip(matrix.rows())
            .map(|(height, row)| {
                let price =
                    |cell: &Option<_>| cell.map_or_else(|| "-".to_owned(), |price| scope.currency.format(price));
                std::iter::once(height.to_string()).chain(row.iter().map(price)).collect()
            })
            .collect();
        let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
        let SizeLimits { min_width, max_width, min_height, max_height } = matrix.limits();
        let limit = |limit: Option<Length>| limit.map_or_else(|| "none".to_owned(), |length| length.to_string());
        format!(
            "{} ({id}), version {}, in {}; outside the grid: {}\nlimits: width {} to {}, height {} to {}\n{}",
            stored.name,
            stored.version,
            scope.currency,
            matrix.outside(),
            limit(min_width),
            limit(max_width),
            limit(min_height),
            limit(max_height),
            table(&heads, &rows, "no sizes yet")
        )
    })?;
    Ok(())
}

fn add(app: &App, scope: Scope, name: Name, template: Template, output: Output) -> Outcome {
    let matrix = template.build(scope.unit, OutOfRange::default(), SizeLimits::default());
    let matrix = matrix.map_err(|faults| matrices::invalid(&faults))?;
    let now = app.clock.now();
    let id = MatrixId::new(now, app.entropy.array());
    let entry = Entry::new("matrix.create").object(id);
    write_in_store(app, scope, entry, move |tx| matrices::insert(tx, now, id, scope, &name, &matrix))?;
    show_changed(id, FIRST_VERSION, output)
}

/// The version that is changed.
fn version(app: &App, scope: Scope, id: MatrixId) -> Result<Option<Expected>> {
    let stored = app.db.read(|connection| matrices::load(connection, scope.store, id))?;
    Ok(Some(Expected::Version(stored.version)))
}

fn edit(app: &App, scope: Scope, id: MatrixId, edit: Edit, output: Output) -> Outcome {
    let (now, expected) = (app.clock.now(), version(app, scope, id)?);
    let entry = Entry::new("matrix.update").object(id);
    let version = write_in_store(app, scope, entry, move |tx| matrices::edit(tx, now, scope, id, expected, &edit))?;
    show_changed(id, version, output)
}

fn show_changed(id: MatrixId, version: i64, output: Output) -> Outcome {
    output.print(&json!({ "id": id.to_string(), "version": version }), || {
        format!("price matrix {id} has version {version}")
    })?;
    Ok(())
}

fn adjust(app: &App, scope: Scope, id: MatrixId, args: AdjustArgs, output: Output) -> Outcome {
    let AdjustArgs { matrix: _, percent, round, cells, preview } = args;
    let rounding = round.as_deref().map(|text| Rounding::parse(text, scope.currency)).transpose();
    let rounding = rounding.map_err(|fault| {
        Error::new(Kind::Invalid, "the prices cannot be adjusted").with_fault("--round", fault.to_string())
    })?;
    let cells: Option<Vec<_>> =
        (!cells.is_empty()).then(|| cells.into_iter().map(|Cell(width, height)| (width, height)).collect());
    let adjustment = Adjustment { percent, rounding, cells };
    let adjusted = if preview {
        app.db.read(|connection| matrices::preview_adjustment(connection, scope, id, &adjustment))?
    } else {
        let (now, expected) = (app.clock.now(), version(app, scope, id)?);
        let entry = Entry::new("matrix.adjust").object(id);
        write_in_store(app, scope, entry, move |tx| matrices::adjust(tx, now, scope, id, expected, &adjustment))?
    };
    output.print(&views::adjusted(id, &adjusted, scope.currency), || {
        adjusted_text(id, &adjusted, scope.currency, preview)
    })?;
    Ok(())
}

fn adjusted_text(id: MatrixId, adjusted: &Adjusted, currency: Currency, preview: bool) -> String {
    let price = |price: Option<_>| price.map_or_else(|| "-".to_owned(), |price| currency.format(price));
    let row = |change: &PriceChange| {
        vec![format!("{} x {}", change.width, change.height), price(change.from), price(change.to)]
    };
    let rows: Vec<Vec<String>> = adjusted.changes.iter().map(row).collect();
    let changes = table(&["SIZE", "NOW", "THEN"], &rows, "no price changes");
    let count = rows.len();
    if preview {
        return format!("{changes}\n{count} prices would change in price matrix {id}: nothing was changed");
    }
    format!("{changes}\n{count} prices are changed in price matrix {id}, version {}", adjusted.version)
}

fn delete(app: &App, scope: Scope, id: MatrixId, confirmed: bool, output: Output) -> Outcome {
    let mut expected = version(app, scope, id)?;
    let now = app.clock.now();
    loop {
        let step = write_in_store(app, scope, Entry::new("matrix.delete").object(id), move |tx| {
            if !confirmed {
                assignments::refuse_matrix_in_use(tx, scope.store, id, expected)?;
            }
            matrices::delete(tx, now, scope, id, expected, DELETION_STEP)
        });
        match step.map_err(super::super::say_confirm)? {
            Deletion::Continues(version) => expected = Some(Expected::Version(version)),
            Deletion::Done => break,
        }
    }
    output.print(&json!({ "id": id.to_string(), "deleted": true }), || format!("price matrix {id} is deleted"))?;
    Ok(())
}

fn unassign(app: &App, scope: Scope, products: Vec<ProductId>, output: Output) -> Outcome {
    let now = app.clock.now();
    let named: Vec<String> = products.iter().map(ToString::to_string).collect();
    let entry = products.iter().fold(Entry::new("product.unassign"), |entry, product| entry.object(product));
    write_in_store(app, scope, entry, move |tx| -> Result<()> {
        products.iter().try_for_each(|product| assignments::remove_matrix(tx, now, scope, product))
    })?;
    output.print(&json!({ "products": named }), || {
        named.iter().map(|product| format!("{product} has no price now")).collect::<Vec<_>>().join("\n")
    })?;
    Ok(())
}
