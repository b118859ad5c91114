//! What may be added to a size: groups of choices, what a choice does to the price, and which selections are allowed.

use super::ids::{ChoiceId, OptionGroupId};
use super::money::{BasisPoints, Minor, TooLarge};
use super::name::{Name, NameFault};
use crate::domain::text_enum::text_enum;
use std::fmt;

/// The most groups of a product.
pub const GROUPS_MAX: usize = 5;

/// The most choices of a group.
pub const CHOICES_MAX: usize = 20;

/// The most selections of a request: one a group.
pub const SELECTIONS_MAX: usize = GROUPS_MAX;

/// The largest value of a modifier, of either sign: what a JavaScript client can hold as an integer.
pub const MODIFIER_MAX: i64 = 9_007_199_254_740_991;

/// What a choice does to the price of one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Modifier {
    /// Adds this much.
    Fixed(Minor),
    /// Adds this share of the base price.
    Percentage(BasisPoints),
}

/// Why two values make no modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModifierFault {
    /// The type is unknown.
    #[error("must be FIXED or PERCENTAGE")]
    Type,
    /// The value is beyond [`MODIFIER_MAX`].
    #[error("must be from -{MODIFIER_MAX} to {MODIFIER_MAX}")]
    Value,
    /// Nothing says what the modifier comes to.
    #[error("is required: or amount in major units, or percent")]
    NoValue,
    /// A value without a type: 500 may be 5.00 or 5 %.
    #[error("is required")]
    NoType,
    /// An amount alongside a percentage, or one of them alongside the type of the other.
    #[error("does not go with the other: a choice has an amount or a percentage")]
    Mixed,
    /// Two fields that say the same thing say different things.
    #[error("is not what modifierValue says: send one of both")]
    Contradiction,
}

impl Modifier {
    /// A modifier from its stored form: `FIXED` and minor units, or `PERCENTAGE` and basis points.
    ///
    /// # Errors
    /// When the type is unknown or the value too large.
    pub fn from_parts(kind: &str, value: i64) -> Result<Self, ModifierFault> {
        if value.unsigned_abs() > MODIFIER_MAX.unsigned_abs() {
            return Err(ModifierFault::Value);
        }
        match kind {
            "FIXED" => Ok(Self::Fixed(Minor::new(value))),
            "PERCENTAGE" => Ok(Self::Percentage(BasisPoints::new(value))),
            _ => Err(ModifierFault::Type),
        }
    }

    /// `FIXED` or `PERCENTAGE`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Fixed(_) => "FIXED",
            Self::Percentage(_) => "PERCENTAGE",
        }
    }

    /// What is added, where that is an amount of money.
    pub fn fixed(self) -> Option<Minor> {
        match self {
            Self::Fixed(amount) => Some(amount),
            Self::Percentage(_) => None,
        }
    }

    /// The share that is added, where it is one.
    pub fn share(self) -> Option<BasisPoints> {
        match self {
            Self::Fixed(_) => None,
            Self::Percentage(share) => Some(share),
        }
    }

    /// Minor units, or basis points.
    pub fn value(self) -> i64 {
        match self {
            Self::Fixed(amount) => amount.get(),
            Self::Percentage(share) => share.get(),
        }
    }

    /// What it adds to a piece that costs `base`; less than nothing for a discount. Always of the base, never of other modifiers.
    ///
    /// # Errors
    /// [`TooLarge`] when that is beyond [`Minor::MAX`].
    pub fn amount(self, base: Minor) -> Result<Minor, TooLarge> {
        match self {
            Self::Fixed(amount) => Minor::from_wide(amount.get().into()),
            Self::Percentage(share) => share.of(base),
        }
    }
}

text_enum! {
    /// Whether a shopper must choose.
    #[derive(Default)]
    pub enum Requirement {
        /// An order needs a choice of this group.
        Required = "REQUIRED",
        /// A choice may be left out.
        #[default]
        Optional = "OPTIONAL",
    }
}

/// One choice of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Names it in selections; an edit keeps it.
    pub id: ChoiceId,
    /// What the shopper reads.
    pub label: Name,
    /// What it does to the price.
    pub modifier: Modifier,
    /// A hint for the display; pricing never applies it by itself.
    pub is_default: bool,
}

/// Choices of which a shopper takes at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionGroup {
    /// Names it in selections.
    pub id: OptionGroupId,
    /// What the shopper reads.
    pub name: Name,
    /// Whether an order needs a choice.
    pub requirement: Requirement,
    /// In the merchant's order.
    pub choices: Vec<Choice>,
}

/// Why a group cannot be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupFault {
    /// No choice, or too many.
    #[error("must have 1 to {CHOICES_MAX} choices, not {count}")]
    Choices {
        /// How many there are.
        count: usize,
    },
    /// Several choices are the default.
    #[error("at most one choice can be the default")]
    Defaults,
}

