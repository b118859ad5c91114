//! SQL of `raised_alerts`: which alerts were raised.

use crate::db::{self, Millis, Tx};
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};

/// Notes that an alert is raised; `false` when that was noted before.
pub(super) fn note(tx: &Tx<'_>, now: DateTime<Utc>, name: &str) -> db::Result<bool> {
    let mut statement = tx.prepare_cached(
        "INSERT INTO raised_alerts (name, raised_at) VALUES (:name, :now)
         ON CONFLICT (name) DO NOTHING",
    )?;
    Ok(statement.execute(named_params! { ":name": name, ":now": Millis(now) })? == 1)
}

/// Whether it is noted that an alert was raised.
pub(super) fn is_noted(connection: &Connection, name: &str) -> db::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM raised_alerts WHERE name = :name")?;
    Ok(statement.exists(named_params! { ":name": name })?)
}

/// Forgets alerts from before `before`. There are few, so they need no index.
pub(super) fn prune(tx: &Tx<'_>, before: DateTime<Utc>) -> db::Result<()> {
    let mut statement = tx.prepare_cached("DELETE FROM raised_alerts WHERE raised_at < :before")?;
    statement.execute(named_params! { ":before": Millis(before) })?;
    Ok(())
}
