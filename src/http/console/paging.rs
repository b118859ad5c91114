//! Lists that go on by key: where a page begins, and whether there is another.

use super::Visit;
use super::form::Form;
use crate::error::{Error, Result};
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

/// Cuts one item more than a page has, and names the item that the next page goes on after.
pub(super) fn next_cursor<T>(items: &mut Vec<T>, cursor: impl FnOnce(&T) -> String) -> Option<String> {
    if items.len() <= PAGE_ITEMS {
        return None;
    }
    items.truncate(PAGE_ITEMS);
    items.last().map(cursor)
}
