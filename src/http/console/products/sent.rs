//! What an order of a product is at Shopify, in words, and the form that changes it as `PATCH …/products/{id}` of the admin API does.

use super::ProductView;
use crate::catalog::assignments::{ProductSettings, SettingsEdit};
use crate::catalog::stores::Scope;
use crate::domain::weight::{NotGrams, Weight, grams};
use crate::http::console::form::Form;

/// A line of what Shopify is sent for a product.
pub(super) struct SentLine {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// What an order of this product is at Shopify: a line of its own or a variant's, priced by this server.
pub(super) fn lines(product: &ProductView, scope: Scope) -> Vec<SentLine> {
    let line = |name, value: &str| SentLine { name, value: value.to_owned() };
    let settings = &product.settings;
    let mut lines = Vec::new();
    if let Some(variant) = &settings.variant_id {
        lines.push(line("Variant", variant));
        lines.push(line("From the variant", "title, SKU, weight, tax and shipping"));
    } else {
        lines.push(line("Title", product.title.as_deref().unwrap_or("nothing: it has no price list")));
        lines.push(line("SKU", settings.sku.as_deref().unwrap_or("none")));
        lines.push(line("Weight", &settings.weight.map_or_else(|| "none".to_owned(), |weight| weight.to_string())));
        lines.push(line("Shipping", if settings.is_shipped() { "is shipped" } else { "is not shipped" }));
        lines.push(line("Tax", if settings.is_taxable() { "is taxed" } else { "is not taxed" }));
    }
    lines.push(line("Price", &format!("of one piece with its options, in {}, as priced here", scope.currency)));
    lines.push(line("Details", &format!("width and height in {}, each chosen option, the price list", scope.unit)));
    lines
}

/// The same in a few words; empty where nothing was said of the product.
pub(super) fn summary(settings: &ProductSettings) -> String {
    if let Some(variant) = &settings.variant_id {
        return format!("variant {}", variant.rsplit('/').next().unwrap_or_default());
    }
    let said = [
        settings.sku.clone(),
        settings.weight.map(|weight| weight.to_string()),
        (!settings.is_shipped()).then(|| "not shipped".to_owned()),
        (!settings.is_taxable()).then(|| "not taxed".to_owned()),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The fields of the form, as they are shown and as they are sent.
pub(super) struct SentForm {
    pub(super) title: String,
    /// The title that the form was made with: one that is sent back unchanged was not set.
    pub(super) title_was: String,
    pub(super) sku: String,
    pub(super) variant: String,
    pub(super) is_shipped: bool,
    pub(super) is_taxable: bool,
    /// What each piece weighs; with a weight by area, what comes on top.
    pub(super) grams: String,
    pub(super) grams_per_square_metre: String,
}

impl SentForm {
    /// The form with what a product has.
    pub(super) fn of(product: &ProductView) -> Self {
        let (settings, title) = (&product.settings, product.title.clone().unwrap_or_default());
        let (grams, grams_per_square_metre) = match settings.weight {
            None => (String::new(), String::new()),
            Some(Weight::Piece { grams }) => (grams.to_string(), String::new()),
            Some(Weight::Area { grams_per_square_metre, base_grams: 0 }) => {
                (String::new(), grams_per_square_metre.to_string())
            }
            Some(Weight::Area { grams_per_square_metre, base_grams }) => {
                (base_grams.to_string(), grams_per_square_metre.to_string())
            }
        };
        Self {
            title_was: title.clone(),
            title,
            sku: settings.sku.clone().unwrap_or_default(),
            variant: settings.variant_id.clone().unwrap_or_default(),
            is_shipped: settings.is_shipped(),
            is_taxable: settings.is_taxable(),
            grams,
            grams_per_square_metre,
        }
    }

    /// The form with what was sent.
    pub(super) fn sent(form: &Form) -> Self {
        let text = |field: &str| form.get(field).trim().to_owned();
        Self {
            title: text("title"),
            title_was: text("title-was"),
            sku: text("sku"),
            variant: text("variant"),
            is_shipped: form.has("ships"),
            is_taxable: form.has("taxable"),
            grams: text("grams"),
            grams_per_square_metre: text("grams-per-square-metre"),
        }
    }

    /// The edit that it asks for: what is empty is cleared.
    pub(super) fn edit(&self) -> std::result::Result<SettingsEdit, String> {
        let fault = |name: &str, fault: &dyn std::fmt::Display| format!("the {name} {fault}");
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let title = filled(&self.title).map(|text| text.parse().map_err(|why| fault("title", &why))).transpose()?;
        let sku = filled(&self.sku).map(|text| text.parse().map_err(|why| fault("SKU", &why))).transpose()?;
        let variant = filled(number_of_variant(&self.variant))
            .map(|text| text.parse().map_err(|why| fault("variant", &why)))
            .transpose()?;
        let whole = |text: &str, name: &str| {
            let number = filled(text).map(|text| text.parse().map_err(|_unreadable| NotGrams).and_then(grams));
            number.transpose().map_err(|why| fault(name, &why))
        };
        let piece = whole(&self.grams, "weight of a piece")?;
        let by_area = whole(&self.grams_per_square_metre, "weight of a square metre")?;
        let weight = match (piece, by_area) {
            (None, None) => None,
            (Some(grams), None) => Some(Weight::Piece { grams }),
            (base, Some(grams_per_square_metre)) => {
                Some(Weight::Area { grams_per_square_metre, base_grams: base.unwrap_or(0) })
            }
        };
        // Shipped and taxed is what holds where nothing is said.
        let unless = |is: bool| if is { None } else { Some(false) };
        Ok(SettingsEdit {
            title: (self.title != self.title_was).then_some(title),
            sku: Some(sku),
            variant: Some(variant),
            requires_shipping: Some(unless(self.is_shipped)),
            taxable: Some(unless(self.is_taxable)),
            weight: Some(weight),
        })
    }
}

/// People copy the address of a variant's page in Shopify.
fn number_of_variant(text: &str) -> &str {
    let Some((_, number)) = text.rsplit_once("/variants/") else { return text };
    number.split(|letter: char| !letter.is_ascii_digit()).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_is_entered_as_people_have_it() {
        for (text, number) in [
            ("42", "42"),
            ("gid://shopify/ProductVariant/42", "gid://shopify/ProductVariant/42"),
            ("https://admin.shopify.com/store/x/products/7/variants/42?link=1", "42"),
            ("/variants/", ""),
            ("x", "x"),
        ] {
            assert_eq!(number_of_variant(text), number, "{text}");
        }
    }
}
