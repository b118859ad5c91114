//! Things as JSON documents: one rendering, for commands with `--json` and for the admin API alike. Names are camelCase, instants
//! RFC 3339 in UTC, ids text, and what is absent is null; scripts rely on these shapes, so fields are added and never renamed.

pub mod catalog;
pub mod gdpr;
pub mod jobs;
pub mod orders;
pub mod stores;

use chrono::{DateTime, SecondsFormat, Utc};

/// An instant as every output shows it: RFC 3339, UTC, milliseconds.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// An instant that may be absent.
pub fn optional_instant(at: Option<DateTime<Utc>>) -> Option<String> {
    at.map(instant)
}
