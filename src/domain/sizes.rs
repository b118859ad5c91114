//! Which sizes a matrix offers, and which of them is nearest to one that it does not.

use super::length::Length;
use super::matrix::{Axis, OutOfRange, PriceMatrix};
use std::cmp::Reverse;

/// Sizes from a smallest to a largest one, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeRange {
    /// The smallest width.
    pub min_width: Length,
    /// The largest width.
    pub max_width: Length,
    /// The smallest height.
    pub min_height: Length,
    /// The largest height.
    pub max_height: Length,
}

/// What of a matrix's sizes is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// Every size within the matrix's range.
    All,
    /// These ranges, which do not overlap; none where nothing is offered.
    Ranges(Vec<SizeRange>),
}

/// The lengths that fall into a step of an axis: all that are accepted, and the part of them that shoppers are shown as the range.
#[derive(Debug, Clone, Copy)]
struct Interval {
    min: Length,
    max: Length,
    shown_min: Length,
    shown_max: Length,
    /// The largest that is named to a client that asks for more.
    named_max: Length,
}

impl PriceMatrix {
    /// The sizes that are offered, as few ranges as adjoining steps make: steps of a row first, then equal rows.
    pub fn offered(&self) -> Offered {
        let (widths, heights) = (self.intervals(Axis::Width), self.intervals(Axis::Height));
        let mut finished: Vec<SizeRange> = Vec::new();
        // Ranges that the next row may prolong.
        let mut open: Vec<SizeRange> = Vec::new();
        let mut all = true;
        for (row, height) in self.rows().zip(&heights) {
            let Some(height) = height else { continue };
            let mut of_row: Vec<SizeRange> = Vec::new();
            let mut after_gap = true;
            for (price, width) in row.iter().zip(&widths) {
                let Some(width) = width else { continue };
                match of_row.last_mut() {
                    _ if price.is_none() => (all, after_gap) = (false, true),
                    Some(last) if !after_gap => last.max_width = width.shown_max,
                    _ => {
                        after_gap = false;
                        of_row.push(SizeRange {
                            min_width: width.shown_min,
                            max_width: width.shown_max,
                            min_height: height.shown_min,
                            max_height: height.shown_max,
                        });
                    }
                }
            }
            let same_widths = |a: &SizeRange, b: &SizeRange| (a.min_width, a.max_width) == (b.min_width, b.max_width);
            for range in &mut of_row {
                if let Some(at) = open.iter().position(|above| same_widths(above, range)) {
                    range.min_height = open.swap_remove(at).min_height;
                }
            }
            finished.append(&mut open);
            open = of_row;
        }
        finished.append(&mut open);
        if all && !finished.is_empty() { Offered::All } else { Offered::Ranges(finished) }
    }

    /// The smallest offered size that covers `width` x `height`, by area; where none does, the largest that is offered. `None` where
    /// nothing is.
    pub fn nearest(&self, width: Length, height: Length) -> Option<(Length, Length)> {
        let (widths, heights) = (self.intervals(Axis::Width), self.intervals(Axis::Height));
        let area = |(width, height): (Length, Length)| width.thousandths() * height.thousandths();
        let mut covering: Option<(Length, Length)> = None;
        let mut largest: Option<(Length, Length)> = None;
        for (row, down) in self.rows().zip(&heights) {
            for (price, across) in row.iter().zip(&widths) {
                let (Some(_offered), Some(across), Some(down)) = (price, across, down) else { continue };
                let corner = (across.named_max, down.named_max);
                largest = largest.into_iter().chain([corner]).max_by_key(|&size| (area(size), size.0));
                let cover = (width.max(across.min), height.max(down.min));
                if cover.0 <= across.max && cover.1 <= down.max {
                    covering = covering.into_iter().chain([cover]).min_by_key(|&size| (area(size), Reverse(size.0)));
                }
            }
        }
        covering.or(largest)
    }

