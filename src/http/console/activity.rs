//! `/admin/activity`: the audit log.

use super::layout::{Frame, Section, page};
use super::words::{in_query, time};
use super::{Page, Visit};
use crate::access::audit::{self, Recorded};
use crate::domain::ids::{AuditId, ShopDomain};
use crate::erasure;
use crate::error::Result;
use crate::http::Response;
use crate::http::query::Query;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::keyed_hash::hex;
use askama::Template;
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Page] = &[Page::show("/admin/activity", list)];

/// Digits of a store's hash by which people distinguish stores.
const HASH_DIGITS: usize = 12;

#[derive(Template)]
#[template(path = "activity.html", config = "src/http/console/askama.toml")]
struct Activity {
    frame: Frame,
    rows: Vec<Row>,
    next: Option<String>,
    shop: String,
    shop_query: String,
}

struct Row {
    at: String,
    actor: String,
    role: String,
    action: String,
    store: String,
    objects: Vec<String>,
}

impl Row {
    fn new(row: &Recorded) -> Self {
        let mut store = row.store.as_deref().map(hex).unwrap_or_default();
        store.truncate(HASH_DIGITS);
        Self {
            at: time(row.at),
            actor: row.actor.clone(),
            role: row.role.clone(),
            action: in_words(&row.action),
            store,
            objects: row.objects.clone(),
        }
    }
}

/// `matrix.update` as people read it.
fn in_words(action: &str) -> String {
    let (object, verb) = action.split_once('.').unwrap_or((action, ""));
    let object = match object {
        "matrix" => "price list",
        "options" => "option group",
        other => other,
    };
    let verb = verb.replace('_', " ");
    format!("{object}: {verb}")
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let query = Query::of(&visit.request, &["shop", "cursor", "limit"])?;
    let asked = query.page::<AuditId>()?;
    let shop: Option<ShopDomain> = query.parse("shop", "must look like name.myshopify.com")?;
    let store = shop.as_ref().map(|shop| erasure::subject_hash(&state.app.hasher, shop));
    let filter = audit::Filter { store, before: asked.after, limit: asked.fetch() };
    let mut found = state.app.db.read(|connection| audit::list(connection, &filter))?;
    let next = asked.cut(&mut found, |row| row.id.to_string());
    let shop = shop.map(|shop| shop.to_string()).unwrap_or_default();
    let template = Activity {
        frame: visit.frame(Section::Activity),
        rows: found.iter().map(Row::new).collect(),
        next,
        shop_query: in_query(&shop),
        shop,
    };
    page(200, &template)
}
