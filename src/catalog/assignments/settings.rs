//! What a product's line at Shopify is to have. Kept by product, whatever matrix prices it.

use super::title::Title;
use crate::db::{self, Tx};
use crate::domain::ids::{ProductId, StoreId, VariantId};
use crate::domain::name::Sku;
use crate::domain::weight::Weight;
use crate::error::Result;
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// What a product's line at Shopify is to have, as far as the merchant has said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProductSettings {
    /// Its title, instead of the one that it was assigned with.
    pub title: Option<String>,
    /// Its stock keeping unit.
    pub sku: Option<String>,
    /// The variant that Shopify takes title, weight, tax and shipping from.
    pub variant_id: Option<String>,
    /// Whether it is shipped; it is where nothing is said.
    pub requires_shipping: Option<bool>,
    /// Whether it is taxed; it is where nothing is said.
    pub taxable: Option<bool>,
    /// What a piece weighs.
    pub weight: Option<Weight>,
}

/// What Shopify makes of a line that is shipped and has no weight.
const NO_WEIGHT: &str = "it is shipped and has no weight: shipping rates by weight take it for 0 g";

/// What becomes of a product's settings. What is not mentioned stays; `Some(None)` clears.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettingsEdit {
    /// Its title.
    pub title: Option<Option<Title>>,
    /// Its stock keeping unit.
    pub sku: Option<Option<Sku>>,
    /// Its variant.
    pub variant: Option<Option<VariantId>>,
    /// Whether it is shipped.
    pub requires_shipping: Option<Option<bool>>,
    /// Whether it is taxed.
    pub taxable: Option<Option<bool>>,
    /// What a piece weighs.
    pub weight: Option<Option<Weight>>,
}

impl ProductSettings {
    /// Whether it is shipped.
    pub fn is_shipped(&self) -> bool {
        self.requires_shipping.unwrap_or(true)
    }

    /// Whether it is taxed.
    pub fn is_taxable(&self) -> bool {
        self.taxable.unwrap_or(true)
    }

    /// What of the product's line at Shopify may not be what the merchant expects, as far as these settings alone tell; a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        if self.variant_id.is_none() {
            let is_weightless = self.is_shipped() && self.weight.is_none();
            return is_weightless.then(|| NO_WEIGHT.to_owned()).into_iter().collect();
        }
        let set = [
            ("title", self.title.is_some()),
            ("SKU", self.sku.is_some()),
            ("weight", self.weight.is_some()),
            ("shipping", self.requires_shipping.is_some()),
            ("tax", self.taxable.is_some()),
        ];
        let set: Vec<&str> = set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect();
        if set.is_empty() {
            return Vec::new();
        }
        let set = set.join(", ");
        vec![format!("it is sold as a variant, and what is set here ({set}) counts only if Shopify rejects that")]
    }

    /// The settings that come of `edit`.
    pub(super) fn edited(self, edit: SettingsEdit) -> Self {
        Self {
            title: edit.title.map_or(self.title, |title| title.map(|title| title.to_string())),
            sku: edit.sku.map_or(self.sku, |sku| sku.map(String::from)),
            variant_id: edit.variant.map_or(self.variant_id, |variant| variant.map(String::from)),
            requires_shipping: edit.requires_shipping.unwrap_or(self.requires_shipping),
            taxable: edit.taxable.unwrap_or(self.taxable),
            weight: edit.weight.unwrap_or(self.weight),
        }
    }
}

/// What a store has said of a product's line.
///
/// # Errors
/// When the database fails.
pub fn find_settings(
    connection: &Connection,
    store: StoreId,
    product: &ProductId,
) -> db::Result<Option<ProductSettings>> {
    let mut statement = connection.prepare_cached(
        "SELECT title, sku, variant_id, requires_shipping, taxable, weight_grams, weight_grams_per_square_metre
         FROM product_settings
         WHERE store_id = :store_id AND product_id = :product_id",
    )?;
    let params = named_params! { ":store_id": store, ":product_id": product };
    Ok(statement.query_row(params, settings_from_row).optional()?)
}

fn settings_from_row(row: &Row<'_>) -> rusqlite::Result<ProductSettings> {
    let (grams, by_area): (Option<u32>, Option<u32>) =
        (row.get("weight_grams")?, row.get("weight_grams_per_square_metre")?);
    let weight = match (grams, by_area) {
        (base_grams, Some(grams_per_square_metre)) => {
            Some(Weight::Area { grams_per_square_metre, base_grams: base_grams.unwrap_or(0) })
        }
        (Some(grams), None) => Some(Weight::Piece { grams }),
        (None, None) => None,
    };
    Ok(ProductSettings {
        title: row.get("title")?,
        sku: row.get("sku")?,
        variant_id: row.get("variant_id")?,
        requires_shipping: row.get("requires_shipping")?,
        taxable: row.get("taxable")?,
        weight,
    })
}

/// Keeps what a product's line at Shopify is to have; a row that says nothing is none.
pub(super) fn write(tx: &Tx<'_>, store: StoreId, product: &ProductId, settings: &ProductSettings) -> db::Result<()> {
    if *settings == ProductSettings::default() {
        let mut statement =
            tx.prepare_cached("DELETE FROM product_settings WHERE store_id = :store_id AND product_id = :product_id")?;
        statement.execute(named_params! { ":store_id": store, ":product_id": product })?;
        return Ok(());
    }
    let (grams, by_area) = match settings.weight {
        None => (None, None),
        Some(Weight::Piece { grams }) => (Some(grams), None),
        Some(Weight::Area { grams_per_square_metre, base_grams }) => (Some(base_grams), Some(grams_per_square_metre)),
    };
    let mut statement = tx.prepare_cached(
        "INSERT INTO product_settings
             (store_id, product_id, title, sku, variant_id, requires_shipping, taxable, weight_grams,
              weight_grams_per_square_metre)
         VALUES (:store_id, :product_id, :title, :sku, :variant_id, :requires_shipping, :taxable, :grams, :by_area)
         ON CONFLICT (store_id, product_id) DO UPDATE
         SET title = excluded.title, sku = excluded.sku, variant_id = excluded.variant_id,
             requires_shipping = excluded.requires_shipping, taxable = excluded.taxable,
             weight_grams = excluded.weight_grams,
             weight_grams_per_square_metre = excluded.weight_grams_per_square_metre",
    )?;
    statement.execute(named_params! {
        ":store_id": store,
        ":product_id": product,
        ":title": settings.title,
        ":sku": settings.sku,
        ":variant_id": settings.variant_id,
        ":requires_shipping": settings.requires_shipping,
        ":taxable": settings.taxable,
        ":grams": grams,
        ":by_area": by_area,
    })?;
    Ok(())
}

/// A title that comes with an assignment is newer than one that was set before it.
pub(super) fn clear_title(tx: &Tx<'_>, store: StoreId, product: &ProductId) -> Result<()> {
    let Some(settings) = find_settings(tx, store, product)?.filter(|settings| settings.title.is_some()) else {
        return Ok(());
    };
    write(tx, store, product, &ProductSettings { title: None, ..settings })?;
    Ok(())
}
