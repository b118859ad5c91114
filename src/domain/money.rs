//! Money in whole minor units, the currencies and their decimals, and the one rounding rule.

use super::decimal::{self, DecimalFault};
use serde_json::Number;
use std::fmt;
use std::str::FromStr;

/// An amount in minor units of some currency: cents of a dollar, whole yen, thousandths of a dinar. May be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Minor(i64);

/// An amount is beyond [`Minor::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct TooLarge;

impl Minor {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest price, unit price or total: 15 digits, so that a client that reads JSON numbers as doubles reads each exactly.
    pub const MAX: Self = Self(999_999_999_999_999);

    /// So many minor units.
    pub const fn new(minor: i64) -> Self {
        Self(minor)
    }

    /// How many minor units.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The amount, if it is within ±[`Minor::MAX`].
    ///
    /// # Errors
    /// [`TooLarge`] when it is not.
    pub fn from_wide(minor: i128) -> Result<Self, TooLarge> {
        i64::try_from(minor)
            .ok()
            .filter(|minor| minor.unsigned_abs() <= Self::MAX.0.unsigned_abs())
            .map(Self)
            .ok_or(TooLarge)
    }
}

/// Hundredths of a percent: 10 000 are 100 %. May be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BasisPoints(i64);

/// Basis points in one whole.
pub(crate) const WHOLE: i128 = 10_000;

/// Decimals of a percentage: a basis point is a hundredth of a percent.
const PERCENT_DECIMALS: u32 = 2;

impl BasisPoints {
    /// So many hundredths of a percent.
    pub const fn new(basis_points: i64) -> Self {
        Self(basis_points)
    }

    /// How many hundredths of a percent.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads a percentage with at most two decimals: `5`, `-2.5`.
    ///
    /// # Errors
    /// A [`DecimalFault`] that says why it is not a valid percentage.
    pub fn parse_percent(text: &str) -> Result<Self, DecimalFault> {
        decimal::parse_signed(text, PERCENT_DECIMALS).map(Self)
    }

    /// Reads a percentage from a JSON number.
    ///
    /// # Errors
    /// A [`DecimalFault`] that says why it is not a valid percentage.
    pub fn percent_from_number(number: &Number) -> Result<Self, DecimalFault> {
        decimal::parse_signed_number(number, PERCENT_DECIMALS).map(Self)
    }

    /// The percentage as decimal text without decimals that say nothing: `5`, `-2.5`.
    pub fn format_percent(self) -> String {
        decimal::print_short(self.0.into(), PERCENT_DECIMALS)
    }

    /// This share of `base`, rounded toward plus infinity for both signs: a surcharge rounds up, a discount shrinks.
    ///
    /// # Errors
    /// [`TooLarge`] when the share is beyond [`Minor::MAX`].
    pub fn of(self, base: Minor) -> Result<Minor, TooLarge> {
        let exact = self.of_exact(base);
        // Division truncates toward zero, which already is "up" for what is negative.
        let up = i128::from(exact % WHOLE > 0);
        Minor::from_wide(exact / WHOLE + up)
    }

    /// This share of `base` in ten-thousandths of a minor unit, before rounding. Two 64-bit factors always fit.
    pub(crate) fn of_exact(self, base: Minor) -> i128 {
        i128::from(base.0) * i128::from(self.0)
    }
}

/// A currency of ISO 4217 with its number of decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

/// No currency with minor units has this code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not a currency code of ISO 4217 such as USD, EUR or JPY")]
pub struct UnknownCurrency;

