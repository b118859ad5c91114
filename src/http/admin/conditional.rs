//! What edits of the catalog share: the store they are below, `ETag` and `If-Match`, and how a deletion is confirmed.

use crate::catalog::Expected;
use crate::catalog::stores::{self, Store};
use crate::error::{Error, Kind, Result};
use crate::http::Request;
use crate::http::body::{self, Fields};
use crate::http::query::Query;
use crate::http::route::Params;
use crate::http::state::AppState;

/// The store of a path's shop, for work below it.
///
/// # Errors
/// `NotFound` when there is no such store, `Conflict` while it is being erased, and when the database fails.
pub(super) fn store_of(state: &AppState, params: &Params) -> Result<Store> {
    let shop = super::shop(params)?;
    state.app.db.read(|connection| stores::load(connection, &shop))
}

/// The version that `If-Match` names; `None` where the field is absent. A tag that a proxy has marked as weak counts: ours say the same
/// of every form of an answer.
///
/// # Errors
/// `Malformed` for what is not one tag.
pub(super) fn if_match(request: &Request) -> Result<Option<Expected>> {
    let mut fields = request.headers.all("if-match");
    let Some(field) = fields.next().map(str::trim) else { return Ok(None) };
    if field == "*" {
        return Ok(Some(Expected::Any));
    }
    let tag = field.strip_prefix("W/").unwrap_or(field);
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    match tag {
        Some(tag) if fields.next().is_none() && !tag.contains('"') => {
            // No version is 0: a tag that this server never sent, such as "07", matches nothing.
            let version: i64 = tag.parse().unwrap_or(0);
            Ok(Some(Expected::Version(if etag(version) == format!("\"{tag}\"") { version } else { 0 })))
        }
        _ => Err(Error::new(Kind::Malformed, "If-Match must be one ETag as it was sent, such as \"3\", or *")),
    }
}

/// The `ETag` of a version.
pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// Whether a deletion is confirmed: by `{"confirm": true}`, or for clients that send no body with a DELETE by `?confirm=true`.
///
/// # Errors
/// `Malformed` when the body is not a JSON object, `Invalid` with every fault of its fields or of the query.
pub(super) fn confirmed(request: &Request) -> Result<bool> {
    let by_query = Query::of(request, &["confirm"])?.flag("confirm")?;
    let mut fields = Fields::of_optional(request)?;
    let by_body = fields.optional("confirm", body::flag).unwrap_or(false);
    fields.finish("the deletion cannot be understood")?;
    Ok(by_query || by_body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Headers, Method};

    fn read(fields: &[&str]) -> Result<Option<Expected>> {
        let mut headers = Headers::default();
        for field in fields {
            headers.push("If-Match", *field);
        }
        if_match(&Request {
            method: Method::Put,
            path: "/".to_owned(),
            query: String::new(),
            headers,
            body: Vec::new(),
            client: std::net::IpAddr::from([127, 0, 0, 1]),
            id: String::new(),
        })
    }

    #[test]
    fn if_match_is_one_tag_or_a_star() {
        assert_eq!(read(&[]).expect("readable"), None);
        assert_eq!(read(&["\"3\""]).expect("readable"), Some(Expected::Version(3)));
        assert_eq!(read(&[" W/\"12\" "]).expect("readable"), Some(Expected::Version(12)));
        assert_eq!(read(&["*"]).expect("readable"), Some(Expected::Any));
        for other in ["\"other\"", "\"07\"", "\"+7\"", "\" 7\""] {
            assert_eq!(read(&[other]).expect("readable"), Some(Expected::Version(0)), "{other}");
        }
        for wrong in [&["3"][..], &[""], &["\"3"], &["\"3\", \"4\""], &["\"3\"", "\"4\""]] {
            assert_eq!(read(wrong).expect_err("wrong").kind(), Kind::Malformed, "{wrong:?}");
        }
        assert_eq!(etag(3), "\"3\"");
    }
}
