//! Names that merchants give to things.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// The name of a matrix or group, or a choice's label: trimmed, 1 to 100 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// The most characters of a [`Name`].
pub const NAME_MAX: usize = 100;

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing, or nothing but blanks.
    #[error("must not be empty")]
    Empty,
    /// Longer than [`NAME_MAX`] characters.
    #[error("must have at most {NAME_MAX} characters")]
    TooLong,
    /// Line breaks, NUL and the like.
    #[error("must not contain control characters")]
    Control,
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a copy: with ` (copy)`, shortened where that would be too long.
    #[must_use]
    pub fn copied(&self) -> Self {
        const SUFFIX: &str = " (copy)";
        let kept: String = self.0.chars().take(NAME_MAX - SUFFIX.len()).collect();
        Self(format!("{}{SUFFIX}", kept.trim_end()))
    }
}

impl FromStr for Name {
    type Err = NameFault;

    fn from_str(text: &str) -> Result<Self, NameFault> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameFault::Empty);
        }
        if text.chars().count() > NAME_MAX {
            return Err(NameFault::TooLong);
        }
        // A NUL would also end the text for SQLite's length(), and so slip past the schema's check.
        if text.chars().any(char::is_control) {
            return Err(NameFault::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a shopper calls an item of an order: trimmed, 1 to 60 characters, none of them a control character, and none that overrides
/// the direction of the text around it: a stranger's words must not rearrange the merchant's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

/// The most characters of a [`Label`].
pub const LABEL_MAX: usize = 60;

/// The text is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at most {LABEL_MAX} characters and no control characters")]
pub struct NotALabel;

impl Label {
    /// Reads a label; only blanks are no label.
    ///
    /// # Errors
    /// [`NotALabel`] when it is too long or contains control characters.
    pub fn read(text: &str) -> Result<Option<Self>, NotALabel> {
        // What is copied from elsewhere may bring them along unseen: they are left out.
        let is_kept = |c: &char| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        let text: String = text.chars().filter(is_kept).collect();
        let text = text.trim();
        if text.chars().count() > LABEL_MAX || text.chars().any(char::is_control) {
            return Err(NotALabel);
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

/// A stock keeping unit, by which a merchant's other systems know a thing: trimmed, 1 to 255 characters, none of them a control
/// character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sku(String);

/// The most characters of a [`Sku`], as at Shopify.
pub const SKU_MAX: usize = 255;

/// The text is no stock keeping unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {SKU_MAX} characters and no control characters")]
pub struct NotASku;

impl FromStr for Sku {
    type Err = NotASku;

    fn from_str(text: &str) -> Result<Self, NotASku> {
        let text = text.trim();
        let fits = (1..=SKU_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(NotASku) }
    }
}

impl From<Sku> for String {
    fn from(sku: Sku) -> Self {
        sku.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_trimmed_and_bounded_and_blanks_are_none() {
        let read = |text: &str| Label::read(text).map(|label| label.map(String::from));
        assert_eq!(read(" Kitchen, left "), Ok(Some("Kitchen, left".to_owned())));
        assert_eq!((read(""), read("  ")), (Ok(None), Ok(None)));
        assert_eq!(read(&"ä".repeat(60)).map(|label| label.map(|label| label.chars().count())), Ok(Some(60)));
        assert_eq!(
            (read(&"ä".repeat(61)), read("a\nb"), read("a\0b")),
            (Err(NotALabel), Err(NotALabel), Err(NotALabel))
        );
        // Hebrew needs no override; what would turn the rest of a row around is left out, and so are the blanks that are then in front.
        assert_eq!(read("\u{5d7}\u{5dc}\u{5d5}\u{5df}"), Ok(Some("\u{5d7}\u{5dc}\u{5d5}\u{5df}".to_owned())));
        assert_eq!(read("\u{202e}\u{2066} =live\u{202c}"), Ok(Some("=live".to_owned())));
        assert_eq!(read("\u{202e}"), Ok(None));
    }

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!("  Roller blind ".parse::<Name>().as_deref(), Ok("Roller blind"));
        assert_eq!("ä".repeat(100).parse::<Name>().map(|name| name.chars().count()), Ok(100));
        assert_eq!("ä".repeat(101).parse::<Name>(), Err(NameFault::TooLong));
        assert_eq!(" \t".parse::<Name>(), Err(NameFault::Empty));
        assert_eq!("a\0b".parse::<Name>(), Err(NameFault::Control));
    }

    #[test]
    fn a_copy_of_a_copy_stays_a_name() {
        let mut name: Name = "x".repeat(100).parse().expect("a name");
        for _ in 0..3 {
            name = name.copied();
            assert_eq!(name.as_str().parse(), Ok(name.clone()));
            assert!(name.ends_with(" (copy)"));
        }
    }
}
