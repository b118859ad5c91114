//! An order in the words and figures of its page. Everything but the word about taxes comes from the order's own snapshot.

use crate::domain::ids::ShopDomain;
use crate::domain::length::{Length, Unit};
use crate::domain::money::{Currency, Minor};
use crate::domain::options::Modifier;
use crate::domain::tax_label::TaxLabel;
use crate::languages::pages::QuoteTexts;
use crate::languages::{Figures, Language, fill};
use crate::orders::lines::Line;
use crate::orders::records::Record;
use crate::orders::snapshot::SelectedOption;
use askama::Template;

#[derive(Template)]
#[template(path = "quote.html", config = "src/http/pages/askama.toml")]
pub(super) struct QuotePage<'a> {
    language: Language,
    text: &'static QuoteTexts,
    name: String,
    shop: &'a str,
    /// What the page is called: the only item, or how many there are.
    title: String,
    items: Vec<Item<'a>>,
    /// The sum of several items.
    sum: Option<String>,
    /// Whether what it comes to is with taxes or without, in the words of the element, where the shop says so.
    tax: Option<&'static str>,
    checkout_url: Option<&'a str>,
    /// When it was quoted, and by what.
    quoted: String,
}

/// An item with its drawing and what its price is made up of.
struct Item<'a> {
    /// Its place, where there are several.
    number: Option<usize>,
    title: &'a str,
    label: Option<&'a str>,
    size: String,
    /// As what it is priced, where that is not the size itself.
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

/// How amounts of one currency are written.
#[derive(Debug, Clone, Copy)]
struct Money {
    figures: &'static Figures,
    currency: Currency,
}

impl<'a> QuotePage<'a> {
    pub(super) fn new(record: &'a Record, shop: &'a ShopDomain, tax_label: TaxLabel, language: Language) -> Self {
        let texts = language.texts();
        let (text, figures) = (&texts.pages.quote, &texts.figures);
        let money = Money { figures, currency: record.currency };
        let several = record.lines.len() > 1;
        let items = record.lines.iter().enumerate();
        let items = items.map(|(place, line)| Item::new(line, several.then_some(place + 1), record.unit, text, money));
        let date = figures.moment(record.created_at);
        let (title, quoted) = match record.lines.as_slice() {
            [only] => {
                let quoted = fill(&text.quoted, &[("date", &date), ("list", &only.matrix_name)]);
                (only.product_title.clone(), quoted)
            }
            lines => {
                let title = fill(&text.items, &[("count", &lines.len().to_string())]);
                (title, fill(&text.quoted_items, &[("date", &date)]))
            }
        };
        Self {
            language,
            text,
            name: record.name(),
            shop: shop.as_str(),
            title,
            items: items.collect(),
            sum: several.then(|| money.amount(record.total_price)),
            tax: match tax_label {
                TaxLabel::Incl => texts.element("taxIncluded"),
                TaxLabel::Excl => texts.element("taxExcluded"),
                TaxLabel::None => None,
            },
            checkout_url: record.checkout_url.as_deref(),
            quoted,
        }
    }

    fn title(&self) -> String {
        fill(&self.text.title, &[("name", &self.name), ("title", &self.title)])
    }

    fn heading(&self) -> String {
        fill(&self.text.heading, &[("name", &self.name), ("shop", self.shop)])
    }

    /// What is before and after the link to the shop.
    fn ask(&self) -> (String, String) {
        let (before, after) = self.text.ask.split_once("{shop}").unwrap_or((&self.text.ask, ""));
        let named = |part| fill(part, &[("name", &self.name)]);
        (named(before), named(after))
    }
}

impl<'a> Item<'a> {
    fn new(line: &'a Line, number: Option<usize>, unit: Unit, text: &QuoteTexts, money: Money) -> Self {
        let figures = money.figures;
        let length = |length: Length| figures.plain(&length.to_string());
        let size = |width: Length, height: Length| format!("{} × {}\u{a0}{unit}", length(width), length(height));
        let options = line.selections.iter().map(|option| OptionLine::new(option, money));
        let added: i64 = line.selections.iter().map(|option| option.applied_minor).sum();
        let floor = line.unit_price.get() - (line.base_price.get() + added);
        let step = || fill(&text.priced_as, &[("size", &size(line.priced_width, line.priced_height))]);
        Self {
            number,
            title: &line.product_title,
            label: line.label.as_deref(),
            size: size(line.width, line.height),
            step: (!line.is_priced_as_asked()).then(step),
            sketch: Sketch::new(line.width, line.height),
            width: length(line.width),
            height: length(line.height),
            base: money.amount(line.base_price),
            options: options.collect(),
            floor: (floor != 0).then(|| money.added(Minor::new(floor))),
            unit_price: money.amount(line.unit_price),
            quantity: figures.grouped(&line.quantity.to_string()),
            total: money.amount(line.total_price),
            matrix: &line.matrix_name,
        }
    }

    fn made_to_measure(&self, text: &QuoteTexts) -> String {
        fill(&text.size_made_to_measure, &[("size", &self.size)])
    }

    fn by_price_list(&self, text: &QuoteTexts) -> String {
        fill(&text.by_price_list, &[("list", self.matrix)])
    }

    fn share(&self, share: &str, text: &QuoteTexts) -> String {
        fill(&text.share_of, &[("share", share), ("amount", &self.base)])
    }
}

impl<'a> OptionLine<'a> {
    fn new(option: &'a SelectedOption, money: Money) -> Self {
        let share = option.modifier().and_then(|modifier| match modifier {
            Modifier::Percentage(share) => Some(money.figures.percent(&share.format_percent())),
            Modifier::Fixed(_) => None,
        });
        Self {
            group: &option.option_group_name,
            choice: &option.choice_label,
            share,
            amount: money.added(option.applied()),
        }
    }
}

impl Money {
    fn amount(self, amount: Minor) -> String {
        self.figures.money(&self.currency.format(amount), self.currency.code())
    }

    /// An amount that is added to another.
    fn added(self, amount: Minor) -> String {
        self.figures.added_money(&self.currency.format(amount), self.currency.code())
    }
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