/// Checks what holds for a group's choices as a whole. `defaults` says of each choice whether it is the default.
///
/// # Errors
/// Every fault.
pub fn check_choices(defaults: &[bool]) -> Result<(), Vec<GroupFault>> {
    let mut faults = Vec::new();
    if !(1..=CHOICES_MAX).contains(&defaults.len()) {
        faults.push(GroupFault::Choices { count: defaults.len() });
    }
    if defaults.iter().filter(|&&is_default| is_default).count() > 1 {
        faults.push(GroupFault::Defaults);
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// A choice as a merchant sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceDraft<'a> {
    /// The label, untrimmed.
    pub label: &'a str,
    /// What it does to the price.
    pub modifier: ModifierDraft<'a>,
}

/// A modifier as a merchant writes it: a type and a value, or an amount of money, or a percentage, or several of them that agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModifierDraft<'a> {
    /// `FIXED` or `PERCENTAGE`.
    pub kind: Option<&'a str>,
    /// Minor units, or basis points.
    pub value: Option<i64>,
    /// What is added, in the store's currency.
    pub amount: Option<Minor>,
    /// The share that is added.
    pub percent: Option<BasisPoints>,
}

impl ModifierDraft<'_> {
    /// The modifier that all fields agree on.
    ///
    /// Who reads a choice, changes one field and sends it back leaves the others as they were: where fields disagree, those that still
    /// say what the choice `was` count for nothing.
    ///
    /// # Errors
    /// The first fault, with the name of its field in the API.
    pub fn check(&self, was: Option<Modifier>) -> Result<Modifier, (&'static str, ModifierFault)> {
        let checked = self.agreement();
        match (was, checked) {
            (Some(was), Err((_, ModifierFault::Mixed | ModifierFault::Contradiction))) => {
                self.changed_from(was).agreement()
            }
            _ => checked,
        }
    }

    /// Without the fields that still say what a choice was.
    fn changed_from(&self, was: Modifier) -> Self {
        let amount = self.amount.filter(|amount| Some(*amount) != was.fixed());
        let percent = self.percent.filter(|share| Some(*share) != was.share());
        if amount.is_none() && percent.is_none() {
            return Self { amount, percent, ..*self };
        }
        let kind = self.kind.filter(|kind| *kind != was.kind());
        Self { kind, value: self.value.filter(|value| *value != was.value()), amount, percent }
    }

    fn agreement(&self) -> Result<Modifier, (&'static str, ModifierFault)> {
        let Self { kind, value, amount, percent } = *self;
        if let Some(kind) = kind.filter(|&kind| kind != "FIXED" && kind != "PERCENTAGE") {
            return Modifier::from_parts(kind, 0).map_err(|fault| ("modifierType", fault));
        }
        let (kind, value) = match (amount, percent) {
            (Some(_), Some(_)) => return Err(("percent", ModifierFault::Mixed)),
            (Some(amount), None) => (self.written("amount", "FIXED")?, Self::agreed("amount", amount.get(), value)?),
            (None, Some(share)) => {
                (self.written("percent", "PERCENTAGE")?, Self::agreed("percent", share.get(), value)?)
            }
            (None, None) => (
                kind.ok_or(("modifierType", ModifierFault::NoType))?,
                ("modifierValue", value.ok_or(("modifierValue", ModifierFault::NoValue))?),
            ),
        };
        let (field, value) = value;
        Modifier::from_parts(kind, value).map_err(|fault| (field, fault))
    }

    /// The type that `field` stands for, which must be the one that is named if one is.
    fn written(&self, field: &'static str, kind: &'static str) -> Result<&'static str, (&'static str, ModifierFault)> {
        match self.kind {
            Some(named) if named != kind => Err((field, ModifierFault::Mixed)),
            _ => Ok(kind),
        }
    }

    /// The value that `field` stands for, which must be the one that is given if one is.
    fn agreed(
        field: &'static str,
        written: i64,
        value: Option<i64>,
    ) -> Result<(&'static str, i64), (&'static str, ModifierFault)> {
        match value {
            Some(value) if value != written => Err((field, ModifierFault::Contradiction)),
            _ => Ok((field, written)),
        }
    }
}

impl ChoiceDraft<'_> {
    /// The checked label and modifier of a choice; `was` as in [`ModifierDraft::check`].
    ///
    /// # Errors
    /// Every fault, with the name of its field.
    pub fn check(&self, was: Option<Modifier>) -> Result<(Name, Modifier), Vec<(&'static str, ChoiceFault)>> {
        let label = self.label.parse::<Name>();
        let modifier = self.modifier.check(was);
        match (label, modifier) {
            (Ok(label), Ok(modifier)) => Ok((label, modifier)),
            (label, modifier) => {
                let label = label.err().map(|fault| ("label", ChoiceFault::Label(fault)));
                let modifier = modifier.err().map(|(field, fault)| (field, ChoiceFault::Modifier(fault)));
                Err(label.into_iter().chain(modifier).collect())
            }
        }
    }
}

