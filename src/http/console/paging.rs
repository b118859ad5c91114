//! Lists that go on by key: where a page begins, and whether there is another.

use super::Visit;
use super::form::Form;
use crate::domain::ids::StoreId;
use crate::error::{Error, Result};
use crate::http::state::AppState;
use rusqlite::Connection;
use std::str::FromStr;

/// Items that a list shows at once: what a person looks through before they search.
pub(super) const PAGE_ITEMS: usize = 50;

/// The last item of the page before, where there was one.
///
/// # Errors
/// `NotFound` for what cannot be one.
pub(super) fn cursor<T: FromStr>(visit: &Visit) -> Result<Option<T>> {
    let query = Form::of_query(&visit.request)?;
    query.entered("after").map(str::parse).transpose().map_err(|_unreadable| Error::not_found("page of the list"))
}

/// A page of what a store has, and the item that the next page goes on after. `read` is given where the page begins, and how many items
/// to read.
///
/// # Errors
/// `NotFound` for a page that cannot be, and when `read` fails.
pub(super) fn page_of_store<T, K: FromStr>(
    state: &AppState,
    visit: &Visit,
    read: impl FnOnce(&Connection, StoreId, Option<K>, usize) -> Result<Vec<T>>,
    key: impl FnOnce(&T) -> String,
) -> Result<(Vec<T>, Option<String>)> {
    let (store, after) = (visit.store()?.id, cursor(visit)?);
    let mut found = state.app.db.read(|connection| read(connection, store, after, PAGE_ITEMS + 1))?;
    let next = next_cursor(&mut found, key);
    Ok((found, next))
}

/// Cuts one item more than a page has, and names the item that the next page goes on after.
pub(super) fn next_cursor<T>(items: &mut Vec<T>, cursor: impl FnOnce(&T) -> String) -> Option<String> {
    if items.len() <= PAGE_ITEMS {
        return None;
    }
    items.truncate(PAGE_ITEMS);
    items.last().map(cursor)
}
