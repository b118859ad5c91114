//! An option group as a form has it: text in every field until it has been checked. Pure.

use crate::catalog::options::NewChoice;
use crate::domain::ids::ChoiceId;
use crate::domain::money::{BasisPoints, Currency};
use crate::domain::name::Name;
use crate::domain::options::{
    CHOICES_MAX, Choice, ChoiceDraft, Modifier, ModifierDraft, OptionGroup, Requirement, check_choices,
};
use crate::http::console::form::Form;
use crate::http::console::number;

/// Rows of a group that is not there yet.
const BLANK_ROWS: usize = 3;

/// Decimals of a percentage.
const PERCENT_DECIMALS: usize = 2;

/// The group in a form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) is_required: bool,
    pub(super) rows: Vec<ChoiceRow>,
    /// Which row a page should select first.
    pub(super) first: Option<usize>,
    pub(super) name_fault: Option<String>,
    /// What is wrong with the whole.
    pub(super) fault: Option<String>,
}

/// A choice in a form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ChoiceRow {
    /// Its id; empty for a new one.
    pub(super) id: String,
    pub(super) label: String,
    pub(super) is_percent: bool,
    pub(super) value: String,
    pub(super) label_fault: Option<String>,
    pub(super) value_fault: Option<String>,
}

impl ChoiceRow {
    fn is_blank(&self) -> bool {
        self.label.is_empty() && self.value.is_empty() && self.id.is_empty()
    }
}

/// A group that has been checked.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) name: Name,
    pub(super) requirement: Requirement,
    pub(super) choices: Vec<DraftedChoice>,
}

/// A choice that has been checked.
#[derive(Debug)]
pub(super) struct DraftedChoice {
    /// Its id, where it claims to be there already.
    pub(super) id: Option<ChoiceId>,
    label: Name,
    modifier: Modifier,
    is_default: bool,
}

impl DraftedChoice {
    /// The choice under this id.
    pub(super) fn with_id(self, id: ChoiceId) -> NewChoice {
        let Self { label, modifier, is_default, .. } = self;
        NewChoice { id, label, modifier, is_default }
    }
}

impl Draft {
    /// A form for a new group.
    pub(super) fn blank() -> Self {
        Self { rows: vec![ChoiceRow::default(); BLANK_ROWS], ..Self::default() }
    }

    /// The form of a group that is there.
    pub(super) fn of(group: &OptionGroup, currency: Currency) -> Self {
        let row = |choice: &Choice| {
            let (is_percent, value) = match choice.modifier {
                Modifier::Fixed(amount) => (false, currency.format(amount)),
                Modifier::Percentage(share) => (true, share.format_percent()),
            };
            ChoiceRow {
                id: choice.id.to_string(),
                label: choice.label.to_string(),
                is_percent,
                value,
                ..ChoiceRow::default()
            }
        };
        Self {
            name: group.name.to_string(),
            is_required: group.requirement == Requirement::Required,
            rows: group.choices.iter().map(row).collect(),
            first: group.choices.iter().position(|choice| choice.is_default),
            ..Self::default()
        }
    }

    /// Whether a page should select this row first.
    pub(super) fn is_first(&self, row: &usize) -> bool {
        self.first == Some(*row)
    }

    /// What a form has sent. Rows beyond what a group may have, and one more, are left out.
    pub(super) fn read(form: &Form) -> Self {
        let mut rows = Vec::new();
        let (mut labels, mut kinds, mut values) = (form.all("label"), form.all("kind"), form.all("value"));
        for id in form.all("choice").take(CHOICES_MAX + 1) {
            let text = |next: Option<&str>| next.unwrap_or_default().trim().to_owned();
            rows.push(ChoiceRow {
                id: id.to_owned(),
                label: text(labels.next()),
                is_percent: kinds.next() == Some("percent"),
                value: text(values.next()),
                ..ChoiceRow::default()
            });
        }
        Self {
            name: form.get("name").trim().to_owned(),
            is_required: form.get("requirement") == "REQUIRED",
            rows,
            first: form.get("first").parse().ok(),
            ..Self::default()
        }
    }

    /// Does what a button says: `add`, `up-2`, `down-0`, `remove-1`. Anything else does nothing.
    pub(super) fn rework(&mut self, what: &str) {
        if what == "add" {
            if self.rows.len() < CHOICES_MAX {
                self.rows.push(ChoiceRow::default());
            }
            return;
        }
        let Some((verb, at)) = what.split_once('-').and_then(|(verb, at)| Some((verb, at.parse::<usize>().ok()?)))
        else {
            return;
        };
        match verb {
            "up" if at > 0 && at < self.rows.len() => self.swap(at, at - 1),
            "down" if at + 1 < self.rows.len() => self.swap(at, at + 1),
            "remove" if at < self.rows.len() => {
                self.rows.remove(at);
                self.first = match self.first {
                    Some(first) if first == at => None,
                    Some(first) if first > at => Some(first - 1),
                    first => first,
                };
            }
            _ => {}
        }
    }

    fn swap(&mut self, one: usize, other: usize) {
        self.rows.swap(one, other);
        self.first = self.first.map(|first| match first {
            first if first == one => other,
            first if first == other => one,
            first => first,
        });
    }

