//! What a choice does to the price of one piece, and how a merchant writes that.

use crate::domain::money::{BasisPoints, Minor, TooLarge};

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

    /// The type that `field` means, which must be the one that is named if one is.
    fn written(&self, field: &'static str, kind: &'static str) -> Result<&'static str, (&'static str, ModifierFault)> {
        match self.kind {
            Some(named) if named != kind => Err((field, ModifierFault::Mixed)),
            _ => Ok(kind),
        }
    }

    /// The value that `field` means, which must be the one that is given if one is.
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
