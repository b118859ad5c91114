//! The texts of each language, read from its file once.

use super::Language;
use super::figures::Figures;
use super::pages::PageTexts;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The texts of a language. English has no problems and faults: its sentences are where they come up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Texts {
    /// What the element on a shop's page says, by name.
    element: BTreeMap<String, String>,
    /// How numbers, money and dates are written.
    pub(crate) figures: Figures,
    /// What the pages for shoppers say.
    pub(crate) pages: PageTexts,
    /// What a problem of the storefront API says, by its code.
    #[serde(default)]
    problems: BTreeMap<String, String>,
    /// A problem of one item among several: `{place}`, from 1, and what the problem says, `{text}`.
    #[serde(default)]
    in_item: String,
    /// What is wrong with a field, by its English words with `{0}` in the place of a value.
    #[serde(default)]
    faults: BTreeMap<String, String>,
}

static TEXTS: LazyLock<[Texts; 4]> = LazyLock::new(|| {
    Language::ALL.map(|language| {
        serde_json::from_str(file(language))
            .unwrap_or_else(|fault| panic!("the texts in {language} are not whole: {fault}"))
    })
});

fn file(language: Language) -> &'static str {
    match language {
        Language::En => include_str!("en.json"),
        Language::De => include_str!("de.json"),
        Language::Nl => include_str!("nl.json"),
        Language::Fr => include_str!("fr.json"),
    }
}

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

    /// The sentence about the item at `place`, counted from 1, of several.
    pub fn in_item(&self, place: u64, text: &str) -> String {
        fill(&self.in_item, &[("place", &place.to_string()), ("text", text)])
    }

    /// What is wrong with a field, said in English by `fault`; none in English, and for what only programs are told.
    pub fn fault(&self, fault: &str) -> Option<String> {
        if let Some(text) = self.faults.get(fault) {
            return Some(text.clone());
        }
        self.faults.iter().find_map(|(pattern, text)| {
            let (before, after) = pattern.split_once("{0}")?;
            let value = fault.strip_prefix(before)?.strip_suffix(after).filter(|value| !value.is_empty())?;
            Some(fill(text, &[("0", value)]))
        })
    }

    /// What the element on a shop's page says by this name, such as `width` for the field of the width.
    pub fn element(&self, name: &str) -> Option<&str> {
        self.element.get(name).map(String::as_str)
    }
}

/// `text` with the values in the places of their names: `{name}`. What a value says is not looked at again.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let found = after.split_once('}').and_then(|(name, behind)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, behind))
        });
        match found {
            Some((value, behind)) => {
                filled.push_str(value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled + rest
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
    use crate::http::openapi;

    /// What has the same shape in each language: its names, and the places for values of each text.
    fn shape(value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let mut places: Vec<&str> =
                    text.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)).collect();
                places.sort_unstable();
                json!({ "places": places, "isEmpty": text.trim().is_empty() && text != "\u{202f}" })
            }
            Value::Array(list) => list.iter().map(shape).collect(),
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
            other => other.clone(),
        }
    }

    #[test]
    fn every_language_has_the_same_texts_with_the_same_places_for_values() {
        let read = |language| serde_json::from_str::<Value>(file(language)).expect("JSON");
        let (english, german) = (read(Language::En), read(Language::De));
        for language in Language::ALL {
            let texts = read(language);
            for part in ["element", "figures", "pages"] {
                assert_eq!(shape(&texts[part]), shape(&english[part]), "{part} in {language}");
            }
            // English is the language of the sentences themselves.
            for part in ["problems", "inItem", "faults"] {
                match language {
                    Language::En => assert_eq!(texts.get(part), None),
                    _ => assert_eq!(shape(&texts[part]), shape(&german[part]), "{part} in {language}"),
                }
            }
            assert!(!shape(&texts).to_string().contains("\"isEmpty\":true"), "an empty text in {language}");
        }
    }

    /// Codes that no shopper is told in words: those of the operators' APIs, and those of requests that no browser sends. What the edge
    /// rejects never gets as far as a language; the element has words of its own for that (`quote-grid.js`).
    const NOT_FOR_SHOPPERS: [&str; 29] = [
        "conflict",
        "name_taken",
        "stale_version",
        "invalid",
        "version_required",
        "needs_confirmation",
        "bad_request_line",
        "bad_byte",
        "folded_line",
        "bad_field",
        "not_ascii",
        "bad_target",
        "bad_host",
        "bad_length",
        "ambiguous_length",
        "unknown_coding",
        "bad_chunk",
        "unknown_expectation",
        "head_too_large",
        "target_too_long",
        "body_too_large",
        "unknown_version",
        "head_timeout",
        "body_timeout",
        "bodies_full",
        "connections_full",
        "address_full",
        "response_timeout",
        "no_response",
    ];

    #[test]
    fn every_problem_that_a_shopper_may_meet_is_worded_in_every_language() {
        let document: Value = serde_json::from_str(openapi::text()).expect("JSON");
        let codes = document["components"]["schemas"]["ProblemCode"]["enum"].as_array().expect("a list");
        let codes: Vec<&str> = codes.iter().filter_map(Value::as_str).collect();
        for code in &codes {
            let is_worded = Language::De.texts().problem(code).is_some();
            assert_ne!(is_worded, NOT_FOR_SHOPPERS.contains(code), "{code}");
        }
        for code in Language::De.texts().problems.keys() {
            assert!(codes.contains(&code.as_str()), "programs are not told of {code}");
        }
    }

    #[test]
    fn values_are_put_into_the_places_of_their_names_and_not_looked_at_again() {
        assert_eq!(fill("{a} and {b}, {c}{", &[("a", "{b}"), ("b", "2")]), "{b} and 2, {c}{");
        assert_eq!(fill("", &[]), "");
    }

    #[test]
    fn faults_are_known_by_their_english_words() {
        let fault = |language: Language, text| language.texts().fault(text);
        assert_eq!(fault(Language::De, "is required").as_deref(), Some("fehlt"));
        let most = "must be a whole number from 1 to 10000";
        assert_eq!(fault(Language::Fr, most).as_deref(), Some("doit être un nombre entier de 1 à 10000"));
        assert_eq!(fault(Language::Nl, "must be a list").as_deref(), Some("moet een lijst zijn"));
        assert_eq!(fault(Language::De, "must be at most "), None);
        assert_eq!(fault(Language::En, "is required"), None);
    }
}
