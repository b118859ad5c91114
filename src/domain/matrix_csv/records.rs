//! Text → records of trimmed fields, with the lines they stand on.
//!
//! Split by hand, because a price list needs what general readers leave out: a fault for a stray or unclosed quote, blanks around
//! quotes, and the line a person sees in an editor, blank ones counted.

use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// What stands between two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Comma,
    Semicolon,
    Tab,
}

impl Separator {
    fn as_char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
            Self::Tab => '\t',
        }
    }
}

/// One record: its fields, trimmed and without their quotes. They stand in one text, for a line may be a million empty fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// The line it begins on, from 1.
    pub(super) line: usize,
    text: String,
    /// Where each field ends in `text`.
    ends: Vec<u32>,
}

impl Record {
    /// How many fields it has.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The field at `index`, from 0.
    pub(super) fn field(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        Some(&self.text[start..end])
    }

    /// All fields from `index` on.
    pub(super) fn fields_from(&self, index: usize) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        (index.min(self.len())..self.len()).map(|index| self.field(index).unwrap_or_default())
    }

    fn push(&mut self, field: &str) {
        self.text.push_str(field);
        self.ends.push(u32::try_from(self.text.len()).expect("a price list is far shorter than 4 GiB"));
    }
}

/// Quotes that do not fit: nothing after them can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum QuoteFault {
    #[error("line {0}: a quote is opened and never closed")]
    Unclosed(usize),
    #[error("line {0}: a quote in the middle of a field")]
    Stray(usize),
}

/// The file as text: UTF-8, or UTF-16 with its mark, as spreadsheets write it. Other bytes become replacement characters: they can
/// only stand in headings, and in a number they are a fault like any other letter.
pub(super) fn decode(file: &[u8]) -> Cow<'_, str> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|read| read.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match file {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest),
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(wide(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(wide(rest, u16::from_be_bytes)),
        _ => String::from_utf8_lossy(file),
    }
}

/// Splits text into records. Blank lines, and lines of nothing but separators, are skipped.
pub(super) fn split(text: &str) -> (Separator, Records<'_>) {
    let (separator, text, first_line) = find_separator(text);
    let splitter =
        Splitter { separator: separator.as_char(), line: first_line, begun: first_line, ..Splitter::default() };
    (separator, Records { characters: text.chars().peekable(), splitter, ended: false })
}

/// The records of a text, each made when it is asked for: all of them at once would take a hundred times the memory of a text of
/// short lines. After a fault there are no more.
#[derive(Clone)]
pub(super) struct Records<'a> {
    characters: Peekable<Chars<'a>>,
    splitter: Splitter,
    ended: bool,
}

impl Iterator for Records<'_> {
    type Item = Result<Record, QuoteFault>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let taken = match self.characters.next() {
                // CR LF and a lone CR (old spreadsheets) end a line like LF.
                Some('\r') => {
                    self.characters.next_if_eq(&'\n');
                    self.splitter.take('\n', false)
                }
                Some(character) => {
                    let quote_follows = self.characters.peek() == Some(&'"');
                    self.splitter.take(character, quote_follows).inspect(|&both| {
                        if both {
                            self.characters.next();
                        }
                    })
                }
                None => {
                    self.ended = true;
                    self.splitter.finish().map(|()| false)
                }
            };
            if let Err(fault) = taken {
                self.ended = true;
                return Some(Err(fault));
            }
            if let Some(record) = self.splitter.whole.take() {
                return Some(Ok(record));
            }
        }
        None
    }
}

