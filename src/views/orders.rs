//! Draft orders, each with the snapshot of what its price came from.

use crate::clock::instant;
use crate::orders::records::Record;
use crate::orders::snapshot::SelectedOption;
use serde_json::{Value, json};

/// A draft order as lists and files show it. The token of its page is left out: whoever has it may see the page.
pub fn draft_order(record: &Record) -> Value {
    let money = |amount| record.currency.format(amount);
    let option = |option: &SelectedOption| {
        json!({
            "optionGroupId": option.option_group_id,
            "optionGroup": option.option_group_name,
            "choiceId": option.choice_id,
            "choice": option.choice_label,
            "modifierType": option.modifier_type,
            "modifierValue": option.modifier_value,
            "appliedAmount": money(option.applied()),
        })
    };
    json!({
        "id": record.id.to_string(),
        "name": record.name(),
        "status": record.status,
        "matrixId": record.matrix.map(|id| id.to_string()),
        "matrix": record.matrix_name,
        "productId": record.product_id,
        "productTitle": record.product_title,
        "width": record.width.to_number(),
        "height": record.height.to_number(),
        "unit": record.unit.as_str(),
        "pricedWidth": record.priced_width.to_number(),
        "pricedHeight": record.priced_height.to_number(),
        "quantity": record.quantity,
        "currency": record.currency.code(),
        "basePrice": money(record.base_price),
        "price": money(record.unit_price),
        "total": money(record.total_price),
        "options": record.selections.iter().map(option).collect::<Vec<_>>(),
        "shopifyDraftOrderId": record.shopify_draft_order_id,
        "shopifyOrderName": record.shopify_order_name,
        "shopifyTotal": record.shopify_total.map(money),
        "checkoutUrl": record.checkout_url,
        "handoverError": record.handover_error,
        "handoverWarnings": record.handover_warnings,
        "createdAt": instant(record.created_at),
    })
}

/// The same with the address of its page below `public_url`, for whoever may send it to the shopper once more.
pub fn draft_order_with_page(record: &Record, public_url: &str) -> Value {
    let mut document = draft_order(record);
    document["pageUrl"] = json!(page_url(record, public_url));
    document
}

/// The address of an order's page.
pub fn page_url(record: &Record, public_url: &str) -> String {
    format!("{public_url}/q/{}", record.token.expose())
}
