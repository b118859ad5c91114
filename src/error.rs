//! The error that every feature speaks: what kind of thing went wrong, a sentence for people, and nothing secret.
//!
//! Rules in `domain` have small errors of their own; `db` has one for SQLite. Both end up here on their way out. HTTP status
//! and exit code are one match each on [`Kind`], at the surface.

use crate::db;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// The result of a feature's operation.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of thing went wrong. Surfaces turn it into a status or an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The request cannot be understood at all (400).
    Malformed,
    /// It is understood, and its fields are wrong (422).
    Invalid,
    /// The request has no credentials, or wrong ones (401).
    Unauthorized,
    /// Known, but not allowed here (403).
    Forbidden,
    /// No such thing, or not the caller's (404).
    NotFound,
    /// It does not fit the present state (409).
    Conflict,
    /// The caller's version is not the present one (412).
    Stale,
    /// The caller must say which version it means (428).
    VersionRequired,
    /// More than a limit lets through (413).
    TooLarge,
    /// Too many requests (429).
    Limited,
    /// Not now; the same may succeed later (503).
    Overloaded,
    /// Our fault (500). Its message goes to the log, never to the caller.
    Internal,
}

/// The member `code` of a `Conflict` that goes away when the caller confirms what would happen.
pub const NEEDS_CONFIRMATION: &str = "needs_confirmation";

/// Something that went wrong. `Display` is the sentence: lower case, no full stop, naming the thing.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: Kind,
    message: String,
    faults: BTreeMap<String, Vec<String>>,
    members: Map<String, Value>,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` with a sentence for people.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            faults: BTreeMap::new(),
            members: Map::new(),
            retry_after: None,
            source: None,
        }
    }

    /// `thing` does not exist, or is not the caller's.
    pub fn not_found(thing: impl std::fmt::Display) -> Self {
        Self::new(Kind::NotFound, format!("{thing} not found"))
    }

    /// The same error with one more fault of a field.
    #[must_use]
    pub fn with_fault(mut self, field: impl Into<String>, text: impl Into<String>) -> Self {
        self.faults.entry(field.into()).or_default().push(text.into());
        self
    }

    /// The same error with the faults of another one too.
    #[must_use]
    pub fn with_faults_of(mut self, other: &Self) -> Self {
        for (field, texts) in &other.faults {
            self.faults.entry(field.clone()).or_default().extend(texts.iter().cloned());
        }
        self
    }

    /// The same error about a part of what was sent: faults are named below its `place`, and the sentence begins with its `name`.
    #[must_use]
    pub fn within(mut self, place: &str, name: &str) -> Self {
        self.faults = self.faults.into_iter().map(|(field, texts)| (format!("{place}.{field}"), texts)).collect();
        self.message = format!("{name}: {}", self.message);
        self
    }

    /// The same error with one more member for programs to read, such as what is in the way.
    #[must_use]
    pub fn with_member(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.members.insert(name.into(), value.into());
        self
    }

    /// The same error with a hint when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The same error with its cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of thing went wrong.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Faults by field, in the order of the fields' names.
    pub fn faults(&self) -> &BTreeMap<String, Vec<String>> {
        &self.faults
    }

    /// What programs can read alongside its kind and faults.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// When to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

/// How long a caller should wait when the writer has too much to do or the disk is full: Shopify's own retries are minutes apart.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(2);

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        if error.is_transient() {
            Self::new(Kind::Overloaded, "the database cannot take this now, try again later")
                .with_retry_after(OVERLOAD_PAUSE)
                .with_source(error)
        } else {
            Self::new(Kind::Internal, "database error").with_source(error)
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        db::Error::from(error).into()
    }
}
