//! Changing matrices. Every function announces its change to the store first, which also refuses it where the store takes none.

use super::MATRICES_MAX;
use super::read::{Head, find_head, load};
use crate::catalog::stores::{self, Scope};
use crate::catalog::version::{self, Expected};
use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::{MatrixId, StoreId};
use crate::domain::length::Length;
use crate::domain::matrix::{Axis, MatrixFault, OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use rusqlite::named_params;

/// The version of what has just been made.
pub const FIRST_VERSION: i64 = 1;

/// What an edit says about a matrix's policy and limits. What it does not mention stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PolicyEdit {
    /// What happens outside the grid.
    pub outside: Option<OutOfRange>,
    /// The smallest width; `Some(None)`: none.
    pub min_width: Option<Option<Length>>,
    /// The largest width.
    pub max_width: Option<Option<Length>>,
    /// The smallest height.
    pub min_height: Option<Option<Length>>,
    /// The largest height.
    pub max_height: Option<Option<Length>>,
}

impl PolicyEdit {
    /// The policy that comes of `outside` and `limits`.
    ///
    /// # Errors
    /// Every lower limit that is above its upper one.
    pub fn apply(
        &self,
        outside: OutOfRange,
        limits: SizeLimits,
    ) -> std::result::Result<(OutOfRange, SizeLimits), Vec<MatrixFault>> {
        let outside = self.outside.unwrap_or(outside);
        let limits = SizeLimits {
            min_width: self.min_width.unwrap_or(limits.min_width),
            max_width: self.max_width.unwrap_or(limits.max_width),
            min_height: self.min_height.unwrap_or(limits.min_height),
            max_height: self.max_height.unwrap_or(limits.max_height),
        };
        // A matrix without a grid checks the limits alone.
        PriceMatrix::new(&[], &[], &[], outside, limits).map(|_sound| (outside, limits))
    }
}

/// The error of an invalid matrix: its faults by field.
pub fn invalid(faults: &[MatrixFault]) -> Error {
    let error = Error::new(Kind::Invalid, "the price matrix cannot be saved");
    faults.iter().fold(error, |error, fault| error.with_fault(fault.field(), fault.to_string()))
}

/// Writes a new matrix of a store. Its sizes and prices are in the scope's unit and currency.
///
/// # Errors
/// `NotFound` or `Conflict` when the store takes no change or has [`MATRICES_MAX`] already, and when the database fails.
pub fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    id: MatrixId,
    scope: Scope,
    name: &Name,
    matrix: &PriceMatrix,
) -> Result<()> {
    stores::begin_change(tx, now, scope)?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO price_matrices
             (id, store_id, name, outside, min_width, max_width, min_height, max_height, unit, currency, version,
              created_at, updated_at)
         SELECT :id, :store_id, :name, :outside, :min_width, :max_width, :min_height, :max_height, :unit, :currency,
             :version, :now, :now
         WHERE (SELECT count(*) FROM price_matrices WHERE store_id = :store_id) < :max",
    )?;
    let limits = matrix.limits();
    let inserted = statement.execute(named_params! {
        ":id": id,
        ":store_id": scope.store,
        ":name": name,
        ":outside": matrix.outside(),
        ":min_width": limits.min_width,
        ":max_width": limits.max_width,
        ":min_height": limits.min_height,
        ":max_height": limits.max_height,
        ":unit": scope.unit,
        ":currency": scope.currency,
        ":version": FIRST_VERSION,
        ":now": Millis(now),
        ":max": MATRICES_MAX,
    })?;
    if inserted == 0 {
        return Err(too_many());
    }
    Ok(write_grid(tx, id, matrix)?)
}

fn too_many() -> Error {
    Error::new(Kind::Conflict, format!("the store has {MATRICES_MAX} price matrices already"))
}

/// What becomes of a matrix. What is not mentioned stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edit {
    /// Its name.
    pub name: Option<Name>,
    /// Its grid, in the scope's unit and currency. The grid's own policy and limits do not count.
    pub grid: Option<PriceMatrix>,
    /// Its policy and limits.
    pub policy: PolicyEdit,
}

/// Changes a matrix, and returns its new version.
///
/// # Errors
/// `NotFound` when the store has no such matrix, `VersionRequired` without a version, `Stale` with an old one, `Invalid` when the limits
/// contradict each other, `Conflict` when the store takes no change, and
/// when the database fails.
pub fn edit(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    id: MatrixId,
    expected: Option<Expected>,
    edit: &Edit,
) -> Result<i64> {
    stores::begin_change(tx, now, scope)?;
    let head = checked_head(tx, scope, id, expected)?;
    let (outside, limits) = edit.policy.apply(head.outside, head.limits()?).map_err(|faults| invalid(&faults))?;
    // A matrix has one unit for all it holds, and new limits may be finer than the unit of its old grid can say.
    let converted = match edit.grid {
        None if !head.measures.is_identity() => Some(load(tx, scope.store, id)?.matrix),
        _ => None,
    };
    if let Some(grid) = edit.grid.as_ref().or(converted.as_ref()) {
        delete_grid(tx, id)?;
        write_grid(tx, id, grid)?;
    }
    write_head(tx, now, scope, id, edit.name.as_ref().unwrap_or(&head.name), outside, limits)?;
    Ok(head.version + 1)
}

