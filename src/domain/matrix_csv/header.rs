//! What a header says: which column is which, and what its sizes and prices are in. What it does not say clearly is a fault:
//! a width taken for a height, or centimetres for millimetres, would be sold at wrong prices and look right.

use super::records::Record;
use super::shown;
use crate::domain::length::Unit;
use crate::domain::money::Currency;

/// A column of the long form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Width,
    Height,
    Price,
}

impl Column {
    const ALL: [Self; 3] = [Self::Width, Self::Height, Self::Price];

    /// What a heading names, in the languages suppliers' lists come in.
    pub(super) fn of(heading: &str) -> Option<Self> {
        const WORDS: [(Column, &[&str]); 3] = [
            (Column::Width, &["width", "breite", "largeur", "ancho", "larghezza", "breedte"]),
            (Column::Height, &["height", "höhe", "hoehe", "hauteur", "alto", "altezza", "hoogte"]),
            (Column::Price, &["price", "preis", "prix", "precio", "prezzo", "prijs"]),
        ];
        let heading = heading.to_lowercase();
        WORDS.iter().find(|(_, words)| words.iter().any(|word| heading.contains(word))).map(|&(column, _)| column)
    }

    /// The same, or what a lone letter stands for beside its unit: `h`, `W (mm)`.
    fn of_short(heading: &str) -> Option<Self> {
        let letter = || {
            let first = words_of(heading).next()?;
            let alone = words_of(heading).skip(1).all(|word| UNITS.iter().any(|unit| unit.is_called(word)));
            match first.to_lowercase().as_str() {
                "w" | "b" if alone => Some(Self::Width),
                "h" if alone => Some(Self::Height),
                _ => None,
            }
        };
        Self::of(heading).or_else(letter)
    }
}

/// The place of width, height and price in a line, from its header. Two of them must be named; the third is what is left.
///
/// # Errors
/// A sentence that says what to write instead.
pub(super) fn column_order(header: &Record) -> Result<[usize; 3], String> {
    if header.len() != 3 {
        return Err("the header must have 3 columns: width, height, price".to_owned());
    }
    let named: Vec<Option<Column>> = header.fields_from(0).map(Column::of_short).collect();
    let fault = |what: &str| {
        let headings: Vec<String> = header.fields_from(0).map(shown).collect();
        let headings = headings.join(", ");
        Err(format!("the header {headings} {what}: write width, height and price, in the order of the columns"))
    };
    let count = |column| named.iter().filter(|name| **name == Some(column)).count();
    if Column::ALL.into_iter().any(|column| count(column) > 1) {
        return fault("names a column twice");
    }
    if named.iter().flatten().count() < 2 {
        return fault("does not say which column is which");
    }
    let place = |column| named.iter().position(|name| *name == Some(column));
    let left = named.iter().position(Option::is_none).unwrap_or_default();
    Ok(Column::ALL.map(|column| place(column).unwrap_or(left)))
}

/// Finds what the header of a list of sizes says its sizes or prices are in, where that is not what the store's are in.
///
/// # Errors
/// A sentence that says what to do.
pub(super) fn check_measures(header: &Record, order: [usize; 3], unit: Unit, currency: Currency) -> Result<(), String> {
    let [width, height, price] = order.map(|index| header.field(index).unwrap_or_default());
    check_unit(width, unit)?;
    check_unit(height, unit)?;
    check_currency(price, currency)
}

/// The same for the corner of a grid, which is about both.
///
/// # Errors
/// A sentence that says what to do.
pub(super) fn check_corner(corner: &str, unit: Unit, currency: Currency) -> Result<(), String> {
    check_unit(corner, unit)?;
    check_currency(corner, currency)
}

/// Whether a heading names a unit of length.
pub(super) fn names_unit(heading: &str) -> bool {
    units_in(heading).next().is_some()
}

fn check_unit(heading: &str, unit: Unit) -> Result<(), String> {
    match units_in(heading).find(|found| found.unit != Some(unit)) {
        Some(found) => Err(differs(heading, found.name, "sizes", unit.as_str())),
        None => Ok(()),
    }
}

