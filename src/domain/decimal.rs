//! Decimal text ⇄ scaled integers: the one way numbers with decimals get in and out, so that none passes through a float.

use serde_json::Number;

/// Why a text is not the number that was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalFault {
    /// It is not `digits[.digits]`: blanks, signs, exponents, commas and units are refused, not guessed at.
    #[error("is not a plain decimal number such as 450 or 450.5")]
    NotADecimal,
    /// It has a minus sign and would be one otherwise.
    #[error("must not be negative")]
    Negative,
    /// More decimals than can be kept; they are never rounded away silently.
    #[error("has too many decimals: {most} at most")]
    TooManyDecimals {
        /// How many are kept.
        most: u32,
    },
    /// It does not fit.
    #[error("is too large")]
    TooLarge,
}

/// Reads `digits[.digits]` into an integer of units of 10^-`decimals`.
pub(crate) fn parse(text: &str, decimals: u32) -> Result<i64, DecimalFault> {
    match text.strip_prefix('-') {
        // What follows says whether it is negative, or no number at all.
        Some(rest) => match parse_unsigned(rest, decimals)? {
            0 => Ok(0),
            _ => Err(DecimalFault::Negative),
        },
        None => parse_unsigned(text, decimals),
    }
}

/// The same for what may be less than nothing: `[-]digits[.digits]`.
pub(crate) fn parse_signed(text: &str, decimals: u32) -> Result<i64, DecimalFault> {
    match text.strip_prefix('-') {
        Some(rest) => Ok(-parse_unsigned(rest, decimals)?),
        None => parse_unsigned(text, decimals),
    }
}

fn parse_unsigned(text: &str, decimals: u32) -> Result<i64, DecimalFault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalFault::NotADecimal);
    }
    let fraction = if text.contains('.') { fraction } else { "" };
    let given = u32::try_from(fraction.len()).map_err(|_| DecimalFault::TooLarge)?;
    let missing = decimals.checked_sub(given).ok_or(DecimalFault::TooManyDecimals { most: decimals })?;
    let digits = whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing as usize));
    let mut value: i64 = 0;
    for digit in digits {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i64::from(digit - b'0')))
            .ok_or(DecimalFault::TooLarge)?;
    }
    Ok(value)
}

/// Reads a JSON number by its shortest decimal text, which is the text it was written with as long as that has no more than 15
/// significant digits; everything we keep has fewer. A double is all that serde_json retains of `10.1`.
pub(crate) fn parse_number(number: &Number, decimals: u32) -> Result<i64, DecimalFault> {
    parse(&plain(number, decimals)?, decimals)
}

/// The same for what may be less than nothing.
pub(crate) fn parse_signed_number(number: &Number, decimals: u32) -> Result<i64, DecimalFault> {
    parse_signed(&plain(number, decimals)?, decimals)
}

/// A whole JSON number, however it is written: `5`, `5.0` and `0.5e1` are one number. `None` where it has a fraction, and where a
/// double may be any of several whole numbers.
pub fn whole_number(number: &Number) -> Option<i64> {
    const EXACT: i64 = 1 << 53;
    match number.as_i64() {
        Some(whole) => Some(whole),
        None if number.is_f64() => parse_signed_number(number, 0).ok().filter(|whole| (-EXACT..EXACT).contains(whole)),
        None => None,
    }
}

/// The text of a number without an exponent. 30 and 30.0 are one JSON number.
fn plain(number: &Number, decimals: u32) -> Result<String, DecimalFault> {
    let text = number.to_string();
    if let Some((_, exponent)) = text.split_once('e') {
        let tiny = exponent.starts_with('-');
        return Err(if tiny { DecimalFault::TooManyDecimals { most: decimals } } else { DecimalFault::TooLarge });
    }
    Ok(text.strip_suffix(".0").unwrap_or(&text).to_owned())
}

