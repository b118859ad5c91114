//! `/admin/shops/{shop}/products`: what prices which product, which options it offers and what it sends to
//! Shopify; and one product, with a price to try.
//!
//! A product has no row of its own here: it is there as long as a price list or an option group is assigned to it, or something was
//! said of what it sends.

mod sent;
mod shopify;
mod trial;

use super::form::Form;
use super::layout::{Frame, page};
use super::paging::{PAGE_ITEMS, cursor, next_cursor};
use super::shops::area::{ShopArea, Tab, frame_of};
use super::{Page, Visit};
use crate::catalog::assignments::{self, Product, ProductSettings, Title};
use crate::catalog::stores::Scope;
use crate::catalog::{matrices, options};
use crate::db::Tx;
use crate::domain::ids::{MatrixId, OptionGroupId, ProductId};
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use chrono::{DateTime, Utc};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The pages.
pub(super) const ROUTES: &[Page] = &[
    Page::show("/admin/shops/{shop}/products", list),
    Page::write("/admin/shops/{shop}/products", "product.assign", assign),
    Page::show_later("/admin/shops/{shop}/products/shopify", shopify::show),
    Page::show("/admin/shops/{shop}/products/one", trial::show),
    Page::write("/admin/shops/{shop}/products/one", "product.assign", assign),
    Page::write("/admin/shops/{shop}/products/{product}/sent", "product.update", trial::set),
];

/// What was done just now, in words.
const FLASHES: &[(&str, &str)] = &[("assigned", "Saved. Shops have it from now on.")];

/// Products that one form changes: a page of the list and as many new ones, within the writer's budget.
const PRODUCTS_MAX: usize = 2 * PAGE_ITEMS;

/// Price lists and option groups that a form offers to choose from. Who has more finds the product's list on the list's own page.
const OFFERED_MAX: usize = 200;

/// A thing to choose in a form.
pub(super) struct Offered {
    pub(super) id: String,
    pub(super) name: String,
}

/// The price lists and the option groups of a shop, newest first.
struct Catalog {
    lists: Vec<Offered>,
    groups: Vec<Offered>,
}

impl Catalog {
    fn load(connection: &Connection, scope: Scope) -> Result<Self> {
        let lists = matrices::list(connection, scope.store, None, OFFERED_MAX)?.into_iter();
        let groups = options::list(connection, scope.store, None, OFFERED_MAX)?.into_iter();
        Ok(Self {
            lists: lists.map(|list| Offered { id: list.id.to_string(), name: list.name.to_string() }).collect(),
            groups: groups
                .map(|stored| Offered { id: stored.group.id.to_string(), name: stored.group.name.to_string() })
                .collect(),
        })
    }
}

/// A product as pages show it.
struct ProductView {
    id: ProductId,
    /// The digits of its id, which people know from Shopify's addresses.
    number: String,
    title: Option<String>,
    list: Option<(MatrixId, String)>,
    groups: Vec<(OptionGroupId, String)>,
    settings: ProductSettings,
}

impl ProductView {
    /// What it sends to Shopify, in a few words.
    fn sends(&self) -> String {
        sent::summary(&self.settings)
    }
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        let id = product.id.to_string();
        Self {
            number: id.rsplit('/').next().unwrap_or(&id).to_owned(),
            title: product.title,
            list: product.matrix.map(|(id, name)| (id, name.to_string())),
            groups: product.groups.into_iter().map(|(id, name)| (id, name.to_string())).collect(),
            settings: product.settings,
            id: product.id,
        }
    }
}

#[derive(Template)]
#[template(path = "products/list.html", config = "src/http/console/askama.toml")]
struct ListPage {
    frame: Frame,
    area: ShopArea,
    products: Vec<ProductView>,
    next: Option<String>,
    catalog: Catalog,
    /// Whether products can be chosen from Shopify's own list.
    has_app: bool,
    /// What was entered, where it could not be taken.
    entered: String,
    fault: Option<String>,
}

fn list(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    list_page(state, visit, 200, String::new(), None)
}

