//! What an order remembers of the options it was made with: names and amounts as they were, for groups and choices are edited and
//! go.

use crate::domain::ids::{ChoiceId, OptionGroupId};
use crate::domain::money::Minor;
use crate::domain::options::Modifier;
use crate::domain::quote::AppliedModifier;
use rusqlite::types::{FromSqlError, Type};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A selected option: a member of the JSON list `option_selections`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SelectedOption {
    /// The group's id, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option_group_id: Option<String>,
    /// The group's name.
    pub option_group_name: String,
    /// The choice's id, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice_id: Option<String>,
    /// The choice's label.
    pub choice_label: String,
    /// `FIXED` or `PERCENTAGE`.
    pub modifier_type: String,
    /// Minor units, or basis points.
    pub modifier_value: i64,
    /// What it added to the price of one piece, in minor units.
    pub applied_minor: i64,
}

impl SelectedOption {
    /// What it does to the price; `None` where the row says something that no choice could.
    pub fn modifier(&self) -> Option<Modifier> {
        Modifier::from_parts(&self.modifier_type, self.modifier_value).ok()
    }

    /// What it added to the price of one piece.
    pub fn applied(&self) -> Minor {
        Minor::new(self.applied_minor)
    }
}

impl From<&AppliedModifier> for SelectedOption {
    fn from(applied: &AppliedModifier) -> Self {
        let id = |group: OptionGroupId, choice: ChoiceId| (Some(group.to_string()), Some(choice.to_string()));
        let (option_group_id, choice_id) = id(applied.option_group_id, applied.choice_id);
        Self {
            option_group_id,
            option_group_name: applied.option_group.to_string(),
            choice_id,
            choice_label: applied.choice.to_string(),
            modifier_type: applied.modifier.kind().to_owned(),
            modifier_value: applied.modifier.value(),
            applied_minor: applied.applied.get(),
        }
    }
}

/// The members of a JSON list; none where there is no list.
pub(super) fn listed<T: DeserializeOwned>(text: Option<String>) -> rusqlite::Result<Vec<T>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    serde_json::from_str(&text)
        .map_err(|fault| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(FromSqlError::other(fault))))
}
