//! Figures, times and names in the words of pages.

use chrono::{DateTime, TimeDelta, Utc};

/// A time: UTC where no script runs, else in the reader's own zone. HTML: write it with `|safe`; digits need no escaping.
pub(super) fn time(at: DateTime<Utc>) -> String {
    let machine = at.format("%Y-%m-%dT%H:%M:%SZ");
    let person = at.format("%Y-%m-%d %H:%M UTC");
    format!(r#"<time class="nowrap" datetime="{machine}">{person}</time>"#)
}

/// The same where there may be none.
pub(super) fn optional_time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "–".to_owned(), time)
}

/// A figure with its digits in threes.
pub(super) fn figure(number: u64) -> String {
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

/// A count that was not counted beyond `most`.
pub(super) fn capped(number: u64, most: u64) -> String {
    if number > most { format!("over {}", figure(most)) } else { figure(number) }
}

/// A span of time in its largest unit.
pub(super) fn span(span: TimeDelta) -> String {
    let (number, unit) = match span.num_seconds().abs() {
        seconds @ 0..120 => (seconds, "second"),
        seconds @ 120..7_200 => (seconds / 60, "minute"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// Bytes as people read them.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..0x2800 => format!("{} bytes", figure(bytes)),
        0x2800..0xa0_0000 => format!("{} KiB", bytes >> 10),
        0xa0_0000..0x2_8000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

/// `text` as a value in an address's query.
pub(super) fn in_query(text: &str) -> String {
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

/// `count` things, in the singular or the plural.
pub(super) fn many(count: u64, one: &str, others: &str) -> String {
    format!("{} {}", figure(count), if count == 1 { one } else { others })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_spans_and_sizes_are_written_for_people() {
        assert_eq!((figure(7), figure(1_234_567)), ("7".to_owned(), "1\u{202f}234\u{202f}567".to_owned()));
        assert_eq!((capped(10_001, 10_000), capped(3, 10)), ("over 10\u{202f}000".to_owned(), "3".to_owned()));
        assert_eq!(
            (span(TimeDelta::seconds(1)), span(TimeDelta::hours(30))),
            ("1 second".to_owned(), "30 hours".to_owned())
        );
        assert_eq!((span(TimeDelta::days(-3)), bytes(3 << 20)), ("3 days".to_owned(), "3072 KiB".to_owned()));
        assert_eq!(in_query("a b&c=é/1"), "a%20b%26c%3D%C3%A9/1");
        assert_eq!((many(1, "job", "jobs"), many(2, "job", "jobs")), ("1 job".to_owned(), "2 jobs".to_owned()));
    }
}
