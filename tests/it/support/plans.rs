//! How SQLite means to answer a query.

use quotegrid::db;
use quotegrid::testing::Fixture;

/// The lines of `EXPLAIN QUERY PLAN`; the plan does not depend on the values of parameters, which stay unbound.
pub(crate) fn plan(fixture: &Fixture, sql: &str) -> String {
    let lines = fixture.app.db.read(|connection| -> db::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let (mut lines, mut rows) = (Vec::new(), statement.raw_query());
        while let Some(row) = rows.next()? {
            lines.push(row.get("detail")?);
        }
        Ok(lines)
    });
    lines.unwrap_or_else(|error| panic!("{sql}: {error}")).join("\n")
}
