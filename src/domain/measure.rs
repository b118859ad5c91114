//! Sizes in the unit that they are given in, and the way to the store's: exact as given, rounded once.

use super::decimal::{self, DecimalFault};
use super::length::{Length, LengthError, Unit};
use serde_json::Number;
use std::fmt;
use std::str::FromStr;

/// Decimals of a size in another unit than its store's: `1/64` of an inch has six, and so has a thousandth of a millimetre in metres.
const DECIMALS: u32 = 6;

/// A unit in which shoppers measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputUnit {
    /// Millimetres.
    Mm,
    /// Centimetres.
    Cm,
    /// Metres.
    M,
    /// Inches.
    In,
}

/// The text names no such unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be mm, cm, m or in")]
pub struct UnknownInputUnit;

impl InputUnit {
    /// `mm`, `cm`, `m` or `in`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mm => "mm",
            Self::Cm => "cm",
            Self::M => "m",
            Self::In => "in",
        }
    }

    fn micrometres(self) -> i128 {
        match self {
            Self::Mm => 1_000,
            Self::Cm => 10_000,
            Self::M => 1_000_000,
            Self::In => 25_400,
        }
    }

    /// Reads `digits[.digits]` with at most six decimals.
    ///
    /// # Errors
    /// A [`LengthError`] where that is not a length.
    pub fn read(self, text: &str) -> Result<Measure, LengthError> {
        self.measure(decimal::parse(text, DECIMALS))
    }

    /// Reads a JSON number with at most six decimals.
    ///
    /// # Errors
    /// A [`LengthError`] where that is not a length.
    pub fn read_number(self, number: &Number) -> Result<Measure, LengthError> {
        self.measure(decimal::parse_number(number, DECIMALS))
    }

    /// A length of a store, as near as six decimals come: converted back, it is that length again.
    pub fn of(self, length: Length, unit: Unit) -> Measure {
        let micrometres = i128::from(length.thousandths()) * Self::from(unit).micrometres();
        let millionths = rounded(micrometres * 1_000, self.micrometres());
        Measure { millionths: i64::try_from(millionths).unwrap_or(i64::MAX), unit: self }
    }

    fn measure(self, read: Result<i64, DecimalFault>) -> Result<Measure, LengthError> {
        match read {
            Ok(1..) => Ok(Measure { millionths: read.unwrap_or_default(), unit: self }),
            Ok(_) | Err(DecimalFault::Negative) => Err(LengthError::NotPositive),
            Err(DecimalFault::TooLarge) => Err(LengthError::TooLong),
            Err(fault) => Err(fault.into()),
        }
    }
}

impl From<Unit> for InputUnit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Mm => Self::Mm,
            Unit::Cm => Self::Cm,
        }
    }
}

impl FromStr for InputUnit {
    type Err = UnknownInputUnit;

    fn from_str(text: &str) -> Result<Self, UnknownInputUnit> {
        match text {
            "mm" => Ok(Self::Mm),
            "cm" => Ok(Self::Cm),
            "m" => Ok(Self::M),
            "in" => Ok(Self::In),
            _ => Err(UnknownInputUnit),
        }
    }
}

impl fmt::Display for InputUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A side of a piece as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measure {
    millionths: i64,
    unit: InputUnit,
}

impl Measure {
    /// The same in whole thousandths of a store's unit, rounded to the nearest (half away from nothing).
    ///
    /// # Errors
    /// Where nothing is left of it, or it is too long.
    pub fn to_length(self, unit: Unit) -> Result<Length, LengthError> {
        let nanometres = i128::from(self.millionths) * self.unit.micrometres();
        let thousandths = rounded(nanometres, InputUnit::from(unit).micrometres() * 1_000);
        Length::from_thousandths(i64::try_from(thousandths).map_err(|_too_long| LengthError::TooLong)?)
    }

    /// The JSON number: `47.375`.
    pub fn to_number(self) -> Number {
        decimal::to_number(self.millionths, DECIMALS)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::print_short(self.millionths.into(), DECIMALS))
    }
}

fn rounded(dividend: i128, divisor: i128) -> i128 {
    (dividend + divisor / 2) / divisor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousandths(text: &str, given: InputUnit, unit: Unit) -> i64 {
        given.read(text).expect("a measure").to_length(unit).expect("a length").thousandths()
    }

    #[test]
    fn sizes_of_any_unit_become_thousandths_of_the_stores_rounded_once() {
        assert_eq!(thousandths("47.375", InputUnit::In, Unit::Mm), 1_203_325);
        assert_eq!(thousandths("47.015625", InputUnit::In, Unit::Mm), 1_194_197);
        assert_eq!(thousandths("1.2", InputUnit::M, Unit::Mm), 1_200_000);
        assert_eq!(thousandths("45.5", InputUnit::Cm, Unit::Mm), 455_000);
        assert_eq!(thousandths("455", InputUnit::Mm, Unit::Cm), 45_500);
        assert_eq!(thousandths("450.0005", InputUnit::Mm, Unit::Mm), 450_001);
        assert_eq!(thousandths("450.000499", InputUnit::Mm, Unit::Mm), 450_000);
    }

    #[test]
    fn what_is_not_a_length_is_refused() {
        assert_eq!(InputUnit::In.read("0"), Err(LengthError::NotPositive));
        assert_eq!(InputUnit::In.read("-1"), Err(LengthError::NotPositive));
        let tiny = InputUnit::Mm.read("0.000001").expect("a measure");
        assert_eq!(tiny.to_length(Unit::Mm), Err(LengthError::NotPositive));
        assert_eq!(InputUnit::M.read("101").expect("a measure").to_length(Unit::Mm), Err(LengthError::TooLong));
        let most = InputUnit::M.read("9223372036854").expect("a measure");
        assert_eq!(most.to_length(Unit::Mm), Err(LengthError::TooLong));
        assert!(matches!(InputUnit::M.read("1,2"), Err(LengthError::Decimal(_))));
        assert!(matches!(InputUnit::M.read("1.2345678"), Err(LengthError::Decimal(_))));
    }

    #[test]
    fn a_length_in_another_unit_and_back_is_the_same_length() {
        for thousandths in [1, 2, 3, 12_345, 299_999, 300_000, 300_001, 900_000, 99_999_999, 100_000_000] {
            let length = Length::from_thousandths(thousandths).expect("a length");
            for unit in [Unit::Mm, Unit::Cm] {
                for given in [InputUnit::Mm, InputUnit::Cm, InputUnit::M, InputUnit::In] {
                    let measure = given.of(length, unit);
                    assert_eq!(measure.to_length(unit), Ok(length), "{measure} {given}");
                }
            }
        }
        assert_eq!(
            InputUnit::In.of(Length::from_thousandths(900_000).expect("a length"), Unit::Mm).to_string(),
            "35.433071"
        );
    }
}
