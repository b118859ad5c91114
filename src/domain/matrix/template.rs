//! New matrices to start from.

use super::{MatrixFault, OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::length::{Length, LengthError, Unit};
use crate::domain::money::Minor;
use std::str::FromStr;

/// A new matrix to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// 3 x 3: 300, 600, 900 mm.
    Small,
    /// 5 x 5: 200 to 1000 mm by 200.
    Medium,
    /// No breakpoints: not priced yet.
    Custom,
}

/// The text names no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be small, medium or custom")]
pub struct UnknownTemplate;

impl FromStr for Template {
    type Err = UnknownTemplate;

    fn from_str(text: &str) -> Result<Self, UnknownTemplate> {
        match text {
            "small" => Ok(Self::Small),
            "medium" => Ok(Self::Medium),
            "custom" => Ok(Self::Custom),
            _ => Err(UnknownTemplate),
        }
    }
}

impl Template {
    /// A matrix to start from, its steps given in the store's unit, all cells 0.
    ///
    /// # Errors
    /// When a lower limit is above its upper one.
    pub fn build(self, unit: Unit, outside: OutOfRange, limits: SizeLimits) -> Result<PriceMatrix, Vec<MatrixFault>> {
        let millimetres: &[i64] = match self {
            Self::Small => &[300, 600, 900],
            Self::Medium => &[200, 400, 600, 800, 1000],
            Self::Custom => &[],
        };
        let scale = match unit {
            Unit::Mm => 1_000,
            Unit::Cm => 100,
        };
        let steps: Result<Vec<Length>, LengthError> =
            millimetres.iter().map(|step| Length::from_thousandths(step * scale)).collect();
        let steps = steps.expect("the templates' steps are lengths");
        PriceMatrix::new(&steps, &steps, &vec![vec![Some(Minor::ZERO); steps.len()]; steps.len()], outside, limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::matrix::tests::lengths;

    #[test]
    fn templates_follow_the_unit() {
        let build = |template: &str, unit| {
            let template: Template = template.parse().expect("a template");
            template.build(unit, OutOfRange::Reject, SizeLimits::default()).expect("valid")
        };
        assert_eq!(build("small", Unit::Mm).widths(), lengths(&["300", "600", "900"]));
        assert_eq!(build("medium", Unit::Cm).heights(), lengths(&["20", "40", "60", "80", "100"]));
        assert!(build("custom", Unit::Mm).widths().is_empty());
    }
}
