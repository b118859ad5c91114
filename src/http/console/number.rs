//! Numbers as people type and paste them: with a decimal comma, with thousands kept apart, with the sign of a currency. What may
//! be meant in two ways is refused, never guessed.

/// What separates thousands, or says what a number is in, and changes nothing.
const CURRENCY_CODES: [&str; 4] = ["EUR", "USD", "GBP", "CHF"];

/// The text is not a number, or could be two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumberFault {
    /// Nothing that could be read.
    #[error("is not a number such as 1234.50 or 1234,50")]
    Unreadable,
    /// A mark before exactly three digits: decimals, or thousands.
    #[error("may be meant in two ways: write it without marks between thousands")]
    Ambiguous,
    /// More decimals than can be kept.
    #[error("has too many decimals: {0} at most")]
    TooManyDecimals(usize),
}

/// A number in plain decimals, such as `1234.5`; empty where the text is empty, or a dash. `decimals` is how many can be kept;
/// `three_are_decimals`: three digits behind a mark are decimals, as in a currency with three of them.
pub(super) fn plain(text: &str, decimals: usize, three_are_decimals: bool) -> Result<String, NumberFault> {
    let mut bare: String = text.chars().filter(|&c| !is_decoration(c)).collect();
    for code in CURRENCY_CODES {
        bare = bare.replace(code, "");
    }
    if matches!(bare.as_str(), "" | "-" | "–" | "—") {
        return Ok(String::new());
    }
    if bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(bare);
    }
    let (negative, unsigned) = match bare.strip_prefix(['-', '−']) {
        Some(rest) => ("-", rest),
        None => ("", bare.as_str()),
    };
    let number = unsigned_plain(unsigned, decimals, three_are_decimals)?;
    Ok(format!("{negative}{number}"))
}

fn unsigned_plain(bare: &str, decimals: usize, three_are_decimals: bool) -> Result<String, NumberFault> {
    let is_mark = |c: char| c == '.' || c == ',';
    if !bare.chars().all(|c| c.is_ascii_digit() || is_mark(c)) || !bare.ends_with(|c: char| c.is_ascii_digit()) {
        return Err(NumberFault::Unreadable);
    }
    let parts: Vec<&str> = bare.split(is_mark).collect();
    let marks: Vec<char> = bare.chars().filter(|&c| is_mark(c)).collect();
    if parts[0].is_empty() || parts.iter().skip(1).any(|part| part.is_empty()) {
        return Err(NumberFault::Unreadable);
    }
    match (parts.as_slice(), marks.as_slice()) {
        ([whole], _) => Ok((*whole).to_owned()),
        ([whole, part], _) => {
            let groups_thousands = part.len() == 3 && (1..=3).contains(&whole.len()) && *whole != "0";
            if groups_thousands && !three_are_decimals {
                return Err(NumberFault::Ambiguous);
            }
            with_decimals(whole, part, decimals)
        }
        ([first, groups @ .., last], [mark, rest @ .., decimal]) => {
            let is_group = |part: &&str| part.len() == 3;
            if !(1..=3).contains(&first.len()) || !groups.iter().all(is_group) || rest.iter().any(|other| other != mark)
            {
                return Err(NumberFault::Unreadable);
            }
            let whole = format!("{first}{}", groups.concat());
            match (decimal == mark, last.len()) {
                (true, 3) => Ok(format!("{whole}{last}")),
                (true, _) => Err(NumberFault::Unreadable),
                (false, _) => with_decimals(&whole, last, decimals),
            }
        }
        _ => Err(NumberFault::Unreadable),
    }
}

/// Zeros beyond what is kept say nothing; any other digit does.
fn with_decimals(whole: &str, part: &str, decimals: usize) -> Result<String, NumberFault> {
    let (kept, beyond) = part.split_at(part.len().min(decimals));
    if beyond.bytes().any(|digit| digit != b'0') {
        return Err(NumberFault::TooManyDecimals(decimals));
    }
    Ok(if kept.is_empty() { whole.to_owned() } else { format!("{whole}.{kept}") })
}

/// Blanks of any width, apostrophes between thousands, signs of currencies.
fn is_decoration(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\'' | '’' | '$' | '€' | '£' | '¥' | '₹' | '₩' | '₺' | '₽' | '₪' | '₫' | '฿' | '₴' | '₱')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_and_spreadsheets_write_them() {
        for (text, wanted) in [
            ("89", "89"),
            ("89.5", "89.5"),
            ("89,50", "89.50"),
            ("1.234,50", "1234.50"),
            ("1,234.50", "1234.50"),
            ("1 234,50", "1234.50"),
            ("1\u{202f}234,50 €", "1234.50"),
            ("CHF 1'234.50", "1234.50"),
            ("$1,234,567.00", "1234567.00"),
            ("1.234.567", "1234567"),
            ("12.500,00", "12500.00"),
            ("0.50", "0.50"),
            ("89.5000", "89.50"),
            ("-5,5", "-5.5"),
            ("", ""),
            (" – ", ""),
            ("-", ""),
        ] {
            assert_eq!(plain(text, 2, false), Ok(wanted.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_may_be_meant_in_two_ways_is_refused() {
        assert_eq!(plain("1.234", 2, false), Err(NumberFault::Ambiguous));
        assert_eq!(plain("1,200", 3, false), Err(NumberFault::Ambiguous));
        assert_eq!(plain("1.234", 3, true), Ok("1.234".to_owned()));
        assert_eq!(plain("0.500", 2, false), Ok("0.50".to_owned()), "no thousands begin with 0");
        assert_eq!(plain("89.505", 3, true), Ok("89.505".to_owned()));
        assert_eq!(plain("1234.505", 2, false), Err(NumberFault::TooManyDecimals(2)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["abc", "12a", "1..2", ".5", "5.", "1,23,4", "1.2,3.4", "12.34.567", "=1+1", "--5", "1e5", "１２"]
        {
            assert_eq!(plain(text, 2, false), Err(NumberFault::Unreadable), "{text:?}");
        }
    }
}
