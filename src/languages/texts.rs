//! The texts of each language, read from its file once.

use super::Language;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The texts of a language. English has no problems: its sentences are where the problems come up.
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

/// The element's texts as the script holds them: their names, and in each language a list in that order.
pub fn element_texts() -> Value {
    let names: Vec<&String> = Language::En.texts().element.keys().collect();
    let list = |language: Language| json!(language.texts().element.values().collect::<Vec<_>>());
    let mut texts = Map::from_iter(Language::ALL.map(|language| (language.as_str().to_owned(), list(language))));
    texts.insert("names".to_owned(), json!(names));
    Value::Object(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_the_same_texts_with_the_same_places_for_values() {
        let places = |text: &str| {
            let mut places: Vec<String> =
                text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0.to_owned())).collect();
            places.sort();
            places
        };
        let (english, german) = (Language::En.texts(), Language::De.texts());
        for language in Language::ALL {
            let texts = language.texts();
            assert!(texts.element.keys().eq(english.element.keys()), "{language}");
            for (name, text) in &texts.element {
                assert!(
                    !text.trim().is_empty() && places(text) == places(&english.element[name]),
                    "{name} in {language}"
                );
            }
            // English is the language of the sentences themselves.
            if language == Language::En {
                assert!(texts.problems.is_empty());
                continue;
            }
            assert!(texts.problems.keys().eq(german.problems.keys()), "{language}");
            for (code, text) in &texts.problems {
                assert!(
                    !text.trim().is_empty() && places(text) == places(&german.problems[code]),
                    "{code} in {language}"
                );
            }
        }
    }

    #[test]
    fn every_problem_that_is_worded_is_one_that_programs_are_told_of() {
        let document: Value = serde_json::from_str(crate::http::openapi::text()).expect("JSON");
        let codes = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().expect("a list");
        for code in Language::De.texts().problems.keys() {
            assert!(codes.iter().any(|known| known == code), "{code}");
        }
    }
}
