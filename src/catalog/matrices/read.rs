//! Reading matrices, always through their store.

use super::{Measures, StoredMatrix};
use crate::db::{self, Millis};
use crate::domain::ids::{MatrixId, ShopDomain, StoreId};
use crate::domain::length::{Length, Unit};
use crate::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::money::{Currency, Minor};
use crate::domain::name::Name;
use crate::error::{Error, Kind, Result};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// What a list says of a matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatrixSummary {
    /// Its id.
    pub id: MatrixId,
    /// Its name.
    pub name: Name,
    /// Grows with every edit.
    pub version: i64,
    /// What happens outside its grid.
    pub outside: OutOfRange,
    /// How many width steps it has.
    pub widths: usize,
    /// How many height steps it has.
    pub heights: usize,
    /// How many products it prices.
    pub products: usize,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last edited.
    pub updated_at: DateTime<Utc>,
}

/// A store's matrices, newest first; `before`: only those made before that one.
///
/// # Errors
/// When the database fails.
pub fn list(
    connection: &Connection,
    store: StoreId,
    before: Option<MatrixId>,
    limit: usize,
) -> db::Result<Vec<MatrixSummary>> {
    let mut statement = connection.prepare_cached(
        "SELECT m.id, m.name, m.version, m.outside, m.created_at, m.updated_at,
             (SELECT count(*) FROM breakpoints WHERE matrix_id = m.id AND axis = 'width') AS widths,
             (SELECT count(*) FROM breakpoints WHERE matrix_id = m.id AND axis = 'height') AS heights,
             (SELECT count(*) FROM product_matrices WHERE store_id = m.store_id AND matrix_id = m.id) AS products
         FROM price_matrices AS m
         WHERE m.store_id = :store_id AND m.id < coalesce(:before, 'z')
         ORDER BY m.id DESC LIMIT :limit",
    )?;
    let params = named_params! { ":store_id": store, ":before": before, ":limit": limit };
    let found = statement.query_map(params, |row| {
        Ok(MatrixSummary {
            id: row.get("id")?,
            name: row.get("name")?,
            version: row.get("version")?,
            outside: row.get("outside")?,
            widths: row.get("widths")?,
            heights: row.get("heights")?,
            products: row.get("products")?,
            created_at: row.get::<_, Millis>("created_at")?.0,
            updated_at: row.get::<_, Millis>("updated_at")?.0,
        })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// A matrix of a store, with its grid, in the store's unit and currency.
///
/// # Errors
/// `NotFound` when the store has none with this id, and when the database fails.
pub fn load(connection: &Connection, store: StoreId, id: MatrixId) -> Result<StoredMatrix> {
    find(connection, store, id)?.ok_or_else(|| Error::not_found(format!("price matrix {id}")))
}

/// As [`load`], for those to whom a missing matrix is no error.
///
/// # Errors
/// When the database fails.
pub fn find(connection: &Connection, store: StoreId, id: MatrixId) -> Result<Option<StoredMatrix>> {
    let Some(head) = find_head(connection, store, id)? else { return Ok(None) };
    let (widths, heights) = read_axes(connection, id, &head.measures)?;
    let prices = read_cells(connection, id, &head.measures, widths.len(), heights.len())?;
    let matrix = PriceMatrix::new(&widths, &heights, &prices, head.outside, head.limits()?)
        .map_err(|faults| damaged(id, &faults[0]))?;
    Ok(Some(StoredMatrix {
        id,
        name: head.name,
        version: head.version,
        matrix,
        created_at: head.created_at,
        updated_at: head.updated_at,
    }))
}

/// The matrices with exactly this name, for people at a command line: at most two, which is one too many.
///
/// # Errors
/// When the database fails.
pub fn find_by_name(connection: &Connection, store: StoreId, name: &str) -> db::Result<Vec<MatrixId>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM price_matrices WHERE store_id = :store_id AND name = :name ORDER BY id LIMIT 2",
    )?;
    let found = statement.query_map(named_params! { ":store_id": store, ":name": name }, |row| row.get("id"))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// What a program can tell the refusal of [`refuse_name_taken`] by.
const NAME_TAKEN: &str = "name_taken";

/// Refuses a new matrix under a name that one of the store has: a second list of a name prices no product, and whoever has made it
/// believes that it does. `remedy` says what to do in the words of who asks.
///
/// # Errors
/// `Conflict` with the code `name_taken` and the ids as `sameName`, and when the database fails.
pub fn refuse_name_taken(connection: &Connection, store: StoreId, name: &Name, remedy: &str) -> Result<()> {
    let same = find_by_name(connection, store, name.as_str())?;
    if same.is_empty() {
        return Ok(());
    }
    let message = format!("a price matrix is called {:?} already: {remedy}", name.as_str());
    let ids: Vec<String> = same.iter().map(ToString::to_string).collect();
    Err(Error::new(Kind::Conflict, message).with_member("code", NAME_TAKEN).with_member("sameName", ids))
}

/// A matrix with sizes that are sold for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeSizes {
    /// Whose it is.
    pub shop: ShopDomain,
    /// Its id.
    pub id: MatrixId,
    /// Its name.
    pub name: Name,
    /// How many of its sizes have a price of 0.
    pub count: u64,
}

/// The matrices of all live stores that sell sizes for nothing, at most `limit`.
///
/// # Errors
/// When the database fails.
pub fn list_free(connection: &Connection, limit: usize) -> db::Result<Vec<FreeSizes>> {
    let mut statement = connection.prepare_cached(
        "SELECT s.shop, m.id, m.name, f.sizes
         FROM (SELECT matrix_id, count(*) AS sizes FROM matrix_cells
               WHERE price_minor = 0 GROUP BY matrix_id) AS f
         JOIN price_matrices AS m ON m.id = f.matrix_id
         JOIN stores AS s ON s.id = m.store_id
         WHERE s.erasing_since IS NULL AND s.uninstalled_at IS NULL
         LIMIT :limit",
    )?;
    let found = statement.query_map(named_params! { ":limit": limit }, |row| {
        Ok(FreeSizes { shop: row.get("shop")?, id: row.get("id")?, name: row.get("name")?, count: row.get("sizes")? })
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// What a matrix is called.
pub(in crate::catalog) fn find_name(connection: &Connection, store: StoreId, id: MatrixId) -> db::Result<Option<Name>> {
    let mut statement =
        connection.prepare_cached("SELECT name FROM price_matrices WHERE store_id = :store_id AND id = :id")?;
    Ok(statement.query_row(named_params! { ":store_id": store, ":id": id }, |row| row.get("name")).optional()?)
}

/// Which version a matrix has.
pub(in crate::catalog) fn find_version(
    connection: &Connection,
    store: StoreId,
    id: MatrixId,
) -> db::Result<Option<i64>> {
    Ok(find_head(connection, store, id)?.map(|head| head.version))
}

/// Whether the store has this matrix.
///
/// # Errors
/// When the database fails.
pub fn exists(connection: &Connection, store: StoreId, id: MatrixId) -> db::Result<bool> {
    let mut statement = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM price_matrices WHERE store_id = :store_id AND id = :id)")?;
    Ok(statement.query_row(named_params! { ":store_id": store, ":id": id }, |row| row.get(0))?)
}

/// Everything but the grid.
pub(super) fn find_head(connection: &Connection, store: StoreId, id: MatrixId) -> db::Result<Option<Head>> {
    let mut statement = connection.prepare_cached(
        "SELECT m.name, m.outside, m.min_width, m.max_width, m.min_height, m.max_height, m.unit, m.currency, m.version,
             m.created_at, m.updated_at, s.unit AS store_unit, s.currency AS store_currency
         FROM price_matrices AS m
         JOIN stores AS s ON s.id = m.store_id
         WHERE m.store_id = :store_id AND m.id = :id",
    )?;
    Ok(statement.query_row(named_params! { ":store_id": store, ":id": id }, head_from_row).optional()?)
}

/// A row of `price_matrices`.
pub(super) struct Head {
    pub(super) name: Name,
    pub(super) version: i64,
    pub(super) outside: OutOfRange,
    stored_limits: [Option<Length>; 4],
    pub(super) measures: Measures,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Head {
    /// Its limits in the store's unit.
    pub(super) fn limits(&self) -> Result<SizeLimits> {
        let converted = |limit: Option<Length>| limit.map(|limit| self.measures.length(limit)).transpose();
        let [min_width, max_width, min_height, max_height] = self.stored_limits;
        Ok(SizeLimits {
            min_width: converted(min_width)?,
            max_width: converted(max_width)?,
            min_height: converted(min_height)?,
            max_height: converted(max_height)?,
        })
    }
}

fn head_from_row(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        name: row.get("name")?,
        version: row.get("version")?,
        outside: row.get("outside")?,
        stored_limits: [row.get("min_width")?, row.get("max_width")?, row.get("min_height")?, row.get("max_height")?],
        measures: Measures {
            unit: (row.get("unit")?, row.get("store_unit")?),
            currency: (row.get("currency")?, row.get("store_currency")?),
        },
        created_at: row.get::<_, Millis>("created_at")?.0,
        updated_at: row.get::<_, Millis>("updated_at")?.0,
    })
}

/// Both axes, ascending.
fn read_axes(connection: &Connection, id: MatrixId, measures: &Measures) -> Result<(Vec<Length>, Vec<Length>)> {
    let (mut widths, mut heights) = (Vec::new(), Vec::new());
    let mut statement = connection
        .prepare_cached("SELECT axis, value FROM breakpoints WHERE matrix_id = :matrix_id ORDER BY axis, position")?;
    let mut rows = statement.query(named_params! { ":matrix_id": id })?;
    while let Some(row) = rows.next()? {
        let value = measures.length(row.get("value")?)?;
        let axis =
            if row.get_ref("axis")?.as_str().is_ok_and(|axis| axis == "width") { &mut widths } else { &mut heights };
        axis.push(value);
    }
    Ok((widths, heights))
}

/// A row of prices for each height.
fn read_cells(
    connection: &Connection,
    id: MatrixId,
    measures: &Measures,
    widths: usize,
    heights: usize,
) -> Result<Vec<Vec<Option<Minor>>>> {
    let mut prices: Vec<Vec<Option<Minor>>> = vec![Vec::with_capacity(widths); heights];
    let mut statement = connection.prepare_cached(
        "SELECT height_position, price_minor FROM matrix_cells
         WHERE matrix_id = :matrix_id
         ORDER BY height_position, width_position",
    )?;
    let mut rows = statement.query(named_params! { ":matrix_id": id })?;
    while let Some(row) = rows.next()? {
        let height: usize = row.get("height_position")?;
        let price: Option<Minor> = row.get("price_minor")?;
        let price = price.map(|price| measures.price(price)).transpose()?;
        prices.get_mut(height).ok_or_else(|| damaged(id, "a cell without its height"))?.push(price);
    }
    Ok(prices)
}

/// Every writer checks what it writes, so this is a file that something else has been at.
fn damaged(id: MatrixId, fault: impl std::fmt::Display) -> Error {
    Error::new(Kind::Internal, format!("price matrix {id} is damaged: {fault}"))
}

/// Calls `look` with every size of a store's matrices, breakpoints and limits, and the unit that it is stored in.
pub(in crate::catalog) fn each_size(
    connection: &Connection,
    store: StoreId,
    mut look: impl FnMut(&Name, Unit, Length) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "SELECT name, unit, min_width, max_width, min_height, max_height FROM price_matrices
         WHERE store_id = :store_id",
    )?;
    let mut rows = statement.query(named_params! { ":store_id": store })?;
    while let Some(row) = rows.next()? {
        for limit in ["min_width", "max_width", "min_height", "max_height"] {
            if let Some(size) = row.get(limit)? {
                look(&row.get("name")?, row.get("unit")?, size)?;
            }
        }
    }
    let mut statement = connection.prepare_cached(
        "SELECT m.name, m.unit, b.value
         FROM price_matrices AS m JOIN breakpoints AS b ON b.matrix_id = m.id
         WHERE m.store_id = :store_id",
    )?;
    let mut rows = statement.query(named_params! { ":store_id": store })?;
    while let Some(row) = rows.next()? {
        look(&row.get("name")?, row.get("unit")?, row.get("value")?)?;
    }
    Ok(())
}

/// Calls `look` with every price of a store's matrices, and the currency that it is stored in.
pub(in crate::catalog) fn each_price(
    connection: &Connection,
    store: StoreId,
    mut look: impl FnMut(&Name, Currency, Minor) -> Result<()>,
) -> Result<()> {
    let mut matrices =
        connection.prepare_cached("SELECT id, name, currency FROM price_matrices WHERE store_id = :store_id")?;
    let mut prices = connection.prepare_cached(
        "SELECT price_minor FROM matrix_cells WHERE matrix_id = :matrix_id AND price_minor IS NOT NULL",
    )?;
    let mut rows = matrices.query(named_params! { ":store_id": store })?;
    while let Some(row) = rows.next()? {
        let (id, name, currency): (MatrixId, Name, Currency) = (row.get("id")?, row.get("name")?, row.get("currency")?);
        let mut cells = prices.query(named_params! { ":matrix_id": id })?;
        while let Some(cell) = cells.next()? {
            look(&name, currency, cell.get("price_minor")?)?;
        }
    }
    Ok(())
}