/// Codes by their exponent. Those without minor units (gold, drawing rights, test codes) price nothing and are left out; those
/// withdrawn in recent years stay, so that a shop's old prices can still be read. JEP and KID are no codes of ISO 4217, but a shop at
/// Shopify can have them.
const CODES: [(u8, &str); 4] = [
    (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
    (
        2,
        "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW \
         CNY COP COU CRC CUC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HRK HTG HUF \
         IDR ILS INR IRR JEP JMD KES KGS KHR KID KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV \
         MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD \
         SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG ZWL",
    ),
    (3, "BHD IQD JOD KWD LYD OMR TND"),
    (4, "CLF UYW"),
];

/// Codes of [`CODES`] that Shopify's Admin API does not list among its currencies, as of its version 2025-07: funds codes, units of
/// account, and currencies of countries it does not sell in.
const UNKNOWN_TO_SHOPIFY: &str = "BOV CHE CHW CLF COU CUC CUP KPW MXV SLE SVC USN UYI UYW XCG ZWG ZWL";

impl Currency {
    /// United States dollars: what a store has until its merchant says otherwise.
    pub const USD: Self = Self { code: *b"USD", exponent: 2 };

    /// The three-letter code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).expect("codes are ASCII")
    }

    /// Whether Shopify knows this currency: a draft order in another one is refused.
    pub fn is_known_to_shopify(&self) -> bool {
        UNKNOWN_TO_SHOPIFY.split_ascii_whitespace().all(|code| code != self.code())
    }

    /// How many decimals a major unit has: 2 for USD, 0 for JPY, 3 for KWD.
    pub fn exponent(&self) -> u32 {
        self.exponent.into()
    }

    /// Reads a price in major units, `digits[.digits]` with no more decimals than the currency has, exactly.
    ///
    /// # Errors
    /// A [`DecimalFault`] that says why it is not a valid price.
    pub fn parse_price(&self, text: &str) -> Result<Minor, DecimalFault> {
        within_max(decimal::parse(text, self.exponent())?)
    }

    /// Reads a price in major units from a JSON number: `10.1` is 10.10, never 10.0999….
    ///
    /// # Errors
    /// A [`DecimalFault`] that says why it is not a valid price.
    pub fn price_from_number(&self, number: &Number) -> Result<Minor, DecimalFault> {
        within_max(decimal::parse_number(number, self.exponent())?)
    }

    /// Reads an amount in major units that may be negative, exactly: what a discount takes off.
    ///
    /// # Errors
    /// A [`DecimalFault`] that says why it is not a valid amount.
    pub fn parse_amount(&self, text: &str) -> Result<Minor, DecimalFault> {
        decimal::parse_signed(text, self.exponent()).map(Minor)
    }

    /// Reads an amount in major units that may be negative from a JSON number.
    ///
    /// # Errors
    /// A [`DecimalFault`] that says why it is not a valid amount.
    pub fn amount_from_number(&self, number: &Number) -> Result<Minor, DecimalFault> {
        decimal::parse_signed_number(number, self.exponent()).map(Minor)
    }

    /// Major units with all the currency's decimals: `10.50`.
    pub fn format(&self, amount: Minor) -> String {
        decimal::print(amount.0.into(), self.exponent())
    }

    /// Major units as a JSON number: `10.5`.
    pub fn to_number(&self, amount: Minor) -> Number {
        decimal::to_number(amount.0, self.exponent())
    }

    /// The amount of this currency as minor units of `other`, where that is exact: 10.50 USD has no counterpart in JPY.
    pub fn relabel(&self, amount: Minor, other: Currency) -> Option<Minor> {
        let ten = |exponent: u8| 10_i128.pow(exponent.into());
        let scaled = i128::from(amount.0) * ten(other.exponent);
        let exact = scaled % ten(self.exponent) == 0;
        if exact { Minor::from_wide(scaled / ten(self.exponent)).ok() } else { None }
    }
}

