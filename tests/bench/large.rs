//! What benchmarks on large tables share: how many rows come to be, and what a look may take.

use quotegrid::db;
use std::time::{Duration, Instant};

/// What every look must take less than.
pub(crate) const BOUND: Duration = Duration::from_millis(50);

/// How often each is taken.
const ROUNDS: usize = 15;

/// Ids as jobs and the log have them: by number, in order.
pub(crate) const ID: &str = "printf('01900000-0000-7000-8000-%012x', n)";

/// The beginning of a statement that has the numbers `n` from 1 to `count`.
pub(crate) fn numbers(count: usize) -> String {
    format!("WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})")
}

/// Inserts an order for each of `numbers`, as the first order of the demo store, whatever columns there are.
pub(crate) fn insert_orders(tx: &db::Tx<'_>, numbers: &str) -> db::Result<()> {
    let mut statement = tx.prepare("SELECT name FROM pragma_table_info('draft_order_records')")?;
    let columns: Vec<String> = statement.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let value = |column: &String| match column.as_str() {
        "id" => ID.to_owned(),
        "number" => "1000 + n".to_owned(),
        "token" => "'token' || n".to_owned(),
        other => format!("made.{other}"),
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let sql = format!(
        "INSERT INTO draft_order_records ({}) {numbers} SELECT {} FROM numbers, (SELECT * FROM draft_order_records LIMIT 1) AS made",
        columns.join(", "),
        values.join(", ")
    );
    tx.execute(&sql, ())?;
    Ok(())
}

/// Takes a look several times, and prints the median and the slowest. Returns whether the median is over [`BOUND`].
pub(crate) fn is_over_the_bound(what: &str, mut look: impl FnMut()) -> bool {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            look();
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    let (median, slowest) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    let is_over = median > BOUND;
    let over = if is_over { "  OVER THE BOUND" } else { "" };
    println!("{what:<50} {median:>9.2?} in the middle, {slowest:>9.2?} at the slowest{over}");
    is_over
}
