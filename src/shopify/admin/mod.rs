//! Shopify's Admin API as far as draft orders need it: what is sent, and what an answer means. Pure: the caller brings the
//! connection (`orders/handover/client.rs`).
//!
//! The GraphQL documents are files of their own, with what several ask for in fragments, so that other tools can judge them; `tests/it/handover/documents.rs` holds them
//! against the names of Shopify's published schema. `draftOrderCreate` knows no idempotency key, so every draft carries a tag that
//! its order's id alone decides ([`tag`]), by which one that may or may not have been made is found again.

mod answer;
mod draft_order;
mod failure;
mod request;
mod token;

pub(super) use answer::read_time;
pub use answer::{Fate, read_created, read_deleted, read_found, read_seen, read_states, served_version};
pub use draft_order::{DraftOrder, SeenLine};
pub use failure::{ShopifyError, plain_words};
pub use request::{
    CREATE, DELETE, Draft, DraftLine, FIND, LOOK, STATES, STATES_MAX, create, delete, find, look, states, tag,
};
pub use token::{GRANT_PATH, Grant, Installation, grant_form, read_grant, read_installation};

/// The version that the documents were written for, and the default.
pub const VERSION: &str = "2026-10";

/// How Shopify's id of a draft order begins; its number follows.
pub const DRAFT_ORDER_GID: &str = "gid://shopify/DraftOrder/";

/// The header that bears the access token.
pub const TOKEN_HEADER: &str = "X-Shopify-Access-Token";

/// The header of an answer that names the version which gave it.
pub const VERSION_HEADER: &str = "X-Shopify-API-Version";

/// Where GraphQL is asked, below the shop's address.
pub fn graphql_path(version: &str) -> String {
    format!("/admin/api/{version}/graphql.json")
}

/// Whether `text` looks like a version: `2026-10`, or `unstable`.
pub fn is_version(text: &str) -> bool {
    let digits = |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let dated = text.split_once('-').is_some_and(|(year, month)| digits(year, 4) && digits(month, 2));
    dated || text == "unstable"
}
