//! What a shopper has picked, and whether that is allowed.

use super::{Choice, GROUPS_MAX, OptionGroup, Requirement};
use crate::domain::ids::{ChoiceId, OptionGroupId};
use std::fmt;

/// The most selections of a request: one a group.
pub const SELECTIONS_MAX: usize = GROUPS_MAX;

/// What a client picked, in its own words: ids are any text until they are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The group's id.
    pub option_group_id: String,
    /// The choice's id.
    pub choice_id: String,
}

/// Whether a missing choice of a required group is a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredGroups {
    /// It is: nothing is ordered below its price.
    Enforced,
    /// It is only reported: a shopper sees a price before choosing anything.
    Reported,
}

/// What is wrong with a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum SelectionFault {
    /// The product has no such group.
    #[error("this option is not available for this product")]
    NotAssigned,
    /// The group has no such choice (any more): the page that sent it should load the options again.
    #[error("this choice is no longer available, please reload the options")]
    StaleChoice,
    /// More than one choice of a group.
    #[error("choose only one")]
    MoreThanOne,
    /// A required group without a choice.
    #[error("a choice is required")]
    MissingRequired,
}

/// Every fault of a request's selections. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionFaults(Vec<(String, SelectionFault)>);

impl SelectionFaults {
    /// Group id and fault, in the order of the rules: the first is the one to name when only one can be named.
    pub fn iter(&self) -> impl Iterator<Item = (&str, SelectionFault)> {
        self.0.iter().map(|(group, fault)| (group.as_str(), *fault))
    }

    /// Whether loading the options again will help: a group of the product was picked with a choice that it does not have (any more).
    pub fn is_stale(&self) -> bool {
        self.0.iter().any(|(_, fault)| *fault == SelectionFault::StaleChoice)
    }
}

impl fmt::Display for SelectionFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (group, fault)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}option {group}: {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SelectionFaults {}

/// Selections that are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected<'a> {
    /// Group and choice, in the order of the request.
    pub choices: Vec<(&'a OptionGroup, &'a Choice)>,
    /// Required groups without a choice, in the product's order. Empty when they are enforced.
    pub missing_required: Vec<OptionGroupId>,
}

