//! Text on its way to a terminal: what shoppers and Shopify have written must not move the cursor, hide what is alongside it or turn
//! its direction.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Characters of the Unicode categories Cf, Zl and Zp: they are not seen, and change how others are.
const INVISIBLE: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

fn is_unsafe(character: char) -> bool {
    character.is_control() || INVISIBLE.iter().any(|(from, to)| (*from..=*to).contains(&character))
}

/// `text` for people: whatever is no plain text is written out, such as `\u{1b}`; line ends and tabs stay.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    replaced(
        text,
        |character| !matches!(character, '\n' | '\t'),
        |out, character| {
            // Writing to a String does not fail.
            let _infallible = write!(out, "{}", character.escape_unicode());
        },
    )
}

/// A JSON document that says the same in plain text. Such characters can are in its strings alone, where they may be escaped; the
/// line ends between its parts stay.
pub(super) fn visible_json(document: &str) -> Cow<'_, str> {
    replaced(
        document,
        |character| !matches!(character, '\n' | '\t'),
        |out, character| {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

/// Writes a JSON document as [`visible_json`] does, whatever pieces it comes in.
pub(super) struct VisibleJson<W: Write> {
    out: W,
    /// The start of a character whose other bytes have not come.
    rest: Vec<u8>,
}

impl<W: Write> VisibleJson<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, rest: Vec::new() }
    }
}

impl<W: Write> Write for VisibleJson<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.rest) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        };
        let text = String::from_utf8_lossy(&self.rest[..whole]);
        self.out.write_all(visible_json(&text).as_bytes())?;
        self.rest.drain(..whole);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn replaced<'a>(text: &'a str, counts: impl Fn(char) -> bool, replace: impl Fn(&mut String, char)) -> Cow<'a, str> {
    let is_bad = |character: char| counts(character) && is_unsafe(character);
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_bad(character) { replace(&mut out, character) } else { out.push(character) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_of_any_language_stays_as_it_is() {
        for text in ["Rollo 120\u{a0}×\u{a0}80 cm, 92,90 €", "カーテン\tستارة\nштора", "👍🏽", ""]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_written_out() {
        assert_eq!(visible("\u{1b}[2Jx\r\u{7f}\u{9b}"), "\\u{1b}[2Jx\\u{d}\\u{7f}\\u{9b}");
        assert_eq!(
            visible("a\u{202e}b\u{200b}c\u{feff}\u{e0041}\u{2028}"),
            "a\\u{202e}b\\u{200b}c\\u{feff}\\u{e0041}\\u{2028}"
        );
    }

    #[test]
    fn a_json_document_means_the_same_and_is_plain() {
        let text = "\u{1b}\u{9b}\u{202e}\u{e0041}\u{7f}\"ü";
        let document = serde_json::json!({ text: [text, "\n\t"] });
        let written = serde_json::to_string_pretty(&document).expect("JSON");
        let shown = visible_json(&written);
        assert!(!shown.replace('\n', "").contains(is_unsafe), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), document);
    }

    #[test]
    fn a_document_in_pieces_is_written_as_one_in_whole() {
        let written = serde_json::json!("a\u{202e}ü\u{e0041}€").to_string();
        for step in 1..written.len() {
            let mut out = VisibleJson::new(Vec::new());
            for piece in written.as_bytes().chunks(step) {
                out.write_all(piece).expect("a Vec");
            }
            assert_eq!(out.out, visible_json(&written).as_bytes());
        }
    }
}
