//! What a verification may find.

use serde::Serialize;

/// Something that is not as it should be. Says where, never whose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where: a table, `database` or `wal`.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    /// How many times.
    pub times: u64,
}
