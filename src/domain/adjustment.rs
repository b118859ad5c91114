//! Raising or lowering the prices of a grid by a percentage, and rounding what comes of it.

use super::length::Length;
use super::matrix::PriceMatrix;
use super::money::{BasisPoints, Currency, Minor, WHOLE};

/// The largest raise: ten times over is more likely a slip of the finger than a price.
const PERCENT_MAX: BasisPoints = BasisPoints::new(100_000);

/// Where a price goes that was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest multiple of this amount; from the middle upwards.
    Step(Minor),
    /// To the nearest price that ends in these minor units, such as 95 of a dollar's 100; from the middle upwards.
    Ending(Minor),
}

/// The text names no rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is neither a step such as 0.05 or 1, nor an ending such as .95")]
pub struct NotARounding;

/// Minor units in a major unit.
fn major(currency: Currency) -> i64 {
    10_i64.pow(currency.exponent())
}

impl Rounding {
    /// Reads a step, `0.05` or `10`, that goes evenly into a major unit or that major units go evenly into; or with nothing before
    /// the point an ending, `.95`.
    ///
    /// # Errors
    /// [`NotARounding`]. `0.95` is one too: multiples of it are of no use.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, NotARounding> {
        let ending = text.starts_with('.');
        let read = if ending { currency.parse_price(&format!("0{text}")) } else { currency.parse_price(text) };
        let amount = read.map_err(|_fault| NotARounding)?;
        match (ending, amount.get()) {
            (true, _) => Ok(Self::Ending(amount)),
            (false, step @ 1..) if major(currency) % step == 0 || step % major(currency) == 0 => Ok(Self::Step(amount)),
            (false, _) => Err(NotARounding),
        }
    }
}

/// What is to become of a grid's prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// How much is added; less than nothing lowers.
    pub percent: BasisPoints,
    /// How the outcome is rounded; to the nearest minor unit where unset.
    pub rounding: Option<Rounding>,
    /// Only the prices of these pairs of a width and a height step.
    pub cells: Option<Vec<(Length, Length)>>,
}

/// Why prices cannot be adjusted so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdjustmentFault {
    /// All or more is taken off, or it is a slip of the finger.
    #[error("must be more than -100 and at most {}", PERCENT_MAX.format_percent())]
    Percent,
    /// The grid has no such step.
    #[error("has no size {width} x {height}: name a width and a height step of the price matrix")]
    NoSuchCell {
        /// The width that was named.
        width: Length,
        /// The height that was named.
        height: Length,
    },
    /// A price would become nothing.
    #[error("would make the price of {width} x {height} 0: round less")]
    Nothing {
        /// The width step.
        width: Length,
        /// The height step.
        height: Length,
    },
    /// A price would be beyond what can be kept.
    #[error("would make the price of {width} x {height} too large")]
    TooLarge {
        /// The width step.
        width: Length,
        /// The height step.
        height: Length,
    },
}

impl AdjustmentFault {
    /// The field of a request body that it is about.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Percent | Self::TooLarge { .. } => "percent",
            Self::NoSuchCell { .. } => "cells",
            Self::Nothing { .. } => "rounding",
        }
    }
}

impl Adjustment {
    /// The grid with its prices adjusted. Sizes that are not offered, or cost nothing, stay so: a percentage of nothing is nothing,
    /// whatever it would be rounded to.
    ///
    /// # Errors
    /// The first fault; then nothing is adjusted.
    pub fn apply(&self, matrix: &PriceMatrix, currency: Currency) -> Result<PriceMatrix, AdjustmentFault> {
        if self.percent.get() <= -10_000 || self.percent > PERCENT_MAX {
            return Err(AdjustmentFault::Percent);
        }
        let mut cells: Option<Vec<(Length, Length)>> = self.cells.clone();
        if let Some(cells) = &mut cells {
            let unknown = |(width, height): &&(Length, Length)| {
                matrix.widths().binary_search(width).is_err() || matrix.heights().binary_search(height).is_err()
            };
            if let Some(&(width, height)) = cells.iter().find(unknown) {
                return Err(AdjustmentFault::NoSuchCell { width, height });
            }
            cells.sort_unstable();
        }
        let wanted = |cell: &(Length, Length)| cells.as_ref().is_none_or(|cells| cells.binary_search(cell).is_ok());
        let mut prices = Vec::with_capacity(matrix.heights().len());
        for (row, &height) in matrix.rows().zip(matrix.heights()) {
            let adjusted = row.iter().zip(matrix.widths()).map(|(&price, &width)| match price {
                Some(price) if price > Minor::ZERO && wanted(&(width, height)) => {
                    match self.adjusted(price, currency) {
                        Some(Minor::ZERO) => Err(AdjustmentFault::Nothing { width, height }),
                        Some(price) => Ok(Some(price)),
                        None => Err(AdjustmentFault::TooLarge { width, height }),
                    }
                }
                stays => Ok(stays),
            });
            prices.push(adjusted.collect::<Result<Vec<_>, _>>()?);
        }
        let (widths, heights) = (matrix.widths(), matrix.heights());
        let adjusted = PriceMatrix::new(widths, heights, &prices, matrix.outside(), matrix.limits());
        Ok(adjusted.expect("the axes are those of a matrix, and each price was checked"))
    }

