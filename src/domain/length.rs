//! Lengths in whole thousandths of the store's unit, so that "equal to a breakpoint" is exact.

use super::decimal::{self, DecimalFault};
use crate::domain::text_enum::text_enum;
use serde_json::Number;
use std::fmt;
use std::str::FromStr;

/// A width or height: more than nothing, at most [`Length::MAX`], in thousandths of the store's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Length(i64);

/// Decimals of the store's unit that a length keeps.
pub const LENGTH_DECIMALS: u32 = 3;

/// Why a number is no length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LengthError {
    /// It is no plain decimal number, or has too many decimals.
    #[error(transparent)]
    Decimal(#[from] DecimalFault),
    /// Zero or less.
    #[error("must be more than 0")]
    NotPositive,
    /// Beyond [`Length::MAX`].
    #[error("must be at most {}", Length::MAX)]
    TooLong,
}

impl Length {
    /// The shortest: a thousandth of the store's unit.
    pub const MIN: Self = Self(1);

    /// The longest: 100 000 of the store's unit.
    pub const MAX: Self = Self(100_000_000);

    /// One of the store's unit.
    pub const ONE: Self = Self(1_000);

    /// A length of so many thousandths.
    ///
    /// # Errors
    /// When it is not more than nothing, or beyond [`Length::MAX`].
    pub fn from_thousandths(thousandths: i64) -> Result<Self, LengthError> {
        match thousandths {
            ..=0 => Err(LengthError::NotPositive),
            1.. if thousandths > Self::MAX.0 => Err(LengthError::TooLong),
            _ => Ok(Self(thousandths)),
        }
    }

    /// The next longer one; `None` after the longest.
    pub fn next(self) -> Option<Self> {
        Self::from_thousandths(self.0 + 1).ok()
    }

    /// How many thousandths of the store's unit.
    pub const fn thousandths(self) -> i64 {
        self.0
    }

    /// Reads a JSON number with at most three decimals.
    ///
    /// # Errors
    /// A [`LengthError`] that says why it is not a valid length.
    pub fn from_number(number: &Number) -> Result<Self, LengthError> {
        Self::from_decimal(decimal::parse_number(number, LENGTH_DECIMALS))
    }

    /// The JSON number: `450.5`.
    pub fn to_number(self) -> Number {
        decimal::to_number(self.0, LENGTH_DECIMALS)
    }

    /// The same length in another unit, or `None` where thousandths cannot say it exactly or it grows too long.
    pub fn convert(self, from: Unit, to: Unit) -> Option<Self> {
        let thousandths = match (from, to) {
            (Unit::Mm, Unit::Cm) if self.0 % 10 == 0 => self.0 / 10,
            (Unit::Mm, Unit::Cm) => return None,
            (Unit::Cm, Unit::Mm) => self.0 * 10,
            (Unit::Mm, Unit::Mm) | (Unit::Cm, Unit::Cm) => self.0,
        };
        Self::from_thousandths(thousandths).ok()
    }

    fn from_decimal(read: Result<i64, DecimalFault>) -> Result<Self, LengthError> {
        match read {
            Ok(thousandths) => Self::from_thousandths(thousandths),
            Err(DecimalFault::Negative) => Err(LengthError::NotPositive),
            Err(DecimalFault::TooLarge) => Err(LengthError::TooLong),
            Err(fault) => Err(fault.into()),
        }
    }
}

impl FromStr for Length {
    type Err = LengthError;

    /// Reads `digits[.digits]`. A decimal comma is refused: the storefront widget prices what was typed but orders what
    /// `parseFloat` makes of it, and `45,5` would be ordered as 45.
    fn from_str(text: &str) -> Result<Self, LengthError> {
        Self::from_decimal(decimal::parse(text, LENGTH_DECIMALS))
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal::print_short(self.0.into(), LENGTH_DECIMALS))
    }
}

text_enum! {
    /// What a store measures in. A label to the pricing rules: they never convert.
    pub enum Unit {
        /// Millimetres.
        Mm = "mm",
        /// Centimetres.
        Cm = "cm",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_and_written_without_loss() {
        for (text, thousandths, printed) in
            [("300", 300_000, "300"), ("450.5", 450_500, "450.5"), ("0.001", 1, "0.001"), ("10.50", 10_500, "10.5")]
        {
            let length: Length = text.parse().expect("a length");
            assert_eq!((length.thousandths(), length.to_string().as_str()), (thousandths, printed));
            assert_eq!(Length::from_number(&length.to_number()), Ok(length));
        }
    }

    #[test]
    fn what_is_no_length_is_refused_with_its_reason() {
        let read = |text: &str| text.parse::<Length>();
        assert_eq!(read("0"), Err(LengthError::NotPositive));
        assert_eq!(read("0.000"), Err(LengthError::NotPositive));
        assert_eq!(read("-1"), Err(LengthError::NotPositive));
        assert_eq!(read("100000"), Ok(Length::MAX));
        assert_eq!(read("100000.001"), Err(LengthError::TooLong));
        assert_eq!(read("1.2345"), Err(LengthError::Decimal(DecimalFault::TooManyDecimals { most: 3 })));
        for text in ["", "300mm", "1,5", "Infinity", "1e3", "0x10"] {
            assert_eq!(read(text), Err(LengthError::Decimal(DecimalFault::NotADecimal)), "{text:?}");
        }
    }

    #[test]
    fn units_convert_only_exactly() {
        let length = |thousandths| Length::from_thousandths(thousandths).expect("a length");
        assert_eq!(length(300_000).convert(Unit::Mm, Unit::Cm), Some(length(30_000)));
        assert_eq!(length(300_001).convert(Unit::Mm, Unit::Cm), None);
        assert_eq!(length(30_001).convert(Unit::Cm, Unit::Mm), Some(length(300_010)));
        assert_eq!(Length::MAX.convert(Unit::Cm, Unit::Mm), None);
    }
}
