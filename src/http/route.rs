//! One route: a method, a path pattern and a handler, and how a path matches a pattern.
//!
//! A path pattern has literal segments, `{name}` for one segment, and once `{*name}` for any number of them: product ids have
//! slashes, and storefronts send them as they are.

use super::deferred::Deferred;
use super::respond::Responder;
use super::state::AppState;
use super::{Method, Request, Response};
use crate::domain::percent;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

/// How a route answers.
#[derive(Clone, Copy)]
pub(super) enum RouteHandler {
    /// At once.
    Now(fn(&Arc<AppState>, &Request, &Params) -> Result<Response>),
    /// When what the handler returns is done: a commit, or a call on a thread of its own.
    Deferred(fn(&Arc<AppState>, &Request, &Params) -> Result<Deferred>),
    /// Whenever the handler does, from whichever thread.
    Later(fn(&Arc<AppState>, Request, Params, Responder)),
}

/// A line of the table.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) pattern: &'static str,
    pub(super) handler: RouteHandler,
    /// What the audit log calls it: an object and a verb, such as `matrix.update`; `None` for what is not recorded there.
    pub(super) action: Option<&'static str>,
}

impl Route {
    /// A read, or anything else that needs no commit.
    pub(super) const fn now(
        method: Method,
        pattern: &'static str,
        handler: fn(&Arc<AppState>, &Request, &Params) -> Result<Response>,
    ) -> Self {
        Self { method, pattern, handler: RouteHandler::Now(handler), action: None }
    }

    /// A write: what it changes is committed together with its row of the audit log, which calls it `action`.
    pub(super) const fn write(
        method: Method,
        pattern: &'static str,
        action: &'static str,
        handler: fn(&Arc<AppState>, &Request, &Params) -> Result<Deferred>,
    ) -> Self {
        Self { method, pattern, handler: RouteHandler::Deferred(handler), action: Some(action) }
    }

    /// A read that takes long.
    pub(super) const fn deferred(
        method: Method,
        pattern: &'static str,
        handler: fn(&Arc<AppState>, &Request, &Params) -> Result<Deferred>,
    ) -> Self {
        Self { method, pattern, handler: RouteHandler::Deferred(handler), action: None }
    }

    /// A route whose handler answers by itself, now or later.
    pub(super) const fn later(
        method: Method,
        pattern: &'static str,
        handler: fn(&Arc<AppState>, Request, Params, Responder),
    ) -> Self {
        Self { method, pattern, handler: RouteHandler::Later(handler), action: None }
    }
}

/// The values of a pattern's parameters, percent-decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Params(Vec<(&'static str, String)>);

impl Params {
    /// The value of the parameter `name`; empty when the pattern has none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    /// Names and values in the order of the path.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The value of the parameter `name` as an id or the like. What cannot be one does not exist.
    ///
    /// # Errors
    /// `NotFound`, naming `thing`.
    pub(super) fn parse<T: FromStr>(&self, name: &str, thing: &str) -> Result<T> {
        self.get(name).parse().map_err(|_unreadable| Error::not_found(thing))
    }
}

/// The parameters of `path` where it matches `pattern`.
pub(super) fn match_path(pattern: &'static str, path: &str) -> Option<Params> {
    let mut params = Params::default();
    walk(pattern, path, |name, value| {
        params.0.push((name, value.into_owned()));
    })
    .then_some(params)
}

/// Whether `path` matches `pattern`. Takes no memory: most lines of the table are looked at for nearly every request.
pub(super) fn matches(pattern: &'static str, path: &str) -> bool {
    walk(pattern, path, |_, _| {})
}

