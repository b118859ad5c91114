//! Rows by table: what an erasure has deleted, or would.

use rusqlite::ToSql;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Rows by table, without the tables that have none. A JSON object in the database and in every output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RowCounts(BTreeMap<String, u64>);

impl RowCounts {
    /// Adds rows of a table.
    pub fn add(&mut self, table: &str, rows: usize) {
        if rows > 0 {
            *self.0.entry(table.to_owned()).or_default() += rows as u64;
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (table, rows) in &other.0 {
            *self.0.entry(table.clone()).or_default() += rows;
        }
    }

    /// The rows of a table.
    pub fn of(&self, table: &str) -> u64 {
        self.0.get(table).copied().unwrap_or_default()
    }

    /// Whether there are no rows at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tables and rows, in the order of the tables' names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(table, rows)| (table.as_str(), *rows))
    }
}

impl std::fmt::Display for RowCounts {
    /// As JSON.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| std::fmt::Error)?)
    }
}

impl ToSql for RowCounts {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.to_string()))
    }
}

impl FromSql for RowCounts {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map_err(FromSqlError::other)
    }
}
