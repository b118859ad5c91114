//! The products of a shop as Shopify lists them, a page at a time, so that a merchant can choose some instead of typing their numbers.
//! Needs the scope `read_products`.

use super::failure::{ShopifyError, read_document, read_errors};
use serde_json::{Value, json};

/// Lists products.
pub const PRODUCTS: &str = include_str!("products.graphql");

/// How Shopify's id of a product begins; its number follows.
const PRODUCT_GID: &str = "gid://shopify/Product/";

/// Characters of a title that are kept: as many as Shopify has.
const TITLE_MAX: usize = 255;

/// Bytes of a cursor that is passed on: Shopify's are about a hundred.
pub const CURSOR_MAX: usize = 1_000;

/// A product as Shopify lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedProduct {
    /// `gid://shopify/Product/…`.
    pub id: String,
    /// Its title, without line breaks and the like.
    pub title: String,
    /// Whether shoppers can see it, be it by a direct link only; a draft or an archived product they cannot.
    pub is_active: bool,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductsPage {
    /// The products, by their titles.
    pub products: Vec<ListedProduct>,
    /// Where the next page goes on, if there is one.
    pub next: Option<String>,
}

/// The body that asks for the products after the cursor `after` in which each word of `search` occurs.
pub fn products(after: Option<&str>, search: &str) -> Value {
    let search = words_of(search);
    let search = (!search.is_empty()).then_some(search);
    let variables = json!({ "after": after, "search": search });
    json!({ "query": PRODUCTS, "operationName": "QuotegridProducts", "variables": variables })
}

/// What people type, without what has a meaning in Shopify's search syntax.
fn words_of(search: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let words = search.split(|c: char| !is_part(c)).map(|word| word.trim_matches('-'));
    // In capitals, these are operators.
    let words = words.filter(|word| !word.is_empty() && !["AND", "OR", "NOT"].contains(word));
    words.collect::<Vec<_>>().join(" ")
}

/// The products that an answer to [`products`] lists.
///
/// # Errors
/// As [`super::read_created`]; whatever it is, nothing was changed.
pub fn read_products(status: u16, retry_after: Option<&str>, body: &[u8]) -> Result<ProductsPage, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let listed = &document["data"]["products"];
    let Some(nodes) = listed["nodes"].as_array() else {
        read_errors(&document)?;
        return Err(ShopifyError::uncertain("Shopify answered without the products that were asked for"));
    };
    let next = listed["pageInfo"]["endCursor"].as_str().filter(|cursor| cursor.len() <= CURSOR_MAX);
    let next = next.filter(|_| listed["pageInfo"]["hasNextPage"].as_bool() == Some(true));
    Ok(ProductsPage { products: nodes.iter().filter_map(read_product).collect(), next: next.map(str::to_owned) })
}

fn read_product(node: &Value) -> Option<ListedProduct> {
    let id = node["id"].as_str()?;
    let number = id.strip_prefix(PRODUCT_GID)?;
    let is_number = !number.is_empty() && number.len() <= 20 && number.bytes().all(|byte| byte.is_ascii_digit());
    let title: String = node["title"].as_str()?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let title: String = title.trim().chars().take(TITLE_MAX).collect();
    let is_active = node["status"].as_str().is_none_or(|status| ["ACTIVE", "UNLISTED"].contains(&status));
    (is_number && !title.is_empty()).then(|| ListedProduct { id: id.to_owned(), title, is_active })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_search_for_is_no_syntax_of_shopifys() {
        let search = |text: &str| products(None, text)["variables"]["search"].clone();
        assert_eq!(search("Roller blind"), "Roller blind");
        assert_eq!(search("title:'x' OR (tag:*) -status:active"), "title x tag status active");
        assert_eq!(search("  *: "), Value::Null);
        assert_eq!(products(Some("abc"), "")["variables"]["after"], "abc");
    }

    #[test]
    fn products_are_read_and_what_is_none_is_left_out() {
        let body = json!({ "data": { "products": {
            "nodes": [
                { "id": "gid://shopify/Product/7", "title": " Roller\nblind ", "status": "DRAFT" },
                { "id": "gid://shopify/Product/8", "title": "ä".repeat(300), "status": "ACTIVE" },
                { "id": "gid://shopify/Product/9", "title": "By link only", "status": "UNLISTED" },
                { "id": "gid://shopify/Product/11", "title": "No longer sold", "status": "ARCHIVED" },
                { "id": "gid://shopify/Product/x", "title": "Not a number" },
                { "id": "gid://shopify/Collection/9", "title": "Not a product" },
                { "id": "gid://shopify/Product/10", "title": "" },
                {},
            ],
            "pageInfo": { "hasNextPage": true, "endCursor": "next" },
        } } });
        let page = read_products(200, None, body.to_string().as_bytes()).expect("a page");
        assert_eq!(page.next.as_deref(), Some("next"));
        assert_eq!(
            page.products,
            [
                ListedProduct {
                    id: "gid://shopify/Product/7".to_owned(),
                    title: "Roller blind".to_owned(),
                    is_active: false
                },
                ListedProduct { id: "gid://shopify/Product/8".to_owned(), title: "ä".repeat(255), is_active: true },
                ListedProduct {
                    id: "gid://shopify/Product/9".to_owned(),
                    title: "By link only".to_owned(),
                    is_active: true
                },
                ListedProduct {
                    id: "gid://shopify/Product/11".to_owned(),
                    title: "No longer sold".to_owned(),
                    is_active: false
                },
            ]
        );
        let denied = json!({ "errors": [{ "message": "Access denied for products field.", "extensions": { "code": "ACCESS_DENIED" } }], "data": null });
        let read = read_products(200, None, denied.to_string().as_bytes());
        assert!(matches!(read, Err(ShopifyError::Blocked(_))), "{read:?}");
        assert!(matches!(read_products(200, None, b"{}"), Err(ShopifyError::Uncertain { .. })));
    }
}
