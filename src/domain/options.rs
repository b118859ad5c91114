//! What may be added to a size: groups of choices, what a choice does to the price (`modifier.rs`), and which selections are allowed
//! (`selection.rs`).

mod modifier;
mod selection;

pub use modifier::{MODIFIER_MAX, Modifier, ModifierDraft, ModifierFault};
pub use selection::{RequiredGroups, SELECTIONS_MAX, Selected, Selection, SelectionFault, SelectionFaults, select};

use super::ids::{ChoiceId, OptionGroupId};
use super::name::{Name, NameFault};
use crate::domain::text_enum::text_enum;

/// The most groups of a product.
pub const GROUPS_MAX: usize = 5;

/// The most choices of a group.
pub const CHOICES_MAX: usize = 20;

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

#[cfg(test)]
mod tests {
    use super::*;

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
