//! The reference: the same rows in tables as one makes them without thinking of their end, each row with an id of its own and an
//! index on its foreign key, deleted at once with their store.

use rusqlite::{Connection, Result, params};
use std::path::Path;
use std::time::{Duration, Instant};

const SCHEMA: &str = "
    CREATE TABLE stores (id TEXT PRIMARY KEY, shop TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE price_matrices (
        id       TEXT PRIMARY KEY,
        store_id TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
        name     TEXT NOT NULL
    ) STRICT;
    CREATE INDEX price_matrices_store_id ON price_matrices (store_id);
    CREATE TABLE matrix_cells (
        id              INTEGER PRIMARY KEY,
        matrix_id       TEXT NOT NULL REFERENCES price_matrices (id) ON DELETE CASCADE,
        height_position INTEGER NOT NULL,
        width_position  INTEGER NOT NULL,
        price_minor     INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX matrix_cells_matrix_id ON matrix_cells (matrix_id);
    CREATE TABLE draft_order_records (
        id            TEXT PRIMARY KEY,
        store_id      TEXT NOT NULL REFERENCES stores (id) ON DELETE CASCADE,
        token         TEXT NOT NULL UNIQUE,
        total_minor   INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX draft_order_records_store_id ON draft_order_records (store_id);
    CREATE TABLE draft_order_lines (
        id            INTEGER PRIMARY KEY,
        order_id      TEXT NOT NULL REFERENCES draft_order_records (id) ON DELETE CASCADE,
        matrix_id     TEXT REFERENCES price_matrices (id) ON DELETE SET NULL,
        product_title TEXT NOT NULL,
        total_minor   INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX draft_order_lines_order_id ON draft_order_lines (order_id);
    CREATE INDEX draft_order_lines_matrix_id ON draft_order_lines (matrix_id);";

/// Fills a database of its own with a store of `rows` rows, nine parts cells and one part orders, whose items come on top, and returns how long its deletion
/// takes, as durable and as secure as ours.
pub(crate) fn delete(path: &Path, rows: usize) -> Result<Duration> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "secure_delete", "on")?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    connection.execute_batch(SCHEMA)?;
    connection.execute("INSERT INTO stores VALUES ('store', 'the-reference.myshopify.com')", ())?;
    let tx = connection.unchecked_transaction()?;
    let cells_each = super::SIDE * super::SIDE;
    for number in 0..(rows - super::orders_of(rows)) / cells_each {
        let matrix = format!("01930d5c-7000-7000-8000-{number:012x}");
        tx.execute("INSERT INTO price_matrices VALUES (?1, 'store', 'matrix')", [&matrix])?;
        tx.execute(
            "WITH RECURSIVE side (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM side WHERE at < ?2 - 1)
             INSERT INTO matrix_cells (matrix_id, height_position, width_position, price_minor)
             SELECT ?1, height.at, width.at, 1999 FROM side AS height, side AS width",
            params![matrix, super::SIDE],
        )?;
    }
    let mut insert = tx.prepare("INSERT INTO draft_order_records VALUES (?1, 'store', ?2, 1999)")?;
    let mut insert_line = tx.prepare(
        "INSERT INTO draft_order_lines (order_id, matrix_id, product_title, total_minor)
         VALUES (?1, NULL, 'made to measure', 1999)",
    )?;
    for number in 0..super::orders_of(rows) {
        let id = format!("01930d5c-7000-7000-8000-{number:012x}");
        insert.execute([&id, &format!("token-{number:026x}")])?;
        for _ in 0..super::LINES {
            insert_line.execute([&id])?;
        }
    }
    drop((insert, insert_line));
    tx.commit()?;
    let started = Instant::now();
    connection.execute("DELETE FROM stores", ())?;
    Ok(started.elapsed())
}
