//! Figures, times and names in the words of pages.

pub(super) use crate::views::words::{figure, in_query, many, span};
use chrono::{DateTime, Utc};

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

/// A count that was not counted beyond `most`.
pub(super) fn capped(number: u64, most: u64) -> String {
    if number > most { format!("over {}", figure(most)) } else { figure(number) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_sizes_are_written_for_people() {
        assert_eq!((capped(10_001, 10_000), capped(3, 10)), ("over 10\u{202f}000".to_owned(), "3".to_owned()));
        assert_eq!(bytes(3 << 20), "3072 KiB");
    }
}
