//! What a draft at Shopify has otherwise than the order that was quoted. A difference never stops a sale: it is reported to the
//! merchant, on the order.

use crate::domain::money::{Currency, Minor};
use crate::orders::lines::Line;
use crate::orders::records::Record;
use crate::shopify::admin::{DraftOrder, SeenLine, plain_words};

/// By how many percent of the quote a total may be higher where Shopify does not say how much of it is tax: no country's general tax
/// on sales is higher.
const TAX_MAX_PERCENT: i128 = 30;

/// An amount of Shopify's: major units as text, and the currency's code.
type Amount = (String, String);

/// What the draft comes to, where that can be compared with the order.
pub(super) fn total_of(draft: &DraftOrder, currency: Currency) -> Option<i64> {
    draft.total.as_ref().and_then(|total| minor(total, currency))
}

/// How the sentence about a variant that Shopify did not take begins.
const VARIANT_REFUSED: &str =
    "Shopify has a line of its own in place of each variant, for it did not take one of them: ";

/// Whether a sentence says that a variant was not taken.
pub(super) fn is_about_refused_variant(text: &str) -> bool {
    text.starts_with(VARIANT_REFUSED)
}

/// What is otherwise, a sentence each; `refused_variant`: why the order went over without variants, where it did.
pub(super) fn differences(record: &Record, draft: &DraftOrder, refused_variant: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = refused_variant.map(|why| format!("{VARIANT_REFUSED}{why}")).into_iter().collect();
    if let Some(seen) = &draft.lines {
        let asked_without_variants = refused_variant.is_some()
            || record.handover_warnings.iter().any(|warning| is_about_refused_variant(warning));
        found.extend(line_differences(record, seen, asked_without_variants));
    }
    found.extend(total_difference(record, draft));
    found
}

/// Line by line: what Shopify does not say is no difference.
fn line_differences(record: &Record, seen: &[SeenLine], without_variants: bool) -> Vec<String> {
    if seen.len() != record.lines.len() {
        return vec![format!("Shopify has {} lines, and {} were ordered", seen.len(), record.lines.len())];
    }
    let pairs = record.lines.iter().zip(seen).enumerate();
    pairs.flat_map(|(place, (line, seen))| line_difference(record, place, line, seen, without_variants)).collect()
}

fn line_difference(record: &Record, place: usize, line: &Line, seen: &SeenLine, without_variants: bool) -> Vec<String> {
    let currency = record.currency;
    let item = format!("item {} ({})", place + 1, line.product_title);
    let mut found = Vec::new();
    if let Some(quantity) = seen.quantity.filter(|quantity| *quantity != line.quantity) {
        found.push(format!("Shopify has {quantity} of {item}, and {} were ordered", line.quantity));
    }
    if let Some(price) = seen.unit_price.as_ref().filter(|price| minor(price, currency) != Some(line.unit_price.get()))
    {
        let (amount, code) = (plain_words(&price.0), plain_words(&price.1));
        let quoted = currency.format(line.unit_price);
        found.push(format!("Shopify has {item} at {amount} {code}, and {quoted} {currency} was quoted"));
    }
    let variant = line.variant_id.as_ref().filter(|_| !without_variants);
    match (variant, &seen.variant_id, seen.is_custom) {
        (Some(asked), Some(other), _) if asked != other => {
            found.push(format!("Shopify has another variant for {item}: {}", plain_words(other)));
        }
        (Some(_), None, Some(true)) => {
            found.push(format!("Shopify has a line of its own for {item} in place of its variant"))
        }
        (None, Some(_), _) | (None, None, Some(false)) => {
            found.push(format!("Shopify has a variant for {item}, and none was asked for"));
        }
        _ => {}
    }
    // Of a variant both are Shopify's own.
    if variant.is_none() {
        if let Some(is_shipped) = seen.requires_shipping.filter(|is_shipped| *is_shipped != line.requires_shipping) {
            let says =
                if is_shipped { "is shipped, and it need not be" } else { "needs no shipping, and it is shipped" };
            found.push(format!("Shopify has it that {item} {says}"));
        }
        if let Some(is_taxed) = seen.taxable.filter(|is_taxed| *is_taxed != line.taxable) {
            let says = if is_taxed { "is taxed, and it is not" } else { "is not taxed, and it is" };
            found.push(format!("Shopify has it that {item} {says}"));
        }
    } else if seen.requires_shipping == Some(false) && line.requires_shipping {
        found.push(format!("the variant of {item} needs no shipping at Shopify: the checkout may ask for no address"));
    }
    found
}

fn total_difference(record: &Record, draft: &DraftOrder) -> Option<String> {
    let (currency, quoted) = (record.currency, record.total_price.get());
    let settled @ (amount, code) = draft.total.as_ref()?;
    let money = |minor: i64| format!("{} {}", currency.format(Minor::new(minor)), currency);
    let quote = money(quoted);
    if code != currency.code() {
        let (amount, code) = (plain_words(amount), plain_words(code));
        return Some(format!("Shopify charges {amount} {code}, and {quote} was quoted: another currency"));
    }
    let Some(total) = minor(settled, currency) else {
        let amount = plain_words(amount);
        return Some(format!("Shopify's total of {amount} {code} cannot be read, and {quote} was quoted"));
    };
    if total < quoted {
        return Some(format!(
            "Shopify charges {}, less than the {quote} that was quoted: does a discount or a tax setting of the shop change it?",
            money(total)
        ));
    }
    let more = i128::from(total) - i128::from(quoted);
    let tax = draft.added_tax.as_ref().and_then(|tax| minor(tax, currency)).map(i128::from);
    // Rounded up: a whole unit of a currency without decimals is not to be reported.
    let explained = tax.unwrap_or_else(|| (i128::from(quoted) * TAX_MAX_PERCENT).div_euclid(100) + 1);
    (more > explained).then(|| {
        format!("Shopify charges {}, more than the {quote} that was quoted and any tax on it explain", money(total))
    })
}

/// An amount in minor units, where it is in this currency.
fn minor((amount, code): &Amount, currency: Currency) -> Option<i64> {
    if code != currency.code() {
        return None;
    }
    // Shopify drops and adds zeros: 25.0 for 25.00, 30.0 for 30 yen.
    let (whole, decimals) = amount.split_once('.').unwrap_or((amount, ""));
    let places = usize::try_from(currency.exponent()).ok()?;
    let (kept, rest) = decimals.split_at_checked(places).unwrap_or((decimals, ""));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let text = if kept.is_empty() { whole.to_owned() } else { format!("{whole}.{kept}") };
    currency.parse_price(&text).ok().map(Minor::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_whatever_zeros_they_have() {
        let total = |amount: &str, code: &str, currency: &str| {
            minor(&(amount.to_owned(), code.to_owned()), currency.parse().expect("a currency"))
        };
        assert_eq!(total("25.0", "EUR", "EUR"), Some(2_500));
        assert_eq!(total("25.500", "EUR", "EUR"), Some(2_550));
        assert_eq!(total("25", "EUR", "EUR"), Some(2_500));
        assert_eq!(total("3000.0", "JPY", "JPY"), Some(3_000));
        assert_eq!(total("25.005", "EUR", "EUR"), None);
        assert_eq!(total("25.0", "USD", "EUR"), None);
        assert_eq!(total("ä", "EUR", "EUR"), None);
    }
}
