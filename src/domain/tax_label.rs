//! What a store says about taxes alongside its prices.

use std::fmt;
use std::str::FromStr;

/// Whether a store's prices are shown as with taxes, without, or without a word about them. quotegrid computes no taxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TaxLabel {
    /// Prices include taxes.
    Incl,
    /// Taxes are added at the checkout.
    Excl,
    /// Nothing is said.
    #[default]
    None,
}

/// The text names no tax label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be incl, excl or none")]
pub struct UnknownTaxLabel;

impl TaxLabel {
    /// `incl`, `excl` or `none`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incl => "incl",
            Self::Excl => "excl",
            Self::None => "none",
        }
    }
}

impl FromStr for TaxLabel {
    type Err = UnknownTaxLabel;

    fn from_str(text: &str) -> Result<Self, UnknownTaxLabel> {
        match text {
            "incl" => Ok(Self::Incl),
            "excl" => Ok(Self::Excl),
            "none" => Ok(Self::None),
            _ => Err(UnknownTaxLabel),
        }
    }
}

impl fmt::Display for TaxLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
