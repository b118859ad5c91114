//! A draft order as answers of the Admin API show it.

use super::DRAFT_ORDER_GID;
use serde_json::Value;

/// The longest address of a checkout that is believed.
const ADDRESS_MAX: usize = 2_000;

/// A draft order at Shopify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftOrder {
    /// Its id there: `gid://shopify/DraftOrder/…`.
    pub id: String,
    /// Its name there: `#D7`.
    pub name: String,
    /// Where the shopper pays; `None` while Shopify has yet to make the draft ready.
    pub checkout_url: Option<String>,
    /// What it comes to there, in major units, and the currency: taxes may be in it.
    pub total: Option<(String, String)>,
    /// The tax that Shopify adds to the prices, where it says so. Nothing where prices contain it.
    pub added_tax: Option<(String, String)>,
    /// Its lines, in their order, where the answer has them.
    pub lines: Option<Vec<SeenLine>>,
}

/// A line of a draft order at Shopify, as far as the answer says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenLine {
    /// How many.
    pub quantity: Option<i64>,
    /// The price of one, in major units, and its currency: the locked one of a variant, where it has one.
    pub unit_price: Option<(String, String)>,
    /// Whether it is shipped.
    pub requires_shipping: Option<bool>,
    /// Whether it is taxed.
    pub taxable: Option<bool>,
    /// Whether it is of no variant.
    pub is_custom: Option<bool>,
    /// The variant it is of: `gid://shopify/ProductVariant/…`. Without the scope for products Shopify does not say.
    pub variant_id: Option<String>,
}

/// The draft that `node` shows; `None` where it is not one with an id and a name.
pub(super) fn read_draft(node: &Value) -> Option<DraftOrder> {
    let id = node["id"].as_str().filter(|id| id.starts_with(DRAFT_ORDER_GID) && id.len() < 100)?;
    let name = node["name"].as_str().filter(|name| !name.is_empty() && name.len() < 100)?;
    // Shopify works on a new draft for a while: its address, where it has one, leads to nothing until then.
    let is_ready = node["ready"].as_bool().unwrap_or(true);
    Some(DraftOrder {
        id: id.to_owned(),
        name: name.to_owned(),
        checkout_url: node["invoiceUrl"].as_str().filter(|url| is_ready && is_checkout(url)).map(str::to_owned),
        // Nor has what it comes to been reckoned yet.
        total: money(&node["totalPriceSet"]).filter(|_| is_ready),
        added_tax: money(&node["totalTaxSet"]).filter(|_| node["taxesIncluded"].as_bool() == Some(false)),
        lines: node["lineItems"]["nodes"].as_array().map(|lines| lines.iter().map(read_line).collect()),
    })
}

fn read_line(node: &Value) -> SeenLine {
    SeenLine {
        quantity: node["quantity"].as_i64(),
        unit_price: amount(&node["priceOverride"]).or_else(|| money(&node["originalUnitPriceSet"])),
        requires_shipping: node["requiresShipping"].as_bool(),
        taxable: node["taxable"].as_bool(),
        is_custom: node["custom"].as_bool(),
        variant_id: node["variant"]["id"].as_str().map(str::to_owned),
    }
}

/// An amount in major units and its currency.
fn money(bag: &Value) -> Option<(String, String)> {
    amount(&bag["presentmentMoney"])
}

fn amount(money: &Value) -> Option<(String, String)> {
    let (amount, currency) = money["amount"].as_str().zip(money["currencyCode"].as_str())?;
    Some((amount.to_owned(), currency.to_owned()))
}

/// A browser is sent there: an address for the web and nothing else.
fn is_checkout(url: &str) -> bool {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    !rest.is_empty()
        && !rest.starts_with('/')
        && url.len() <= ADDRESS_MAX
        && url.bytes().all(|byte| byte.is_ascii_graphic())
}
