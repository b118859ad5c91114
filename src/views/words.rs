//! Figures and spans of time in words, for people.

use chrono::TimeDelta;

/// A figure with its digits in threes.
pub fn figure(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A span of time in its largest unit.
pub fn span(span: TimeDelta) -> String {
    let (number, unit) = match span.num_seconds().abs() {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7_200 => (seconds / 60, "minute"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// `count` things, in the singular or the plural.
pub fn many(count: u64, one: &str, others: &str) -> String {
    format!("{} {}", figure(count), if count == 1 { one } else { others })
}

/// `text` as a value in an address's query.
pub fn in_query(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut query, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            query.push(char::from(byte));
        } else {
            let _infallible = write!(query, "%{byte:02X}");
        }
        query
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_spans_are_written_for_people() {
        assert_eq!((figure(7), figure(1_234_567)), ("7".to_owned(), "1\u{202f}234\u{202f}567".to_owned()));
        assert_eq!(
            (span(TimeDelta::seconds(1)), span(TimeDelta::hours(30)), span(TimeDelta::days(-3))),
            ("1 second".to_owned(), "30 hours".to_owned(), "3 days".to_owned())
        );
        assert_eq!(in_query("a b&c=é/1"), "a%20b%26c%3D%C3%A9/1");
        assert_eq!((many(1, "job", "jobs"), many(2, "job", "jobs")), ("1 job".to_owned(), "2 jobs".to_owned()));
    }
}
