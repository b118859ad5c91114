//! What sizes and prices are in, where a list says it: units of length and the names of currencies.

use super::shown;
use super::words::words_of;
use crate::domain::decimal;
use crate::domain::length::{LENGTH_DECIMALS, Length, LengthError, Unit};
use crate::domain::money::Currency;
use crate::domain::text_enum::text_enum;

text_enum! {
    /// A unit of length that lists come in.
    pub enum ListUnit {
        /// Millimetres.
        Mm = "mm",
        /// Centimetres.
        Cm = "cm",
        /// Metres.
        M = "m",
        /// Inches, which no store has.
        Inches = "inches",
        /// Feet, which no store has.
        Feet = "feet",
    }
}

impl From<Unit> for ListUnit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Mm => Self::Mm,
            Unit::Cm => Self::Cm,
        }
    }
}

impl ListUnit {
    /// Whether sizes in it are sizes of a store too, for a whole number of times.
    pub(super) fn is_metric(self) -> bool {
        matches!(self, Self::Mm | Self::Cm | Self::M)
    }

    /// Reads `digits[.digits]` of this unit as a length of the store's, exactly.
    pub(super) fn length(self, text: &str, unit: Unit) -> Result<Length, LengthError> {
        let decimals = match (self, unit) {
            (Self::Mm, Unit::Cm) => LENGTH_DECIMALS - 1,
            (Self::Cm, Unit::Mm) => LENGTH_DECIMALS + 1,
            (Self::M, Unit::Cm) => LENGTH_DECIMALS + 2,
            (Self::M, Unit::Mm) => LENGTH_DECIMALS + 3,
            _ => return text.parse(),
        };
        let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
        match decimal::parse(text, decimals) {
            Ok(thousandths) => Length::from_thousandths(thousandths),
            Err(decimal::DecimalFault::Negative) => Err(LengthError::NotPositive),
            Err(decimal::DecimalFault::TooLarge) => Err(LengthError::TooLong),
            Err(fault) => Err(fault.into()),
        }
    }

    /// The unit that a word or a mark is.
    pub(super) fn of(word: &str) -> Option<Self> {
        let word = word.to_lowercase();
        let found = UNITS.iter().find(|(_, words)| words.contains(&word.as_str()));
        found.map(|&(unit, _)| unit).or_else(|| {
            (!word.is_empty() && word.chars().all(|mark| INCH_MARKS.contains(&mark))).then_some(Self::Inches)
        })
    }

    /// The units that a heading names. "in" is a unit only where nothing follows it, as in `width (in)`; in `width in mm` it is a word.
    pub(super) fn all_in(heading: &str) -> impl Iterator<Item = Self> {
        let last = words_of(heading).last();
        let words = words_of(heading).filter(move |word| !word.eq_ignore_ascii_case("in") || Some(*word) == last);
        let marks = has_inch_mark(heading).then_some(Self::Inches);
        words.filter_map(Self::of).chain(marks)
    }
}

/// Whether a mark of inches is in a heading: not within a word, where it is what an encoding has made of a letter, and not as a
/// quotation mark around words.
fn has_inch_mark(heading: &str) -> bool {
    let mut before = ' ';
    let mut letters = heading.chars().peekable();
    while let Some(letter) = letters.next() {
        let next_is_letter = letters.peek().is_some_and(|next| next.is_alphabetic());
        let is_mark = match letter {
            '"' | '″' => !(before.is_alphabetic() && next_is_letter),
            '”' | '“' | '‟' => !before.is_alphabetic() && !next_is_letter,
            _ => false,
        };
        if is_mark {
            return true;
        }
        before = letter;
    }
    false
}

/// Quotation marks that mean inches.
const INCH_MARKS: [char; 5] = ['"', '″', '”', '“', '‟'];

const UNITS: [(ListUnit, &[&str]); 5] = [
    (
        ListUnit::Mm,
        &[
            "mm",
            "millimeter",
            "millimeters",
            "millimetre",
            "millimetres",
            "millimètre",
            "millimètres",
            "milímetros",
            "millimetri",
        ],
    ),
    (
        ListUnit::Cm,
        &[
            "cm",
            "centimeter",
            "centimeters",
            "centimetre",
            "centimetres",
            "centimètre",
            "centimètres",
            "centímetros",
            "centimetri",
            "zentimeter",
        ],
    ),
    (ListUnit::M, &["m", "meter", "meters", "metre", "metres", "mètre", "mètres", "metros", "metri"]),
    (
        ListUnit::Inches,
        &["in", "inch", "inches", "zoll", "pouce", "pouces", "pulgada", "pulgadas", "pollici", "duim", "''", "′′"],
    ),
    (ListUnit::Feet, &["ft", "foot", "feet", "fuß", "pied", "pieds", "pies", "piedi", "voet", "'", "′"]),
];

/// What currencies are called alongside their codes, and which go by that name.
struct Named {
    names: &'static [&'static str],
    codes: &'static [&'static str],
}

