//! How a language writes numbers, money and dates.

use super::fill;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The signs, patterns and names. Amounts come as plain decimal text, such as `-1234.50`, and keep their decimals.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Figures {
    decimal: String,
    group: String,
    /// Where `{sign}`, `{symbol}` and `{amount}` stand.
    money: String,
    /// Symbols of currencies, by code; all others are written as their code.
    symbols: BTreeMap<String, String>,
    percent: String,
    date: String,
    moment: String,
    /// The first day of a month.
    first_day: String,
    months: [String; 12],
    day: String,
    days: String,
    hours: String,
}

/// The sign of an amount that is taken off: as long as a plus, unlike a hyphen.
const MINUS: &str = "\u{2212}";

impl Figures {
    /// `number` with the language's decimal sign, and its digits not in groups: "1.800" would be read as 1.8 where it is typed again.
    pub fn plain(&self, number: &str) -> String {
        number.replace('.', &self.decimal).replace('-', MINUS)
    }

    /// `number` with its digits in groups of three.
    pub fn grouped(&self, number: &str) -> String {
        let (sign, number) = signed(number);
        sign.to_owned() + &self.in_groups(number)
    }

    /// An amount of the currency with this code.
    pub fn money(&self, amount: &str, code: &str) -> String {
        let (sign, amount) = signed(amount);
        self.signed_money(sign, amount, code)
    }

    /// An amount that is added to another: it has a sign unless it is nothing.
    pub fn added_money(&self, amount: &str, code: &str) -> String {
        let is_nothing = amount.bytes().all(|byte| !matches!(byte, b'1'..=b'9'));
        match signed(amount) {
            ("", amount) if !is_nothing => self.signed_money("+", amount, code),
            (sign, amount) => self.signed_money(sign, amount, code),
        }
    }

    fn signed_money(&self, sign: &str, amount: &str, code: &str) -> String {
        let blank = if self.money.contains("{symbol}{amount}") { "\u{a0}" } else { "" };
        let symbol = self.symbols.get(code).cloned().unwrap_or_else(|| format!("{code}{blank}"));
        fill(&self.money, &[("sign", sign), ("symbol", &symbol), ("amount", &self.in_groups(amount))])
    }

    /// A share in percent, such as `7.25`.
    pub fn percent(&self, share: &str) -> String {
        let (sign, share) = signed(share);
        fill(&self.percent, &[("sign", sign), ("amount", &self.plain(share))])
    }

    /// A day.
    pub fn date(&self, day: NaiveDate) -> String {
        let number = if day.day() == 1 { self.first_day.clone() } else { day.day().to_string() };
        let month = &self.months[day.month0() as usize];
        fill(&self.date, &[("day", &number), ("month", month), ("year", &day.year().to_string())])
    }

    /// A day and its time of day.
    pub fn moment(&self, at: DateTime<Utc>) -> String {
        let (day, time) = (self.date(at.date_naive()), at.format("%H:%M").to_string());
        fill(&self.moment, &[("date", &day), ("time", &time)])
    }

    /// How long something is kept, after a word such as "after".
    pub fn days(&self, count: i64) -> String {
        if count == 1 { self.day.clone() } else { fill(&self.days, &[("count", &count.to_string())]) }
    }

    /// The same in hours, of which there are several.
    pub fn hours(&self, count: i64) -> String {
        fill(&self.hours, &[("count", &count.to_string())])
    }

    fn in_groups(&self, number: &str) -> String {
        let (whole, decimals) = number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
        let mut text = String::new();
        for (place, digit) in whole.char_indices() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                text.push_str(&self.group);
            }
            text.push(digit);
        }
        if let Some(decimals) = decimals {
            text += &self.decimal;
            text += decimals;
        }
        text
    }
}

/// The sign of a number, and the number without it.
fn signed(number: &str) -> (&'static str, &str) {
    number.strip_prefix('-').map_or(("", number), |number| (MINUS, number))
}

#[cfg(test)]
mod tests {
    use crate::languages::Language;
    use chrono::NaiveDate;

    #[test]
    fn each_language_writes_money_its_own_way() {
        let money = |language: Language, amount, code| language.texts().figures.money(amount, code);
        for (language, euro, franc) in [
            (Language::En, "\u{20ac}1,234.50", "CHF\u{a0}1,234.50"),
            (Language::De, "1.234,50\u{a0}\u{20ac}", "1.234,50\u{a0}CHF"),
            (Language::Nl, "\u{20ac}\u{a0}1.234,50", "CHF\u{a0}1.234,50"),
            (Language::Fr, "1\u{202f}234,50\u{a0}\u{20ac}", "1\u{202f}234,50\u{a0}CHF"),
        ] {
            assert_eq!(
                (money(language, "1234.50", "EUR"), money(language, "1234.50", "CHF")),
                (euro.into(), franc.into())
            );
        }
        assert_eq!(money(Language::En, "1234567", "JPY"), "JPY\u{a0}1,234,567");
        let added = |language: Language, amount| language.texts().figures.added_money(amount, "EUR");
        assert_eq!(added(Language::De, "4.50"), "+4,50\u{a0}\u{20ac}");
        assert_eq!(added(Language::De, "0.00"), "0,00\u{a0}\u{20ac}");
        assert_eq!(added(Language::En, "-1234567.89"), "\u{2212}\u{20ac}1,234,567.89");
        assert_eq!(added(Language::Nl, "-0.05"), "\u{20ac}\u{a0}\u{2212}0,05");
        assert_eq!(added(Language::En, "999"), "+\u{20ac}999");
    }

    #[test]
    fn each_language_writes_numbers_and_dates_its_own_way() {
        let day = |month, day| NaiveDate::from_ymd_opt(2026, month, day).expect("a day");
        for (language, number, share, date) in [
            (Language::En, "1450.5", "\u{2212}12.5%", "1 March 2026"),
            (Language::De, "1450,5", "\u{2212}12,5\u{a0}%", "1. M\u{e4}rz 2026"),
            (Language::Nl, "1450,5", "\u{2212}12,5%", "1 maart 2026"),
            (Language::Fr, "1450,5", "\u{2212}12,5\u{202f}%", "1er mars 2026"),
        ] {
            let figures = &language.texts().figures;
            assert_eq!((figures.plain("1450.5"), figures.percent("-12.5")), (number.into(), share.into()));
            assert_eq!(figures.date(day(3, 1)), date);
        }
        let german = &Language::De.texts().figures;
        assert_eq!(german.date(day(12, 24)), "24. Dezember 2026");
        assert_eq!(
            german.moment(day(1, 2).and_hms_opt(7, 5, 0).expect("a time").and_utc()),
            "2. Januar 2026, 07:05 Uhr UTC"
        );
        assert_eq!(
            (german.days(1), german.days(30), german.hours(24)),
            ("1 Tag".into(), "30 Tagen".into(), "24 Stunden".into())
        );
        assert_eq!((german.grouped("10000"), german.grouped("-999")), ("10.000".into(), "\u{2212}999".into()));
    }
}
