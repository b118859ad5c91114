//! What a piece weighs, in whole grams.

use super::length::{Length, Unit};
use std::fmt;

/// How the weight of a piece comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Every piece weighs the same, whatever its size.
    Piece {
        /// Grams of one.
        grams: u32,
    },
    /// By its area.
    Area {
        /// Grams of a square metre.
        grams_per_square_metre: u32,
        /// Grams that come on top: what does not grow with the size.
        base_grams: u32,
    },
}

/// The most grams of a piece, a square metre or a base: ten tonnes, more than any parcel service or freight forwarder takes.
pub const GRAMS_MAX: u32 = 10_000_000;

/// Grams outside of what a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number of grams from 0 to {GRAMS_MAX}")]
pub struct NotGrams;

/// So many grams.
///
/// # Errors
/// [`NotGrams`] when they are more than [`GRAMS_MAX`].
pub fn grams(number: u64) -> Result<u32, NotGrams> {
    u32::try_from(number).ok().filter(|grams| *grams <= GRAMS_MAX).ok_or(NotGrams)
}

impl Weight {
    /// What a piece of this size weighs, rounded up to whole grams.
    pub fn of_piece(self, width: Length, height: Length, unit: Unit) -> i64 {
        match self {
            Self::Piece { grams } => grams.into(),
            Self::Area { grams_per_square_metre, base_grams } => {
                // A length counts thousandths of its unit: micrometres, or hundredths of a millimetre.
                let per_metre: i128 = match unit {
                    Unit::Mm => 1_000_000,
                    Unit::Cm => 100_000,
                };
                let area = i128::from(width.thousandths()) * i128::from(height.thousandths());
                let weighed = area * i128::from(grams_per_square_metre);
                let per_square_metre = per_metre * per_metre;
                let grams = weighed.div_euclid(per_square_metre) + i128::from(weighed % per_square_metre != 0);
                // The largest piece there can be, a square kilometre, has 10^13 grams.
                i64::try_from(grams).unwrap_or(i64::MAX).saturating_add(base_grams.into())
            }
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Piece { grams } => write!(f, "{grams} g"),
            Self::Area { grams_per_square_metre, base_grams: 0 } => {
                write!(f, "{grams_per_square_metre} g a square metre")
            }
            Self::Area { grams_per_square_metre, base_grams } => {
                write!(f, "{grams_per_square_metre} g a square metre and {base_grams} g")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(text: &str) -> Length {
        text.parse().expect("a length")
    }

    #[test]
    fn a_piece_weighs_what_its_area_and_its_base_do_rounded_up_once() {
        let blind = Weight::Area { grams_per_square_metre: 850, base_grams: 300 };
        let weight = |width, height, unit| blind.of_piece(length(width), length(height), unit);
        // 1.2 x 0.9 m = 1.08 square metres, 918 grams.
        assert_eq!(weight("1200", "900", Unit::Mm), 1_218);
        assert_eq!(weight("120", "90", Unit::Cm), 1_218);
        // 0.45 x 0.35 m = 0.1575 square metres, 133.875 grams.
        assert_eq!(weight("450", "350", Unit::Mm), 434);
        // The smallest piece there is weighs a gram.
        assert_eq!(weight("0.001", "0.001", Unit::Mm), 301);
        let nothing = Weight::Area { grams_per_square_metre: 0, base_grams: 0 };
        assert_eq!(nothing.of_piece(Length::MAX, Length::MAX, Unit::Cm), 0);
    }

    #[test]
    fn a_weight_of_its_own_does_not_depend_on_the_size() {
        let piece = Weight::Piece { grams: 1_200 };
        assert_eq!(piece.of_piece(length("1"), length("1"), Unit::Mm), 1_200);
        assert_eq!(piece.of_piece(Length::MAX, Length::MAX, Unit::Cm), 1_200);
    }

    #[test]
    fn the_heaviest_piece_there_can_be_has_a_weight() {
        let lead = Weight::Area { grams_per_square_metre: GRAMS_MAX, base_grams: GRAMS_MAX };
        assert_eq!(lead.of_piece(Length::MAX, Length::MAX, Unit::Cm), 10_000_010_000_000);
        assert_eq!(grams(u64::from(GRAMS_MAX)), Ok(GRAMS_MAX));
        assert_eq!((grams(u64::from(GRAMS_MAX) + 1), grams(u64::MAX)), (Err(NotGrams), Err(NotGrams)));
    }
}
