//! Requests as whole rows, which a restore imports from another copy of the database.

use crate::db::{self, Millis, Tx, expect_one};
use crate::domain::ids::RequestId;
use crate::erasure::receipts::Receipt;
use rusqlite::types::Value;
use rusqlite::{Connection, named_params, params_from_iter};

/// A request's row as it is, to be imported by another copy of this database.
#[derive(Debug)]
pub struct Row([Value; COLUMN_COUNT]);

/// All columns of a request's row.
const COLUMN_COUNT: usize = 22;

const ALL_COLUMNS: &str = "id, shop, type, payload, webhook_id, event_id, job_id, triggered_at, due_at, created_at, \
                           processed_at, outcome, deleted, report, erased_at, ordered_by, found_live_at, keys_used_at, held_until, \
                           shopify_says, decision, decided_at";

/// The rows of all requests after `after`, in the order of their ids.
///
/// # Errors
/// When the database fails.
pub fn list_rows(connection: &Connection, after: Option<&Row>, limit: usize) -> db::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {ALL_COLUMNS} FROM gdpr_requests WHERE id > :after ORDER BY id LIMIT :limit"
    ))?;
    let after = after.map_or(Value::Text(String::new()), |row| row.0[0].clone());
    let rows = statement.query_map(named_params! { ":after": after, ":limit": limit }, |row| {
        let mut values = [const { Value::Null }; COLUMN_COUNT];
        for (index, value) in values.iter_mut().enumerate() {
            *value = row.get(index)?;
        }
        Ok(Row(values))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Takes a request over from another copy of this database, unless it is known here and as far along. Returns whether it was.
///
/// # Errors
/// When the database fails.
pub fn import(tx: &Tx<'_>, row: &Row) -> db::Result<bool> {
    // Where two copies have each taken the same delivery, it is known here by the request of this one, and the other's is a request of
    // its own all the same.
    let mut statement = tx.prepare_cached(&format!(
        "INSERT INTO gdpr_requests ({ALL_COLUMNS})
         VALUES (?1, ?2, ?3, ?4,
             iif(EXISTS (SELECT 1 FROM gdpr_requests AS known
                         WHERE known.webhook_id = ?5 AND known.type = ?3 AND known.id <> ?1), NULL, ?5), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
             ?21, ?22)
         ON CONFLICT (id) DO UPDATE
         SET payload = excluded.payload, processed_at = excluded.processed_at, outcome = excluded.outcome,
             deleted = excluded.deleted, report = excluded.report, erased_at = excluded.erased_at,
             found_live_at = excluded.found_live_at, keys_used_at = excluded.keys_used_at, held_until = excluded.held_until,
             shopify_says = excluded.shopify_says, decision = excluded.decision, decided_at = excluded.decided_at
         WHERE gdpr_requests.processed_at IS NULL AND gdpr_requests.decision IS NULL AND excluded.decision IS NOT NULL
           OR excluded.processed_at IS NOT NULL
           AND (gdpr_requests.processed_at IS NULL OR gdpr_requests.erased_at IS NULL AND excluded.erased_at IS NOT NULL)"
    ))?;
    Ok(statement.execute(params_from_iter(&row.0))? == 1)
}

/// Marks an open request as what its receipts prove: it was fulfilled, erased from the files and pruned in the copy of this database
/// that the receipts came from.
///
/// # Errors
/// When the database fails.
pub fn settle_by(tx: &Tx<'_>, id: RequestId, erased: &Receipt, verified: &Receipt) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "UPDATE gdpr_requests
         SET processed_at = :processed_at, outcome = :outcome, deleted = :deleted, payload = '{}', erased_at = :erased_at
         WHERE id = :id AND processed_at IS NULL",
    )?;
    let params = named_params! {
        ":processed_at": Millis(erased.created_at),
        ":outcome": erased.outcome,
        ":deleted": erased.counts,
        ":erased_at": Millis(verified.created_at),
        ":id": id,
    };
    expect_one(statement.execute(params)?, "erasure::requests::settle_by")
}