fn within_max(minor: i64) -> Result<Minor, DecimalFault> {
    Minor::from_wide(minor.into()).map_err(|TooLarge| DecimalFault::TooLarge)
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| UnknownCurrency)?;
        CODES
            .iter()
            .find(|(_, codes)| codes.split_ascii_whitespace().any(|known| known == text))
            .map(|&(exponent, _)| Self { code, exponent })
            .ok_or(UnknownCurrency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a currency")
    }

    #[test]
    fn currencies_know_their_decimals() {
        for (code, exponent) in [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("TND", 3), ("CLF", 4)] {
            assert_eq!(currency(code).exponent(), exponent, "{code}");
            assert_eq!(currency(code).to_string(), code);
        }
        assert_eq!(currency("USD"), Currency::USD);
        for text in ["", "usd", "XXX", "XAU", "US", "USDD", "U D", "ÄB", "AED AFN"] {
            assert_eq!(text.parse::<Currency>(), Err(UnknownCurrency), "{text:?}");
        }
    }

    #[test]
    fn no_code_is_listed_twice_and_each_is_three_capitals() {
        let mut codes: Vec<&str> = CODES.iter().flat_map(|(_, codes)| codes.split_ascii_whitespace()).collect();
        assert!(codes.iter().all(|code| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn currencies_of_shopify_are_known_and_others_are_known_to_be_others() {
        for code in ["JEP", "KID"] {
            assert_eq!((currency(code).exponent(), currency(code).is_known_to_shopify()), (2, true), "{code}");
        }
        assert!(currency("USD").is_known_to_shopify());
        for code in UNKNOWN_TO_SHOPIFY.split_ascii_whitespace() {
            assert!(!currency(code).is_known_to_shopify(), "{code}");
        }
    }

    #[test]
    fn amounts_and_percentages_may_be_negative() {
        assert_eq!(Currency::USD.parse_amount("-89.5"), Ok(Minor(-8_950)));
        assert_eq!(currency("JPY").parse_amount("500"), Ok(Minor(500)));
        assert_eq!(currency("JPY").parse_amount("500.5"), Err(DecimalFault::TooManyDecimals { most: 0 }));
        assert_eq!(BasisPoints::parse_percent("5"), Ok(BasisPoints(500)));
        assert_eq!(BasisPoints::parse_percent("-2.55"), Ok(BasisPoints(-255)));
        assert_eq!(BasisPoints::parse_percent("0.005"), Err(DecimalFault::TooManyDecimals { most: 2 }));
        for (points, text) in [(500, "5"), (-250, "-2.5"), (5, "0.05"), (0, "0"), (10_000, "100")] {
            assert_eq!(BasisPoints(points).format_percent(), text);
        }
    }

    #[test]
    fn prices_are_read_and_written_exactly() {
        assert_eq!(Currency::USD.parse_price("10.5"), Ok(Minor(1_050)));
        assert_eq!(Currency::USD.format(Minor(1_050)), "10.50");
        assert_eq!(Currency::USD.format(Minor(-5)), "-0.05");
        assert_eq!(Currency::USD.parse_price("10.005"), Err(DecimalFault::TooManyDecimals { most: 2 }));
        assert_eq!(currency("JPY").parse_price("1050"), Ok(Minor(1_050)));
        assert_eq!(currency("JPY").parse_price("10.5"), Err(DecimalFault::TooManyDecimals { most: 0 }));
        assert_eq!(currency("JPY").price_from_number(&"30.0".parse().expect("a number")), Ok(Minor(30)));
        assert_eq!(currency("KWD").format(Minor(1_050)), "1.050");
        assert_eq!(Currency::USD.parse_price("9999999999999.99"), Ok(Minor::MAX));
        assert_eq!(Currency::USD.parse_price("10000000000000.00"), Err(DecimalFault::TooLarge));
    }

    #[test]
    fn the_largest_amounts_survive_a_json_number() {
        for minor in [Minor::MAX.0, Minor::MAX.0 - 1, 999_999_999_999_901, 43_499, 1] {
            let number = Currency::USD.to_number(Minor(minor));
            assert_eq!(Currency::USD.price_from_number(&number), Ok(Minor(minor)), "{number}");
        }
    }

    #[test]
    fn shares_round_toward_plus_infinity() {
        let share = |base, points| BasisPoints(points).of(Minor(base)).map(Minor::get);
        assert_eq!(share(999, 1_500), Ok(150));
        assert_eq!(share(999, -1_500), Ok(-149));
        assert_eq!(share(1, 1), Ok(1));
        assert_eq!(share(1, -1), Ok(0));
        assert_eq!(share(1, -10_000), Ok(-1));
        assert_eq!(share(999_999_999_999_999, i64::MAX), Err(TooLarge));
        assert_eq!(share(i64::MIN, i64::MIN), Err(TooLarge));
    }

    #[test]
    fn a_price_changes_its_currency_only_where_that_is_exact() {
        assert_eq!(Currency::USD.relabel(Minor(1_000), currency("JPY")), Some(Minor(10)));
        assert_eq!(Currency::USD.relabel(Minor(1_050), currency("JPY")), None);
        assert_eq!(Currency::USD.relabel(Minor(1_050), currency("KWD")), Some(Minor(10_500)));
        assert_eq!(Currency::USD.relabel(Minor::MAX, currency("KWD")), None);
    }
}
