//! Variants that orders are going to be sold as, and the currencies that their shop takes: asked for before the first order is, so
//! that a merchant learns what would not be as expected.

use super::failure::{ShopifyError, read_document, read_errors};
use serde_json::{Value, json};

/// Looks at variants, and at what their shop takes.
pub const VARIANTS: &str = include_str!("variants.graphql");

/// Variants that [`variants`] asks for at once. One with its product and weight is four points of the thousand that a query may cost.
pub const VARIANTS_MAX: usize = 100;

/// What a shop takes, and the variants that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenShop {
    /// ISO 4217 codes of the currencies that a draft order may be in; empty where Shopify does not say.
    pub currencies: Vec<String>,
    /// In the order in which they were asked for.
    pub variants: Vec<SeenVariant>,
}

/// What is known of a variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenVariant {
    /// The app may not see it, or Shopify does not say.
    Unknown,
    /// There is none of this id.
    Missing,
    /// It is there; `None`: of this Shopify does not tell.
    Found {
        /// The product that it is a variant of, as `gid://shopify/Product/…`.
        product_id: Option<String>,
        /// Whether it is taxed.
        taxable: Option<bool>,
        /// Whether it is shipped.
        requires_shipping: Option<bool>,
        /// Whether it has a weight above nothing.
        has_weight: Option<bool>,
    },
}

/// The body that asks for variants, [`VARIANTS_MAX`] at the most.
pub fn variants(variant_ids: &[String]) -> Value {
    json!({ "query": VARIANTS, "operationName": "QuotegridVariants", "variables": { "ids": variant_ids } })
}

/// What an answer to [`variants`] says of these variants and their shop.
///
/// # Errors
/// As [`super::read_created`]; whatever it is, nothing was changed.
pub fn read_variants(
    variant_ids: &[String],
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<SeenShop, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let nodes = match document["data"]["nodes"].as_array() {
        Some(nodes) if nodes.len() == variant_ids.len() => nodes,
        _ => {
            read_errors(&document)?;
            return Err(ShopifyError::uncertain("Shopify answered without the variants that were asked for"));
        }
    };
    let errors = document["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |(place, (node, id)): (usize, (&Value, &String))| match node {
        Value::Null => null_variant(errors, place),
        node if node["id"].as_str() == Some(id) => found(node),
        // A node of another type has no field of a variant's.
        _ => SeenVariant::Missing,
    };
    let shop = &document["data"]["shop"];
    let enabled = shop["enabledPresentmentCurrencies"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut currencies: Vec<String> = enabled.iter().filter_map(currency_code).collect();
    currencies.extend(currency_code(&shop["currencyCode"]).filter(|code| !currencies.contains(code)));
    Ok(SeenShop { currencies, variants: nodes.iter().zip(variant_ids).enumerate().map(read).collect() })
}

/// What it means that there is nothing in a variant's place: an error about the place hides it, and one about something within
/// the variant says that it is there.
fn null_variant(errors: &[Value], place: usize) -> SeenVariant {
    let place = u64::try_from(place).ok();
    let paths = errors.iter().map(|error| error["path"].as_array().map(Vec::as_slice).unwrap_or_default());
    let mut about: Vec<&[Value]> = paths.filter(|path| path.len() < 2 || path[1].as_u64() == place).collect();
    about.sort_by_key(|path| path.len());
    match about.first() {
        None => SeenVariant::Missing,
        Some(path) if path.len() > 2 => {
            SeenVariant::Found { product_id: None, taxable: None, requires_shipping: None, has_weight: None }
        }
        Some(_) => SeenVariant::Unknown,
    }
}

fn found(node: &Value) -> SeenVariant {
    let item = &node["inventoryItem"];
    SeenVariant::Found {
        product_id: node["product"]["id"].as_str().map(str::to_owned),
        taxable: node["taxable"].as_bool(),
        requires_shipping: item["requiresShipping"].as_bool(),
        has_weight: item["measurement"].as_object().map(|measured| {
            measured.get("weight").and_then(|weight| weight["value"].as_f64()).is_some_and(|weight| weight > 0.0)
        }),
    }
}

fn currency_code(value: &Value) -> Option<String> {
    let code = value.as_str()?;
    (code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())).then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "gid://shopify/ProductVariant/7";

    fn read(node: Value, errors: Value) -> SeenVariant {
        let mut body = json!({ "data": {
            "shop": { "currencyCode": "EUR", "enabledPresentmentCurrencies": ["EUR", "CHF", "bob@example.com"] },
            "nodes": [node],
        } });
        if !errors.is_null() {
            body["errors"] = errors;
        }
        let seen = read_variants(&[ID.to_owned()], 200, None, body.to_string().as_bytes()).expect("an answer");
        assert_eq!(seen.currencies, ["EUR", "CHF"]);
        seen.variants.into_iter().next().expect("one")
    }

    #[test]
    fn a_variant_is_there_or_missing_or_hidden() {
        let denied = |path: Value| json!([{ "message": "Access denied", "path": path }]);
        let nothing_told =
            SeenVariant::Found { product_id: None, taxable: None, requires_shipping: None, has_weight: None };
        assert_eq!(read(Value::Null, Value::Null), SeenVariant::Missing);
        assert_eq!(read(json!({}), Value::Null), SeenVariant::Missing, "of another type");
        assert_eq!(read(Value::Null, denied(json!(["nodes", 0]))), SeenVariant::Unknown);
        assert_eq!(read(Value::Null, denied(json!(["nodes"]))), SeenVariant::Unknown);
        assert_eq!(read(Value::Null, denied(Value::Null)), SeenVariant::Unknown);
        assert_eq!(read(Value::Null, denied(json!(["nodes", 1]))), SeenVariant::Missing, "about another");
        assert_eq!(read(Value::Null, denied(json!(["nodes", 0, "inventoryItem"]))), nothing_told);
        assert_eq!(read(json!({ "id": ID }), Value::Null), nothing_told);
        let weighs = |value: Value| json!({ "requiresShipping": true, "measurement": { "weight": value } });
        for (weight, has_weight) in
            [(json!({ "value": 0.0 }), false), (Value::Null, false), (json!({ "value": 1.5 }), true)]
        {
            let node = json!({ "id": ID, "taxable": false, "product": { "id": "gid://shopify/Product/1" },
                "inventoryItem": weighs(weight) });
            let found = SeenVariant::Found {
                product_id: Some("gid://shopify/Product/1".to_owned()),
                taxable: Some(false),
                requires_shipping: Some(true),
                has_weight: Some(has_weight),
            };
            assert_eq!(read(node, Value::Null), found);
        }
    }

    #[test]
    fn an_answer_without_the_variants_is_none() {
        let read = |body: &Value| read_variants(&[ID.to_owned()], 200, None, body.to_string().as_bytes());
        assert!(read(&json!({ "data": { "nodes": [] } })).is_err());
        let denied =
            json!({ "data": null, "errors": [{ "message": "no", "extensions": { "code": "ACCESS_DENIED" } }] });
        assert!(matches!(read(&denied), Err(ShopifyError::Blocked(_))), "{:?}", read(&denied));
    }
}
