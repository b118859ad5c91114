//! What becomes of two edits of one price list that meet.

use super::{SavedPrice, Sheet, Side, Size, by_size};
use crate::domain::length::Length;
use crate::domain::matrix::PriceMatrix;
use crate::domain::money::Currency;
use std::collections::BTreeMap;

/// A size that two people have changed in two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http::console::prices) struct Conflict {
    pub(in crate::http::console::prices) width: Length,
    pub(in crate::http::console::prices) height: Length,
    pub(in crate::http::console::prices) was: SavedPrice,
    pub(in crate::http::console::prices) mine: SavedPrice,
    pub(in crate::http::console::prices) theirs: SavedPrice,
}

/// What becomes of two edits of one grid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http::console::prices) struct Merged {
    /// Both edits together; where they differ, mine.
    pub(in crate::http::console::prices) sheet: Sheet,
    /// Where they differ.
    pub(in crate::http::console::prices) conflicts: Vec<Conflict>,
    /// Sizes that only they have changed, and that the sheet has as they saved them.
    pub(in crate::http::console::prices) taken_over: usize,
}

/// Brings `mine` and `theirs` together, both made from `base`. What only one side has changed is taken from that side; what both have
/// changed stays mine, and is a conflict.
pub(in crate::http::console::prices) fn merge(
    base: &Sheet,
    mine: &PriceMatrix,
    theirs: &PriceMatrix,
    currency: Currency,
) -> Merged {
    let grid = |matrix: &PriceMatrix| by_size(&Sheet::of(matrix, currency), currency);
    let (base, mine_at, theirs_at) = (by_size(base, currency), grid(mine), grid(theirs));
    let base_steps = |pick: Side| base.keys().map(pick).collect::<Vec<_>>();
    let changed_by_me = |size: &Size| mine_at.get(size) != base.get(size);
    let keep = |was: &[Length], mine: &[Length], theirs: &[Length], pick: Side| {
        let mut steps: Vec<Length> = mine.iter().chain(theirs).copied().collect();
        steps.sort_unstable();
        steps.dedup();
        steps.retain(|step| match (was.contains(step), mine.contains(step), theirs.contains(step)) {
            // Removed by me: it stays away, and what they did to it is a conflict.
            (true, false, _) => false,
            // Removed by them: it stays away unless I have changed a price of it.
            (true, true, false) => mine_at.keys().any(|size| pick(size) == *step && changed_by_me(size)),
            _ => true,
        });
        steps
    };
    let (width_of, height_of): (Side, Side) = (|size| size.0, |size| size.1);
    let widths = keep(&base_steps(width_of), mine.widths(), theirs.widths(), width_of);
    let heights = keep(&base_steps(height_of), mine.heights(), theirs.heights(), height_of);

    let mut sizes: Vec<Size> = mine_at.keys().chain(theirs_at.keys()).copied().collect();
    sizes.sort_unstable_by_key(|&(width, height)| (height, width));
    sizes.dedup();
    let (mut resolved, mut conflicts, mut taken_over) = (BTreeMap::new(), Vec::new(), 0);
    for size in sizes {
        let [was, mine, theirs] = [&base, &mine_at, &theirs_at].map(|grid| grid.get(&size).copied());
        let is_mine_alone = theirs == was || mine == theirs;
        let is_theirs_alone = mine == was;
        if !is_mine_alone && !is_theirs_alone {
            conflicts.push(Conflict { width: size.0, height: size.1, was, mine, theirs });
        }
        if is_theirs_alone && !is_mine_alone {
            taken_over += 1;
        }
        resolved.insert(size, if is_theirs_alone && !is_mine_alone { theirs } else { mine });
    }
    let text = |size| resolved.get(&size).copied().flatten().flatten().map(|price| currency.format(price));
    let sheet = Sheet {
        prices: heights
            .iter()
            .map(|&height| widths.iter().map(|&width| text((width, height)).unwrap_or_default()).collect())
            .collect(),
        widths: widths.iter().map(Length::to_string).collect(),
        heights: heights.iter().map(Length::to_string).collect(),
    };
    let sheet = if sheet.widths.is_empty() || sheet.heights.is_empty() { Sheet::blank() } else { sheet };
    Merged { sheet, conflicts, taken_over }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{eur, grid, sheet, two_by_two};
    use super::*;
    use crate::domain::money::Minor;

    #[test]
    fn two_edits_of_different_cells_are_both_kept() {
        let base = two_by_two();
        let mine = sheet(&["300", "600"], &[("400", &["11.00", "20.00"]), ("800", &["15.00", ""])]);
        let theirs = sheet(&["300", "600"], &[("400", &["10.00", "20.00"]), ("800", &["15.00", "30.00"])]);
        let merged = merge(&base, &grid(&mine), &grid(&theirs), eur());
        assert_eq!(merged.sheet, sheet(&["300", "600"], &[("400", &["11.00", "20.00"]), ("800", &["15.00", "30.00"])]));
        assert_eq!((merged.conflicts, merged.taken_over), (vec![], 1));
    }

    #[test]
    fn a_cell_that_both_have_changed_keeps_my_price_and_is_a_conflict() {
        let base = two_by_two();
        let mine = sheet(&["300", "600"], &[("400", &["11.00", "20.00"]), ("800", &["15.00", ""])]);
        let theirs = sheet(&["300", "600"], &[("400", &["12.00", "20.00"]), ("800", &["15.00", ""])]);
        let merged = merge(&base, &grid(&mine), &grid(&theirs), eur());
        assert_eq!(merged.sheet.prices[0][0], "11.00");
        let price = |minor| Some(Some(Minor::new(minor)));
        let conflict = &merged.conflicts[..];
        assert_eq!(conflict.len(), 1);
        assert_eq!((conflict[0].was, conflict[0].mine, conflict[0].theirs), (price(1000), price(1100), price(1200)));
        let same = merge(&base, &grid(&mine), &grid(&mine), eur());
        assert_eq!((same.conflicts, same.taken_over), (vec![], 0), "both say the same");
    }

    #[test]
    fn steps_of_both_edits_come_together() {
        let base = two_by_two();
        let mine =
            sheet(&["300", "600", "900"], &[("400", &["10.00", "20.00", "30.00"]), ("800", &["15.00", "", "40.00"])]);
        let theirs = sheet(&["300"], &[("400", &["10.00"]), ("800", &["15.00"]), ("1200", &["50.00"])]);
        let merged = merge(&base, &grid(&mine), &grid(&theirs), eur());
        assert_eq!(
            merged.sheet,
            sheet(
                &["300", "900"],
                &[("400", &["10.00", "30.00"]), ("800", &["15.00", "40.00"]), ("1200", &["50.00", ""])]
            )
        );
        assert_eq!(merged.conflicts, []);
        // They removed a step of which I have changed a price.
        let mine = sheet(&["300", "600"], &[("400", &["10.00", "21.00"]), ("800", &["15.00", ""])]);
        let merged = merge(&base, &grid(&mine), &grid(&theirs), eur());
        assert_eq!(merged.sheet.widths, ["300", "600"]);
        assert_eq!((merged.conflicts.len(), merged.conflicts[0].theirs), (1, None));
    }
}