    /// The group that the form says; rows with nothing in them are left out.
    ///
    /// # Errors
    /// The draft again, with its faults.
    pub(super) fn check(mut self, currency: Currency) -> Result<Drafted, Box<Self>> {
        let name = self.name.parse::<Name>();
        self.name_fault = name.as_ref().err().map(ToString::to_string);
        let first = self.first;
        let mut choices = Vec::new();
        for (at, row) in self.rows.iter_mut().enumerate().filter(|(_, row)| !row.is_blank()) {
            let modifier = row.modifier(currency);
            let draft = ChoiceDraft { label: &row.label, modifier: modifier.clone().unwrap_or_default() };
            match (draft.check(None), modifier) {
                (Ok((label, modifier)), Ok(_)) => {
                    choices.push(DraftedChoice {
                        id: row.id.parse().ok(),
                        label,
                        modifier,
                        is_default: first == Some(at),
                    });
                }
                (checked, modifier) => {
                    for (field, fault) in checked.err().into_iter().flatten() {
                        let fault_of_row = if field == "label" { &mut row.label_fault } else { &mut row.value_fault };
                        *fault_of_row = Some(fault.to_string());
                    }
                    if let Err(fault) = modifier {
                        row.value_fault = Some(fault);
                    }
                }
            }
        }
        let is_whole = self.rows.iter().all(|row| row.label_fault.is_none() && row.value_fault.is_none());
        let defaults: Vec<bool> = choices.iter().map(|choice| choice.is_default).collect();
        if let (true, Err(faults)) = (is_whole, check_choices(&defaults)) {
            let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
            self.fault = Some(format!("A group {}.", texts.join("; ")));
        }
        match name {
            Ok(name) if is_whole && self.fault.is_none() => {
                let requirement = if self.is_required { Requirement::Required } else { Requirement::Optional };
                Ok(Drafted { name, requirement, choices })
            }
            _ => Err(Box::new(self)),
        }
    }
}

impl ChoiceRow {
    /// What the choice does to a price. A field that is left empty adds nothing.
    fn modifier(&self, currency: Currency) -> Result<ModifierDraft<'static>, String> {
        let text = self.value.replace('%', "");
        let text = text.trim().trim_start_matches('+');
        let decimals = if self.is_percent { PERCENT_DECIMALS } else { currency.exponent() as usize };
        let plain = number::plain(text, decimals, decimals == 3).map_err(|fault| fault.to_string())?;
        let plain = if plain.is_empty() { "0".to_owned() } else { plain };
        if self.is_percent {
            let percent = BasisPoints::parse_percent(&plain).map_err(|fault| fault.to_string())?;
            return Ok(ModifierDraft { percent: Some(percent), ..ModifierDraft::default() });
        }
        if self.value.contains('%') {
            return Err("is a percentage: choose % next to it".to_owned());
        }
        let amount = currency.parse_amount(&plain).map_err(|fault| fault.to_string())?;
        Ok(ModifierDraft { amount: Some(amount), ..ModifierDraft::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Minor;

    fn row(label: &str, is_percent: bool, value: &str) -> ChoiceRow {
        ChoiceRow { label: label.to_owned(), is_percent, value: value.to_owned(), ..ChoiceRow::default() }
    }

    fn motor() -> Draft {
        Draft {
            name: "Operation".to_owned(),
            rows: vec![row("By hand", false, ""), row("Motor", false, "89,00"), row("Mounting", true, "5 %")],
            first: Some(1),
            ..Draft::default()
        }
    }

    fn check(draft: Draft) -> Result<Drafted, Box<Draft>> {
        draft.check("EUR".parse().expect("a currency"))
    }

    #[test]
    fn a_group_is_read_as_people_write_it() {
        let mut draft = motor();
        draft.rows.push(ChoiceRow::default());
        let drafted = check(draft).expect("a group");
        let effects: Vec<Modifier> = drafted.choices.iter().map(|choice| choice.modifier).collect();
        let share = Modifier::Percentage(BasisPoints::new(500));
        assert_eq!(effects, [Modifier::Fixed(Minor::ZERO), Modifier::Fixed(Minor::new(8_900)), share]);
        assert_eq!(drafted.choices.iter().map(|choice| choice.is_default).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn every_fault_is_shown_at_its_field() {
        let mut draft = motor();
        draft.name = " ".to_owned();
        draft.rows = vec![row("", false, "5"), row("Motor", false, "5 %"), row("Crank", true, "many")];
        let draft = check(draft).expect_err("faults");
        assert!(draft.name_fault.is_some());
        let faults: Vec<(bool, bool)> =
            draft.rows.iter().map(|row| (row.label_fault.is_some(), row.value_fault.is_some())).collect();
        assert_eq!(faults, [(true, false), (false, true), (false, true)]);
        assert!(check(Draft { name: "Empty".to_owned(), ..Draft::blank() }).expect_err("no choice").fault.is_some());
    }

    #[test]
    fn rows_move_with_what_is_selected_first() {
        let labels = |draft: &Draft| draft.rows.iter().map(|row| row.label.clone()).collect::<Vec<_>>();
        let mut draft = motor();
        draft.rework("up-1");
        assert_eq!((labels(&draft)[0].as_str(), draft.first), ("Motor", Some(0)));
        draft.rework("down-0");
        draft.rework("remove-0");
        assert_eq!((labels(&draft), draft.first), (vec!["Motor".to_owned(), "Mounting".to_owned()], Some(0)));
        for nothing in ["up-0", "down-1", "remove-9", "up", "dance-1", ""] {
            draft.rework(nothing);
        }
        draft.rework("remove-0");
        assert_eq!((draft.rows.len(), draft.first), (1, None));
        for _ in 0..30 {
            draft.rework("add");
        }
        assert_eq!(draft.rows.len(), CHOICES_MAX);
    }
}