    /// A price with its percentage and its rounding, exactly until the one rounding at the end.
    fn adjusted(&self, price: Minor, currency: Currency) -> Option<Minor> {
        // In ten-thousandths of a minor unit; both factors have less than 64 bits.
        let exact = i128::from(price.get()) * (WHOLE + i128::from(self.percent.get()));
        let (step, offset) = match self.rounding {
            None => (1, 0),
            Some(Rounding::Step(step)) => (step.get(), 0),
            Some(Rounding::Ending(ending)) => (major(currency), ending.get()),
        };
        let (step, offset) = (i128::from(step), i128::from(offset));
        let nearest = (2 * (exact - offset * WHOLE) + step * WHOLE).div_euclid(2 * step * WHOLE);
        // No price below the first ending has it.
        Minor::from_wide(nearest.max(0) * step + offset).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::matrix::{OutOfRange, SizeLimits};

    fn length(text: &str) -> Length {
        text.parse().expect("a length")
    }

    fn grid(prices: [Option<i64>; 4]) -> PriceMatrix {
        let prices: Vec<Vec<Option<Minor>>> =
            prices.chunks(2).map(|row| row.iter().map(|price| price.map(Minor::new)).collect()).collect();
        let (widths, heights) = ([length("300"), length("600")], [length("200"), length("400")]);
        PriceMatrix::new(&widths, &heights, &prices, OutOfRange::Reject, SizeLimits::default()).expect("a matrix")
    }

    fn flat(matrix: &PriceMatrix) -> Vec<Option<i64>> {
        matrix.rows().flatten().map(|price| price.map(Minor::get)).collect()
    }

    fn by(points: i64, rounding: Option<&str>) -> Adjustment {
        let rounding = rounding.map(|text| Rounding::parse(text, Currency::USD).expect("a rounding"));
        Adjustment { percent: BasisPoints::new(points), rounding, cells: None }
    }

    #[test]
    fn prices_are_raised_and_lowered_and_rounded_once() {
        for (points, rounding, price, adjusted) in [
            (400, None, 1_001, 1_041),         // 10.4104
            (400, Some("0.05"), 1_001, 1_040), // the same, to the next five cents
            (400, Some("0.05"), 1_008, 1_050), // 10.4832
            (0, Some("0.05"), 1_002, 1_000),   // only rounded
            (0, Some("1"), 1_050, 1_100),      // from the middle upwards
            (0, Some("10"), 1_499, 1_000),
            (400, Some(".95"), 1_000, 995), // 10.40 is nearer to 9.95 than to 10.95
            (0, Some(".95"), 1_044, 995),
            (0, Some(".95"), 1_045, 1_095),
            (0, Some(".99"), 1, 99), // there is no -0.01
            (0, Some(".00"), 1_049, 1_000),
            (-5_000, None, 1_001, 501), // 5.005
            (-9_999, None, 1_000_000, 100),
            (100_000, None, 1, 11),
        ] {
            let matrix = by(points, rounding).apply(&grid([Some(price); 4]), Currency::USD);
            assert_eq!(flat(&matrix.expect("adjusted")), [Some(adjusted); 4], "{price} by {points} to {rounding:?}");
        }
    }

    #[test]
    fn what_is_not_offered_or_free_stays_and_so_does_what_was_not_chosen() {
        let matrix = grid([Some(1_000), None, Some(0), Some(2_000)]);
        let all = by(1_000, Some(".95")).apply(&matrix, Currency::USD).expect("adjusted");
        assert_eq!(flat(&all), [Some(1_095), None, Some(0), Some(2_195)]);
        let mut some = by(1_000, None);
        some.cells = Some(vec![(length("600"), length("400")), (length("600"), length("200"))]);
        assert_eq!(
            flat(&some.apply(&matrix, Currency::USD).expect("adjusted")),
            [Some(1_000), None, Some(0), Some(2_200)]
        );
        some.cells = Some(vec![(length("601"), length("400"))]);
        let fault = AdjustmentFault::NoSuchCell { width: length("601"), height: length("400") };
        assert_eq!(some.apply(&matrix, Currency::USD), Err(fault));
    }

    #[test]
    fn nothing_becomes_free_or_larger_than_can_be_kept() {
        for points in [-10_000, -10_001, 100_001] {
            assert_eq!(by(points, None).apply(&grid([Some(1); 4]), Currency::USD), Err(AdjustmentFault::Percent));
        }
        let (width, height) = (length("300"), length("200"));
        let cheap = grid([Some(2); 4]);
        assert_eq!(by(0, Some("0.05")).apply(&cheap, Currency::USD), Err(AdjustmentFault::Nothing { width, height }));
        let dear = grid([Some(Minor::MAX.get()); 4]);
        assert_eq!(by(1, None).apply(&dear, Currency::USD), Err(AdjustmentFault::TooLarge { width, height }));
    }

    #[test]
    fn a_rounding_is_a_step_that_fits_a_major_unit_or_an_ending() {
        let (yen, dinar) = ("JPY".parse().expect("a currency"), "KWD".parse().expect("a currency"));
        for (text, currency, rounding) in [
            ("0.05", Currency::USD, Rounding::Step(Minor::new(5))),
            ("1", Currency::USD, Rounding::Step(Minor::new(100))),
            ("25", Currency::USD, Rounding::Step(Minor::new(2_500))),
            (".95", Currency::USD, Rounding::Ending(Minor::new(95))),
            (".9", Currency::USD, Rounding::Ending(Minor::new(90))),
            ("50", yen, Rounding::Step(Minor::new(50))),
            (".950", dinar, Rounding::Ending(Minor::new(950))),
        ] {
            assert_eq!(Rounding::parse(text, currency), Ok(rounding), "{text}");
        }
        for (text, currency) in [
            ("0.95", Currency::USD),
            ("0", Currency::USD),
            ("-1", Currency::USD),
            ("0.001", Currency::USD),
            (".", Currency::USD),
            ("", Currency::USD),
            ("1.50", Currency::USD),
            (".95", yen),
            ("whole", yen),
        ] {
            assert_eq!(Rounding::parse(text, currency), Err(NotARounding), "{text}");
        }
    }
}
