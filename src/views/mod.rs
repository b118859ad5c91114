//! Things as JSON documents: one rendering, for commands with `--json` and for the admin API alike. Names are camelCase, instants
//! RFC 3339 in UTC, ids text, and what is absent is null; scripts rely on these shapes, so fields are added and never renamed.

pub mod access;
pub mod catalog;
pub mod gdpr;
pub mod jobs;
pub mod orders;
pub mod stores;
pub mod words;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use std::str::FromStr;

/// An instant as people write it: RFC 3339, or a day, which begins at midnight UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub DateTime<Utc>);

/// The text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time such as 2026-11-01T08:00:00Z, or a day")]
pub struct NotATime;

impl FromStr for Time {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        text.parse().ok().or_else(day).map(Self).ok_or(NotATime)
    }
}
