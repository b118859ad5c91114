//! Whether a file's schema is what this program's migrations make. A database of an unreleased program can have the same version and
//! other tables, and would fail in the middle of some request, or of an erasure.

use super::error::OpenError;
use refinery::{Migration, Runner, Target};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// Refuses the file at `path` where what was `applied` to it, by version and refinery's checksum, was not our `migrations`.
///
/// The checksums settle it almost always. Where one differs the schemas decide, for a comment in a migration counts too; what the file
/// has beyond ours is its embedder's.
pub(super) fn check(
    connection: &Connection,
    path: &Path,
    migrations: &[Migration],
    applied: &[(u32, Option<String>)],
) -> Result<(), OpenError> {
    let is_ours = |(version, checksum): &(u32, Option<String>)| {
        let same_version = migrations.iter().find(|migration| u32::try_from(migration.version()) == Ok(*version));
        same_version.is_none_or(|migration| checksum.as_deref() == Some(&migration.checksum().to_string()))
    };
    let newest = applied.iter().map(|(version, _)| *version).max().unwrap_or(0);
    if applied.iter().all(is_ours) {
        return Ok(());
    }
    let sqlite = |error| OpenError::from_sqlite(path, error);
    let mut made = Connection::open_in_memory().map_err(sqlite)?;
    let target = Target::Version(newest.try_into().unwrap_or_default());
    Runner::new(migrations)
        .set_grouped(true)
        .set_target(target)
        .run(&mut made)
        .map_err(|error| OpenError::Migration { path: path.to_path_buf(), message: error.to_string() })?;
    let found = objects(connection).map_err(sqlite)?;
    // A table before its indexes: it is what says why.
    let mut ours: Vec<_> = objects(&made).map_err(sqlite)?.into_iter().collect();
    ours.sort_by_key(|(name, _)| !name.starts_with("table "));
    match ours.into_iter().find(|(name, sql)| found.get(name) != Some(sql)) {
        Some((object, _)) => Err(OpenError::Unreleased { path: path.to_path_buf(), object }),
        None => Ok(()),
    }
}

/// What a schema consists of, by type and name, without comments and blanks.
fn objects(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement = connection.prepare(
        "SELECT type || ' ' || name, sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND substr(name, 1, 7) <> 'sqlite_' AND name <> 'refinery_schema_history'",
    )?;
    let objects = statement.query_map((), |row| Ok((row.get(0)?, plain(&row.get::<_, String>(1)?))))?;
    objects.collect()
}

fn plain(sql: &str) -> String {
    let code = |line: &'_ str| line.split("--").next().unwrap_or_default().split_whitespace().collect::<String>();
    sql.lines().map(code).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_layout_do_not_make_two_schemas_of_one() {
        assert_eq!(
            plain("CREATE TABLE a (\n    x TEXT, -- why\n    y TEXT\n)"),
            plain("CREATE TABLE a (x TEXT,\ny TEXT)")
        );
        assert_ne!(plain("CREATE TABLE a (x TEXT)"), plain("CREATE TABLE a (x INTEGER)"));
    }
}
