//! The price of a size with its options, and why it is what it is.

use super::decimal;
use super::ids::{ChoiceId, OptionGroupId};
use super::length::{Length, Unit};
use super::matrix::{Cell, LookupError, PriceMatrix};
use super::money::{Currency, Minor, TooLarge, WHOLE};
use super::name::Name;
use super::options::{Modifier, OptionGroup, RequiredGroups, Selection, SelectionFaults, select};
use crate::domain::text_enum::text_enum;
use serde_json::Number;

/// How many pieces: at least one, and no more than the store lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantity(u32);

/// The most pieces of a request unless the operator says otherwise.
pub const QUANTITY_MAX: u32 = 10_000;

/// The number is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to {max}")]
pub struct NotAQuantity {
    /// The most pieces.
    pub max: u32,
}

impl Quantity {
    /// One piece.
    pub const ONE: Self = Self(1);

    /// So many pieces, at most `max`.
    ///
    /// # Errors
    /// [`NotAQuantity`] when it is not a number or too many.
    pub fn new(pieces: u32, max: u32) -> Result<Self, NotAQuantity> {
        if (1..=max).contains(&pieces) { Ok(Self(pieces)) } else { Err(NotAQuantity { max }) }
    }

    /// Reads decimal digits.
    ///
    /// # Errors
    /// [`NotAQuantity`] for anything else.
    pub fn parse(text: &str, max: u32) -> Result<Self, NotAQuantity> {
        Self::from_whole(decimal::parse(text, 0).ok(), max)
    }

    /// Reads a whole JSON number.
    ///
    /// # Errors
    /// [`NotAQuantity`] for anything else.
    pub fn from_number(number: &Number, max: u32) -> Result<Self, NotAQuantity> {
        Self::from_whole(decimal::parse_number(number, 0).ok(), max)
    }

    /// How many pieces.
    pub fn get(self) -> u32 {
        self.0
    }

    fn from_whole(pieces: Option<i64>, max: u32) -> Result<Self, NotAQuantity> {
        let pieces = pieces.and_then(|pieces| u32::try_from(pieces).ok()).ok_or(NotAQuantity { max })?;
        Self::new(pieces, max)
    }
}

/// What is to be priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuoteRequest<'a> {
    /// The width.
    pub width: Length,
    /// The height.
    pub height: Length,
    /// How many of it.
    pub quantity: Quantity,
    /// The options picked.
    pub selections: &'a [Selection],
    /// Enforced for an order, reported for a price.
    pub required: RequiredGroups,
}

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// The selections are not allowed.
    #[error(transparent)]
    Selections(#[from] SelectionFaults),
    /// The size has no price.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// An amount is beyond [`Minor::MAX`].
    #[error("the price is too large")]
    TooLarge,
}

impl From<TooLarge> for QuoteError {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

/// What one choice did to the price. Names and ids are copied: a record of it must outlive its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedModifier {
    /// The group's id.
    pub option_group_id: OptionGroupId,
    /// The group's name.
    pub option_group: Name,
    /// The choice's id.
    pub choice_id: ChoiceId,
    /// The choice's label.
    pub choice: Name,
    /// What it does.
    pub modifier: Modifier,
    /// What it added to the price of one piece; less than nothing for a discount.
    pub applied: Minor,
}

/// A price with everything it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The width asked for.
    pub width: Length,
    /// The height asked for.
    pub height: Length,
    /// The cell that prices it; its price is the base price.
    pub cell: Cell,
    /// What each choice added, in the order of the request.
    pub modifiers: Vec<AppliedModifier>,
    /// One piece with its options, never below zero.
    pub unit_price: Minor,
    /// How many pieces.
    pub quantity: Quantity,
    /// All pieces.
    pub total: Minor,
    /// Required groups without a choice; empty when they were enforced.
    pub missing_required: Vec<OptionGroupId>,
}

