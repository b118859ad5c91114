//! The GraphQL documents, held against the names of Shopify's published schema: those that `shopify-contract.md` section 4.4 has, as
//! they are in the introspection of versions 2025-10 to 2026-10. (The same files pass graphql-js' `validate` against those five
//! schemas; that needs Node.js and 14 MB of data, so it is not part of the tests.)

use quotegrid::shopify::admin::{CREATE, DELETE, Draft, DraftLine, FIND, LOOK, STATES, create};
use serde_json::Value;
use std::collections::BTreeMap;

/// Types with the fields that are known of them: `name → type`, where scalars are `_`.
const SCHEMA: [(&str, &str); 20] = [
    ("Query", "draftOrder:DraftOrder draftOrders:DraftOrderConnection node:Node nodes:Node"),
    ("Node", "id:_"),
    ("Mutation", "draftOrderCreate:DraftOrderCreatePayload draftOrderDelete:DraftOrderDeletePayload"),
    ("DraftOrderConnection", "nodes:DraftOrder edges:DraftOrderEdge pageInfo:PageInfo"),
    ("DraftOrderCreatePayload", "draftOrder:DraftOrder userErrors:UserError"),
    ("UserError", "field:_ message:_"),
    (
        "DraftOrder",
        "id:_ legacyResourceId:_ name:_ status:_ invoiceUrl:_ ready:_ warnings:DraftOrderWarning totalPriceSet:MoneyBag totalTaxSet:MoneyBag \
         taxesIncluded:_ tags:_ completedAt:_ order:Order lineItems:DraftOrderLineItemConnection",
    ),
    ("Order", "id:_ legacyResourceId:_ name:_ createdAt:_"),
    ("DraftOrderLineItemConnection", "nodes:DraftOrderLineItem edges:DraftOrderLineItemEdge pageInfo:PageInfo"),
    (
        "DraftOrderLineItem",
        "custom:_ id:_ quantity:_ requiresShipping:_ taxable:_ sku:_ title:_ uuid:_ variant:ProductVariant weight:Weight \
         priceOverride:MoneyV2 originalUnitPriceSet:MoneyBag customAttributes:Attribute",
    ),
    ("ProductVariant", "id:_ title:_ sku:_ price:_ taxable:_"),
    ("DraftOrderDeletePayload", "deletedId:_ userErrors:UserError"),
    ("DraftOrderDeleteInput", "id:_"),
    ("WeightInput", "value:_ unit:_"),
    ("MoneyBag", "presentmentMoney:MoneyV2 shopMoney:MoneyV2"),
    ("MoneyV2", "amount:_ currencyCode:_"),
    (
        "DraftOrderInput",
        "acceptAutomaticDiscounts:_ allowDiscountCodesInCheckout:_ customAttributes:AttributeInput discountCodes:_ \
         lineItems:DraftOrderLineItemInput presentmentCurrencyCode:_ purchasingEntity:PurchasingEntityInput tags:_ note:_ email:_",
    ),
    (
        "DraftOrderLineItemInput",
        "customAttributes:AttributeInput originalUnitPriceWithCurrency:MoneyInput quantity:_ requiresShipping:_ sku:_ taxable:_ \
         title:_ uuid:_ variantId:_ priceOverride:MoneyInput weight:WeightInput",
    ),
    ("MoneyInput", "amount:_ currencyCode:_"),
    ("AttributeInput", "key:_ value:_"),
];

fn fields_of(name: &str) -> BTreeMap<&'static str, &'static str> {
    let (_, fields) = SCHEMA.iter().find(|(found, _)| *found == name).unwrap_or_else(|| panic!("no type {name}"));
    fields.split_whitespace().map(|field| field.split_once(':').expect("name:type")).collect()
}

/// The words and marks of a document; strings and numbers do not occur but for counts.
fn tokens(document: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut is_word = false;
    for c in document.chars() {
        let goes_on = c.is_alphanumeric() || c == '_' || c == '$' || c == '.';
        match (goes_on, is_word) {
            (true, true) => tokens.last_mut().expect("a word").push(c),
            _ if c.is_whitespace() || c == ',' => {}
            _ => tokens.push(c.to_string()),
        }
        is_word = goes_on;
    }
    tokens
}

