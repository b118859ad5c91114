//! What a person should know of a grid before it is sold: its range, its holes, and prices that look like mistakes.

use crate::domain::length::Length;
use crate::domain::matrix::PriceMatrix;
use crate::domain::money::Minor;

/// A size and its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PricedSize {
    /// Its width.
    pub width: Length,
    /// Its height.
    pub height: Length,
    /// What it costs.
    pub price: Minor,
}

/// A size that costs less than the next smaller one alongside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fall {
    /// The larger and cheaper one.
    pub size: PricedSize,
    /// The smaller and dearer one.
    pub than: PricedSize,
}

/// What is unusual in a grid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// The cheapest size, the smallest of those.
    pub cheapest: Option<PricedSize>,
    /// The dearest size, the smallest of those.
    pub dearest: Option<PricedSize>,
    /// Sizes that are not offered: width and height.
    pub not_offered: Vec<(Length, Length)>,
    /// Sizes that are sold for nothing: width and height.
    pub free: Vec<(Length, Length)>,
    /// Prices that fall where a size grows, by how much they do.
    pub falls: Vec<Fall>,
}

impl Findings {
    /// Looks through a grid.
    pub fn of(matrix: &PriceMatrix) -> Self {
        let mut found = Self::default();
        let widths = matrix.widths();
        // The last offered size above each column: a hole between two sizes hides no fall.
        let mut above: Vec<Option<PricedSize>> = vec![None; widths.len()];
        for (row, &height) in matrix.rows().zip(matrix.heights()) {
            let mut left = None;
            for ((&cell, &width), above) in row.iter().zip(widths).zip(&mut above) {
                let Some(price) = cell else {
                    found.not_offered.push((width, height));
                    continue;
                };
                if price == Minor::ZERO {
                    found.free.push((width, height));
                }
                let size = PricedSize { width, height, price };
                let is_new = |than: Option<PricedSize>, closer: fn(Minor, Minor) -> bool| {
                    than.is_none_or(|than| closer(price, than.price))
                };
                if is_new(found.cheapest, |price, than| price < than) {
                    found.cheapest = Some(size);
                }
                if is_new(found.dearest, |price, than| price > than) {
                    found.dearest = Some(size);
                }
                let dearer = [left, *above].into_iter().flatten().filter(|than| than.price > price);
                found.falls.extend(dearer.map(|than| Fall { size, than }));
                (left, *above) = (Some(size), Some(size));
            }
        }
        found.falls.sort_by_key(|fall| fall.size.price.get() - fall.than.price.get());
        found
    }
}
