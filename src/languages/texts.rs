//! The texts of each language, read from its file once.

use super::Language;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The texts of a language. English has no problems: its sentences stand where the problems come up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// What the element on a shop's page says, by name.
    element: BTreeMap<String, String>,
    /// What a problem of the storefront API says, by its code.
    #[serde(default)]
    problems: BTreeMap<String, String>,
}

static TEXTS: LazyLock<[Texts; 4]> = LazyLock::new(|| {
    Language::ALL.map(|language| {
        let file = match language {
            Language::En => include_str!("en.json"),
            Language::De => include_str!("de.json"),
            Language::Nl => include_str!("nl.json"),
            Language::Fr => include_str!("fr.json"),
        };
        serde_json::from_str(file).unwrap_or_else(|fault| panic!("the texts in {language} are not whole: {fault}"))
    })
});

impl Language {
    /// What is said in this language.
    pub fn texts(self) -> &'static Texts {
        &TEXTS[self as usize]
    }
}

impl Texts {
    /// The sentence for a problem with this code; none in English, and for codes that no shopper meets.
    pub fn problem(&self, code: &str) -> Option<&str> {
        self.problems.get(code).map(String::as_str)
    }
}

/// The element's texts in every language, as the script holds them.
pub fn element_texts() -> Value {
    let of = |language: Language| (language.as_str().to_owned(), serde_json::json!(language.texts().element));
    Value::Object(Map::from_iter(Language::ALL.map(of)))
}
