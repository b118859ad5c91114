//! From the prices of a file to a matrix: what zeros mean, what is missing, and what is too much.

use super::numbers::Price;
use super::{Faults, Grid, ImportOptions, MISSING_NAMED, Zero};
use crate::domain::length::Length;
use crate::domain::matrix::{Axis, BREAKPOINTS_MAX, CELLS_MAX, OutOfRange, PriceMatrix, SizeLimits};
use crate::domain::money::Minor;
use std::collections::BTreeSet;

/// Makes of zeros what they are said to mean. Where nothing is said, those among prices are a fault: a size that is not made would be
/// sold for nothing.
pub(super) fn judge_zeros(grid: &mut Grid, options: &ImportOptions, faults: &mut Faults) {
    let is_zero = |price: &Price| *price == Price::Of(Minor::ZERO);
    match options.zero {
        Some(Zero::Free) => {}
        Some(Zero::NotOffered) => {
            grid.values_mut().filter(|price| is_zero(price)).for_each(|price| *price = Price::NotOffered);
        }
        None if grid.values().any(|price| price.minor().is_some_and(|minor| minor != Minor::ZERO)) => {
            let zeros: Vec<String> = grid
                .iter()
                .filter(|(_, price)| is_zero(price))
                .map(|((height, width), _)| format!("{width} x {height}"))
                .collect();
            if !zeros.is_empty() {
                let named = named_some(&zeros);
                faults.file(format!(
                    "a price of 0 for {named}: say whether that is not offered (zero=not-offered) or costs nothing (zero=free)"
                ));
            }
        }
        None => {}
    }
}

/// The first few of a list of sizes, and how many more there are.
fn named_some(sizes: &[String]) -> String {
    let named = sizes[..sizes.len().min(MISSING_NAMED)].join(", ");
    match sizes.len() - sizes.len().min(MISSING_NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

pub(super) fn axes_of(grid: &Grid) -> (Vec<Length>, Vec<Length>) {
    let widths: BTreeSet<Length> = grid.keys().map(|&(_, width)| width).collect();
    let heights: BTreeSet<Length> = grid.keys().map(|&(height, _)| height).collect();
    (widths.into_iter().collect(), heights.into_iter().collect())
}

/// The matrix of what was read. Its size is checked before anything of that size exists.
pub(super) fn build(
    widths: &[Length],
    heights: &[Length],
    grid: &Grid,
    options: &ImportOptions,
    faults: &mut Faults,
) -> Option<PriceMatrix> {
    if widths.is_empty() || heights.is_empty() {
        return None;
    }
    let mut fits = true;
    for (axis, steps) in [(Axis::Width, widths), (Axis::Height, heights)] {
        if steps.len() > BREAKPOINTS_MAX {
            fits = false;
            faults.file(format!("at most {BREAKPOINTS_MAX} different {axis}s, not {}", steps.len()));
        }
    }
    let cells_max = options.cells_max.min(CELLS_MAX);
    if fits && widths.len() * heights.len() > cells_max {
        fits = false;
        let (columns, rows) = (widths.len(), heights.len());
        faults.file(format!("{columns} widths x {rows} heights are more than {cells_max} sizes"));
    }
    if !fits {
        return None;
    }
    let mut missing = Vec::new();
    let mut cell = |height, width| {
        let found = grid.get(&(height, width));
        if found.is_none() {
            missing.push(format!("{width} x {height}"));
        }
        found.and_then(|price| price.minor())
    };
    let prices: Vec<Vec<Option<Minor>>> =
        heights.iter().map(|&height| widths.iter().map(|&width| cell(height, width)).collect()).collect();
    // While lines are bad, their own sizes would be among those that seem to be missing.
    if !missing.is_empty() && !options.skip_bad && faults.list.iter().all(|fault| fault.line == 0) {
        let named = named_some(&missing);
        faults.file(format!("no price for {named}; write - for a size that is not offered"));
    }
    PriceMatrix::new(widths, heights, &prices, OutOfRange::default(), SizeLimits::default()).ok()
}