/// The separator of the first line that has any text: `;` or a tab if there is one outside quotes, else `,`. Excel's own line
/// `sep=;` says it outright and holds nothing else.
fn find_separator(text: &str) -> (Separator, &str, usize) {
    let first = text.lines().next().unwrap_or_default();
    let told = match first.trim_end().to_ascii_lowercase().strip_prefix("sep=") {
        Some(",") => Some(Separator::Comma),
        Some(";") => Some(Separator::Semicolon),
        _ if first.trim_end_matches(['\r', '\n']).eq_ignore_ascii_case("sep=\t") => Some(Separator::Tab),
        _ => None,
    };
    if let Some(separator) = told {
        return (separator, text.split_once('\n').map_or("", |(_, rest)| rest), 2);
    }
    let mut quoted = false;
    let mut bare = String::new();
    for character in text.trim_start_matches(['\r', '\n', ' ']).chars() {
        match character {
            '"' => quoted = !quoted,
            '\r' | '\n' if !quoted => break,
            other if !quoted => bare.push(other),
            _ => {}
        }
    }
    let separator = if bare.contains(';') {
        Separator::Semicolon
    } else if bare.contains('\t') {
        Separator::Tab
    } else {
        Separator::Comma
    };
    (separator, text, 1)
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum State {
    /// At the start of a field, or in blanks before it.
    #[default]
    Start,
    Bare,
    Quoted {
        opened: usize,
    },
    /// Behind the closing quote, where only blanks may follow.
    Closed,
}

#[derive(Default, Clone)]
struct Splitter {
    separator: char,
    state: State,
    line: usize,
    begun: usize,
    field: String,
    record: Record,
    /// A record that has ended and was not fetched yet.
    whole: Option<Record>,
}

impl Splitter {
    /// Takes one character; answers whether it took the quote that follows it too.
    fn take(&mut self, character: char, quote_follows: bool) -> Result<bool, QuoteFault> {
        if let State::Quoted { .. } = self.state {
            match character {
                '"' if quote_follows => {
                    self.field.push('"');
                    return Ok(true);
                }
                '"' => self.state = State::Closed,
                other => self.field.push(other),
            }
        } else if character == '\n' {
            self.end_record();
        } else if character == self.separator {
            self.end_field();
        } else if character == '"' {
            if self.state != State::Start {
                return Err(QuoteFault::Stray(self.line));
            }
            self.field.clear();
            self.state = State::Quoted { opened: self.line };
        } else if !character.is_whitespace() {
            if self.state == State::Closed {
                return Err(QuoteFault::Stray(self.line));
            }
            self.state = State::Bare;
            self.field.push(character);
        } else if self.state == State::Bare {
            self.field.push(character);
        }
        if character == '\n' {
            self.line += 1;
            if !matches!(self.state, State::Quoted { .. }) {
                self.begun = self.line;
            }
        }
        Ok(false)
    }

    fn end_field(&mut self) {
        self.record.push(self.field.trim());
        self.field.clear();
        self.state = State::Start;
    }

    fn end_record(&mut self) {
        self.end_field();
        let record = std::mem::take(&mut self.record);
        if !record.text.is_empty() {
            self.whole = Some(Record { line: self.begun, ..record });
        }
    }

    fn finish(&mut self) -> Result<(), QuoteFault> {
        if let State::Quoted { opened } = self.state {
            return Err(QuoteFault::Unclosed(opened));
        }
        self.end_record();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(usize, Vec<String>)> {
        let records = split(text).1.map(|record| record.expect("well quoted"));
        records.map(|record| (record.line, record.fields_from(0).map(str::to_owned).collect())).collect()
    }

    fn record(line: usize, fields: &[&str]) -> (usize, Vec<String>) {
        (line, fields.iter().map(|&field| field.to_owned()).collect())
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        let text = "\r\na,b\r\n\r\n \"x\r\ny\" , \"q\"\"q\"\r\n,\r\nc\rd";
        let expected = [record(2, &["a", "b"]), record(4, &["x\ny", "q\"q"]), record(7, &["c"]), record(8, &["d"])];
        assert_eq!(fields(text), expected);
        assert_eq!(fields("sep=;\n1,5;2"), [record(2, &["1,5", "2"])]);
    }

    #[test]
    fn quoting_faults_name_their_line() {
        let fault = |text: &str| split(text).1.find_map(Result::err);
        assert_eq!(fault("1\n2,\"3\n4"), Some(QuoteFault::Unclosed(2)));
        assert_eq!(fault("1\n2,3\"4\""), Some(QuoteFault::Stray(2)));
        assert_eq!(fault("\"1\"2"), Some(QuoteFault::Stray(1)));
        assert_eq!(fault("\"1\"\"2"), Some(QuoteFault::Unclosed(1)));
        assert_eq!(split("1\n2,3\"4\n5").1.count(), 2, "a fault is the end");
    }

    #[test]
    fn the_separator_is_found_outside_quotes() {
        let found = |text: &str| split(text).0;
        assert_eq!(found("1,2,3"), Separator::Comma);
        assert_eq!(found("\n\n1,5;2;3"), Separator::Semicolon);
        assert_eq!(found("1\t2\t3"), Separator::Tab);
        assert_eq!(found("\t300\t600"), Separator::Tab);
        assert_eq!(found("\"a;b\",2,3\n1;2;3"), Separator::Comma);
    }

    #[test]
    fn marks_of_spreadsheets_are_harmless() {
        let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain("1\t2".encode_utf16().flat_map(u16::to_le_bytes)).collect();
        assert_eq!(decode(&utf16), "1\t2");
        assert_eq!(decode("\u{feff}1".as_bytes()), "1");
        assert_eq!(decode(b"H\xF6he,1"), "H\u{fffd}he,1");
    }
}
