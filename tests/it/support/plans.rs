//! How SQLite means to answer a query.

use quotegrid::db;
use quotegrid::testing::Fixture;

/// The lines of `EXPLAIN QUERY PLAN`.
pub(crate) fn plan(fixture: &Fixture, sql: &str) -> String {
    let lines = fixture.app.db.read(|connection| -> db::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let lines = statement.query_map((), |row| row.get("detail"))?.collect::<Result<_, _>>()?;
        Ok(lines)
    });
    lines.unwrap_or_else(|error| panic!("{sql}: {error}")).join("\n")
}
