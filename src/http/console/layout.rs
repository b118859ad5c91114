//! What every page has: navigation, the style and scripts, the token for its forms, and the headers that say what a page may do.

use super::Visit;
use crate::access::Role;
use crate::domain::ids::ShopDomain;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use askama::Template;
use std::collections::BTreeMap;

/// What pages may do: load our style and scripts, send forms to us, and ask us.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// What needs a person now.
    Overview,
    /// Shops, and everything of one shop.
    Shops,
    /// The queue.
    Jobs,
    /// What privacy law asks.
    Privacy,
    /// What Shopify has sent.
    Webhooks,
    /// The audit log.
    Activity,
    /// What `doctor` looks at.
    Health,
    /// None of them: an error, for example.
    Elsewhere,
}

/// The navigation: where it leads, below the server's root.
const ENTRIES: &[(Section, &str, &str)] = &[
    (Section::Overview, "admin", "Overview"),
    (Section::Shops, "admin/shops", "Shops"),
    (Section::Jobs, "admin/jobs", "Jobs"),
    (Section::Privacy, "admin/privacy", "Privacy"),
    (Section::Webhooks, "admin/webhooks", "Webhooks"),
    (Section::Activity, "admin/activity", "Activity"),
    (Section::Health, "admin/health", "Health"),
];

/// An entry of the navigation.
#[derive(Debug)]
pub(super) struct NavigationEntry {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) is_current: bool,
}

/// What a page's template is given for all that surrounds the page.
#[derive(Debug)]
pub(super) struct Frame {
    /// The way from this page to the server's root, such as `../../`: pages also work below a path prefix.
    pub(super) root: String,
    /// What was done just now.
    pub(super) flash: Option<&'static str>,
    csrf: String,
    label: String,
    role: Role,
    merchants_shop: Option<ShopDomain>,
    section: Section,
}

impl Frame {
    pub(super) fn new(visit: &Visit, section: Section) -> Self {
        Self {
            root: visit.root.clone(),
            flash: None,
            csrf: visit.csrf.clone(),
            label: visit.session.label.clone(),
            role: visit.session.role,
            merchants_shop: visit.merchants_shop.clone(),
            section,
        }
    }

    /// The same, saying what was done just now.
    #[must_use]
    pub(super) fn with_flash(mut self, flash: Option<&'static str>) -> Self {
        self.flash = flash;
        self
    }

    /// The navigation. A merchant has one shop and nothing else.
    pub(super) fn entries(&self) -> Vec<NavigationEntry> {
        let entry = |path: String, text: String, is_current| NavigationEntry { path, text, is_current };
        if let Some(shop) = &self.merchants_shop {
            return vec![entry(format!("admin/shops/{shop}"), shop.to_string(), self.section == Section::Shops)];
        }
        let entries = ENTRIES.iter();
        entries
            .map(|(section, path, text)| entry((*path).to_owned(), (*text).to_owned(), *section == self.section))
            .collect()
    }

    /// The hidden field that every form needs which writes. HTML: write it with `|safe`.
    pub(super) fn csrf_field(&self) -> String {
        // Hexadecimal digits, which need no escaping.
        format!(r#"<input type="hidden" name="csrf" value="{}">"#, self.csrf)
    }

    /// Who is signed in, in words.
    pub(super) fn who(&self) -> String {
        who(&self.label, self.role)
    }

    /// Whether buttons that write are of use to who is signed in.
    pub(super) fn may_write(&self) -> bool {
        self.role != Role::Viewer
    }
}

/// Who is signed in, in words.
pub(super) fn who(label: &str, role: Role) -> String {
    if label == role.as_str() { label.to_owned() } else { format!("{label} · {role}") }
}

/// A page.
///
/// # Errors
/// `Internal` when its template cannot be rendered.
pub(super) fn page(status: u16, template: &impl Template) -> Result<Response> {
    let html = template
        .render()
        .map_err(|error| Error::new(Kind::Internal, "a page could not be rendered").with_source(error))?;
    Ok(with_headers(Response::new(status, "text/html; charset=utf-8", html)))
}

/// The same response with what every page of the console says to browsers and caches.
pub(super) fn with_headers(response: Response) -> Response {
    response
        .with_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("X-Frame-Options", "DENY")
        // Not "no-referrer": a form would be sent with `Origin: null` then.
        .with_header("Referrer-Policy", "same-origin")
        .with_header("Cross-Origin-Opener-Policy", "same-origin")
        .with_header("Cross-Origin-Resource-Policy", "same-origin")
        .with_header("Cache-Control", "private, no-store")
        .with_header("X-Robots-Tag", "noindex, nofollow")
}

#[derive(Template)]
#[template(path = "error.html", config = "src/http/console/askama.toml")]
struct ErrorPage<'a> {
    frame: Frame,
    title: &'static str,
    message: String,
    faults: &'a BTreeMap<String, Vec<String>>,
    advice: &'static str,
    request_id: &'a str,
}

/// The page for what could not be done. `response` is what a program would be answered: its status, and when to try again.
pub(super) fn error_page(frame: Frame, error: &Error, response: Response, request_id: &str) -> Response {
    let (title, advice) = match error.kind() {
        Kind::NotFound => ("There is no such page", "The address may be mistyped, or what it named has been deleted."),
        Kind::Forbidden => ("This is not allowed", "Ask whoever runs this server if you need it."),
        Kind::Conflict | Kind::Stale | Kind::VersionRequired => {
            ("This has changed meanwhile", "Go back, reload the page, and look at what it says now.")
        }
        Kind::Malformed | Kind::Invalid | Kind::TooLarge => {
            ("This cannot be taken as it is", "Go back and correct what you have entered: it is still there.")
        }
        Kind::Limited | Kind::Overloaded => ("Not now", "Wait a moment and try again. Nothing was changed."),
        Kind::Unauthorized | Kind::Internal => (
            "Something went wrong",
            "Nothing was changed. The server's log has the reason under this request's number.",
        ),
    };
    let message =
        if error.kind() == Kind::Internal { "Internal error.".to_owned() } else { sentence(&error.to_string()) };
    let template = ErrorPage { frame, title, message, faults: error.faults(), advice, request_id };
    let Ok(page) = page(response.status, &template) else { return response };
    let retry_after = response.headers.into_iter().find(|(name, _)| *name == "Retry-After");
    retry_after.into_iter().fold(page, |page, (name, value)| page.with_header(name, value))
}

/// An error's words as a sentence.
pub(super) fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
