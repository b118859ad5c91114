//! SQL of `draft_order_lines`: the items of an order, each with the snapshot of what its price came from.

use super::snapshot::{SelectedOption, listed};
use crate::db::{self, Tx};
use crate::domain::ids::{DraftOrderId, MatrixId, StoreId};
use crate::domain::length::Length;
use crate::domain::money::Minor;
use rusqlite::{Connection, Row, named_params};

/// An item of an order, as it was ordered. Lengths are in the order's unit, prices in its currency.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The matrix that priced it, while there is one.
    pub matrix: Option<MatrixId>,
    /// Its name then.
    pub matrix_name: String,
    /// The product, as `gid://shopify/Product/…`.
    pub product_id: String,
    /// Its title then.
    pub product_title: String,
    /// The shopper's own words for it.
    pub label: Option<String>,
    /// The width asked for.
    pub width: Length,
    /// The height asked for.
    pub height: Length,
    /// The step of the grid that priced the width.
    pub priced_width: Length,
    /// The step of the grid that priced the height.
    pub priced_height: Length,
    /// How many.
    pub quantity: i64,
    /// The cell's price.
    pub base_price: Minor,
    /// A piece with its options.
    pub unit_price: Minor,
    /// All pieces.
    pub total_price: Minor,
    /// What was chosen, in the order of the request.
    pub selections: Vec<SelectedOption>,
    /// The product's stock keeping unit then.
    pub sku: Option<String>,
    /// The product's variant at Shopify then, as `gid://shopify/ProductVariant/…`.
    pub variant_id: Option<String>,
    /// Whether it is shipped.
    pub requires_shipping: bool,
    /// Whether it is taxed.
    pub taxable: bool,
    /// What a piece weighs, where that is known.
    pub weight_grams: Option<i64>,
}

impl Line {
    /// Whether the step of the grid that priced it is its size.
    pub fn is_priced_as_asked(&self) -> bool {
        (self.priced_width, self.priced_height) == (self.width, self.height)
    }
}

/// Writes the items of an order, in their order.
///
/// # Errors
/// When the database fails.
pub(super) fn insert(tx: &Tx<'_>, order: DraftOrderId, lines: &[Line]) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO draft_order_lines
             (draft_order_id, position, matrix_id, matrix_name, product_id, product_title, label, width, height,
              priced_width, priced_height, quantity, base_price_minor, unit_price_minor, total_price_minor,
              option_selections, sku, variant_id, requires_shipping, taxable, weight_grams)
         VALUES (:order_id, :position, :matrix_id, :matrix_name, :product_id, :product_title, :label, :width, :height,
             :priced_width, :priced_height, :quantity, :base_price, :unit_price, :total_price,
             :selections, :sku, :variant_id, :requires_shipping, :taxable, :weight_grams)",
    )?;
    for (position, line) in lines.iter().enumerate() {
        statement.execute(named_params! {
            ":order_id": order,
            ":position": position,
            ":matrix_id": line.matrix,
            ":matrix_name": line.matrix_name,
            ":product_id": line.product_id,
            ":product_title": line.product_title,
            ":label": line.label,
            ":width": line.width.thousandths(),
            ":height": line.height.thousandths(),
            ":priced_width": line.priced_width.thousandths(),
            ":priced_height": line.priced_height.thousandths(),
            ":quantity": line.quantity,
            ":base_price": line.base_price.get(),
            ":unit_price": line.unit_price.get(),
            ":total_price": line.total_price.get(),
            ":selections": serde_json::to_string(&line.selections).expect("text and numbers are JSON"),
            ":sku": line.sku,
            ":variant_id": line.variant_id,
            ":requires_shipping": line.requires_shipping,
            ":taxable": line.taxable,
            ":weight_grams": line.weight_grams,
        })?;
    }
    Ok(())
}

/// The items of an order, in their order. A matrix that is gone since is named by none.
pub(super) fn load(connection: &Connection, order: DraftOrderId) -> db::Result<Vec<Line>> {
    let mut statement = connection.prepare_cached(
        "SELECT (SELECT m.id FROM price_matrices AS m WHERE m.id = matrix_id) AS matrix_id, matrix_name, product_id, product_title, label, width, height, priced_width, priced_height,
             quantity, base_price_minor, unit_price_minor, total_price_minor, option_selections, sku, variant_id,
             requires_shipping, taxable, weight_grams
         FROM draft_order_lines
         WHERE draft_order_id = :order_id
         ORDER BY position",
    )?;
    let lines = statement.query_map(named_params! { ":order_id": order }, line_from_row)?;
    Ok(lines.collect::<rusqlite::Result<_>>()?)
}

fn line_from_row(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line {
        matrix: row.get("matrix_id")?,
        matrix_name: row.get("matrix_name")?,
        product_id: row.get("product_id")?,
        product_title: row.get("product_title")?,
        label: row.get("label")?,
        width: row.get("width")?,
        height: row.get("height")?,
        priced_width: row.get("priced_width")?,
        priced_height: row.get("priced_height")?,
        quantity: row.get("quantity")?,
        base_price: row.get("base_price_minor")?,
        unit_price: row.get("unit_price_minor")?,
        total_price: row.get("total_price_minor")?,
        selections: listed(row.get("option_selections")?)?,
        sku: row.get("sku")?,
        variant_id: row.get("variant_id")?,
        requires_shipping: row.get("requires_shipping")?,
        taxable: row.get("taxable")?,
        weight_grams: row.get("weight_grams")?,
    })
}

/// Deletes the items of an order; returns how many. An order has so few that its items go at once.
pub(super) fn delete(tx: &Tx<'_>, order: DraftOrderId) -> db::Result<usize> {
    let mut statement = tx.prepare_cached("DELETE FROM draft_order_lines WHERE draft_order_id = :order_id")?;
    Ok(statement.execute(named_params! { ":order_id": order })?)
}

/// How many items a store's orders have.
pub(super) fn count(connection: &Connection, store: StoreId) -> db::Result<usize> {
    let mut statement = connection.prepare_cached(
        "SELECT count(*)
         FROM draft_order_records AS o
         JOIN draft_order_lines AS l ON l.draft_order_id = o.id
         WHERE o.store_id = :store_id",
    )?;
    Ok(statement.query_row(named_params! { ":store_id": store }, |row| row.get(0))?)
}