/// Writes units of 10^-`decimals` with all their decimals: `1050` → `10.50`.
pub(crate) fn print(value: i128, decimals: u32) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    let decimals = decimals as usize;
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// The same without decimals that say nothing: `1050` → `10.5`.
pub(crate) fn print_short(value: i128, decimals: u32) -> String {
    let text = print(value, decimals);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The JSON number that is written as [`print_short`] writes it.
pub(crate) fn to_number(value: i64, decimals: u32) -> Number {
    if let Some(unit) = 10_i64.checked_pow(decimals) {
        if value % unit == 0 {
            return Number::from(value / unit);
        }
        // Where a double holds both exactly, their quotient is the double nearest to the text, which is what reading the text gives.
        let is_exact = |number: i64| number.unsigned_abs() < 1 << f64::MANTISSA_DIGITS;
        if is_exact(value)
            && is_exact(unit)
            && let Some(number) = Number::from_f64(value as f64 / unit as f64)
        {
            return number;
        }
    }
    print_short(value.into(), decimals).parse().expect("decimal text is a JSON number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_what_its_text_says() {
        let values = (0..2_000).chain([i64::MAX, (1 << 53) - 1, 1 << 53, 999_999_999_999_999]);
        // A scattered one for each.
        let values = values.flat_map(|value| [value, value.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) >> 12]);
        for value in values.flat_map(|value| [value, value.wrapping_neg()]) {
            for decimals in [0, 1, 2, 3, 4, 18, 19] {
                let text = print_short(value.into(), decimals);
                let read: Number = text.parse().expect("a number");
                assert_eq!(to_number(value, decimals), read, "{text}");
            }
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point_or_an_exponent() {
        let whole = |text: &str| whole_number(&text.parse().expect("a number"));
        for (text, number) in
            [("5", 5), ("5.0", 5), ("1e3", 1_000), ("-2.5e1", -25), ("-0.0", 0), ("4e15", 4_000_000_000_000_000)]
        {
            assert_eq!(whole(text), Some(number), "{text}");
        }
        assert_eq!(whole("9007199254740993"), Some(9_007_199_254_740_993), "an integer is exact however large it is");
        for text in ["5.5", "1e-3", "1e300", "9007199254740993.0", "18446744073709551615"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    #[test]
    fn what_may_be_negative_has_at_most_one_minus_sign() {
        assert_eq!(parse_signed("-2.5", 2), Ok(-250));
        assert_eq!(parse_signed("2.5", 2), Ok(250));
        assert_eq!(parse_signed("-2.555", 2), Err(DecimalFault::TooManyDecimals { most: 2 }));
        for text in ["--1", "+1", "- 1", "-", ""] {
            assert_eq!(parse_signed(text, 2), Err(DecimalFault::NotADecimal), "{text:?}");
        }
    }

    #[test]
    fn only_plain_decimals_are_read() {
        assert_eq!(parse("450", 3), Ok(450_000));
        assert_eq!(parse("450.5", 3), Ok(450_500));
        assert_eq!(parse("007.050", 3), Ok(7_050));
        assert_eq!(parse("-0", 3), Ok(0));
        assert_eq!(parse("-1", 3), Err(DecimalFault::Negative));
        assert_eq!(parse("1.2345", 3), Err(DecimalFault::TooManyDecimals { most: 3 }));
        assert_eq!(parse("99999999999999999999", 3), Err(DecimalFault::TooLarge));
        for text in
            ["", ".", "1.", ".5", "1e3", "0x10", "1,5", " 1", "1 ", "+1", "--1", "Infinity", "300mm", "1.2.3", "١"]
        {
            assert_eq!(parse(text, 3), Err(DecimalFault::NotADecimal), "{text:?}");
        }
    }

    #[test]
    fn json_numbers_are_read_by_their_decimal_text() {
        let read = |json: &str, decimals| parse_number(&json.parse().expect("a JSON number"), decimals);
        assert_eq!(read("10.1", 2), Ok(1_010));
        assert_eq!(read("4.35", 2), Ok(435));
        assert_eq!(read("0.1", 2), Ok(10));
        assert_eq!(read("30.0", 0), Ok(30));
        assert_eq!(read("1e3", 0), Ok(1_000));
        assert_eq!(read("9999999999999.99", 2), Ok(999_999_999_999_999));
        assert_eq!(read("10.005", 2), Err(DecimalFault::TooManyDecimals { most: 2 }));
        assert_eq!(read("0.30000000000000004", 2), Err(DecimalFault::TooManyDecimals { most: 2 }));
        assert_eq!(read("1e-9", 2), Err(DecimalFault::TooManyDecimals { most: 2 }));
        assert_eq!(read("1e300", 2), Err(DecimalFault::TooLarge));
        assert_eq!(read("18446744073709551615", 2), Err(DecimalFault::TooLarge));
        assert_eq!(read("-5", 2), Err(DecimalFault::Negative));
    }

    #[test]
    fn what_is_printed_is_exact() {
        assert_eq!(print(1_050, 2), "10.50");
        assert_eq!(print(5, 3), "0.005");
        assert_eq!(print(-5, 2), "-0.05");
        assert_eq!(print(500, 0), "500");
        assert_eq!(print_short(1_050, 2), "10.5");
        assert_eq!(print_short(500, 0), "500");
        assert_eq!(print_short(0, 2), "0");
        assert_eq!(to_number(43_499, 2).to_string(), "434.99");
        assert_eq!(to_number(3_000, 2).to_string(), "30");
    }
}
