//! Text → records of trimmed fields, with the lines they are on.
//!
//! Split by hand, because a price list needs what general readers leave out: a fault for a stray or unclosed quote, blanks around
//! quotes, and the line a person sees in an editor, blank ones counted.

use std::iter::Peekable;
use std::str::Chars;

/// What is between two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    Comma,
    Semicolon,
    Tab,
}

impl Separator {
    /// What is in the file.
    pub(super) fn as_char(self) -> char {
        match self {
            Self::Comma => ',',
            Self::Semicolon => ';',
            Self::Tab => '\t',
        }
    }
}

/// One record: its fields, trimmed and without their quotes. They are in one text, for a line may be a million empty fields.
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
                    self.splitter.take('\n', None)
                }
                Some(character) => {
                    let next = self.characters.peek().copied();
                    self.splitter.take(character, next).inspect(|&both| {
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

/// The separator: `;` or a tab if the first line that has any separator has one outside quotes, else `,`; but where most lines have
/// another, as below a title, that one. Excel's own line `sep=;` says it outright and holds nothing else.
fn find_separator(text: &str) -> (Separator, &str, usize) {
    let first = text.lines().next().unwrap_or_default();
    let named = match first.trim_end().to_ascii_lowercase().strip_prefix("sep=") {
        Some(",") => Some(Separator::Comma),
        Some(";") => Some(Separator::Semicolon),
        _ if first.trim_end_matches(['\r', '\n']).eq_ignore_ascii_case("sep=\t") => Some(Separator::Tab),
        _ => None,
    };
    if let Some(separator) = named {
        return (separator, text.split_once('\n').map_or("", |(_, rest)| rest), 2);
    }
    // In the order in which they count: decimal commas are alongside both of the others.
    const CANDIDATES: [Separator; 3] = [Separator::Semicolon, Separator::Tab, Separator::Comma];
    let mut first = None;
    let (mut lines, mut with) = (0, [0; 3]);
    each_bare_line(text, |line| {
        if line.is_empty() {
            return;
        }
        let has = CANDIDATES.map(|candidate| line.contains(&candidate.as_char()));
        first.get_or_insert(if has[0] {
            0
        } else if has[1] {
            1
        } else {
            2
        });
        lines += 1;
        for (count, has) in with.iter_mut().zip(has) {
            *count += usize::from(has);
        }
    });
    let first = first.unwrap_or(2);
    let by_most = (0..3).find(|&candidate| with[candidate] * 2 > lines);
    let found = if with[first] * 2 > lines && first != 2 { first } else { by_most.unwrap_or(first) };
    (CANDIDATES[found], text, 1)
}

/// Calls `look` with the separators of each line that has any text; those in quotes do not count.
fn each_bare_line(text: &str, mut look: impl FnMut(&[char])) {
    let (mut quoted, mut blank, mut before) = (false, true, '\n');
    let mut separators = Vec::new();
    for character in text.chars().chain(std::iter::once('\n')) {
        match character {
            // Behind a digit it means inches.
            '"' if quoted || !before.is_ascii_digit() => quoted = !quoted,
            '\r' | '\n' if !quoted => {
                if !blank {
                    look(&separators);
                }
                blank = true;
                separators.clear();
            }
            ';' | '\t' | ',' if !quoted && !separators.contains(&character) => separators.push(character),
            _ => {}
        }
        blank &= character.is_whitespace() || matches!(character, ',' | ';');
        before = character;
    }
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum SplitState {
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
    state: SplitState,
    line: usize,
    begun: usize,
    field: String,
    record: Record,
    /// A record that has ended and was not fetched yet.
    whole: Option<Record>,
}

impl Splitter {
    /// Takes one character; answers whether it took the quote that follows it too.
    fn take(&mut self, character: char, next: Option<char>) -> Result<bool, QuoteFault> {
        if let SplitState::Quoted { .. } = self.state {
            match character {
                '"' if next == Some('"') => {
                    self.field.push('"');
                    return Ok(true);
                }
                '"' => self.state = SplitState::Closed,
                other => self.field.push(other),
            }
        } else if character == '\n' {
            self.end_record();
        } else if character == self.separator {
            self.end_field();
        } else if character == '"' && self.is_inches(next) {
            self.field.push(character);
        } else if character == '"' {
            if self.state != SplitState::Start {
                return Err(QuoteFault::Stray(self.line));
            }
            self.field.clear();
            self.state = SplitState::Quoted { opened: self.line };
        } else if !character.is_whitespace() {
            if self.state == SplitState::Closed {
                return Err(QuoteFault::Stray(self.line));
            }
            self.state = SplitState::Bare;
            self.field.push(character);
        } else if self.state == SplitState::Bare {
            self.field.push(character);
        }
        if character == '\n' {
            self.line += 1;
            if !matches!(self.state, SplitState::Quoted { .. }) {
                self.begun = self.line;
            }
        }
        Ok(false)
    }

    /// Whether a quote that comes now ends a bare number, as in `24"`.
    fn is_inches(&self, next: Option<char>) -> bool {
        let ends = next.is_none_or(|next| next == self.separator || matches!(next, '\r' | '\n' | ' '));
        self.state == SplitState::Bare && ends && self.field.ends_with(|last: char| last.is_ascii_digit())
    }

    fn end_field(&mut self) {
        self.record.push(self.field.trim());
        self.field.clear();
        self.state = SplitState::Start;
    }

    fn end_record(&mut self) {
        self.end_field();
        let record = std::mem::take(&mut self.record);
        if !record.text.is_empty() {
            self.whole = Some(Record { line: self.begun, ..record });
        }
    }

    fn finish(&mut self) -> Result<(), QuoteFault> {
        if let SplitState::Quoted { opened } = self.state {
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
        assert_eq!(found("1;2;3\nx\ny\nz"), Separator::Semicolon);
        assert_eq!(found("Blinds, fabric A\n1,5;2;3\n1;2;3"), Separator::Semicolon);
        assert_eq!(found("Blinds; fabric A\n1,2,3\n1,2,3"), Separator::Comma);
        assert_eq!(found("Blinds\n1,5\t2\t3"), Separator::Tab);
    }

    #[test]
    fn a_quote_after_a_number_means_inches() {
        assert_eq!(fields("24\";36\" ;1"), [record(1, &["24\"", "36\"", "1"])]);
    }
}