/// Prices `request`.
///
/// The base price is the cell's; each choice adds its own amount of the base, rounded on its own, so their order does not matter;
/// the sum never falls below zero; and the total is that many pieces of it.
///
/// # Errors
/// Selections that are not allowed come before a size that has no price, as storefronts expect.
pub fn quote(matrix: &PriceMatrix, groups: &[OptionGroup], request: &QuoteRequest<'_>) -> Result<Quote, QuoteError> {
    let selected = select(groups, request.selections, request.required)?;
    let cell = matrix.find_cell(request.width, request.height)?;
    let modifiers: Vec<Modifier> = selected.choices.iter().map(|(_, choice)| choice.modifier).collect();
    let (unit_price, applied) = price_unit(cell.price, &modifiers)?;
    let modifiers = selected.choices.into_iter().zip(applied).map(|((group, choice), applied)| AppliedModifier {
        option_group_id: group.id,
        option_group: group.name.clone(),
        choice_id: choice.id,
        choice: choice.label.clone(),
        modifier: choice.modifier,
        applied,
    });
    Ok(Quote {
        width: request.width,
        height: request.height,
        cell,
        modifiers: modifiers.collect(),
        unit_price,
        quantity: request.quantity,
        total: Minor::from_wide(i128::from(unit_price.get()) * i128::from(request.quantity.get()))?,
        missing_required: selected.missing_required,
    })
}

/// The price of one piece that costs `base` before its options, and what each of them added.
///
/// # Errors
/// [`TooLarge`] when any of it is beyond [`Minor::MAX`].
pub fn price_unit(base: Minor, modifiers: &[Modifier]) -> Result<(Minor, Vec<Minor>), TooLarge> {
    let applied = modifiers.iter().map(|modifier| modifier.amount(base)).collect::<Result<Vec<Minor>, TooLarge>>()?;
    // Summed wide, so that no order of the same amounts overflows where another does not.
    let sum: i128 = applied.iter().map(|amount| i128::from(amount.get())).sum();
    let unit_price = Minor::from_wide((i128::from(base.get()) + sum).max(0))?;
    Ok((unit_price, applied))
}

text_enum! {
    /// What a step of an explanation is about.
    pub enum StepKind {
        /// Which width step was chosen.
        WidthBreakpoint = "widthBreakpoint",
        /// Which height step was chosen.
        HeightBreakpoint = "heightBreakpoint",
        /// The base price.
        Cell = "cell",
        /// What a choice adds, before rounding.
        Modifier = "modifier",
        /// What rounding adds to the modifier before it.
        Rounding = "rounding",
        /// What keeps the price from falling below zero.
        Floor = "floor",
        /// The other pieces.
        Quantity = "quantity",
    }
}

/// An amount in ten-thousandths of a minor unit: percentages are exact in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Exact(i128);

impl Exact {
    /// Ten-thousandths of a minor unit.
    pub fn get(self) -> i128 {
        self.0
    }

    /// Major units without decimals that say nothing: `4.4985`.
    pub fn format(self, currency: Currency) -> String {
        decimal::print_short(self.0, currency.exponent() + 4)
    }
}

impl From<Minor> for Exact {
    fn from(amount: Minor) -> Self {
        Self(i128::from(amount.get()) * WHOLE)
    }
}

/// One reason of a price. All steps' amounts add up to the total; those before the quantity to the price of one piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What it is about.
    pub kind: StepKind,
    /// A sentence for people, with the currency and the unit.
    pub text: String,
    /// What it adds.
    pub amount: Exact,
    /// The sum up to and with it.
    pub subtotal: Exact,
}

impl Quote {
    /// What one piece costs before its options.
    pub fn base_price(&self) -> Minor {
        self.cell.price
    }

