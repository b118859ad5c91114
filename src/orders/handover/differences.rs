//! What a draft at Shopify has otherwise than the order that was quoted. A difference never stops a sale: it is reported to the
//! merchant, on the order.

use crate::domain::money::{Currency, Minor};
use crate::orders::records::Record;
use crate::shopify::admin::{DraftOrder, plain_words};

/// By how many percent of the quote a total may be higher where Shopify does not say how much of it is tax: no country's general tax
/// on sales is higher.
const TAX_MAX_PERCENT: i128 = 30;

/// An amount of Shopify's: major units as text, and the currency's code.
type Told = (String, String);

/// What the draft comes to, where that can be compared with the order.
pub(super) fn total_of(draft: &DraftOrder, currency: Currency) -> Option<i64> {
    draft.total.as_ref().and_then(|total| minor(total, currency))
}

/// What is otherwise, a sentence each.
pub(super) fn differences(record: &Record, draft: &DraftOrder) -> Vec<String> {
    total_difference(record, draft).into_iter().collect()
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
    // Rounded up: a whole unit of a currency without decimals is not to be told of.
    let explained = tax.unwrap_or_else(|| (i128::from(quoted) * TAX_MAX_PERCENT).div_euclid(100) + 1);
    (more > explained).then(|| {
        format!("Shopify charges {}, more than the {quote} that was quoted and any tax on it explain", money(total))
    })
}

/// An amount in minor units, where it is in this currency.
fn minor((amount, code): &Told, currency: Currency) -> Option<i64> {
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
