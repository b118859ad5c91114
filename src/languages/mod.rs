//! The languages that shoppers are spoken to in, each with its texts in a file of its own. A text that a file lacks, or has too much,
//! fails the tests: the parts of a file have a type, and the element's are held against the first language's.

mod figures;
pub(crate) mod pages;
mod texts;

pub use figures::Figures;
pub use texts::{Texts, element_texts, fill};

use std::fmt;
use std::str::FromStr;

/// A language that there are texts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
    /// Dutch.
    Nl,
    /// French.
    Fr,
}

/// The text names no language that there are texts in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be en, de, nl or fr")]
pub struct UnknownLanguage;

impl Language {
    /// Every language, English first.
    pub const ALL: [Self; 4] = [Self::En, Self::De, Self::Nl, Self::Fr];

    /// Its code of ISO 639-1, as `<html lang>` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Nl => "nl",
            Self::Fr => "fr",
        }
    }

    /// The language of a tag such as `de`, `de-AT` or `DE_at`.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let code = tag.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| code.eq_ignore_ascii_case(language.as_str()))
    }

    /// The language that an `Accept-Language` field likes best among ours. Of equals the first counts; `*` and `q=0` ask for none.
    pub fn accepted(field: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for range in field.split(',') {
            let mut parts = range.split(';');
            let Some(language) = parts.next().and_then(Self::of_tag) else { continue };
            let quality = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
            let quality = quality.ok().filter(|quality| (0.0..=1.0).contains(quality)).unwrap_or(0.0);
            if quality > best.map_or(0.0, |(liked, _)| liked) {
                best = Some((quality, language));
            }
        }
        best.map(|(_, language)| language)
    }

    /// The first of these that there is: what the request asks for, what the store has chosen, what the browser prefers; else English.
    pub fn choose(asked: Option<&str>, of_store: Option<Self>, accepted: Option<&str>) -> Self {
        asked.and_then(Self::of_tag).or(of_store).or_else(|| accepted.and_then(Self::accepted)).unwrap_or_default()
    }
}

impl FromStr for Language {
    type Err = UnknownLanguage;

    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        Self::ALL.into_iter().find(|language| language.as_str() == text).ok_or(UnknownLanguage)
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_chosen_by_the_request_then_the_store_then_the_browser() {
        let choose = Language::choose;
        assert_eq!(choose(Some("de"), Some(Language::Nl), Some("fr")), Language::De);
        assert_eq!(choose(Some("de-AT"), None, None), Language::De);
        assert_eq!(choose(Some("xx"), Some(Language::Nl), Some("fr")), Language::Nl);
        assert_eq!(choose(None, None, Some("sv, fr;q=0.8, nl;q=0.9")), Language::Nl);
        assert_eq!(choose(None, None, Some("fr-CA,fr;q=0.9,en;q=0.8")), Language::Fr);
        for nothing in ["", "*", "sv", "de;q=0", "de;q=nan", "de;q=2", ";;,,=", "deutsch"] {
            assert_eq!(choose(None, None, Some(nothing)), Language::En, "{nothing}");
        }
    }
}
