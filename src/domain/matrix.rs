//! The grid that prices a size: which column and row a width and a height fall into, and the price there.

mod changes;
mod template;

pub use changes::{GridChanges, PriceChange};
pub use template::{Template, UnknownTemplate};

use super::length::Length;
use super::money::Minor;
use crate::domain::text_enum::text_enum;

/// The most breakpoints of an axis.
pub const BREAKPOINTS_MAX: usize = 50;

/// The most cells of a matrix.
pub const CELLS_MAX: usize = BREAKPOINTS_MAX * BREAKPOINTS_MAX;

text_enum! {
    /// One of the two directions of a matrix.
    #[derive(PartialOrd, Ord)]
    pub enum Axis {
        /// Columns.
        Width = "width",
        /// Rows.
        Height = "height",
    }
}

text_enum! {
    /// What happens to a size below the first or above the last breakpoint.
    #[derive(Default)]
    pub enum OutOfRange {
        /// It has no price: a pane of two metres must not sell for the price of one.
        #[default]
        Reject = "reject",
        /// It costs what the nearest breakpoint costs.
        Clamp = "clamp",
    }
}

/// A matrix's own smallest and largest sizes, checked alongside its `outside` policy: both must let a size through. With
/// [`OutOfRange::Clamp`] they say how far the clamping goes; with [`OutOfRange::Reject`] they can only narrow the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SizeLimits {
    /// The smallest width.
    pub min_width: Option<Length>,
    /// The largest width.
    pub max_width: Option<Length>,
    /// The smallest height.
    pub min_height: Option<Length>,
    /// The largest height.
    pub max_height: Option<Length>,
}

impl SizeLimits {
    fn of(&self, axis: Axis) -> (Option<Length>, Option<Length>) {
        match axis {
            Axis::Width => (self.min_width, self.max_width),
            Axis::Height => (self.min_height, self.max_height),
        }
    }
}

/// Why something is no matrix. A matrix has all its faults reported at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatrixFault {
    /// An axis has no breakpoint while the other has, or too many.
    #[error("{axis}: 1 to {BREAKPOINTS_MAX} breakpoints, not {count}")]
    Breakpoints {
        /// Which axis.
        axis: Axis,
        /// How many it has.
        count: usize,
    },
    /// Two breakpoints of an axis are the same.
    #[error("{axis}: breakpoint {value} appears twice")]
    Duplicate {
        /// Which axis.
        axis: Axis,
        /// Which breakpoint.
        value: Length,
    },
    /// There is not a row of prices for each height.
    #[error("prices: {expected} rows expected, one for each height, not {found}")]
    Rows {
        /// Heights.
        expected: usize,
        /// Rows.
        found: usize,
    },
    /// A row does not have a price, or "not offered", for each width.
    #[error("prices: row {row} needs {expected} prices, one for each width, not {found}")]
    Columns {
        /// The row as it was sent, counted from 1.
        row: usize,
        /// Widths.
        expected: usize,
        /// Prices.
        found: usize,
    },
    /// A price is below zero or beyond [`Minor::MAX`].
    #[error("prices: row {row}, column {column} must be from 0 to {}", Minor::MAX.get())]
    Price {
        /// The row as it was sent, counted from 1.
        row: usize,
        /// The column as it was sent, counted from 1.
        column: usize,
    },
    /// A lower limit is above the upper one.
    #[error("limits: the smallest {axis} is more than the largest")]
    Limits {
        /// Which axis.
        axis: Axis,
    },
}

impl MatrixFault {
    /// The field of a request body that it is about: `widths`, `heights`, `prices` or `limits`.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Breakpoints { axis: Axis::Width, .. } | Self::Duplicate { axis: Axis::Width, .. } => "widths",
            Self::Breakpoints { axis: Axis::Height, .. } | Self::Duplicate { axis: Axis::Height, .. } => "heights",
            Self::Rows { .. } | Self::Columns { .. } | Self::Price { .. } => "prices",
            Self::Limits { .. } => "limits",
        }
    }
}

/// Why a size has no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The matrix has no breakpoints yet.
    #[error("this product is not priced yet")]
    NotPricedYet,
    /// The size is outside the grid and the matrix rejects such, or it is beyond the matrix's own limits.
    #[error("a {axis} of {asked} is not available: it must be from {min} to {max}")]
    OutsideTheGrid {
        /// The first axis that does not fit.
        axis: Axis,
        /// What was asked for.
        asked: Length,
        /// The smallest that is let through.
        min: Length,
        /// The largest that is let through.
        max: Length,
    },
    /// The cell says so.
    #[error("the size {width} x {height} is not offered")]
    NotOffered {
        /// The width asked for.
        width: Length,
        /// The height asked for.
        height: Length,
    },
}