fn list_page(state: &AppState, visit: &Visit, status: u16, entered: String, fault: Option<String>) -> Result<Response> {
    let (scope, after) = (visit.store()?.scope(), cursor::<ProductId>(visit)?);
    let (mut found, catalog) = state.app.db.read(|connection| -> Result<_> {
        let found = assignments::list_products(connection, scope.store, after.as_ref(), PAGE_ITEMS + 1)?;
        Ok((found, Catalog::load(connection, scope)?))
    })?;
    let next = next_cursor(&mut found, |product| product.id.to_string());
    let (frame, area) = (frame_of(visit, FLASHES), ShopArea::of(visit, Tab::Products)?);
    let products = found.into_iter().map(ProductView::from).collect();
    let has_app = state.app.handover.options().is_some();
    page(status, &ListPage { frame, area, products, next, catalog, has_app, entered, fault })
}

/// What a form wants done to products.
struct Wanted {
    /// The products; a title where one was entered.
    products: Vec<(ProductId, Option<Title>)>,
    list: ListChange,
    /// Whether a product may be taken from another list.
    replaces: bool,
    add: Vec<OptionGroupId>,
    remove: Vec<OptionGroupId>,
}

/// What becomes of the products' price list.
enum ListChange {
    Keep,
    Remove,
    Set(MatrixId),
}

fn wanted(form: &Form) -> Result<Wanted> {
    let unknown = |thing: &str| Error::not_found(thing.to_owned());
    let groups = |field: &'static str| -> Result<Vec<OptionGroupId>> {
        let chosen = form.all(field).filter(|id| !id.is_empty());
        chosen.map(|id| id.parse().map_err(|_unreadable| unknown("option group"))).collect()
    };
    let list = match form.get("list") {
        "" => ListChange::Keep,
        "none" => ListChange::Remove,
        id => ListChange::Set(id.parse().map_err(|_unreadable| unknown("price list"))?),
    };
    let products = products_of(form).map_err(|fault| Error::new(Kind::Invalid, fault))?;
    Ok(Wanted {
        products,
        list,
        replaces: form.has("replace"),
        add: groups("add-group")?,
        remove: groups("remove-group")?,
    })
}

/// The products that are ticked, and those that are entered: one a line, its id or number first, then its title.
fn products_of(form: &Form) -> std::result::Result<Vec<(ProductId, Option<Title>)>, String> {
    let mut products: BTreeMap<ProductId, Option<Title>> = BTreeMap::new();
    for id in form.all("product") {
        let id = id.parse().map_err(|fault| format!("the product {id} {fault}"))?;
        let title = form.entered("title").map(str::parse::<Title>).transpose();
        products.insert(id, title.map_err(|fault| format!("the title {fault}"))?);
    }
    let lines = form.all("new").flat_map(str::lines);
    for (at, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (id, title) = line.trim().split_once([' ', '\t', ';', ',']).unwrap_or((line.trim(), ""));
        let place = at + 1;
        // People copy the address of a product's page in Shopify.
        let id = id.rsplit_once("/products/").map_or(id, |(_, number)| number);
        let id: ProductId = id.parse().map_err(|fault| format!("line {place}: {id} {fault}"))?;
        let title: Title =
            title.parse().map_err(|fault| format!("line {place}: the title after the product {fault}"))?;
        products.insert(id, Some(title));
    }
    match products.len() {
        0 => Err("choose products in the list, or enter new ones".to_owned()),
        count if count > PRODUCTS_MAX => Err(format!("{count} products are too many at once: {PRODUCTS_MAX} at most")),
        _ => Ok(products.into_iter().collect()),
    }
}

fn assign(state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    let (scope, shop) = (visit.store()?.scope(), visit.store()?.shop.clone());
    let wanted = match wanted(&visit.form) {
        Ok(wanted) => wanted,
        Err(error) => return again(state, &visit, &error).map(Deferred::answered),
    };
    let now = state.app.clock.now();
    let path = match visit.form.entered("back") {
        Some("one") => {
            let id = wanted.products.first().map(|(id, _)| id.to_string()).unwrap_or_default();
            format!("admin/shops/{shop}/products/one?id={id}&done=assigned")
        }
        _ => format!("admin/shops/{shop}/products?done=assigned"),
    };
    let done = visit.see_other(&path);
    let again = {
        let state = state.clone();
        move |error: &Error, response: Response| again(&state, &visit, error).unwrap_or(response)
    };
    let products: Vec<String> = wanted.products.iter().map(|(product, _)| product.to_string()).collect();
    let deferred =
        Deferred::commit(move |tx| carry_out(tx, now, scope, &wanted), move |()| done).with_error_page(again);
    Ok(products.into_iter().fold(deferred, Deferred::concerning))
}

