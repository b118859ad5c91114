//! Things as JSON documents: one rendering, for commands with `--json` and for the admin API alike. Names are camelCase, instants
//! RFC 3339 in UTC, ids text, and what is absent is null; scripts rely on these shapes, so fields are added and never renamed.

pub mod access;
pub mod catalog;
pub mod gdpr;
pub mod jobs;
pub mod orders;
pub mod stores;
