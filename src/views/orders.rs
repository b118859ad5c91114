//! Draft orders, each with the snapshot of what its price came from.

use crate::clock::instant;
use crate::domain::money::Currency;
use crate::orders::lines::Line;
use crate::orders::records::Record;
use crate::orders::snapshot::SelectedOption;
use serde_json::{Value, json};

/// A draft order as lists and files show it. The token of its page is left out: it is all that is needed to see the page. What an only item has
/// is in the order's own document too.
pub fn draft_order(record: &Record) -> Value {
    let money = |amount| record.currency.format(amount);
    let items: Vec<Value> = record.lines.iter().map(|line| item(line, record.currency)).collect();
    let mut document = json!({
        "id": record.id.to_string(),
        "name": record.name(),
        "status": record.status.as_str(),
        "unit": record.unit.as_str(),
        "currency": record.currency.code(),
        "total": money(record.total_price),
        "shopifyDraftOrderId": record.shopify_draft_order_id,
        "shopifyOrderName": record.shopify_order_name,
        "shopifyTotal": record.shopify_total.map(money),
        "checkoutUrl": record.checkout_url,
        "orderName": record.order_name,
        "orderedAt": record.ordered_at.map(instant),
        "cancelledAt": record.cancelled_at.map(instant),
        "handoverError": record.handover_error,
        "handoverWarnings": record.handover_warnings,
        "createdAt": instant(record.created_at),
    });
    if let ([Value::Object(only)], Value::Object(order)) = (items.as_slice(), &mut document) {
        order.extend(only.clone());
    }
    document["items"] = Value::Array(items);
    document
}

fn item(line: &Line, currency: Currency) -> Value {
    let money = |amount| currency.format(amount);
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
        "matrixId": line.matrix.map(|id| id.to_string()),
        "matrix": line.matrix_name,
        "productId": line.product_id,
        "productTitle": line.product_title,
        "label": line.label,
        "width": line.width.to_number(),
        "height": line.height.to_number(),
        "pricedWidth": line.priced_width.to_number(),
        "pricedHeight": line.priced_height.to_number(),
        "quantity": line.quantity,
        "basePrice": money(line.base_price),
        "price": money(line.unit_price),
        "total": money(line.total_price),
        "options": line.selections.iter().map(option).collect::<Vec<_>>(),
        "sku": line.sku,
        "variantId": line.variant_id,
        "requiresShipping": line.requires_shipping,
        "taxable": line.taxable,
        "weightGrams": line.weight_grams,
    })
}

/// The same with the address of its page below `public_url`, for operators who send it to the shopper once more.
pub fn draft_order_with_page(record: &Record, public_url: &str) -> Value {
    let mut document = draft_order(record);
    document["pageUrl"] = json!(page_url(record, public_url));
    document
}

/// The address of an order's page.
pub fn page_url(record: &Record, public_url: &str) -> String {
    format!("{public_url}/q/{}", record.token.expose())
}