/// Why a choice cannot be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceFault {
    /// Its label is no name.
    #[error(transparent)]
    Label(#[from] NameFault),
    /// Its modifier is not valid.
    #[error(transparent)]
    Modifier(#[from] ModifierFault),
}

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
    // By rule, and within a rule as they came; the same fault of a group said twice helps nobody.
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
    fn the_same_fault_of_a_group_is_told_once() {
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

    #[test]
    fn modifiers_keep_to_what_clients_can_hold() {
        assert_eq!(Modifier::from_parts("FIXED", -MODIFIER_MAX), Ok(Modifier::Fixed(Minor::new(-MODIFIER_MAX))));
        assert_eq!(Modifier::from_parts("PERCENTAGE", MODIFIER_MAX + 1), Err(ModifierFault::Value));
        assert_eq!(Modifier::from_parts("FIXED", i64::MIN), Err(ModifierFault::Value));
        assert_eq!(Modifier::from_parts("fixed", 1), Err(ModifierFault::Type));
    }

    #[test]
    fn a_modifier_is_what_all_its_fields_agree_on() {
        let draft = |kind, value, amount: Option<i64>, percent: Option<i64>| {
            let (amount, percent) = (amount.map(Minor::new), percent.map(BasisPoints::new));
            ModifierDraft { kind, value, amount, percent }.check(None)
        };
        let (fixed, share) = (Ok(Modifier::Fixed(Minor::new(8_900))), Ok(Modifier::Percentage(BasisPoints::new(500))));
        assert_eq!(draft(None, None, Some(8_900), None), fixed);
        assert_eq!(draft(Some("FIXED"), Some(8_900), Some(8_900), None), fixed);
        assert_eq!(draft(Some("FIXED"), Some(8_900), None, None), fixed);
        assert_eq!(draft(None, None, None, Some(500)), share);
        assert_eq!(draft(Some("PERCENTAGE"), Some(500), None, Some(500)), share);
        for (wrong, fault) in [
            (draft(Some("FIXED"), Some(89), Some(8_900), None), ("amount", ModifierFault::Contradiction)),
            (draft(Some("PERCENTAGE"), Some(5), None, Some(500)), ("percent", ModifierFault::Contradiction)),
            (draft(Some("PERCENTAGE"), None, Some(8_900), None), ("amount", ModifierFault::Mixed)),
            (draft(Some("FIXED"), None, None, Some(500)), ("percent", ModifierFault::Mixed)),
            (draft(None, None, Some(0), Some(0)), ("percent", ModifierFault::Mixed)),
            (draft(None, Some(5), None, None), ("modifierType", ModifierFault::NoType)),
            (draft(Some("FIXED"), None, None, None), ("modifierValue", ModifierFault::NoValue)),
            (draft(Some("FIXED"), None, Some(MODIFIER_MAX + 1), None), ("amount", ModifierFault::Value)),
        ] {
            assert_eq!(wrong, Err(fault));
        }
    }

    #[test]
    fn a_choice_that_was_read_is_what_its_changed_field_says() {
        let sent = |kind, value, amount: Option<i64>, percent: Option<i64>| {
            let (amount, percent) = (amount.map(Minor::new), percent.map(BasisPoints::new));
            ModifierDraft { kind: Some(kind), value: Some(value), amount, percent }
                .check(Some(Modifier::Fixed(Minor::new(500))))
        };
        let fixed = |minor| Ok(Modifier::Fixed(Minor::new(minor)));
        let share = |points| Ok(Modifier::Percentage(BasisPoints::new(points)));
        assert_eq!(sent("FIXED", 500, Some(500), None), fixed(500));
        assert_eq!(sent("FIXED", 600, Some(500), None), fixed(600));
        assert_eq!(sent("FIXED", 500, Some(700), None), fixed(700));
        assert_eq!(sent("PERCENTAGE", 500, Some(500), None), share(500));
        assert_eq!(sent("FIXED", 500, Some(500), Some(900)), share(900));
        assert_eq!(sent("FIXED", 600, Some(700), None), Err(("amount", ModifierFault::Contradiction)));
        assert_eq!(sent("PERCENTAGE", 500, Some(700), None), Err(("amount", ModifierFault::Mixed)));
    }

    #[test]
    fn a_group_is_checked_as_a_whole() {
        assert_eq!(check_choices(&[true, false]), Ok(()));
        assert_eq!(check_choices(&[]), Err(vec![GroupFault::Choices { count: 0 }]));
        assert_eq!(check_choices(&[true; 21]), Err(vec![GroupFault::Choices { count: 21 }, GroupFault::Defaults]));
        let modifier = ModifierDraft { kind: Some("OFF"), value: Some(1), ..ModifierDraft::default() };
        let draft = ChoiceDraft { label: " ", modifier };
        let fields: Vec<&str> = draft.check(None).expect_err("faulty").into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["label", "modifierType"]);
    }
}
