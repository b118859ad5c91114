//! Which orders a person looks for: by their state and the time of their making, newest first.

use crate::db::{self, Millis};
use crate::domain::ids::StoreId;
use crate::orders::records::State;
use chrono::{DateTime, Utc};
use rusqlite::{Connection, named_params};

/// An order's place in a list: when it was made, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its number.
    pub number: i64,
}

/// Which orders to list.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Only those in this state.
    pub state: Option<State>,
    /// Only those made then or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those made before.
    pub until: Option<DateTime<Utc>>,
    /// Only those after this place in the list: the last of the page before.
    pub after: Option<Place>,
    /// At most this many.
    pub limit: usize,
}

/// The places of a store's orders that match, newest first.
///
/// # Errors
/// When the database fails.
pub fn search(connection: &Connection, store: StoreId, search: &Search) -> db::Result<Vec<Place>> {
    // A state at a time, each by the one index that has them in order: an index for all states would be one more to write for each order.
    let mut statement = connection.prepare_cached(
        "SELECT created_at, number FROM draft_order_records
         WHERE store_id = :store_id AND status = :state
           AND created_at >= :since AND created_at < :until AND (created_at, number) < (:at, :number)
         ORDER BY created_at DESC, number DESC LIMIT :limit",
    )?;
    let mut found = Vec::new();
    for state in State::ALL.into_iter().filter(|state| search.state.is_none_or(|wanted| wanted == *state)) {
        let params = named_params! {
            ":store_id": store,
            ":state": state.as_str(),
            ":since": search.since.map_or(i64::MIN, |at| at.timestamp_millis()),
            ":until": search.until.map_or(i64::MAX, |at| at.timestamp_millis()),
            ":at": search.after.map_or(i64::MAX, |place| place.at_ms),
            ":number": search.after.map_or(i64::MAX, |place| place.number),
            ":limit": search.limit,
        };
        let rows = statement.query_map(params, |row| {
            let Millis(at) = row.get("created_at")?;
            Ok(Place { at_ms: at.timestamp_millis(), number: row.get("number")? })
        })?;
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(search.limit);
    Ok(found)
}
