//! What sizes and prices are in, and the exact way from one to another.

use crate::domain::length::{Length, Unit};
use crate::domain::money::{Currency, Minor};
use crate::error::{Error, Kind, Result};

/// The way from what something is stored in to what its store has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measures {
    pub(crate) unit: (Unit, Unit),
    pub(crate) currency: (Currency, Currency),
}

impl Measures {
    /// Whether there is nothing to convert.
    pub(super) fn is_identity(&self) -> bool {
        self.unit.0 == self.unit.1 && self.currency.0 == self.currency.1
    }

    /// The same length in the store's unit.
    ///
    /// # Errors
    /// `Internal` where that is not exact: the change of unit should have been refused.
    pub(super) fn length(&self, length: Length) -> Result<Length> {
        length.convert(self.unit.0, self.unit.1).ok_or_else(inexact)
    }

    /// The same price in the store's currency.
    ///
    /// # Errors
    /// `Internal` where that is not exact: the change of currency should have been refused.
    pub(super) fn price(&self, price: Minor) -> Result<Minor> {
        relabel(self.currency, price)
    }
}

/// The same amount in another currency.
pub(in crate::catalog) fn relabel((from, to): (Currency, Currency), amount: Minor) -> Result<Minor> {
    if from.exponent() == to.exponent() {
        return Ok(amount);
    }
    from.relabel(amount, to).ok_or_else(inexact)
}

fn inexact() -> Error {
    Error::new(Kind::Internal, "a stored size or price has no exact counterpart in its store's unit or currency")
}