/// The cell that prices a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Its column, from 0.
    pub width_position: usize,
    /// Its row, from 0.
    pub height_position: usize,
    /// The breakpoint of its column.
    pub width: Length,
    /// The breakpoint of its row.
    pub height: Length,
    /// What it costs.
    pub price: Minor,
}

/// The sizes a shopper may choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DimensionRange {
    /// The smallest width.
    pub min_width: Length,
    /// The largest width.
    pub max_width: Length,
    /// The smallest height.
    pub min_height: Length,
    /// The largest height.
    pub max_height: Length,
}

/// A price for each pair of a width and a height step, `None` where that size is not offered.
///
/// Its axes are sorted and without duplicates, its cells are complete, its limits make sense: there is no other way to get one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceMatrix {
    widths: Vec<Length>,
    heights: Vec<Length>,
    /// Row by row: `cells[height_position * widths.len() + width_position]`.
    cells: Vec<Option<Minor>>,
    outside: OutOfRange,
    limits: SizeLimits,
}

impl PriceMatrix {
    /// A matrix from axes in any order and a row of prices (`None`: not offered) for each height in that same order. Axes are
    /// sorted and their cells move with them. Both axes empty make a matrix that is not priced yet.
    ///
    /// # Errors
    /// Every fault, in the order of the arguments.
    pub fn new(
        widths: &[Length],
        heights: &[Length],
        prices: &[Vec<Option<Minor>>],
        outside: OutOfRange,
        limits: SizeLimits,
    ) -> Result<Self, Vec<MatrixFault>> {
        let unpriced = widths.is_empty() && heights.is_empty();
        let mut faults = Vec::new();
        let width_order = sorted_order(Axis::Width, widths, unpriced, &mut faults);
        let height_order = sorted_order(Axis::Height, heights, unpriced, &mut faults);
        check_prices(widths.len(), heights.len(), prices, &mut faults);
        check_limits(&limits, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        let cells = height_order.iter().flat_map(|&row| width_order.iter().map(move |&column| prices[row][column]));
        Ok(Self {
            cells: cells.collect(),
            widths: width_order.iter().map(|&column| widths[column]).collect(),
            heights: height_order.iter().map(|&row| heights[row]).collect(),
            outside,
            limits,
        })
    }

    /// The same grid under another policy.
    ///
    /// # Errors
    /// When a lower limit is above its upper one.
    pub fn with_policy(self, outside: OutOfRange, limits: SizeLimits) -> Result<Self, Vec<MatrixFault>> {
        let mut faults = Vec::new();
        check_limits(&limits, &mut faults);
        if faults.is_empty() { Ok(Self { outside, limits, ..self }) } else { Err(faults) }
    }

    /// The width steps, ascending.
    pub fn widths(&self) -> &[Length] {
        &self.widths
    }

    /// The height steps, ascending.
    pub fn heights(&self) -> &[Length] {
        &self.heights
    }

    /// A slice of prices for each height, ascending, with a price for each width.
    pub fn rows(&self) -> impl Iterator<Item = &[Option<Minor>]> {
        // An unpriced matrix has no cells, and a chunk of size 0 is not allowed.
        self.cells.chunks(self.widths.len().max(1))
    }

    /// What happens outside the grid.
    pub fn outside(&self) -> OutOfRange {
        self.outside
    }

    /// The matrix's own limits.
    pub fn limits(&self) -> SizeLimits {
        self.limits
    }

    /// The sizes a shopper may choose from: the grid's, narrowed by the matrix's own limits; or where it clamps those limits, and any
    /// size where it has none: pages check what is typed against this range. `None` for a matrix that is not priced yet.
    pub fn dimension_range(&self) -> Option<DimensionRange> {
        let (min_width, max_width) = self.range(Axis::Width)?;
        let (min_height, max_height) = self.range(Axis::Height)?;
        Some(DimensionRange { min_width, max_width, min_height, max_height })
    }

    /// The cell that prices `width` x `height`: on each axis the first breakpoint that is not smaller.
    ///
    /// # Errors
    /// A [`LookupError`] that distinguishes "not priced yet", "outside the grid" and "not offered".
    pub fn find_cell(&self, width: Length, height: Length) -> Result<Cell, LookupError> {
        let width_position = self.position(Axis::Width, width)?;
        let height_position = self.position(Axis::Height, height)?;
        let price = self.cells[height_position * self.widths.len() + width_position];
        Ok(Cell {
            width_position,
            height_position,
            width: self.widths[width_position],
            height: self.heights[height_position],
            price: price.ok_or(LookupError::NotOffered { width, height })?,
        })
    }

    fn steps(&self, axis: Axis) -> &[Length] {
        match axis {
            Axis::Width => &self.widths,
            Axis::Height => &self.heights,
        }
    }

    fn range(&self, axis: Axis) -> Option<(Length, Length)> {
        let steps = self.steps(axis);
        let (first, last) = (*steps.first()?, *steps.last()?);
        let (min, max) = self.limits.of(axis);
        Some(match self.outside {
            // Less than one of a unit is not sold, but a grid may say otherwise.
            OutOfRange::Clamp => (min.unwrap_or(first.min(Length::ONE)), max.unwrap_or(Length::MAX)),
            OutOfRange::Reject => (min.map_or(first, |min| min.max(first)), max.map_or(last, |max| max.min(last))),
        })
    }

    fn position(&self, axis: Axis, asked: Length) -> Result<usize, LookupError> {
        let steps = self.steps(axis);
        let (first, last) = match (steps.first(), steps.last()) {
            (Some(&first), Some(&last)) => (first, last),
            _ => return Err(LookupError::NotPricedYet),
        };
        let (min, max) = self.limits.of(axis);
        let within_limits = min.is_none_or(|min| asked >= min) && max.is_none_or(|max| asked <= max);
        let within_grid = self.outside == OutOfRange::Clamp || (first..=last).contains(&asked);
        if !within_limits || !within_grid {
            let (min, max) = self.range(axis).ok_or(LookupError::NotPricedYet)?;
            return Err(LookupError::OutsideTheGrid { axis, asked, min, max });
        }
        let position = steps.partition_point(|&step| step < asked);
        Ok(position.min(steps.len() - 1))
    }
}

/// The indexes of `steps` in ascending order of their values.
fn sorted_order(axis: Axis, steps: &[Length], unpriced: bool, faults: &mut Vec<MatrixFault>) -> Vec<usize> {
    if !unpriced && !(1..=BREAKPOINTS_MAX).contains(&steps.len()) {
        faults.push(MatrixFault::Breakpoints { axis, count: steps.len() });
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|&index| steps[index]);
    for pair in order.chunk_by(|&a, &b| steps[a] == steps[b]).filter(|same| same.len() > 1) {
        faults.push(MatrixFault::Duplicate { axis, value: steps[pair[0]] });
    }
    order
}

fn check_prices(widths: usize, heights: usize, prices: &[Vec<Option<Minor>>], faults: &mut Vec<MatrixFault>) {
    if prices.len() != heights {
        faults.push(MatrixFault::Rows { expected: heights, found: prices.len() });
        return;
    }
    for (row, cells) in prices.iter().enumerate() {
        if cells.len() != widths {
            faults.push(MatrixFault::Columns { row: row + 1, expected: widths, found: cells.len() });
        }
        for (column, cell) in cells.iter().enumerate() {
            if cell.is_some_and(|price| !(Minor::ZERO..=Minor::MAX).contains(&price)) {
                faults.push(MatrixFault::Price { row: row + 1, column: column + 1 });
            }
        }
    }
}

fn check_limits(limits: &SizeLimits, faults: &mut Vec<MatrixFault>) {
    for axis in [Axis::Width, Axis::Height] {
        if let (Some(min), Some(max)) = limits.of(axis)
            && min > max
        {
            faults.push(MatrixFault::Limits { axis });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn length(text: &str) -> Length {
        text.parse().expect("a length")
    }

    pub(super) fn lengths(texts: &[&str]) -> Vec<Length> {
        texts.iter().map(|text| length(text)).collect()
    }

    /// 300, 600 x 200, 400, with 600 x 400 not offered.
    fn matrix(outside: OutOfRange, limits: SizeLimits) -> PriceMatrix {
        let prices = vec![vec![Some(Minor::new(10)), Some(Minor::new(20))], vec![Some(Minor::new(30)), None]];
        PriceMatrix::new(&lengths(&["300", "600"]), &lengths(&["200", "400"]), &prices, outside, limits).expect("valid")
    }

    #[test]
    fn a_size_outside_the_grid_is_distinguished_from_one_that_is_not_offered_and_from_a_matrix_without_prices() {
        let matrix = matrix(OutOfRange::Reject, SizeLimits::default());
        let error = matrix.find_cell(length("600.001"), length("200")).expect_err("outside");
        assert_eq!(error.to_string(), "a width of 600.001 is not available: it must be from 300 to 600");
        assert!(matches!(
            matrix.find_cell(length("300"), length("199.999")),
            Err(LookupError::OutsideTheGrid { axis: Axis::Height, .. })
        ));
        assert!(matches!(matrix.find_cell(length("301"), length("201")), Err(LookupError::NotOffered { .. })));
        let unpriced = PriceMatrix::new(&[], &[], &[], OutOfRange::Clamp, SizeLimits::default()).expect("valid");
        assert_eq!(unpriced.find_cell(length("1"), length("1")), Err(LookupError::NotPricedYet));
        assert_eq!((unpriced.dimension_range(), unpriced.rows().count()), (None, 0));
    }

    #[test]
    fn own_limits_bound_the_clamping() {
        let limits =
            SizeLimits { min_width: Some(length("100")), max_width: Some(length("700")), ..SizeLimits::default() };
        let clamp = matrix(OutOfRange::Clamp, limits);
        assert_eq!(clamp.find_cell(length("100"), length("1")).map(|cell| cell.price), Ok(Minor::new(10)));
        assert_eq!(clamp.find_cell(length("700"), length("1")).map(|cell| cell.price), Ok(Minor::new(20)));
        assert!(clamp.find_cell(length("99.999"), length("200")).is_err());
        assert!(clamp.find_cell(length("700.001"), length("200")).is_err());
        let range = clamp.dimension_range().expect("priced");
        assert_eq!((range.min_width, range.max_width), (length("100"), length("700")));
        // Without limits any size has a price, and pages must not refuse it.
        assert_eq!((range.min_height, range.max_height), (length("1"), Length::MAX));
        for height in [range.min_height, range.max_height] {
            assert!(clamp.find_cell(length("300"), height).is_ok());
        }
    }

    #[test]
    fn own_limits_can_only_narrow_a_grid_that_rejects() {
        let limits =
            SizeLimits { min_width: Some(length("100")), max_width: Some(length("500")), ..SizeLimits::default() };
        let reject = matrix(OutOfRange::Reject, limits);
        assert!(reject.find_cell(length("200"), length("200")).is_err());
        assert!(reject.find_cell(length("500.5"), length("200")).is_err());
        assert_eq!(reject.find_cell(length("500"), length("200")).map(|cell| cell.price), Ok(Minor::new(20)));
        let range = reject.dimension_range().expect("priced");
        assert_eq!((range.min_width, range.max_width), (length("300"), length("500")));
        let limits =
            SizeLimits { max_width: Some(length("700")), max_height: Some(length("401")), ..SizeLimits::default() };
        let range = matrix(OutOfRange::Reject, limits).dimension_range().expect("priced");
        assert_eq!((range.max_width, range.max_height), (length("600"), length("400")));
    }

    #[test]
    fn unsorted_axes_are_sorted_together_with_their_cells() {
        let prices = vec![vec![None, Some(Minor::new(30))], vec![Some(Minor::new(20)), Some(Minor::new(10))]];
        let axes = (lengths(&["600", "300"]), lengths(&["400", "200"]));
        let sorted = PriceMatrix::new(&axes.0, &axes.1, &prices, OutOfRange::Reject, SizeLimits::default());
        assert_eq!(sorted, Ok(matrix(OutOfRange::Reject, SizeLimits::default())));
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let many: Vec<Length> = (1..=51).map(|value| Length::from_thousandths(value).expect("a length")).collect();
        let limits =
            SizeLimits { min_height: Some(length("2")), max_height: Some(length("1")), ..SizeLimits::default() };
        let mut prices = vec![vec![None; 50], vec![Some(Minor::new(-1)); 51]];
        prices[0][7] = Some(Minor::new(Minor::MAX.get() + 1));
        let faults = PriceMatrix::new(&many, &lengths(&["1", "1.0"]), &prices, OutOfRange::Reject, limits);
        let faults = faults.expect_err("faulty");
        assert_eq!(faults[0], MatrixFault::Breakpoints { axis: Axis::Width, count: 51 });
        assert_eq!(faults[1], MatrixFault::Duplicate { axis: Axis::Height, value: length("1") });
        assert_eq!(faults[2], MatrixFault::Columns { row: 1, expected: 51, found: 50 });
        assert_eq!(faults[3], MatrixFault::Price { row: 1, column: 8 });
        assert_eq!(faults[4], MatrixFault::Price { row: 2, column: 1 });
        assert_eq!(faults.last(), Some(&MatrixFault::Limits { axis: Axis::Height }));
        let half = PriceMatrix::new(&lengths(&["1"]), &[], &[], OutOfRange::Reject, SizeLimits::default());
        assert_eq!(half, Err(vec![MatrixFault::Breakpoints { axis: Axis::Height, count: 0 }]));
    }
}
