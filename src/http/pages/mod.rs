//! Pages for people: HTML that needs no script, loads nothing, and looks the same on a phone, on paper and at night. The templates
//! escape whatever they are given; what a page is about is put into words here.

mod privacy;
mod quote;

use super::guard::language_for;
use super::route::{Params, Route};
use super::state::AppState;
use super::{Method, Request, Response};
use crate::error::{Error, Kind, Result};
use crate::languages::Language;
use crate::languages::pages::{HomeTexts, NoticeTexts};
use crate::orders::records::{self, Page, PageToken};
use askama::Template;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use quote::QuotePage;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock};

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/q/{*token}", quote_page),
    Route::now(Method::Get, "/privacy", privacy::privacy_page),
    Route::now(Method::Get, "/", home_page),
    Route::now(Method::Get, "/favicon.ico", favicon),
];

/// Below this each path is a secret.
pub(super) const TOKENS_BELOW: &str = "/q/";

/// How all pages look. It is in each of them, so that a page that is kept or sent on looks the same.
pub(super) const STYLE: &str = include_str!("style.css");

/// What pages may do: be shown, with our style. The style is named by its hash, so that one which got into a page is not ours.
static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// What pages may do, for one that may do a little more.
pub(super) fn policy() -> &'static str {
    &CONTENT_SECURITY_POLICY
}

/// A page that says one thing.
#[derive(Template)]
#[template(path = "notice.html", config = "src/http/pages/askama.toml")]
struct Notice {
    language: Language,
    text: &'static NoticeTexts,
}

#[derive(Template)]
#[template(path = "home.html", config = "src/http/pages/askama.toml")]
struct Home {
    language: Language,
    text: &'static HomeTexts,
}

/// What browsers show alongside a page's title: a grid with one of its cells chosen.
const FAVICON: &str = include_str!("favicon.svg");

/// For how long browsers keep it: a day, in seconds.
const FAVICON_AGE: &str = "public, max-age=86400";

/// Whether a person looks at the answer: browsers ask for HTML, programs do not.
pub(super) fn is_for_a_person(request: &Request) -> bool {
    matches!(request.method, Method::Get | Method::Head)
        && request.headers.all("accept").any(|accept| accept.contains("text/html"))
}

/// The page for a path where nothing is.
pub(super) fn unknown_path_page(request: &Request) -> Result<Response> {
    let language = language_for(request, None);
    page(404, language, &Notice { language, text: &language.texts().pages.no_page })
}

/// `/`: a page for people; for programs there is nothing.
fn home_page(_state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    if !is_for_a_person(request) {
        return Err(Error::not_found("path"));
    }
    let language = language_for(request, None);
    page(200, language, &Home { language, text: &language.texts().pages.home })
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers of the table have one type")]
fn favicon(_state: &Arc<AppState>, _request: &Request, _params: &Params) -> Result<Response> {
    Ok(Response::new(200, "image/svg+xml", FAVICON)
        .with_header("Cache-Control", FAVICON_AGE)
        .with_header("X-Content-Type-Options", "nosniff"))
}

/// The page of an order, for a reader who has its address.
fn quote_page(state: &Arc<AppState>, request: &Request, params: &Params) -> Result<Response> {
    // What cannot be a token is not looked up.
    let found = match PageToken::parse(params.get("token")) {
        Some(token) => state.app.db.read(|connection| records::find_page(connection, &token))?,
        None => None,
    };
    let page = match &found {
        Some(Page { record, shop, locale, tax_label }) => {
            let language = language_for(request, *locale);
            page(200, language, &QuotePage::new(record, shop, *tax_label, language))?
        }
        None => {
            let language = language_for(request, None);
            page(404, language, &Notice { language, text: &language.texts().pages.no_quote })?
        }
    };
    Ok(private(page))
}

fn page(status: u16, language: Language, template: &impl Template) -> Result<Response> {
    let html =
        template.render().map_err(|error| Error::new(Kind::Internal, "a page cannot be written").with_source(error))?;
    Ok(Response::new(status, "text/html; charset=utf-8", html)
        .with_header("Content-Language", language.as_str())
        // The same address says the same in the language that a browser asks for.
        .with_header("Vary", "Accept-Language")
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY.as_str())
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer"))
}

/// The same page, to be kept by no cache and found by no index.
fn private(page: Response) -> Response {
    page.with_header("Cache-Control", "private, no-store").with_header("X-Robots-Tag", "noindex, nofollow")
}
