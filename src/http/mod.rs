//! Plain values for what comes in and goes out: handlers work on these, so tests need no socket.
//!
//! A [`Service`] is given a [`Request`] and a [`Reply`], and may answer later and from another thread: a webhook is answered by
//! the thread that saw its commit, and no handler thread ever waits for one.

pub(crate) mod admin;
mod body;
pub(crate) mod console;
mod deferred;
pub mod guard;
mod long_calls;
pub mod openapi;
pub(crate) mod ops;
pub(crate) mod pages;
mod permission;
mod proxy;
mod query;
mod readiness;
mod recent;
pub(crate) mod respond;
mod route;
pub mod router;
mod session;
pub mod state;
pub(crate) mod status;
pub mod storefront;
pub(crate) mod webhooks;
pub mod widget;

pub use router::Router;
pub use state::AppState;

use std::net::IpAddr;

/// What the client wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD: as GET, and the server leaves the body out.
    Head,
    /// POST
    Post,
    /// PUT
    Put,
    /// PATCH
    Patch,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// Any other token.
    Other(String),
}

impl From<&str> for Method {
    fn from(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Method {
    /// The token on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other(token) => token,
        }
    }
}

/// Header fields in the order they came, with names in lower case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// All names and values, one behind the other: a request has a dozen fields, and two pieces of memory for each would be most of
    /// what it takes.
    text: String,
    /// Where each name and its value end; they begin where the ones before end.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// No fields yet, with memory for so many that have so many bytes together.
    pub(crate) fn with_capacity(fields: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(fields) }
    }

    /// Adds a field; the name's case does not matter.
    pub fn push(&mut self, name: &str, value: impl AsRef<str>) {
        let start = self.text.len();
        self.text.push_str(name);
        self.text[start..].make_ascii_lowercase();
        let name_end = self.text.len();
        self.text.push_str(value.as_ref());
        self.ends.push((name_end, self.text.len()));
    }

    /// The first field called `name` (in lower case).
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every field called `name` (in lower case).
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(found, _)| *found == name).map(|(_, value)| value)
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, end)| {
            let field = (&self.text[start..name_end], &self.text[name_end..end]);
            start = end;
            field
        })
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A whole request: its body has been read and is within the limits.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as it was sent, percent-encoded, without the query.
    pub path: String,
    /// What follows the `?`, as it was sent; empty when there is none.
    pub query: String,
    /// The header fields.
    pub headers: Headers,
    /// The body's raw bytes: signatures are over these.
    pub body: Vec<u8>,
    /// The client's address; a trusted proxy's client where there is one.
    pub client: IpAddr,
    /// Names this request in answers and log lines.
    pub id: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header fields; Content-Length and Date are the server's.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// An answer with a body of the given media type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type", content_type.to_owned())], body: body.into() }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// The same answer with one more header field.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body as JSON; null where it is not JSON.
    pub fn json_body(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The first field called `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The way back to the client. Answers once; dropped unanswered (a panic, a lost change) it answers 500 itself.
pub struct Reply {
    send: Option<Box<dyn FnOnce(Response) + Send>>,
    others_follow: bool,
}

impl Reply {
    /// A reply that hands the answer to `send`, on whichever thread answers.
    pub fn new(send: impl FnOnce(Response) + Send + 'static) -> Self {
        Self { send: Some(Box::new(send)), others_follow: false }
    }

    /// The same for a request that came together with others, which this thread has yet to see to: it must not wait for anything that
    /// another thread can do, such as a commit.
    #[must_use]
    pub fn with_others_following(mut self) -> Self {
        self.others_follow = true;
        self
    }

    /// Whether this thread has other requests to see to that came together with this one.
    pub fn others_follow(&self) -> bool {
        self.others_follow
    }

    /// Answers.
    pub fn send(mut self, response: Response) {
        if let Some(send) = self.send.take() {
            send(response);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(send) = self.send.take() {
            let problem = serde_json::json!({
                "type": "about:blank",
                "title": status::phrase(500),
                "status": 500,
                "detail": "internal error",
                "code": status::default_code(500),
            });
            send(Response::new(500, status::PROBLEM, problem.to_string()));
        }
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("is_open", &self.send.is_some()).finish_non_exhaustive()
    }
}

/// Whatever answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers `request` through `reply`, now or later. Must not wait for anything that can take longer than a few milliseconds.
    fn call(&self, request: Request, reply: Reply);

    /// The name under which a request is counted: one of few, whatever a client makes up.
    fn route_of(&self, _method: &Method, _path: &str) -> &'static str {
        "all"
    }

    /// A path as logs may show it: without what opens a page to a reader of the log.
    fn redact_path(&self, path: &str) -> String {
        path.to_owned()
    }
}
