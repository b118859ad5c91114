//! Percent-encoded text, as it is in paths and queries.

use percent_encoding::percent_decode_str;

/// What `text` decodes to; `None` where a `%` is not followed by two hexadecimal digits, or the bytes are no UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let is_whole = text.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = is_whole.then(|| percent_decode_str(text).decode_utf8().ok()).flatten()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_escapes_are_decoded_once_and_halves_refused() {
        for (text, expected) in [
            ("", Some("")),
            ("a+b", Some("a+b")),
            ("%7B%22%C3%A4%22%7d", Some("{\"ä\"}")),
            ("%2525", Some("%25")),
            ("%", None),
            ("%f", None),
            ("50%", None),
            ("%zz", None),
            ("%2%41", None),
            ("%é0", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        }
    }
}
