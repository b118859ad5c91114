//! What a product is called.

use std::fmt;
use std::str::FromStr;

/// Characters of a product's title: what Shopify allows.
const TITLE_MAX: usize = 255;

/// A product's title, copied when a matrix is assigned: trimmed, 1 to 255 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

/// The text is no title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {TITLE_MAX} characters and no control characters")]
pub struct NotATitle;

impl Title {
    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Title {
    type Err = NotATitle;

    fn from_str(text: &str) -> std::result::Result<Self, NotATitle> {
        let text = text.trim();
        let length = text.chars().count();
        let fits = (1..=TITLE_MAX).contains(&length) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(NotATitle) }
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
