//! An order in the words and figures of its page. Everything comes from the order's own snapshot.

use crate::domain::ids::ShopDomain;
use crate::domain::length::Length;
use crate::domain::money::{BasisPoints, Currency, Minor};
use crate::domain::options::Modifier;
use crate::orders::lines::Line;
use crate::orders::records::Record;
use crate::orders::snapshot::SelectedOption;
use askama::Template;

#[derive(Template)]
#[template(path = "quote.html", config = "src/http/pages/askama.toml")]
pub(super) struct QuotePage<'a> {
    name: String,
    shop: &'a str,
    /// What the page is called: the only item, or how many there are.
    title: String,
    items: Vec<Item<'a>>,
    /// The sum of several items.
    sum: Option<String>,
    checkout_url: Option<&'a str>,
    date: String,
}

/// An item with its drawing and what its price is made up of.
struct Item<'a> {
    /// Its place, where there are several.
    number: Option<usize>,
    title: &'a str,
    label: Option<&'a str>,
    size: String,
    /// The step of the grid, where it is not the size itself.
    step: Option<String>,
    sketch: Sketch,
    width: String,
    height: String,
    base: String,
    options: Vec<OptionLine<'a>>,
    /// What keeps the price of a piece from falling below zero, where something does.
    floor: Option<String>,
    unit_price: String,
    quantity: String,
    total: String,
    matrix: &'a str,
}

struct OptionLine<'a> {
    group: &'a str,
    choice: &'a str,
    share: Option<String>,
    amount: String,
}

impl<'a> QuotePage<'a> {
    pub(super) fn new(record: &'a Record, shop: &'a ShopDomain) -> Self {
        let several = record.lines.len() > 1;
        let items = record.lines.iter().enumerate();
        let items = items.map(|(place, line)| Item::new(line, several.then_some(place + 1), record));
        let title = match record.lines.as_slice() {
            [only] => only.product_title.clone(),
            lines => format!("{} items", lines.len()),
        };
        Self {
            name: record.name(),
            shop: shop.as_str(),
            title,
            items: items.collect(),
            sum: several.then(|| money(record.total_price, record.currency)),
            checkout_url: record.checkout_url.as_deref(),
            date: record.created_at.format("%-d %B %Y, %H:%M UTC").to_string(),
        }
    }
}

impl<'a> Item<'a> {
    fn new(line: &'a Line, number: Option<usize>, record: &Record) -> Self {
        let currency = record.currency;
        let size = |width: Length, height: Length| format!("{width} × {height} {}", record.unit);
        let options = line.selections.iter().map(|option| OptionLine::new(option, currency));
        let added: i64 = line.selections.iter().map(|option| option.applied_minor).sum();
        let floor = line.unit_price.get() - (line.base_price.get() + added);
        let step = (!line.is_priced_as_asked()).then(|| size(line.priced_width, line.priced_height));
        Self {
            number,
            title: &line.product_title,
            label: line.label.as_deref(),
            size: size(line.width, line.height),
            step,
            sketch: Sketch::new(line.width, line.height),
            width: line.width.to_string(),
            height: line.height.to_string(),
            base: money(line.base_price, currency),
            options: options.collect(),
            floor: (floor != 0).then(|| added_money(Minor::new(floor), currency)),
            unit_price: money(line.unit_price, currency),
            quantity: grouped(&line.quantity.to_string()),
            total: money(line.total_price, currency),
            matrix: &line.matrix_name,
        }
    }
}

impl<'a> OptionLine<'a> {
    fn new(option: &'a SelectedOption, currency: Currency) -> Self {
        let share = option.modifier().and_then(|modifier| match modifier {
            Modifier::Percentage(share) => Some(percent(share)),
            Modifier::Fixed(_) => None,
        });
        Self {
            group: &option.option_group_name,
            choice: &option.choice_label,
            share,
            amount: added_money(option.applied(), currency),
        }
    }
}