    /// Why the price is what it is, step by step.
    pub fn explain(&self, currency: Currency, unit: Unit) -> Vec<Step> {
        let mut steps = Steps::default();
        let money = |amount: Minor| format!("{} {currency}", currency.format(amount));
        let (width, height) = (self.cell.width, self.cell.height);
        steps.push(StepKind::WidthBreakpoint, Exact(0), step_text("width", self.width, width, unit));
        steps.push(StepKind::HeightBreakpoint, Exact(0), step_text("height", self.height, height, unit));
        let text = format!("the price of {width} x {height} {unit} is {}", money(self.cell.price));
        steps.push(StepKind::Cell, self.cell.price.into(), text);
        for modifier in &self.modifiers {
            let (name, choice) = (&modifier.option_group, &modifier.choice);
            match modifier.modifier {
                Modifier::Fixed(amount) => {
                    steps.push(StepKind::Modifier, amount.into(), format!("{name}, {choice}: {}", money(amount)));
                }
                Modifier::Percentage(share) => {
                    let exact = Exact(share.of_exact(self.cell.price));
                    let percent = decimal::print_short(share.get().into(), 2);
                    let amount = exact.format(currency);
                    let text =
                        format!("{name}, {choice}: {percent} % of {} is {amount} {currency}", money(self.cell.price));
                    steps.push(StepKind::Modifier, exact, text);
                    let rounding = Exact(Exact::from(modifier.applied).0 - exact.0);
                    if rounding.0 != 0 {
                        // Said by the outcome: the rule is `domain/money.rs`'s alone.
                        let direction = if rounding.0 > 0 { "up" } else { "down" };
                        let text = format!("rounded {direction} to {}", money(modifier.applied));
                        steps.push(StepKind::Rounding, rounding, text);
                    }
                }
            }
        }
        let floor = Exact(Exact::from(self.unit_price).0 - steps.sum);
        if floor.0 != 0 {
            steps.push(StepKind::Floor, floor, format!("a price never falls below {}", money(Minor::ZERO)));
        }
        let rest = Exact(Exact::from(self.total).0 - steps.sum);
        let (pieces, each) = (self.quantity.get(), money(self.unit_price));
        steps.push(StepKind::Quantity, rest, format!("{pieces} x {each} is {}", money(self.total)));
        steps.list
    }
}

#[derive(Default)]
struct Steps {
    list: Vec<Step>,
    sum: i128,
}

impl Steps {
    fn push(&mut self, kind: StepKind, amount: Exact, text: String) {
        self.sum += amount.0;
        self.list.push(Step { kind, text, amount, subtotal: Exact(self.sum) });
    }
}

