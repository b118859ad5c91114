//! Who may call which route: the one place where roles are enforced, for the console's pages and the admin API alike.
//!
//! A merchant's routes are those of one shop's prices, options, products and orders ([`MERCHANT_AREAS`]); every other route does
//! not exist for a merchant, and neither does another shop. A viewer may read everything and write nothing.

use super::Method;
use super::route::Params;
use super::state::AppState;
use crate::access::{Actor, Role};
use crate::catalog::stores::{self, Store};
use crate::domain::ids::ShopDomain;
use crate::error::{Error, Result};

/// What the patterns of a shop's routes begin with: the admin API's, and the console's.
const SHOP_ROUTES: [&str; 2] = ["/admin/api/stores/{shop}", "/admin/shops/{shop}"];

/// The page that everybody may ask for: it leads a merchant to their shop.
const ENTRANCE: &str = "/admin";

/// The first segment below a shop of the routes that a merchant may call. What is not listed is closed to them.
const MERCHANT_AREAS: &[&str] =
    &["matrices", "option-groups", "products", "draft-orders", "draft-orders.csv", "prices", "options", "orders"];

/// Whether this method only reads.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(method, Method::Get | Method::Head)
}

/// Lets `actor` call the route `pattern`, or not. Returns the store that the path names, where it is a shop's route and the store
/// exists.
///
/// # Errors
/// `NotFound` where the route or its shop does not exist for them, `Forbidden` where they may only read, and when the database fails.
pub(super) fn permit(
    state: &AppState,
    actor: &Actor,
    method: &Method,
    pattern: &str,
    params: &Params,
) -> Result<Option<Store>> {
    // From here everybody is led on.
    if pattern == ENTRANCE && is_read(method) {
        return Ok(None);
    }
    let Some(below) = SHOP_ROUTES.iter().find_map(|root| below(root, pattern)) else {
        if is_read(method) { actor.may_see_server() } else { actor.may_change_server() }?;
        return Ok(None);
    };
    let shop: Option<ShopDomain> = params.get("shop").parse().ok();
    let store = match &shop {
        Some(shop) => state.app.db.read(|connection| stores::find(connection, shop))?,
        None => None,
    };
    if actor.role == Role::Merchant {
        let store = store.as_ref().ok_or_else(|| Error::not_found("store"))?;
        actor.may_see_store(store.id)?;
        let area = below.trim_start_matches('/').split('/').next().unwrap_or_default();
        // Of the shop itself a merchant sees the page that leads to these areas.
        if !(MERCHANT_AREAS.contains(&area) || below.is_empty() && is_read(method)) {
            return Err(Error::not_found("path"));
        }
    } else if !is_read(method) {
        actor.may_change_server()?;
    }
    Ok(store)
}

/// What follows `root` in `pattern`, where that is the same path or one below it.
fn below<'a>(root: &str, pattern: &'a str) -> Option<&'a str> {
    pattern.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}