/// The list again, with what was entered and what is wrong with it.
fn again(state: &AppState, visit: &Visit, error: &Error) -> Result<Response> {
    let status = crate::http::status::of(error.kind());
    let message = super::layout::sentence(&error.to_string());
    let entered: Vec<&str> = visit.form.all("new").collect();
    list_page(state, visit, status, entered.join("\n"), Some(message))
}

/// Does all of it or nothing.
fn carry_out(tx: &Tx<'_>, now: DateTime<Utc>, scope: Scope, wanted: &Wanted) -> Result<()> {
    for (product, title) in &wanted.products {
        let known = assignments::find_matrix(tx, scope.store, product)?;
        match &wanted.list {
            ListChange::Set(list) => {
                // The title that was set for it stays with it on another list.
                let shown =
                    || assignments::find_product(tx, scope.store, product).map(|found| found?.title?.parse().ok());
                let title = match title {
                    Some(title) => title.clone(),
                    None => shown()?.ok_or_else(|| no_title(product))?,
                };
                assignments::assign_matrix(tx, now, scope, product, &title, *list, wanted.replaces)?;
            }
            ListChange::Remove if known.is_some() => assignments::remove_matrix(tx, now, scope, product)?,
            ListChange::Remove => {}
            ListChange::Keep => {
                if let (Some(title), Some(known)) = (title, known) {
                    assignments::assign_matrix(tx, now, scope, product, title, known.matrix, false)?;
                }
            }
        }
        for group in &wanted.add {
            assignments::add_group(tx, now, scope, product, *group)?;
        }
        for group in &wanted.remove {
            match assignments::remove_group(tx, now, scope, product, *group) {
                // Of several products some may not have offered it.
                Err(error) if error.kind() == Kind::NotFound => {}
                outcome => outcome?,
            }
        }
    }
    Ok(())
}

fn no_title(product: &ProductId) -> Error {
    let message = format!("product {product} has no title here yet: enter it with its title as a new product");
    Error::new(Kind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Headers, Method, Request};

    fn form(body: &str) -> Form {
        let request = Request {
            method: Method::Post,
            path: "/".to_owned(),
            query: String::new(),
            headers: Headers::default(),
            body: body.as_bytes().to_vec(),
            client: std::net::IpAddr::from([127, 0, 0, 1]),
            id: String::new(),
        };
        Form::of(&request).expect("a form")
    }

    #[test]
    fn products_are_entered_as_people_have_them() {
        let text = "new=1001+Roller+blind%0D%0A%0D%0Ahttps://admin.shopify.com/store/x/products/1002;Pleated+blind%0D%0Agid://shopify/Product/1003%09Awning";
        let products = products_of(&form(&format!("product=gid://shopify/Product/7&{text}"))).expect("products");
        let shown: Vec<String> = products
            .iter()
            .map(|(id, title)| format!("{id} {}", title.as_ref().map(ToString::to_string).unwrap_or_default()))
            .collect();
        assert_eq!(
            shown,
            [
                "gid://shopify/Product/1001 Roller blind",
                "gid://shopify/Product/1002 Pleated blind",
                "gid://shopify/Product/1003 Awning",
                "gid://shopify/Product/7 ",
            ]
        );
    }

    #[test]
    fn a_line_that_names_no_product_is_reported_by_its_number() {
        let fault = |body: &str| products_of(&form(body)).expect_err("a fault");
        assert!(fault("new=1001+Blind%0ARoller").starts_with("line 2: Roller"), "{}", fault("new=1001+Blind%0ARoller"));
        assert!(fault("new=1001").starts_with("line 1: the title"), "{}", fault("new=1001"));
        assert!(fault("").starts_with("choose products"));
        let many: String = (0..=PRODUCTS_MAX).map(|at| format!("product={at}&")).collect();
        assert!(fault(&many).contains("too many"));
    }
}
