//! `/admin/assets/…`: the console's style and scripts. The hash of its content is in each name, so browsers keep a file for ever
//! and a new build is a new name.

use crate::error::{Error, Result};
use crate::http::Response;
use crate::keyed_hash::hex;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// For how long browsers keep a file: a year, in seconds, which is as long as caches believe.
const KEPT: &str = "public, max-age=31536000, immutable";

/// Bytes of the hash in a name.
const HASH_BYTES: usize = 8;

/// A file, and where it is found.
pub(super) struct Asset {
    /// Its path below the server's root, without a slash in front.
    pub(super) path: String,
    content_type: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(name: &str, end: &str, content_type: &'static str, content: &'static str) -> Self {
        let hash = hex(&Sha256::digest(content)[..HASH_BYTES]);
        Self { path: format!("admin/assets/{name}-{hash}.{end}"), content_type, content }
    }
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// How the console looks.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", "text/css; charset=utf-8", include_str!("console.css")));

/// What every page has: times in the reader's zone, figures that stay fresh.
pub(super) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "js", JAVASCRIPT, include_str!("console.js")));

/// Posts the fragment of a link that lets a person in.
pub(super) static ENTER: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("enter", "js", JAVASCRIPT, include_str!("enter.js")));

/// The price sheet.
pub(super) static SHEET: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("sheet", "js", JAVASCRIPT, include_str!("sheet.js")));

/// The file at `path`, which begins with a slash.
///
/// # Errors
/// `NotFound`: also for the name that an earlier build had.
pub(super) fn serve(path: &str) -> Result<Response> {
    let files = [&*STYLE, &*SCRIPT, &*ENTER, &*SHEET];
    let file = files.into_iter().find(|file| path.strip_prefix('/') == Some(&file.path));
    let file = file.ok_or_else(|| Error::not_found("file"))?;
    Ok(Response::new(200, file.content_type, file.content)
        .with_header("Cache-Control", KEPT)
        .with_header("X-Content-Type-Options", "nosniff"))
}