fn step_text(axis: &str, asked: Length, chosen: Length, unit: Unit) -> String {
    if asked == chosen {
        format!("{axis} {asked} {unit} is a step of the grid")
    } else if asked < chosen {
        format!("{axis} {asked} {unit} is rounded up to the step {chosen} {unit}")
    } else {
        format!("{axis} {asked} {unit} is above the grid, whose last step {chosen} {unit} counts")
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::{OutOfRange, SizeLimits};
    use super::super::money::BasisPoints;
    use super::super::options::{Choice, Requirement};
    use super::*;
    use serde_json::Value;
    use uuid::Uuid;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../data/price-vectors.json")).expect("JSON")
    }

    fn vectors_of(kind: &str) -> Vec<Value> {
        let all = vectors()["vectors"].as_array().cloned().expect("a list");
        let found: Vec<Value> = all.into_iter().filter(|vector| vector["kind"] == kind).collect();
        assert!(!found.is_empty(), "{kind}");
        found
    }

    fn length(value: &Value) -> Length {
        Length::from_number(value.as_number().expect("a number")).expect("a length")
    }

    fn minor(value: &Value) -> Minor {
        Minor::new(value.as_i64().expect("an integer"))
    }

    fn grid(outside: OutOfRange) -> PriceMatrix {
        let grid = &vectors()["grid"];
        let axis = |name: &str| -> Vec<Length> { grid[name].as_array().expect("a list").iter().map(length).collect() };
        let rows = grid["centsByHeightThenWidth"].as_array().expect("a list");
        let prices: Vec<Vec<Option<Minor>>> = rows
            .iter()
            .map(|row| row.as_array().expect("a list").iter().map(|cell| Some(minor(cell))).collect())
            .collect();
        PriceMatrix::new(&axis("widths"), &axis("heights"), &prices, outside, SizeLimits::default()).expect("valid")
    }

    fn modifiers(vector: &Value) -> Vec<Modifier> {
        let list = vector["modifiers"].as_array().expect("a list").iter();
        list.map(|modifier| {
            let kind = modifier["type"].as_str().expect("text");
            Modifier::from_parts(kind, modifier["value"].as_i64().expect("an integer")).expect("a modifier")
        })
        .collect()
    }

    /// A product with one group for each modifier, and selections that pick them all.
    fn product(modifiers: &[Modifier]) -> (Vec<OptionGroup>, Vec<Selection>) {
        let groups: Vec<OptionGroup> = modifiers
            .iter()
            .zip(1_u128..)
            .map(|(&modifier, number)| OptionGroup {
                id: Uuid::from_u128(number).into(),
                name: format!("group {number}").parse().expect("a name"),
                requirement: Requirement::Optional,
                choices: vec![Choice {
                    id: Uuid::from_u128(100 + number).into(),
                    label: "Glass: type".parse().expect("a name"),
                    modifier,
                    is_default: false,
                }],
            })
            .collect();
        let selections = groups.iter().map(|group| Selection {
            option_group_id: group.id.to_string(),
            choice_id: group.choices[0].id.to_string(),
        });
        let selections = selections.collect();
        (groups, selections)
    }

    fn request<'a>(width: Length, height: Length, quantity: u32, selections: &'a [Selection]) -> QuoteRequest<'a> {
        let quantity = Quantity::new(quantity, QUANTITY_MAX).expect("a quantity");
        QuoteRequest { width, height, quantity, selections, required: RequiredGroups::Enforced }
    }

    #[test]
    fn grid_vectors() {
        let matrix = grid(OutOfRange::Clamp);
        for vector in vectors_of("grid") {
            let cell = matrix.find_cell(length(&vector["width"]), length(&vector["height"])).expect("priced");
            let positions = (cell.width_position as u64, cell.height_position as u64);
            assert_eq!(
                (Some(positions.0), Some(positions.1)),
                (vector["wpos"].as_u64(), vector["hpos"].as_u64()),
                "{vector}"
            );
            assert_eq!(cell.price, minor(&vector["unitCents"]), "{vector}");
        }
    }

    #[test]
    fn modifier_vectors() {
        for vector in vectors_of("modifiers") {
            let (unit, applied) = price_unit(minor(&vector["baseCents"]), &modifiers(&vector)).expect("priced");
            let expected: Vec<Minor> = vector["appliedCents"].as_array().expect("a list").iter().map(minor).collect();
            assert_eq!((unit, applied), (minor(&vector["unitCents"]), expected), "{vector}");
        }
    }

    #[test]
    fn end_to_end_vectors() {
        let matrix = grid(OutOfRange::Clamp);
        for vector in vectors_of("endToEnd") {
            let (groups, selections) = product(&modifiers(&vector));
            let quantity = vector["quantity"].as_u64().and_then(|pieces| u32::try_from(pieces).ok()).expect("pieces");
            let request = request(length(&vector["width"]), length(&vector["height"]), quantity, &selections);
            let quote = quote(&matrix, &groups, &request).expect("priced");
            assert_eq!(quote.base_price(), minor(&vector["baseCents"]), "{vector}");
            assert_eq!(quote.unit_price, minor(&vector["unitCents"]), "{vector}");
            assert_eq!(quote.total, minor(&vector["totalCents"]), "{vector}");
        }
    }

    #[test]
    fn a_grid_that_rejects_prices_exactly_the_vectors_within_it() {
        let matrix = grid(OutOfRange::Reject);
        for vector in vectors_of("grid") {
            let outside = vector["why"].as_str().is_some_and(|why| why.contains("clamp"));
            let found = matrix.find_cell(length(&vector["width"]), length(&vector["height"]));
            assert_eq!(found.is_err(), outside, "{vector}");
        }
    }

    #[test]
    fn group_and_choice_stay_two_fields_whatever_they_are_called() {
        let (groups, selections) = product(&[Modifier::Fixed(Minor::new(1))]);
        let width = "300".parse().expect("a length");
        let quote = quote(&grid(OutOfRange::Reject), &groups, &request(width, width, 1, &selections)).expect("priced");
        assert_eq!(
            (quote.modifiers[0].option_group.as_str(), quote.modifiers[0].choice.as_str()),
            ("group 1", "Glass: type")
        );
    }

    #[test]
    fn amounts_beyond_the_largest_are_refused_not_wrapped() {
        let max = Modifier::Fixed(Minor::MAX);
        assert_eq!(price_unit(Minor::new(1), &[max]), Err(TooLarge));
        let discount = Modifier::Fixed(Minor::new(-2));
        assert_eq!(price_unit(Minor::new(1), &[max, discount]).map(|(unit, _)| unit.get()), Ok(Minor::MAX.get() - 1));
        assert_eq!(price_unit(Minor::new(1), &[discount, max]).map(|(unit, _)| unit.get()), Ok(Minor::MAX.get() - 1));
        let (groups, selections) = product(&[Modifier::Fixed(Minor::new(Minor::MAX.get() / 2))]);
        let width = "300".parse().expect("a length");
        let error = quote(&grid(OutOfRange::Reject), &groups, &request(width, width, 3, &selections));
        assert_eq!(error, Err(QuoteError::TooLarge));
    }

    #[test]
    fn an_explanation_reads_well_and_adds_up() {
        let modifiers = [Modifier::Percentage(BasisPoints::new(728)), Modifier::Fixed(Minor::new(-99_999))];
        let (groups, selections) = product(&modifiers);
        let (width, height) = ("450.5".parse().expect("a length"), "600".parse().expect("a length"));
        let quote = quote(&grid(OutOfRange::Reject), &groups, &request(width, height, 2, &selections)).expect("priced");
        let steps = quote.explain("KWD".parse().expect("a currency"), Unit::Cm);
        let texts: Vec<&str> = steps.iter().map(|step| step.text.as_str()).collect();
        let expected = [
            "width 450.5 cm is rounded up to the step 600 cm",
            "height 600 cm is a step of the grid",
            "the price of 600 x 600 cm is 4.500 KWD",
            "group 1, Glass: type: 7.28 % of 4.500 KWD is 0.3276 KWD",
            "rounded up to 0.328 KWD",
            "group 2, Glass: type: -99.999 KWD",
            "a price never falls below 0.000 KWD",
            "2 x 0.000 KWD is 0.000 KWD",
        ];
        assert_eq!(texts, expected);
        assert_eq!(steps.iter().map(|step| step.amount.get()).sum::<i128>(), 0);
        assert_eq!(steps.last().map(|step| step.subtotal), Some(Exact::from(quote.total)));
    }

    #[test]
    fn quantities_are_whole_and_bounded() {
        assert_eq!(Quantity::parse("3", QUANTITY_MAX).map(Quantity::get), Ok(3));
        for text in ["0", "-1", "1.5", "", "abc", "10001", "1e1", " 1", "99999999999999999999"] {
            assert_eq!(Quantity::parse(text, QUANTITY_MAX), Err(NotAQuantity { max: QUANTITY_MAX }), "{text:?}");
        }
        let number =
            |json: &str| Quantity::from_number(&json.parse().expect("a number"), QUANTITY_MAX).map(Quantity::get);
        assert_eq!((number("2"), number("2.0")), (Ok(2), Ok(2)));
        assert!(number("2.5").is_err() && number("0").is_err() && number("-3").is_err());
    }
}