    /// The lengths of each step of an axis; `None` for a step that the limits leave nothing of.
    fn intervals(&self, axis: Axis) -> Vec<Option<Interval>> {
        let (steps, limits) = match axis {
            Axis::Width => (self.widths(), (self.limits().min_width, self.limits().max_width)),
            Axis::Height => (self.heights(), (self.limits().min_height, self.limits().max_height)),
        };
        let (Some(&first), Some(&last)) = (steps.first(), steps.last()) else { return Vec::new() };
        let (least, most) = match self.outside() {
            OutOfRange::Reject => (first, last),
            OutOfRange::Clamp => (Length::MIN, Length::MAX),
        };
        let least = limits.0.map_or(least, |min| min.max(least));
        let most = limits.1.map_or(most, |max| max.min(most));
        let Some(range) = self.dimension_range() else { return Vec::new() };
        let (shown_least, shown_most) = match axis {
            Axis::Width => (range.min_width, range.max_width),
            Axis::Height => (range.min_height, range.max_height),
        };
        let interval = |(at, &step): (usize, &Length)| {
            let after = at.checked_sub(1).map(|before| steps[before].next().unwrap_or(Length::MAX));
            let is_last = at + 1 == steps.len();
            let (min, max) =
                (after.map_or(least, |after| after.max(least)), if is_last { most } else { step.min(most) });
            // Clamping without a limit takes everything, but that is not offered to shoppers.
            let named_max = if is_last { limits.1.unwrap_or(last).min(most).max(min) } else { max };
            let (shown_min, shown_max) = (min.max(shown_least).min(max), max.min(shown_most).max(min));
            (min <= max).then_some(Interval { min, max, shown_min, shown_max, named_max })
        };
        steps.iter().enumerate().map(interval).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::matrix::SizeLimits;
    use super::super::money::Minor;
    use super::*;

    fn length(text: &str) -> Length {
        text.parse().expect("a length")
    }

    /// Widths 300, 600, 900 and heights 200, 400; what is 0 is not offered.
    fn matrix(rows: [[i64; 3]; 2], outside: OutOfRange, limits: SizeLimits) -> PriceMatrix {
        let prices = rows.map(|row| row.map(|price| (price > 0).then(|| Minor::new(price))).to_vec());
        let widths = ["300", "600", "900"].map(length);
        PriceMatrix::new(&widths, &["200", "400"].map(length), &prices, outside, limits).expect("a matrix")
    }

    fn ranges(matrix: &PriceMatrix) -> Vec<String> {
        match matrix.offered() {
            Offered::All => vec!["all".to_owned()],
            Offered::Ranges(ranges) => ranges
                .iter()
                .map(|range| {
                    let SizeRange { min_width, max_width, min_height, max_height } = range;
                    format!("{min_width}-{max_width} x {min_height}-{max_height}")
                })
                .collect(),
        }
    }

    fn nearest(matrix: &PriceMatrix, width: &str, height: &str) -> Option<String> {
        let found = matrix.nearest(length(width), length(height))?;
        Some(format!("{} x {}", found.0, found.1))
    }

    #[test]
    fn what_is_offered_is_all_or_a_list_of_ranges() {
        let none = SizeLimits::default();
        assert_eq!(ranges(&matrix([[1, 1, 1], [1, 1, 1]], OutOfRange::Reject, none)), ["all"]);
        assert_eq!(
            ranges(&matrix([[1, 1, 1], [1, 1, 0]], OutOfRange::Reject, none)),
            ["300-900 x 200-200", "300-600 x 200.001-400"]
        );
        assert_eq!(
            ranges(&matrix([[1, 0, 1], [1, 0, 1]], OutOfRange::Reject, none)),
            ["300-300 x 200-400", "600.001-900 x 200-400"]
        );
        assert_eq!(ranges(&matrix([[0; 3]; 2], OutOfRange::Reject, none)), Vec::<String>::new());
        // Cells that the limits take away are not missed.
        let narrow = SizeLimits { max_width: Some(length("500")), ..none };
        assert_eq!(ranges(&matrix([[1, 1, 0], [1, 1, 0]], OutOfRange::Reject, narrow)), ["all"]);
        assert_eq!(
            ranges(&PriceMatrix::new(&[], &[], &[], OutOfRange::Reject, none).expect("empty")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn the_nearest_size_is_the_smallest_that_covers_and_else_the_largest() {
        let none = SizeLimits::default();
        let full = matrix([[1, 1, 1], [1, 1, 1]], OutOfRange::Reject, none);
        assert_eq!(nearest(&full, "250", "100").as_deref(), Some("300 x 200"));
        assert_eq!(nearest(&full, "901", "100").as_deref(), Some("900 x 400"));
        let holed = matrix([[1, 0, 1], [0, 0, 1]], OutOfRange::Reject, none);
        assert_eq!(nearest(&holed, "450", "200").as_deref(), Some("600.001 x 200"));
        assert_eq!(nearest(&holed, "300", "300").as_deref(), Some("600.001 x 300"));
        assert_eq!(nearest(&holed, "300", "401").as_deref(), Some("900 x 400"));
        assert_eq!(nearest(&matrix([[0; 3]; 2], OutOfRange::Reject, none), "300", "200"), None);
        let limits = SizeLimits { max_width: Some(length("1200")), ..none };
        let clamped = matrix([[1, 1, 1], [1, 1, 0]], OutOfRange::Clamp, limits);
        assert_eq!(nearest(&clamped, "1300", "100").as_deref(), Some("1200 x 200"));
        assert_eq!(nearest(&clamped, "700", "500").as_deref(), Some("1200 x 200"));
    }

    #[test]
    fn whatever_is_nearest_or_in_a_range_has_a_price() {
        let sides = ["0.001", "150", "200", "200.001", "300", "300.001", "450", "600", "750", "900", "901", "5000"];
        let narrow =
            SizeLimits { min_width: Some(length("250")), max_height: Some(length("390")), ..SizeLimits::default() };
        for outside in [OutOfRange::Reject, OutOfRange::Clamp] {
            for limits in [SizeLimits::default(), narrow] {
                for cells in 0..64_u8 {
                    let cell = |at: u8| i64::from(cells >> at & 1);
                    let rows = [[cell(0), cell(1), cell(2)], [cell(3), cell(4), cell(5)]];
                    let matrix = matrix(rows, outside, limits);
                    for width in sides.map(length) {
                        for height in sides.map(length) {
                            let found = matrix.nearest(width, height);
                            assert_eq!(found.is_some(), cells > 0, "{matrix:?}");
                            let Some((near_width, near_height)) = found else { continue };
                            assert!(matrix.find_cell(near_width, near_height).is_ok(), "{matrix:?} {found:?}");
                            if matrix.find_cell(width, height).is_ok() {
                                assert_eq!(found, Some((width, height)), "{matrix:?}");
                            }
                        }
                    }
                    let Offered::Ranges(ranges) = matrix.offered() else { continue };
                    for range in ranges {
                        assert!(matrix.find_cell(range.min_width, range.min_height).is_ok(), "{range:?}");
                        assert!(matrix.find_cell(range.max_width, range.max_height).is_ok(), "{range:?}");
                    }
                }
            }
        }
    }
}