const NAMED: [Named; 22] = [
    // The sign in Latin-9, on a Macintosh and in DOS, read as Windows-1252, and in UTF-8 that was encoded twice.
    Named { names: &["€", "euro", "euros", "¤", "û", "õ", "â‚¬"], codes: &["EUR"] },
    Named { names: &["£", "œ", "â£"], codes: &["EGP", "FKP", "GBP", "GIP", "LBP", "SDG", "SHP", "SSP", "SYP"] },
    Named { names: &["¥", "￥", "yen"], codes: &["CNY", "JPY"] },
    Named { names: &["us$"], codes: &["USD"] },
    Named { names: &["a$", "au$"], codes: &["AUD"] },
    Named { names: &["c$", "ca$", "can$"], codes: &["CAD"] },
    Named { names: &["nz$"], codes: &["NZD"] },
    Named { names: &["hk$"], codes: &["HKD"] },
    Named { names: &["s$", "sg$"], codes: &["SGD"] },
    Named { names: &["r$"], codes: &["BRL"] },
    Named {
        names: &["$", "dollar", "dollars"],
        codes: &[
            "ARS", "AUD", "BBD", "BMD", "BND", "BRL", "BSD", "BZD", "CAD", "CLP", "COP", "CUP", "CVE", "DOP", "FJD",
            "GYD", "HKD", "JMD", "KYD", "LRD", "MXN", "NAD", "NIO", "NZD", "SBD", "SGD", "SRD", "TOP", "TTD", "TWD",
            "USD", "UYU", "WST", "XCD", "ZWG", "ZWL",
        ],
    },
    Named { names: &["sfr", "fr", "franken"], codes: &["CHF"] },
    Named { names: &["kr"], codes: &["DKK", "ISK", "NOK", "SEK"] },
    Named { names: &["zł", "zl"], codes: &["PLN"] },
    Named { names: &["kč", "kc"], codes: &["CZK"] },
    Named { names: &["ft"], codes: &["HUF"] },
    Named { names: &["₹"], codes: &["INR"] },
    Named { names: &["₺"], codes: &["TRY"] },
    Named { names: &["₽"], codes: &["RUB"] },
    Named { names: &["₩"], codes: &["KRW"] },
    Named { names: &["₪"], codes: &["ILS"] },
    Named { names: &["฿"], codes: &["THB"] },
];

/// Names that are recognised in a heading wherever they are; the others are also parts of words there.
const SIGNS: [char; 11] = ['€', '£', '¥', '￥', '$', '₹', '₺', '₽', '₩', '₪', '฿'];

/// Whether what is alongside a price is a name of a currency, and of this one: `None` where it is not a currency's name.
pub(super) fn names(mark: &str, currency: Currency) -> Option<bool> {
    let mark = mark.trim().trim_end_matches('.').to_lowercase();
    if let Ok(code) = mark.to_uppercase().parse::<Currency>() {
        return Some(code == currency);
    }
    let mut found = NAMED.iter().filter(|named| named.names.contains(&mark.as_str())).peekable();
    found.peek()?;
    Some(found.any(|named| named.codes.contains(&currency.code())))
}

/// Checks if a heading says that its prices are in another currency.
///
/// # Errors
/// A sentence that says what to do.
pub(super) fn check_currency(heading: &str, currency: Currency) -> Result<(), String> {
    let last = words_of(heading).last();
    // A code, in capitals wherever it is; small letters could be any word, but not in brackets or at the end.
    let is_code = |word: &str| {
        let bracketed = ["(", "["].iter().any(|open| heading.contains(&format!("{open}{word}")));
        word.bytes().all(|byte| byte.is_ascii_uppercase()) || bracketed || Some(word) == last
    };
    let codes = words_of(heading).filter(|word| is_code(word)).filter_map(|word| word.to_uppercase().parse().ok());
    if let Some(found) = codes.into_iter().find(|found: &Currency| *found != currency) {
        return Err(differs(heading, found.code(), currency));
    }
    check_signs(heading, currency)
}

/// The same for a line above the list, whose words in capitals may be anything: only codes and signs that people write alongside
/// prices.
pub(super) fn check_title(title: &str, currency: Currency) -> Result<(), String> {
    const CODES: [&str; 15] =
        ["EUR", "USD", "GBP", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "JPY", "BRL"];
    let codes: Vec<&str> = words_of(title).filter(|word| CODES.contains(word)).collect();
    // A list may say what it costs elsewhere as well, as long as it names the store's currency too.
    if codes.contains(&currency.code()) {
        return Ok(());
    }
    match codes.first() {
        Some(code) => Err(differs(title, code, currency)),
        None => check_signs(title, currency),
    }
}

fn check_signs(heading: &str, currency: Currency) -> Result<(), String> {
    let is_own = |mark: &str| names(mark, currency) != Some(false);
    let signs = heading.split_whitespace().flat_map(|word| {
        let word = word.trim_matches(|letter: char| "()[]/,;:.".contains(letter));
        // `A$` says more than its sign, and a sign may have become a lone letter.
        let is_name = names(word, currency).is_some() && (!word.is_ascii() || word.contains('$'));
        let sign = word.chars().find(|letter| SIGNS.contains(letter)).map(String::from);
        if is_name { Some(word.to_owned()) } else { sign }
    });
    if let Some(sign) = signs.into_iter().find(|sign| !is_own(sign)) {
        return Err(differs(heading, &sign, currency));
    }
    const WORDS: [&str; 5] = ["euro", "euros", "yen", "dollar", "dollars"];
    let word = words_of(heading).find(|word| WORDS.contains(&word.to_lowercase().as_str()) && !is_own(word));
    match word {
        Some(word) => Err(differs(heading, word, currency)),
        None => Ok(()),
    }
}

fn differs(heading: &str, said: &str, currency: Currency) -> String {
    let heading = shown(heading);
    let code = currency.code();
    format!("the header {heading} says {said}, and the store's prices are in {code}: convert them, or fix the header")
}
