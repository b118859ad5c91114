//! `/admin`: what needs a person now.

use super::layout::{Frame, Section, page};
use super::{Page, Visit};
use crate::error::Result;
use crate::http::Response;
use crate::http::router::{AppState, Params};
use askama::Template;
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Page] = &[Page::show("/admin", overview)];

#[derive(Template)]
#[template(path = "overview.html", config = "src/http/console/askama.toml")]
struct Overview {
    frame: Frame,
}

fn overview(_site: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    page(200, &Overview { frame: visit.frame(Section::Overview) })
}
