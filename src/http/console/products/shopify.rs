//! `/admin/shops/{shop}/products/shopify`: the shop's products as Shopify lists them, to be chosen and assigned. Only where an app is
//! configured; the form is that of the list of products (`super::assign`).

use super::super::layout::{Frame, page, sentence};
use super::super::shops::area::{ShopArea, Tab, frame_of};
use super::super::words::in_query;
use super::super::{Visit, form::Form};
use super::Catalog;
use crate::catalog::assignments;
use crate::catalog::stores::Scope;
use crate::domain::ids::{ProductId, ShopDomain};
use crate::error::{Error, Result};
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::shopify::admin::{CURSOR_MAX, ListedProduct, ProductsPage, ShopifyError};
use askama::Template;
use std::sync::Arc;

/// Characters of a search.
const SEARCH_MAX: usize = 100;

/// A product as the page shows it.
struct Line {
    number: String,
    title: String,
    is_active: bool,
    /// The price list that it has here.
    list: Option<String>,
}

#[derive(Template)]
#[template(path = "products/shopify.html", config = "src/http/console/askama.toml")]
struct ShopifyPage {
    frame: Frame,
    area: ShopArea,
    lines: Vec<Line>,
    search: String,
    /// What is behind the `?` of the next page's address.
    next: Option<String>,
    catalog: Catalog,
    /// Why there is no list.
    fault: Option<String>,
}

/// What is asked for.
struct Asked {
    shop: ShopDomain,
    scope: Scope,
    search: String,
    after: Option<String>,
}

fn asked(state: &AppState, visit: &Visit) -> Result<Asked> {
    if state.app.handover.options().is_none() {
        return Err(Error::not_found("page"));
    }
    let (store, query) = (visit.store()?, Form::of_query(&visit.request)?);
    let after = query.entered("after").filter(|after| after.len() <= CURSOR_MAX).map(str::to_owned);
    let search = query.entered("q").unwrap_or_default().chars().take(SEARCH_MAX).collect();
    Ok(Asked { shop: store.shop.clone(), scope: store.scope(), search, after })
}

/// Shopify may take its time: this answers from a thread of its own.
pub(super) fn show(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let asked = asked(state, &visit)?;
    Ok(Deferred::on_own_thread(move |state, _record| {
        let (listed, fault) = match listed(state, &asked) {
            Ok(listed) => (listed, None),
            Err(failure) => (ProductsPage { products: Vec::new(), next: None }, Some(words_of(&failure))),
        };
        let (lines, catalog) = state.app.db.read(|connection| -> Result<_> {
            let line = |product: ListedProduct| -> Result<Line> {
                let id: Option<ProductId> = product.id.parse().ok();
                let known = id.map(|id| assignments::find_product(connection, asked.scope.store, &id)).transpose()?;
                Ok(Line {
                    number: product.id.rsplit('/').next().unwrap_or_default().to_owned(),
                    list: known.flatten().and_then(|product| product.matrix).map(|(_, name)| name.to_string()),
                    title: product.title,
                    is_active: product.is_active,
                })
            };
            let lines = listed.products.into_iter().map(line).collect::<Result<_>>()?;
            Ok((lines, Catalog::load(connection, asked.scope)?))
        })?;
        let next = listed.next.map(|after| format!("q={}&after={}", in_query(&asked.search), in_query(&after)));
        let (frame, area) = (frame_of(&visit, super::FLASHES), ShopArea::of(&visit, Tab::Products)?);
        page(200, &ShopifyPage { frame, area, lines, search: asked.search, next, catalog, fault })
    }))
}

/// The list, which is the same for a while.
fn listed(state: &AppState, asked: &Asked) -> std::result::Result<ProductsPage, ShopifyError> {
    let key = (asked.shop.clone(), asked.search.clone(), asked.after.clone());
    if let Some(listed) = state.shopify_products.get(&key) {
        return Ok(listed);
    }
    let answer = state.app.handover.list_products(&asked.shop, asked.after.as_deref(), &asked.search);
    let listed = answer.unwrap_or_else(|| Err(ShopifyError::Blocked("no app is configured".to_owned())))?;
    state.shopify_products.put(key, listed.clone());
    Ok(listed)
}

fn words_of(failure: &ShopifyError) -> String {
    match failure {
        ShopifyError::Throttled { .. } => "Shopify asks for a pause. Try again in a moment.".to_owned(),
        ShopifyError::Blocked(why) if why.contains("denies the app access") => {
            format!("{} The app needs the scope read_products for this list.", sentence(why))
        }
        other => sentence(&other.to_string()),
    }
}