/// Gives the parameters of `path` to `take`, as far as it matches `pattern`, and returns whether it does.
fn walk<'p>(pattern: &'static str, path: &'p str, mut take: impl FnMut(&'static str, Cow<'p, str>)) -> bool {
    // Where they differ before the pattern's first parameter, which settles most lines within a few bytes, or all of them.
    let pairs = pattern.bytes().zip(path.bytes());
    let same = pairs.take_while(|(expected, found)| expected == found && *expected != b'{').count();
    match pattern.as_bytes().get(same) {
        Some(b'{') => {}
        Some(_) => return false,
        None => return same == path.len(),
    }
    // A parameter is a whole segment, so what comes before it ends in a slash.
    let mut rest = Some(&path[same..]);
    let mut segments = pattern[same..].split('/');
    while let Some(segment) = segments.next() {
        let Some(unmatched) = rest else { return false };
        if let Some(name) = parameter(segment).and_then(|name| name.strip_prefix('*')) {
            // It takes what the segments after it leave over.
            let Some((taken, after)) = split_before_last(unmatched, segments.clone().count()) else { return false };
            // What cannot be decoded is kept as it is: the handler knows what to say about it, and to whom.
            take(name, decoded(taken).unwrap_or(Cow::Borrowed(taken)));
            rest = after;
            continue;
        }
        let (found, after) = match unmatched.split_once('/') {
            Some((found, after)) => (found, Some(after)),
            None => (unmatched, None),
        };
        match parameter(segment) {
            Some(_) if found.is_empty() => return false,
            Some(name) => match decoded(found) {
                Some(value) => take(name, value),
                None => return false,
            },
            None if found == segment => {}
            None => return false,
        }
        rest = after;
    }
    rest.is_none()
}

/// `text` decoded; `None` where it cannot be.
fn decoded(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('%') { percent::decode(text).map(Cow::Owned) } else { Some(Cow::Borrowed(text)) }
}

/// The name in `{name}`.
fn parameter(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{').and_then(|name| name.strip_suffix('}'))
}

/// `path` without its last `count` segments, and those.
fn split_before_last(path: &str, count: usize) -> Option<(&str, Option<&str>)> {
    match count.checked_sub(1) {
        None => Some((path, None)),
        Some(before) => {
            let (slash, _) = path.rmatch_indices('/').nth(before)?;
            Some((&path[..slash], Some(&path[slash + 1..])))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pattern: &'static str, path: &str) -> Option<Vec<String>> {
        match_path(pattern, path).map(|params| params.0.into_iter().map(|(_, value)| value).collect())
    }

    #[test]
    fn patterns_match_whole_paths_and_yield_their_parameters() {
        let none: Option<Vec<String>> = Some(Vec::new());
        let values = |values: &[&str]| Some(values.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(params("/healthz", "/healthz"), none);
        for path in ["/healthz/", "/Healthz", "healthz", "/health", "/", ""] {
            assert_eq!(params("/healthz", path), None, "{path}");
        }
        assert_eq!(params("/stores/{shop}/matrices/{id}", "/stores/a.b/matrices/7"), values(&["a.b", "7"]));
        assert_eq!(params("/stores/{shop}", "/stores/gid:%2F%2Fx%C3%A4"), values(&["gid://xä"]));
        for path in ["/stores/", "/stores", "/stores/a/", "/stores/a/b", "/stores/%zz", "/stores/%f", "/stores/%ff"] {
            assert_eq!(params("/stores/{shop}", path), None, "{path}");
        }
        assert_eq!(params("/webhooks/{*rest}", "/webhooks/shop/redact"), values(&["shop/redact"]));
        assert_eq!(params("/webhooks/{*rest}", "/webhooks/"), values(&[""]));
        assert_eq!(params("/webhooks/{*rest}", "/webhooks"), None);
        let price = "/products/{*id}/price";
        assert_eq!(params(price, "/products/7/price"), values(&["7"]));
        assert_eq!(params(price, "/products/gid://x/7/price"), values(&["gid://x/7"]));
        assert_eq!(params(price, "/products/price/price"), values(&["price"]));
        assert_eq!(params(price, "/products//price"), values(&[""]));
        assert_eq!(params(price, "/products/%/price"), values(&["%"]));
        for path in ["/products/price", "/products", "/products/7/prices", "/products/7/price/"] {
            assert_eq!(params(price, path), None, "{path}");
        }
        let group = "/{shop}/products/{*id}/groups/{group}";
        assert_eq!(params(group, "/s/products/a/groups/b/groups/g"), values(&["s", "a/groups/b", "g"]));
        assert_eq!(params(group, "/s/products/a/groups/"), None);
    }

    #[test]
    fn what_cannot_be_an_id_is_not_found() {
        let params = Params(vec![("id", "7".to_owned())]);
        assert_eq!(params.parse::<u64>("id", "matrix").expect("a number"), 7);
        let error = params.parse::<crate::domain::ids::MatrixId>("id", "price matrix").expect_err("no UUID");
        assert_eq!(error.to_string(), "price matrix not found");
    }
}
