//! What another grid would change in a matrix.

use super::PriceMatrix;
use crate::domain::length::Length;
use crate::domain::money::Minor;

/// One price that another grid would change. `None`: not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PriceChange {
    /// The width step.
    pub width: Length,
    /// The height step.
    pub height: Length,
    /// The price now.
    pub from: Option<Minor>,
    /// The price then.
    pub to: Option<Minor>,
}

/// What another grid would change: steps that come and go, and prices of the steps that both have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GridChanges {
    /// Width steps that only the new grid has.
    pub widths_added: Vec<Length>,
    /// Width steps that only the old grid has.
    pub widths_removed: Vec<Length>,
    /// Height steps that only the new grid has.
    pub heights_added: Vec<Length>,
    /// Height steps that only the old grid has.
    pub heights_removed: Vec<Length>,
    /// Prices that differ at steps both have.
    pub prices: Vec<PriceChange>,
}

impl PriceMatrix {
    /// What an import or edit would change: `self` is the present matrix.
    pub fn changes_to(&self, new: &Self) -> GridChanges {
        let missing_in = |from: &[Length], other: &[Length]| -> Vec<Length> {
            from.iter().copied().filter(|value| other.binary_search(value).is_err()).collect()
        };
        let mut prices = Vec::new();
        for (row, &height) in new.rows().zip(&new.heights) {
            for (&to, &width) in row.iter().zip(&new.widths) {
                if let Some(from) = self.stored(width, height).filter(|&from| from != to) {
                    prices.push(PriceChange { width, height, from, to });
                }
            }
        }
        GridChanges {
            widths_added: missing_in(&new.widths, &self.widths),
            widths_removed: missing_in(&self.widths, &new.widths),
            heights_added: missing_in(&new.heights, &self.heights),
            heights_removed: missing_in(&self.heights, &new.heights),
            prices,
        }
    }

    /// What is at exactly these breakpoints.
    fn stored(&self, width: Length, height: Length) -> Option<Option<Minor>> {
        let column = self.widths.binary_search(&width).ok()?;
        let row = self.heights.binary_search(&height).ok()?;
        Some(self.cells[row * self.widths.len() + column])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::matrix::tests::{length, lengths};
    use crate::domain::matrix::{OutOfRange, SizeLimits};

    #[test]
    fn changes_name_steps_and_prices() {
        let priced = [[Some(Minor::new(10)), Some(Minor::new(20))], [Some(Minor::new(30)), None]].map(Vec::from);
        let axes = (lengths(&["300", "600"]), lengths(&["200", "400"]));
        let old =
            PriceMatrix::new(&axes.0, &axes.1, &priced, OutOfRange::Reject, SizeLimits::default()).expect("valid");
        let prices = vec![vec![Some(Minor::new(10)), None], vec![Some(Minor::new(5)), Some(Minor::new(6))]];
        let axes = (lengths(&["300", "900"]), lengths(&["200", "400"]));
        let new =
            PriceMatrix::new(&axes.0, &axes.1, &prices, OutOfRange::Reject, SizeLimits::default()).expect("valid");
        let changes = old.changes_to(&new);
        assert_eq!((changes.widths_added, changes.widths_removed), (lengths(&["900"]), lengths(&["600"])));
        let price = PriceChange {
            width: length("300"),
            height: length("400"),
            from: Some(Minor::new(30)),
            to: Some(Minor::new(5)),
        };
        assert_eq!(changes.prices, vec![price]);
        assert_eq!(old.changes_to(&old), GridChanges::default());
    }
}
