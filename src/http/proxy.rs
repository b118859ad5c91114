//! `/proxy`: the storefront API as a shop's pages reach it through the shop's own domain. Shopify's app proxy passes their requests on
//! and signs each with the app's secret: that signature is in the place of a key. The way is open to the whole internet, so whatever
//! is not exactly as Shopify sends it is 401. Nothing of the query is logged, and the customer that it may name is not read.

use super::Request;
use super::query::Query;
use crate::app::App;
use crate::domain::ids::ShopDomain;
use crate::error::{Error, Kind, Result};
use crate::pricing::AuthenticatedKey;
use crate::shopify::{Secrets, app_proxy};
use std::sync::Arc;

/// Where it is.
pub(super) const BELOW: &str = "/proxy/";

/// One sentence for every way in which a request can be wrong: clients do not learn which.
const NOT_SIGNED: &str = "the request does not have Shopify's signature for a shop of this server";

/// Whether `path` comes through a shop's own domain.
pub(super) fn owns(path: &str) -> bool {
    path.starts_with(BELOW)
}

/// Whose shop signed the request.
///
/// # Errors
/// `Unauthorized` for whatever is not Shopify's, old, or of a shop that has no live store here; and when the database fails.
pub(super) fn authenticate(app: &App, secrets: &Secrets, request: &Request) -> Result<Arc<AuthenticatedKey>> {
    let not_signed = || Error::new(Kind::Unauthorized, NOT_SIGNED);
    let query = Query::open(&request.query);
    let shop = app_proxy::verified_shop(secrets, query.pairs(), app.clock.now()).ok_or_else(not_signed)?;
    let shop: ShopDomain = shop.parse().map_err(|_not_a_shop| not_signed())?;
    app.pricing.find_shop(&app.db, &shop)?.ok_or_else(not_signed)
}