/// The non-breaking blank keeps amount and currency on one line.
fn money(amount: Minor, currency: Currency) -> String {
    format!("{}\u{a0}{currency}", grouped(&currency.format(amount))).replace('-', "\u{2212}")
}

/// Digits in threes, from five digits on, with a narrow blank that means the same in every country.
fn grouped(amount: &str) -> String {
    let (whole, decimals) = amount.split_at(amount.find('.').unwrap_or(amount.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    if digits.len() < 5 {
        return amount.to_owned();
    }
    let mut text = sign.to_owned();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text + decimals
}

/// An amount that is added to another.
fn added_money(amount: Minor, currency: Currency) -> String {
    let sign = if amount.get() > 0 { "+" } else { "" };
    format!("{sign}{}", money(amount, currency))
}

fn percent(share: BasisPoints) -> String {
    let (whole, rest) = (share.get().unsigned_abs() / 100, share.get().unsigned_abs() % 100);
    let sign = if share.get() < 0 { "\u{2212}" } else { "" };
    let decimals = format!(".{rest:02}");
    format!("{sign}{whole}{}\u{a0}%", decimals.trim_end_matches('0').trim_end_matches('.'))
}

/// A drawing of the piece in its proportions, in CSS pixels.
#[derive(Debug, PartialEq, Eq)]
struct Sketch {
    width: u32,
    height: u32,
}

/// The room there is for a drawing: on the narrowest phone there is some alongside it for the height.
const SKETCH_ROOM: (i64, i64) = (180, 130);

/// A side at the least, so that a strip is still seen as one, with room for the figure alongside it.
const SKETCH_LEAST: i64 = 12;

impl Sketch {
    fn new(width: Length, height: Length) -> Self {
        let (width, height) = (width.thousandths(), height.thousandths());
        let (room_across, room_down) = SKETCH_ROOM;
        // Which of both takes all of its room.
        let (across, down) = if width * room_down >= height * room_across {
            (room_across, height * room_across / width)
        } else {
            (width * room_down / height, room_down)
        };
        let side = |side: i64| u32::try_from(side.max(SKETCH_LEAST)).unwrap_or(0);
        Self { width: side(across), height: side(down) }
    }

    /// With what is alongside the piece.
    fn view_width(&self) -> u32 {
        self.width + 100
    }

    fn view_height(&self) -> u32 {
        self.height + 34
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_amounts_are_written_for_people() {
        let share = |basis_points| percent(BasisPoints::new(basis_points));
        assert_eq!(
            (share(1_500), share(725), share(-1_250)),
            ("15\u{a0}%".into(), "7.25\u{a0}%".into(), "−12.5\u{a0}%".into())
        );
        let euro: Currency = "EUR".parse().expect("a currency");
        let amount = |minor| added_money(Minor::new(minor), euro);
        assert_eq!(
            (amount(-123_456_789), amount(999_999)),
            ("−1\u{202f}234\u{202f}567.89\u{a0}EUR".into(), "+9999.99\u{a0}EUR".into())
        );
        assert_eq!((grouped("10000"), grouped("0.0001")), ("10\u{202f}000".to_owned(), "0.0001".to_owned()));
        assert_eq!(
            (amount(450), amount(0), amount(-5)),
            ("+4.50\u{a0}EUR".into(), "0.00\u{a0}EUR".into(), "−0.05\u{a0}EUR".into())
        );
    }

    #[test]
    fn a_drawing_has_the_proportions_of_the_piece_and_can_always_be_seen() {
        let sketch = |width, height| {
            let length = |thousandths| Length::from_thousandths(thousandths).expect("a length");
            let sketch = Sketch::new(length(width), length(height));
            (sketch.width, sketch.height)
        };
        assert_eq!(sketch(450_000, 350_000), (167, 130));
        assert_eq!(sketch(900_000, 300_000), (180, 60));
        assert_eq!(sketch(1, 100_000_000), (12, 130));
        assert_eq!(sketch(100_000_000, 1), (180, 12));
    }
}