fn check_currency(heading: &str, currency: Currency) -> Result<(), String> {
    let last = words_of(heading).last();
    // A code, in capitals wherever it stands; small letters could be any word, but not in brackets or at the end.
    let is_code = |word: &str| {
        let bracketed = ["(", "["].iter().any(|open| heading.contains(&format!("{open}{word}")));
        word.bytes().all(|byte| byte.is_ascii_uppercase()) || bracketed || Some(word) == last
    };
    let codes = words_of(heading).filter(|word| is_code(word)).filter_map(|word| word.to_uppercase().parse().ok());
    if let Some(found) = codes.into_iter().find(|found: &Currency| *found != currency) {
        return Err(differs(heading, found.code(), "prices", currency.code()));
    }
    let called = |sign: &&Sign| {
        heading.contains(sign.sign) || words_of(heading).any(|word| sign.words.contains(&word.to_lowercase().as_str()))
    };
    match SIGNS.iter().filter(called).find(|sign| !sign.codes.contains(&currency.code())) {
        Some(sign) => Err(differs(heading, &sign.sign.to_string(), "prices", currency.code())),
        None => Ok(()),
    }
}

fn differs(heading: &str, said: &str, what: &str, of_store: &str) -> String {
    let heading = shown(heading);
    format!(
        "the header {heading} says {said}, and the store's {what} are in {of_store}: convert them, or mend the header"
    )
}

/// A unit of length, whether a store can have it or not.
struct Named {
    name: &'static str,
    unit: Option<Unit>,
    words: &'static [&'static str],
}

impl Named {
    fn is_called(&self, word: &str) -> bool {
        self.words.contains(&word.to_lowercase().as_str())
    }
}

static UNITS: [&Named; 5] = [
    &Named {
        name: "mm",
        unit: Some(Unit::Mm),
        words: &["mm", "millimeter", "millimeters", "millimetre", "millimetres"],
    },
    &Named {
        name: "cm",
        unit: Some(Unit::Cm),
        words: &["cm", "centimeter", "centimeters", "centimetre", "centimetres", "zentimeter"],
    },
    &Named { name: "metres", unit: None, words: &["m", "meter", "meters", "metre", "metres", "mètres"] },
    &INCHES,
    &Named { name: "feet", unit: None, words: &["ft", "foot", "feet", "fuß"] },
];

static INCHES: Named = Named {
    name: "inches",
    unit: None,
    words: &["in", "inch", "inches", "zoll", "pouce", "pouces", "pulgada", "pulgadas", "pollici", "duim"],
};

/// What currencies are called beside their codes, and which go by that name.
struct Sign {
    sign: char,
    words: &'static [&'static str],
    codes: &'static [&'static str],
}

const SIGNS: [Sign; 4] = [
    Sign { sign: '€', words: &["euro", "euros"], codes: &["EUR"] },
    Sign { sign: '£', words: &[], codes: &["EGP", "FKP", "GBP", "GIP", "LBP", "SDG", "SHP", "SSP", "SYP"] },
    Sign { sign: '¥', words: &["yen"], codes: &["CNY", "JPY"] },
    Sign {
        sign: '$',
        words: &["dollar", "dollars"],
        codes: &[
            "ARS", "AUD", "BBD", "BMD", "BND", "BRL", "BSD", "BZD", "CAD", "CLP", "COP", "CUP", "CVE", "DOP", "FJD",
            "GYD", "HKD", "JMD", "KYD", "LRD", "MXN", "NAD", "NIO", "NZD", "SBD", "SGD", "SRD", "TOP", "TTD", "TWD",
            "USD", "UYU", "WST", "XCD", "ZWG", "ZWL",
        ],
    },
];

/// The units that a heading names. "in" is a unit only where nothing follows it, as in `width (in)`; in `width in mm` it is a word.
fn units_in(heading: &str) -> impl Iterator<Item = &'static Named> {
    let last = words_of(heading).last();
    let words = words_of(heading).filter(move |word| !word.eq_ignore_ascii_case("in") || Some(*word) == last);
    let marks = heading.contains(['"', '″']).then_some(&INCHES);
    words.filter_map(|word| UNITS.into_iter().find(|unit| unit.is_called(word))).chain(marks)
}

fn words_of(heading: &str) -> impl Iterator<Item = &str> {
    heading.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
}
