//! Sizes of a request in the unit that it asks for, and the way back in answers.

use super::{Dimensions, Faults};
use crate::domain::length::{Length, LengthError, Unit};
use crate::domain::measure::{InputUnit, Measure};
use crate::error::{Error, Result};
use crate::http::query::Query;
use serde_json::{Number, Value, json};

/// The unit of a request's sizes: the one that `unit=` names, or the store's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SizeUnit {
    named: Option<InputUnit>,
    of_store: Unit,
}

/// A side as it was asked for, and what it is to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    /// In the store's unit.
    pub(super) length: Length,
    given: Option<Measure>,
}

impl SizeUnit {
    /// The unit that `query` names, for a store that measures in `of_store`.
    ///
    /// # Errors
    /// `Malformed` for another unit.
    pub(super) fn read(query: &Query, of_store: Unit) -> Result<Self> {
        let mut faults = Faults::default();
        let unit = faults.take("unit", Self::named(query));
        let named = unit.ok_or_else(|| faults.error())?;
        Ok(Self { named, of_store })
    }

    fn named(query: &Query) -> std::result::Result<Option<InputUnit>, String> {
        let text = query.once("unit").map_err(|fault| fault.to_string())?;
        // Forms send fields that were not filled in.
        let text = text.filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|fault: crate::domain::measure::UnknownInputUnit| fault.to_string()))
            .transpose()
    }

    /// Reads decimal text.
    pub(super) fn parse(self, text: &str) -> std::result::Result<Side, String> {
        let read = match self.named {
            None => text.parse().map(|length| Side { length, given: None }),
            Some(unit) => unit.read(text).and_then(|measure| self.side(measure)),
        };
        read.map_err(|fault: LengthError| fault.to_string())
    }

    /// Reads a JSON number.
    pub(super) fn parse_number(self, number: &Number) -> std::result::Result<Side, String> {
        let read = match self.named {
            None => Length::from_number(number).map(|length| Side { length, given: None }),
            Some(unit) => unit.read_number(number).and_then(|measure| self.side(measure)),
        };
        read.map_err(|fault| fault.to_string())
    }

    fn side(self, measure: Measure) -> std::result::Result<Side, LengthError> {
        Ok(Side { length: measure.to_length(self.of_store)?, given: Some(measure) })
    }

    /// The same of what was measured in `of_store`: a store's unit may have changed since an order was made.
    pub(super) fn of(self, of_store: Unit) -> Self {
        Self { of_store, ..self }
    }

    /// What an answer says of a size: as it was asked for.
    pub(super) fn dimensions(self, width: Side, height: Side) -> Dimensions {
        Dimensions { width: width.to_number(), height: height.to_number(), unit: self.as_str() }
    }

    /// A size of the store in this unit.
    pub(super) fn dimensions_of(self, width: Length, height: Length) -> Dimensions {
        Dimensions { width: self.number(width), height: self.number(height), unit: self.as_str() }
    }

    fn as_str(self) -> &'static str {
        self.named.map_or(self.of_store.as_str(), InputUnit::as_str)
    }

    fn number(self, length: Length) -> Number {
        self.named.map_or_else(|| length.to_number(), |unit| unit.of(length, self.of_store).to_number())
    }

    /// The same error with the nearest offered size, where there is one.
    pub(super) fn with_nearest(self, error: Error, nearest: Option<(Length, Length)>) -> Error {
        let Some((width, height)) = nearest else { return error };
        error.with_member("nearest", self.nearest(width, height))
    }

    fn nearest(self, width: Length, height: Length) -> Value {
        json!({ "width": self.number(width), "height": self.number(height) })
    }
}

impl Side {
    fn to_number(self) -> Number {
        self.given.map_or_else(|| self.length.to_number(), Measure::to_number)
    }
}