/// Finds what was picked among the product's groups.
///
/// The rules, in order: each group is the product's; each choice is its group's; at most one choice a group; and each required
/// group has one.
///
/// # Errors
/// All faults at once, in the order of the rules.
pub fn select<'a>(
    groups: &'a [OptionGroup],
    selections: &[Selection],
    required: RequiredGroups,
) -> Result<Selected<'a>, SelectionFaults> {
    let mut faults = Vec::new();
    let mut choices = Vec::new();
    let mut times_chosen = vec![0_usize; groups.len()];
    for selection in selections {
        let id: Option<OptionGroupId> = selection.option_group_id.parse().ok();
        let Some(index) = groups.iter().position(|group| Some(group.id) == id) else {
            faults.push((selection.option_group_id.clone(), SelectionFault::NotAssigned));
            continue;
        };
        let group = &groups[index];
        times_chosen[index] += 1;
        let id: Option<ChoiceId> = selection.choice_id.parse().ok();
        match group.choices.iter().find(|choice| Some(choice.id) == id) {
            Some(choice) => choices.push((group, choice)),
            None => faults.push((group.id.to_string(), SelectionFault::StaleChoice)),
        }
    }
    let mut missing_required = Vec::new();
    for (group, &times) in groups.iter().zip(&times_chosen) {
        if times > 1 {
            faults.push((group.id.to_string(), SelectionFault::MoreThanOne));
        }
        if times == 0 && group.requirement == Requirement::Required {
            missing_required.push(group.id);
        }
    }
    if required == RequiredGroups::Enforced {
        faults.extend(missing_required.drain(..).map(|id| (id.to_string(), SelectionFault::MissingRequired)));
    }
    if faults.is_empty() {
        return Ok(Selected { choices, missing_required });
    }
    // By rule, and within a rule as they came; the same fault of a group is not repeated.
    faults.sort_by_key(|&(_, fault)| fault);
    let mut distinct: Vec<(String, SelectionFault)> = Vec::with_capacity(faults.len());
    for fault in faults {
        if !distinct.contains(&fault) {
            distinct.push(fault);
        }
    }
    Err(SelectionFaults(distinct))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{BasisPoints, Minor};
    use crate::domain::options::Modifier;
    use uuid::Uuid;

    fn choice(id: u128, modifier: Modifier) -> Choice {
        let label = format!("choice {id}").parse().expect("a name");
        Choice { id: Uuid::from_u128(id).into(), label, modifier, is_default: false }
    }

    /// Group 1 is required with choices 11 and 12; group 2 is optional with choice 21.
    fn groups() -> Vec<OptionGroup> {
        let free = Modifier::Fixed(Minor::ZERO);
        let share = Modifier::Percentage(BasisPoints::new(1_500));
        let group = |id: u128, requirement, choices| OptionGroup {
            id: Uuid::from_u128(id).into(),
            name: format!("group {id}").parse().expect("a name"),
            requirement,
            choices,
        };
        vec![
            group(1, Requirement::Required, vec![choice(11, free), choice(12, share)]),
            group(2, Requirement::Optional, vec![choice(21, Modifier::Fixed(Minor::new(500)))]),
        ]
    }

    fn id(id: u128) -> String {
        Uuid::from_u128(id).to_string()
    }

    fn pick(group: u128, choice: u128) -> Selection {
        Selection { option_group_id: id(group), choice_id: id(choice) }
    }

    #[test]
    fn choices_come_back_in_the_order_of_the_request() {
        let groups = groups();
        let selected = select(&groups, &[pick(2, 21), pick(1, 12)], RequiredGroups::Enforced).expect("allowed");
        let labels: Vec<&str> = selected.choices.iter().map(|(_, choice)| choice.label.as_str()).collect();
        assert_eq!(labels, ["choice 21", "choice 12"]);
    }

    #[test]
    fn a_required_group_is_only_reported_for_a_price_and_enforced_for_an_order_even_with_nothing_selected() {
        let groups = groups();
        let selected = select(&groups, &[pick(2, 21)], RequiredGroups::Reported).expect("allowed");
        assert_eq!(selected.missing_required, [groups[0].id]);
        for selections in [&[][..], &[pick(2, 21)][..]] {
            let faults = select(&groups, selections, RequiredGroups::Enforced).expect_err("incomplete");
            assert_eq!(faults.iter().collect::<Vec<_>>(), [(id(1).as_str(), SelectionFault::MissingRequired)]);
        }
    }

    #[test]
    fn all_faults_come_at_once_in_the_order_of_the_rules() {
        let mut groups = groups();
        groups[1].requirement = Requirement::Required;
        let selections = [pick(1, 11), pick(1, 99), Selection { option_group_id: "G9".into(), choice_id: "c1".into() }];
        let faults = select(&groups, &selections, RequiredGroups::Enforced).expect_err("faulty");
        let (first, second) = (id(1), id(2));
        let expected = [
            ("G9", SelectionFault::NotAssigned),
            (first.as_str(), SelectionFault::StaleChoice),
            (first.as_str(), SelectionFault::MoreThanOne),
            (second.as_str(), SelectionFault::MissingRequired),
        ];
        assert_eq!(faults.iter().collect::<Vec<_>>(), expected);
        assert!(faults.is_stale());
    }

    #[test]
    fn the_same_fault_of_a_group_is_reported_once() {
        let groups = groups();
        let faults = select(&groups, &[pick(1, 98), pick(1, 99)], RequiredGroups::Enforced).expect_err("faulty");
        let first = id(1);
        let expected = [(first.as_str(), SelectionFault::StaleChoice), (first.as_str(), SelectionFault::MoreThanOne)];
        assert_eq!(faults.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn another_spelling_of_an_id_does_not_get_a_second_choice_in() {
        let groups = groups();
        let shouted = Selection { option_group_id: id(1).to_uppercase(), choice_id: id(12) };
        let faults = select(&groups, &[pick(1, 11), shouted], RequiredGroups::Reported).expect_err("twice");
        assert_eq!(faults.iter().collect::<Vec<_>>(), [(id(1).as_str(), SelectionFault::MoreThanOne)]);
    }
}