/// Copies a matrix of a store, without its products, under its name with " (copy)".
///
/// # Errors
/// `NotFound` when the store has no such matrix, `Conflict` when it takes no change or has [`MATRICES_MAX`] already, and when the
/// database fails.
pub fn duplicate(tx: &Tx<'_>, now: DateTime<Utc>, new: MatrixId, scope: Scope, id: MatrixId) -> Result<()> {
    let original = load(tx, scope.store, id)?;
    insert(tx, now, new, scope, &original.name.copied(), &original.matrix)
}

/// What one step of a deletion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// There is more below it than one step should delete; the next names this version.
    Continues(i64),
}

/// Deletes a matrix, or first as many as `budget` of what it prices. Orders that it priced outlive it, with the snapshot they have.
///
/// A deletion that takes several steps moves the version with each, so that an editor who comes between gets a conflict.
///
/// # Errors
/// `NotFound` when the store has no such matrix, `VersionRequired` without a version, `Stale` with an old one, `Conflict` when the store
/// takes no change, and when the database fails.
pub fn delete(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    id: MatrixId,
    expected: Option<Expected>,
    budget: usize,
) -> Result<Deletion> {
    stores::begin_change(tx, now, scope)?;
    let head = checked_head(tx, scope, id, expected)?;
    if crate::catalog::assignments::clear_matrix(tx, scope.store, id, budget)? == budget {
        return hold(tx, now, scope, id, head.version);
    }
    let mut statement = tx.prepare_cached("DELETE FROM price_matrices WHERE store_id = :store_id AND id = :id")?;
    let deleted = statement.execute(named_params! { ":store_id": scope.store, ":id": id })?;
    expect_one(deleted, "catalog::matrices::delete")?;
    Ok(Deletion::Done)
}

fn hold(tx: &Tx<'_>, now: DateTime<Utc>, scope: Scope, id: MatrixId, version: i64) -> Result<Deletion> {
    let mut statement = tx.prepare_cached(
        "UPDATE price_matrices SET version = version + 1, updated_at = :now WHERE store_id = :store_id AND id = :id",
    )?;
    let changed = statement.execute(named_params! { ":now": Millis(now), ":store_id": scope.store, ":id": id })?;
    expect_one(changed, "catalog::matrices::hold")?;
    Ok(Deletion::Continues(version + 1))
}

/// Moves the version of all matrices of a store: everything they say reads differently from now on.
pub(in crate::catalog) fn move_versions(tx: &Tx<'_>, store: StoreId) -> db::Result<()> {
    tx.prepare_cached("UPDATE price_matrices SET version = version + 1 WHERE store_id = :store_id")?
        .execute(named_params! { ":store_id": store })?;
    Ok(())
}

/// The head of a matrix whose version is the expected one.
fn checked_head(tx: &Tx<'_>, scope: Scope, id: MatrixId, expected: Option<Expected>) -> Result<Head> {
    let head = find_head(tx, scope.store, id)?;
    let thing = format!("price matrix {id}");
    version::check(head.as_ref().map(|head| head.version), expected, &thing)?;
    head.ok_or_else(|| Error::not_found(thing))
}

/// Writes everything but the grid, and the next version.
fn write_head(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    scope: Scope,
    id: MatrixId,
    name: &Name,
    outside: OutOfRange,
    limits: SizeLimits,
) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE price_matrices
         SET name = :name, outside = :outside, min_width = :min_width, max_width = :max_width,
             min_height = :min_height, max_height = :max_height, unit = :unit, currency = :currency,
             version = version + 1, updated_at = :now
         WHERE store_id = :store_id AND id = :id",
    )?;
    let changed = statement.execute(named_params! {
        ":name": name,
        ":outside": outside,
        ":min_width": limits.min_width,
        ":max_width": limits.max_width,
        ":min_height": limits.min_height,
        ":max_height": limits.max_height,
        ":unit": scope.unit,
        ":currency": scope.currency,
        ":now": Millis(now),
        ":store_id": scope.store,
        ":id": id,
    })?;
    expect_one(changed, "catalog::matrices::write_head")
}

fn delete_grid(tx: &Tx<'_>, id: MatrixId) -> db::Result<()> {
    let of_matrix = named_params! { ":matrix_id": id };
    tx.prepare_cached("DELETE FROM breakpoints WHERE matrix_id = :matrix_id")?.execute(of_matrix)?;
    tx.prepare_cached("DELETE FROM matrix_cells WHERE matrix_id = :matrix_id")?.execute(of_matrix)?;
    Ok(())
}

/// Writes the breakpoints and cells of a matrix that has none.
fn write_grid(tx: &Tx<'_>, id: MatrixId, matrix: &PriceMatrix) -> db::Result<()> {
    let id = id.to_string();
    let mut statement = tx.prepare_cached(
        "INSERT INTO breakpoints (matrix_id, axis, position, value) VALUES (:matrix_id, :axis, :position, :value)",
    )?;
    for (axis, values) in [(Axis::Width, matrix.widths()), (Axis::Height, matrix.heights())] {
        for (position, value) in values.iter().enumerate() {
            statement.execute(named_params! {
                ":matrix_id": id,
                ":axis": axis.as_str(),
                ":position": position,
                ":value": value,
            })?;
        }
    }
    let mut statement = tx.prepare_cached(
        "INSERT INTO matrix_cells (matrix_id, height_position, width_position, price_minor)
         VALUES (:matrix_id, :height, :width, :price)",
    )?;
    for (height, row) in matrix.rows().enumerate() {
        for (width, price) in row.iter().enumerate() {
            statement
                .execute(named_params! { ":matrix_id": id, ":height": height, ":width": width, ":price": price })?;
        }
    }
    Ok(())
}