/// Walks a selection set of `of`, and returns where it ends. `fragments` are the types of the fragments that are spread.
fn walk(tokens: &[String], mut at: usize, of: &str, fragments: &BTreeMap<String, String>) -> usize {
    assert_eq!(tokens[at], "{", "a selection of {of}");
    at += 1;
    let fields = fields_of(of);
    while tokens[at] != "}" {
        if tokens[at] == "..." {
            // On a type, in its place: what implements the interface.
            assert_eq!(tokens[at + 1], "on", "an inline fragment of {of}");
            at = walk(tokens, at + 3, &tokens[at + 2], fragments);
            continue;
        }
        if let Some(fragment) = tokens[at].strip_prefix("...") {
            assert_eq!(fragments.get(fragment).map(String::as_str), Some(of), "{fragment} is spread on {of}");
            at += 1;
            continue;
        }
        // An alias is followed by a colon.
        let name = if tokens[at + 1] == ":" {
            at += 2;
            &tokens[at]
        } else {
            &tokens[at]
        };
        let field = fields.get(name.as_str()).unwrap_or_else(|| panic!("{of} has no field {name}"));
        at += 1;
        if tokens[at] == "(" {
            let end = at + tokens[at..].iter().position(|token| token == ")").expect("closed");
            for (place, token) in tokens[at..end].iter().enumerate() {
                if token == ":" {
                    let argument = &tokens[at + place - 1];
                    let known: &[&str] = match name.as_str() {
                        "draftOrders" => {
                            &["first", "after", "last", "before", "query", "reverse", "sortKey", "savedSearchId"]
                        }
                        "draftOrder" => &["id"],
                        "nodes" if of == "Query" => &["ids"],
                        "lineItems" => &["first", "after", "last", "before", "reverse"],
                        "draftOrderCreate" | "draftOrderDelete" => &["input"],
                        _ => &[],
                    };
                    assert!(known.contains(&argument.as_str()), "{name} has no argument {argument}");
                }
            }
            at = end + 1;
        }
        if *field == "_" {
            assert_ne!(tokens[at], "{", "{name} of {of} is a scalar");
        } else {
            at = walk(tokens, at, field, fragments);
        }
    }
    at + 1
}

#[track_caller]
pub(super) fn check(document: &str) {
    let tokens = tokens(document);
    let mut fragments = BTreeMap::new();
    for at in 0..tokens.len() {
        if tokens[at] == "fragment" {
            fragments.insert(tokens[at + 1].clone(), tokens[at + 3].clone());
        }
    }
    let mut at = 0;
    while at < tokens.len() {
        let root = match tokens[at].as_str() {
            "query" => "Query".to_owned(),
            "mutation" => "Mutation".to_owned(),
            "fragment" => tokens[at + 3].clone(),
            other => panic!("no operation: {other}"),
        };
        let body = at + tokens[at..].iter().position(|token| token == "{").expect("a selection");
        at = walk(&tokens, body, &root, &fragments);
    }
}

pub(super) fn check_input(of: &str, value: &Value) {
    let fields = fields_of(of);
    for (name, value) in value.as_object().expect("an object") {
        let field = fields.get(name.as_str()).unwrap_or_else(|| panic!("{of} has no field {name}"));
        let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        for value in values {
            assert_eq!(*field != "_", value.is_object(), "{name} of {of}: {value}");
            if *field != "_" {
                check_input(field, &value);
            }
        }
    }
}

#[test]
fn the_documents_ask_for_what_the_schema_has() {
    check(CREATE);
    check(FIND);
    check(LOOK);
    check(STATES);
    check(DELETE);
}

#[test]
#[should_panic(expected = "DraftOrder has no field checkoutUrl")]
fn a_document_that_asks_for_something_else_is_found_out() {
    check(&CREATE.replace("invoiceUrl", "checkoutUrl"));
}

#[test]
fn the_input_has_the_fields_of_the_schema_and_nothing_of_a_person() {
    let line = |variant_id| DraftLine {
        variant_id,
        title: "Pane".to_owned(),
        quantity: 1,
        unit_price: "1.00".to_owned(),
        requires_shipping: true,
        taxable: true,
        sku: Some("P-1".to_owned()),
        weight_grams: Some(1),
        attributes: vec![("Width".to_owned(), "1mm".to_owned())],
    };
    let draft = Draft {
        order_id: "01900000-0000-7000-8000-000000000001".to_owned(),
        name: "#D1".to_owned(),
        currency: "EUR".to_owned(),
        lines: [None, Some("gid://shopify/ProductVariant/1".to_owned())].map(line).to_vec(),
        allow_discount_codes: false,
        allow_automatic_discounts: false,
    };
    let input = create(&draft)["variables"]["input"].clone();
    check_input("DraftOrderInput", &input);
    for name in ["email", "phone", "note", "shippingAddress", "billingAddress", "customerId", "purchasingEntity"] {
        assert_eq!(input.get(name), None, "{name}");
    }
}
