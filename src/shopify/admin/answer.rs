//! What an answer of the Admin API means, for each request: which drafts it shows, or why it shows none (`failure.rs`).

use super::draft_order::{DraftOrder, read_draft};
use super::failure::{ShopifyError, read_document, read_errors, read_user_errors};
use super::request::tag;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::BTreeMap;

/// The longest name of an order that is believed.
const ORDER_NAME_MAX: usize = 100;

/// What became of a draft order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is there.
    Standing,
    /// The shopper has ordered: the order's name, where the app may know it, and when.
    Completed {
        /// `#1042`.
        order_name: Option<String>,
        /// When.
        at: Option<DateTime<Utc>>,
    },
    /// It is not there any more.
    Deleted,
    /// The answer does not say.
    Unknown,
}

/// The draft that an answer to [`super::create`] says was made of an order.
///
/// # Errors
/// A [`ShopifyError`] where it says otherwise, or nothing that can be understood.
pub fn read_created(
    order_id: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<DraftOrder, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let payload = &document["data"]["draftOrderCreate"];
    // Whatever else is said: a draft with an id is there.
    if let Some(draft) = read_draft(&payload["draftOrder"]) {
        // A shopper must not be sent to another's checkout, even where two answers were mixed up on their way. One that says nothing of
        // its tags was given in answer to us all the same: to look for it would be to risk a second.
        let node = &payload["draftOrder"];
        if node["tags"].is_array() && !bears(node, &tag(order_id)) {
            return Err(ShopifyError::uncertain("Shopify answered with a draft order that is not this order's"));
        }
        return Ok(draft);
    }
    read_errors(&document)?;
    Err(read_user_errors(&document, payload)
        .unwrap_or_else(|| ShopifyError::uncertain("Shopify answered without a draft order and without an error")))
}

/// The draft that an answer to [`super::look`] shows; `None`: it is not there any more.
///
/// # Errors
/// As [`read_created`]; whatever it is, nothing was changed.
pub fn read_seen(
    draft_id: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<Option<DraftOrder>, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    // What the app may not see of a draft is missing from it; the rest is there.
    if let Some(draft) = read_draft(&document["data"]["draftOrder"]) {
        let is_it = draft.id == draft_id;
        return is_it
            .then_some(Some(draft))
            .ok_or_else(|| ShopifyError::uncertain("Shopify answered with a draft order that was not asked for"));
    }
    read_errors(&document)?;
    match document["data"].get("draftOrder") {
        Some(Value::Null) => Ok(None),
        _ => Err(ShopifyError::uncertain("Shopify answered without the draft order that was asked for")),
    }
}

/// What an answer to [`super::states`] says of these drafts, in their order.
///
/// # Errors
/// As [`read_created`]; whatever it is, nothing was changed.
pub fn read_states(
    draft_ids: &[String],
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<Vec<Fate>, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let nodes = match document["data"]["nodes"].as_array() {
        Some(nodes) if nodes.len() == draft_ids.len() => nodes,
        _ => {
            read_errors(&document)?;
            return Err(ShopifyError::uncertain("Shopify answered without the draft orders that were asked for"));
        }
    };
    // A draft that an error is about is not there because of the error.
    let errors = document["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_whole = errors.iter().all(|error| error["path"].as_array().is_some_and(|path| path.len() > 1));
    let has_error =
        |place: usize| !is_whole || errors.iter().any(|error| error["path"][1].as_u64() == u64::try_from(place).ok());
    let fate = |(place, (node, id)): (usize, (&Value, &String))| match node {
        Value::Null if has_error(place) => Fate::Unknown,
        Value::Null => Fate::Deleted,
        node if node["id"].as_str() != Some(id) => Fate::Unknown,
        node => match node["status"].as_str() {
            Some("COMPLETED") => Fate::Completed {
                order_name: node["order"]["name"].as_str().and_then(order_name),
                at: node["completedAt"].as_str().and_then(read_time),
            },
            Some(_) => Fate::Standing,
            None => Fate::Unknown,
        },
    };
    Ok(nodes.iter().zip(draft_ids).enumerate().map(fate).collect())
}

/// Whether an answer to [`super::delete`] says that the draft is gone; `false`: Shopify keeps it, or knows none.
///
/// # Errors
/// As [`read_created`].
pub fn read_deleted(draft_id: &str, status: u16, retry_after: Option<&str>, body: &[u8]) -> Result<bool, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    let payload = &document["data"]["draftOrderDelete"];
    if payload["deletedId"].as_str() == Some(draft_id) {
        return Ok(true);
    }
    read_errors(&document)?;
    let faults = payload["userErrors"].as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return Err(ShopifyError::uncertain("Shopify answered without what it deleted and without an error"));
    }
    Ok(false)
}

/// A name of an order at Shopify, if it can be one: merchants choose what is around the number.
fn order_name(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.chars().count() <= ORDER_NAME_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

pub(in crate::shopify) fn read_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// The drafts of an order that an answer to [`super::find`] has, oldest first. None: they are not there, or not there *yet*, for
/// the search finds new ones late.
///
/// # Errors
/// As [`read_created`].
pub fn read_found(
    order_id: &str,
    status: u16,
    retry_after: Option<&str>,
    body: &[u8],
) -> Result<Vec<DraftOrder>, ShopifyError> {
    let document = read_document(status, retry_after, body)?;
    read_errors(&document)?;
    let tag = tag(order_id);
    let mut found = BTreeMap::new();
    for list in ["tagged", "newest"] {
        let nodes = document["data"][list]["nodes"].as_array();
        let nodes = nodes.ok_or_else(|| ShopifyError::uncertain("Shopify answered a search without a list"))?;
        for node in nodes {
            // A search may be generous; only the very tag counts.
            if let Some(draft) = read_draft(node).filter(|_| bears(node, &tag)) {
                found.insert((draft.id.len(), draft.id.clone()), draft);
            }
        }
    }
    Ok(found.into_values().collect())
}

fn bears(node: &Value, tag: &str) -> bool {
    node["tags"].as_array().is_some_and(|tags| tags.iter().any(|found| found == tag))
}

/// The version that gave an answer, where it is another than was asked for.
pub fn served_version<'a>(asked: &str, header: Option<&'a str>) -> Option<&'a str> {
    header.filter(|served| *served != asked && super::is_version(served))
}

#[cfg(test)]
mod tests;
