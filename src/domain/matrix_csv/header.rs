//! What the header of a list of sizes says: which column is which, and what its sizes and prices are in. What it does not say
//! clearly is a fault: a width taken for a height, or centimetres for millimetres, would be sold at wrong prices and look right.

use super::measures::{self, ListUnit};
use super::records::Record;
use super::shown;
use super::words::{self, Column};
use crate::domain::length::Unit;
use crate::domain::money::Currency;

/// Where width, height and price are in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order(pub(super) [usize; 3]);

impl Order {
    /// As most lists have it, and lists without a header must.
    pub(super) const USUAL: Self = Self([0, 1, 2]);
}

/// The column that a heading names.
pub(super) fn column(heading: &str) -> Option<Column> {
    Column::of_short(heading, |word| ListUnit::of(word).is_some())
}

/// How many columns it names.
pub(super) fn columns_named(header: &Record) -> usize {
    let named: Vec<Column> = header.fields_from(0).filter_map(column).collect();
    Column::ALL.iter().filter(|column| named.contains(column)).count()
}

/// The place of width, height and price in a line, from its header. Two of them must be named; the third is what is left, where it
/// can be that.
///
/// # Errors
/// A sentence that says what to write instead.
pub(super) fn column_order(header: &Record) -> Result<Order, String> {
    let headings: Vec<(usize, &str)> = header.fields_from(0).enumerate().filter(|(_, text)| !text.is_empty()).collect();
    let mut named: Vec<(usize, Option<Column>)> = headings.iter().map(|&(index, text)| (index, column(text))).collect();
    name_the_rest(&headings, &mut named);
    let fault = |what: &str| {
        let headings: Vec<String> = headings.iter().map(|(_, text)| shown(text)).collect();
        let headings = headings.join(", ");
        Err(format!("the header {headings} {what}: write width, height and price, in the order of the columns"))
    };
    if headings.len() < 3 {
        return Err("the header must have 3 columns: width, height, price".to_owned());
    }
    let places = |wanted| named.iter().filter(move |(_, name)| *name == Some(wanted)).map(|&(index, _)| index);
    if Column::ALL.into_iter().any(|column| places(column).count() > 1) {
        return fault("names a column twice");
    }
    let missing: Vec<Column> = Column::ALL.into_iter().filter(|&column| places(column).next().is_none()).collect();
    let mut left = headings.iter().zip(&named).filter(|(_, (_, name))| name.is_none()).map(|(heading, _)| *heading);
    let stranger = |text: &str| {
        Err(format!(
            "the column {} is neither width, height nor price: leave it out, or make a list for each of its values",
            shown(text)
        ))
    };
    match (missing[..].first(), missing.len(), left.next(), left.next()) {
        (None, _, None, _) => {}
        (None, _, Some((_, text)), _) => return stranger(text),
        (Some(&column), 1, Some((index, text)), None) => {
            let is_last = headings.last().is_some_and(|&(last, _)| last == index);
            let can_be = match column {
                // What is behind two sizes is their price, whatever it is called, unless it is one more size.
                Column::Price => is_last && !names_unit(text) && !words::is_no_price(text),
                Column::Width | Column::Height => false,
            };
            if !can_be {
                return stranger(text);
            }
            return Ok(Order(Column::ALL.map(|column| places(column).next().unwrap_or(index))));
        }
        (Some(_), 1, Some((_, text)), Some(_)) => return stranger(text),
        _ => return fault("does not say which column is which"),
    }
    Ok(Order(Column::ALL.map(|column| places(column).next().unwrap_or_default())))
}

/// Gives columns that are called otherwise the only name that they can have: `EK` is a price, and alongside a width a length is
/// the height.
fn name_the_rest(headings: &[(usize, &str)], named: &mut [(usize, Option<Column>)]) {
    for column in Column::ALL {
        let is_named = |wanted| named.iter().any(|(_, name)| *name == Some(wanted));
        let can_be: fn(&str) -> bool = match column {
            Column::Price => |text| words::is_amount(text) || is_priced(text),
            Column::Width if is_named(Column::Height) => words::is_other_size,
            Column::Height if is_named(Column::Width) => words::is_other_size,
            Column::Width | Column::Height => continue,
        };
        if is_named(column) {
            continue;
        }
        let mut found = (0..named.len()).filter(|&index| named[index].1.is_none() && can_be(headings[index].1));
        if let (Some(index), None) = (found.next(), found.next()) {
            named[index].1 = Some(column);
        }
    }
}

