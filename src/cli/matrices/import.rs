//! `quotegrid matrices import`: a price list becomes a matrix, or is only looked at.

mod preview;

use super::super::output::Output;
use super::super::{Failure, write_in_store};
use super::find;
use crate::access::audit::Entry;
use crate::app::App;
use crate::catalog::Expected;
use crate::catalog::matrices::{self, Edit, FIRST_VERSION};
use crate::catalog::stores::Scope;
use crate::cli::terminal::visible;
use crate::config::{read_bounded, read_to_limit};
use crate::domain::ids::MatrixId;
use crate::domain::matrix_csv::{self, BYTES_MAX, Import, Layout, Zero};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use crate::views::catalog as views;
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// How files are called that hold sheets, but are no CSV.
const WORKBOOKS: [&str; 6] = ["xlsx", "xlsm", "xlsb", "xls", "ods", "numbers"];

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The price list; - reads it from stdin
    file: PathBuf,
    /// The new matrix's name; the file's where unset
    #[arg(long)]
    name: Option<Name>,
    /// Replace the grid of this matrix (its id, or its name where only one has it) instead of making a new one
    #[arg(long, value_name = "MATRIX")]
    into: Option<String>,
    /// Make another matrix though one has that name already
    #[arg(long, conflicts_with = "into")]
    new: bool,
    /// Only show how the list is understood, what is wrong with it, and what it would change
    #[arg(long)]
    preview: bool,
    /// How it is laid out: a line for each size (long), or widths along the top and heights down the side (grid)
    #[arg(long, value_name = "auto|long|grid", default_value = "auto", value_parser = parse_layout)]
    layout: WantedLayout,
    /// What a price of 0 among others means: that the size costs nothing, or that it is not offered; a fault where unset
    #[arg(long, value_name = "free|not-offered")]
    zero: Option<Zero>,
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

pub(super) fn run(app: &App, scope: Scope, args: Args, output: Output) -> std::result::Result<(), Failure> {
    let Args { file, name, into, new, preview, layout, zero, skip_bad } = args;
    let import = matrix_csv::import(&read(&file)?, &matrices::import_options(scope, layout, zero, skip_bad));
    let current = app.db.read(|connection| -> Result<_> {
        let id = into.map(|named| find(connection, scope, &named)).transpose()?;
        id.map(|id| matrices::load(connection, scope.store, id)).transpose()
    })?;
    if preview {
        let mut document = views::import(&import, current.as_ref().map(|stored| &stored.matrix), scope);
        let named = name.map_or_else(|| name_of(&file).ok(), Some).filter(|_| current.is_none() && !new);
        if let Some(name) = named {
            let same = app.db.read(|connection| matrices::find_by_name(connection, scope.store, name.as_str()))?;
            document["sameName"] = views::ids(&same);
        }
        output.print(&document, || preview::text(&document))?;
        return Ok(());
    }
    let faults = faults_text(&import);
    let grid = matrices::accept(import).inspect_err(|_refused| eprint!("{}", visible(&faults)))?;
    let (sizes, now) = (grid.widths().len() * grid.heights().len(), app.clock.now());
    let zeros = views::zero_prices(&grid);
    let (id, version) = match current {
        Some(stored) => {
            // From the version that was read just now: an edit that comes between is not overwritten.
            let expected = Some(Expected::Version(stored.version));
            let edit = Edit { name, grid: Some(grid), ..Edit::default() };
            let entry = Entry::new("matrix.import").object(stored.id);
            let edited = write_in_store(app, scope, entry, move |tx| {
                matrices::edit(tx, now, scope, stored.id, expected, &edit)
            })?;
            (stored.id, edited)
        }
        None => {
            let (id, name) = (MatrixId::new(now, app.entropy.array()), name.map_or_else(|| name_of(&file), Ok)?);
            write_in_store(app, scope, Entry::new("matrix.import").object(id), move |tx| {
                if !new {
                    let into =
                        format!("--into {:?} replaces its prices, --new makes another one of that name", name.as_str());
                    matrices::refuse_name_taken(tx, scope.store, &name, &into)?;
                }
                matrices::insert(tx, now, id, scope, &name, &grid)
            })?;
            (id, FIRST_VERSION)
        }
    };
    // Lines that were left out are reported even then.
    eprint!("{}", visible(&faults));
    let document = json!({ "id": id.to_string(), "version": version, "zeroPrices": zeros });
    output.print(&document, || {
        let zeros = preview::zeros(&document).map(|line| format!("\n{line}")).unwrap_or_default();
        format!("price matrix {id} has {sizes} sizes, version {version}{zeros}")
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

/// A price list's bytes: as many as an upload may have, and no more, for what is named may have no end.
fn read(file: &Path) -> std::result::Result<Vec<u8>, Failure> {
    let bytes = match file == Path::new("-") {
        true => read_to_limit(std::io::stdin().lock(), BYTES_MAX)?,
        false => match read_bounded(file, BYTES_MAX) {
            Err(error) if error.kind() == ErrorKind::FileTooLarge => None,
            read => Some(read?),
        },
    };
    bytes.ok_or_else(|| too_large(file).into())
}

/// What to do with a list that is longer. The format of what is not is known by its first bytes.
fn too_large(file: &Path) -> Error {
    let extension = file.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let is_workbook = extension.is_some_and(|extension| WORKBOOKS.contains(&extension.as_str()));
    let remedy = if is_workbook { "save its sheet as CSV" } else { "leave out all but sizes and prices, or split it" };
    let named = if file == Path::new("-") { "the price list".to_owned() } else { file.display().to_string() };
    Error::new(Kind::Invalid, format!("{named} has more than {BYTES_MAX} bytes, the most of a price list: {remedy}"))
}

/// The faults of a list, a line each.
fn faults_text(import: &Import) -> String {
    let line = |line: usize| if line == 0 { String::new() } else { format!("line {line}: ") };
    let mut text: String =
        import.faults.iter().map(|fault| format!("{}{}\n", line(fault.line), fault.message)).collect();
    if import.more_faults > 0 {
        text.push_str(&format!("and {} more faults\n", import.more_faults));
    }
    text
}