/// What a list of sizes has its widths and heights in, by its header and the line of `units` below it, if there is one.
///
/// # Errors
/// A sentence that says what to do, also where its prices are in another currency than the store's.
pub(super) fn measures_of(
    header: &Record,
    units: Option<&Record>,
    order: Order,
    above: Option<ListUnit>,
    unit: Unit,
    currency: Currency,
) -> Result<[ListUnit; 2], String> {
    let of_line = |line: Option<&Record>| {
        order.0.map(|index| line.and_then(|line| line.field(index)).unwrap_or_default().to_owned())
    };
    let (mut headings, units) = (of_line(Some(header)), of_line(units));
    for (heading, unit) in headings.iter_mut().zip(units).filter(|(_, unit)| !unit.is_empty()) {
        heading.push(' ');
        heading.push_str(&unit);
    }
    let [width, height, price] = headings.each_ref().map(String::as_str);
    measures::check_currency(price, currency)?;
    let own = ListUnit::from(unit);
    match (unit_of(width, unit)?, unit_of(height, unit)?) {
        (Some(said), Some(height)) if above.is_some_and(|above| above != said && above != height) => {
            Err(disagrees(width, said, above.unwrap_or(own)))
        }
        (Some(width), Some(height)) => Ok([width, height]),
        (None, None) => Ok([above.unwrap_or(own); 2]),
        (Some(said), None) | (None, Some(said)) if said == above.unwrap_or(own) => Ok([said; 2]),
        (Some(said), None) => Err(half_said(width, said, height)),
        (None, Some(said)) => Err(half_said(height, said, width)),
    }
}

/// Whether a line below a header says nothing but what its columns are in.
pub(super) fn is_units(record: &Record) -> bool {
    let mut fields = record.fields_from(0).filter(|field| !field.is_empty());
    fields.all(|field| {
        let bare = field.trim_matches(['(', ')', '[', ']']);
        ListUnit::of(bare).is_some() || measures::names(bare, Currency::USD).is_some()
    })
}

/// The unit that a heading names.
///
/// # Errors
/// A sentence that says what to do, where it names two, or one that has no exact counterpart.
pub(super) fn unit_of(heading: &str, unit: Unit) -> Result<Option<ListUnit>, String> {
    let mut found = ListUnit::all_in(heading);
    let Some(first) = found.next() else { return Ok(None) };
    let heading = shown(heading);
    if !first.is_metric() {
        return Err(format!(
            "the header {heading} says {first}, and the store's sizes are in {unit}: convert them, or fix the header"
        ));
    }
    // A price by the metre is no size in metres.
    if first == ListUnit::M && (Column::of(&heading) == Some(Column::Price) || is_priced(&heading)) {
        return Err(format!(
            "the header {heading} could say that sizes or prices are by the metre: write (m) after the size"
        ));
    }
    match found.find(|other| *other != first) {
        Some(other) => Err(format!("the header {heading} says {first} and {other}: name one unit of length")),
        None => Ok(Some(first)),
    }
}

/// Whether a heading names a unit of length.
pub(super) fn names_unit(heading: &str) -> bool {
    ListUnit::all_in(heading).next().is_some()
}

/// That a line above a list says one unit, and its header another.
pub(super) fn disagrees(heading: &str, said: ListUnit, above: ListUnit) -> String {
    format!("the header {} says {said}, and a line above it says {above}: leave out the wrong one", shown(heading))
}

fn half_said(heading: &str, said: ListUnit, other: &str) -> String {
    format!(
        "the header {} says {said}, and {} does not say what it is in: write the unit of both",
        shown(heading),
        shown(other)
    )
}

/// Whether a heading names a currency.
pub(super) fn is_priced(heading: &str) -> bool {
    heading
        .split(|letter: char| letter.is_whitespace() || "()[]/\"".contains(letter))
        .any(|word| measures::names(word, Currency::USD).is_some())
}
