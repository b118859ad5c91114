//! One product: what prices it, what it offers, what Shopify is sent, and a price to try with the reasons for it.

use super::sent::{self, SentForm, SentLine};
use super::{Catalog, FLASHES, Offered, ProductView};
use crate::catalog::assignments;
use crate::catalog::stores::Scope;
use crate::domain::ids::ProductId;
use crate::domain::money::Minor;
use crate::domain::options::{OptionGroup, RequiredGroups, Requirement, Selection};
use crate::domain::quote::{Exact, QUANTITY_MAX, Quantity, Quote, QuoteRequest};
use crate::error::{Error, Result};
use crate::http::Response;
use crate::http::console::Visit;
use crate::http::console::form::Form;
use crate::http::console::layout::{Frame, page, sentence};
use crate::http::console::options::effect;
use crate::http::console::prices::length;
use crate::http::console::shops::area::{ShopArea, Tab, frame_of};
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::pricing::{ProductPricing, read_product_pricing};
use askama::Template;
use std::sync::Arc;

/// What the fields of a group in the form begin with; the group's id follows.
const GROUP_FIELD: &str = "group-";

/// What [`Exact`] has in a minor unit.
const EXACT: i128 = 10_000;

/// A group in the form.
struct GroupView {
    field: String,
    name: String,
    is_required: bool,
    /// Value, words, and whether it is chosen.
    choices: Vec<(String, String, bool)>,
}

/// A reason of the price.
struct StepView {
    text: String,
    amount: String,
    subtotal: String,
}

/// The price, and why.
struct PriceView {
    total: String,
    unit_price: String,
    quantity: u32,
    steps: Vec<StepView>,
    /// Groups that an order needs a choice of.
    missing: Vec<String>,
}

#[derive(Template)]
#[template(path = "products/one.html", config = "src/http/console/askama.toml")]
struct OnePage {
    frame: Frame,
    area: ShopArea,
    product: ProductView,
    heading: String,
    catalog: Catalog,
    unit: &'static str,
    /// What sizes the list has, in words.
    range: Option<String>,
    groups: Vec<GroupView>,
    sent: Vec<SentLine>,
    sent_form: SentForm,
    /// Why what was entered to be sent was not taken.
    sent_fault: Option<String>,
    width: String,
    height: String,
    quantity: String,
    price: Option<PriceView>,
    fault: Option<String>,
}

impl OnePage {
    fn is_list(&self, offered: &Offered) -> bool {
        self.product.list.as_ref().is_some_and(|(id, _)| id.to_string() == offered.id)
    }

    fn offers(&self, offered: &Offered) -> bool {
        self.product.groups.iter().any(|(id, _)| id.to_string() == offered.id)
    }
}

pub(super) fn show(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let query = Form::of_query(&visit.request)?;
    let id: ProductId = query.get("id").parse().map_err(|_unreadable| Error::not_found("product"))?;
    one_page(state, visit, 200, &id, &query, None)
}

/// Changes what a product sends; what cannot be taken comes back in the form with the reason.
pub(super) fn set(state: &Arc<AppState>, visit: Visit, params: &Params) -> Result<Deferred> {
    let (product, store) = (params.parse::<ProductId>("product", "product")?, visit.store()?.clone());
    let sent = SentForm::sent(&visit.form);
    let edit = match sent.edit() {
        Ok(edit) => edit,
        Err(fault) => return again(state, &visit, &product, sent, sentence(&fault)).map(Deferred::answered),
    };
    let (scope, now) = (store.scope(), state.app.clock.now());
    let products = format!("admin/shops/{}/products", store.shop);
    let to_product = visit.see_other(&format!("{products}/one?id={product}&done=assigned"));
    let to_list = visit.see_other(&format!("{products}?done=assigned"));
    Ok(Deferred::commit(
        move |tx| assignments::edit_settings(tx, now, scope, &product, edit),
        // Where nothing is left to be known of it there is no page of it.
        move |product| if product.is_known() { to_product } else { to_list },
    ))
}

/// The product again, with what was entered to be sent and what is wrong with it.
fn again(state: &AppState, visit: &Visit, id: &ProductId, entered: SentForm, fault: String) -> Result<Response> {
    one_page(state, visit, 422, id, &Form::default(), Some((entered, fault)))
}

fn one_page(
    state: &AppState,
    visit: &Visit,
    status: u16,
    id: &ProductId,
    query: &Form,
    refused: Option<(SentForm, String)>,
) -> Result<Response> {
    let (scope, catalog_version) = (visit.store()?.scope(), visit.store()?.catalog_version);
    let (found, pricing, catalog) = state.app.db.read(|connection| -> Result<_> {
        let found = assignments::find_product(connection, scope.store, id)?;
        let pricing = read_product_pricing(connection, scope, catalog_version, id)?;
        Ok((found, pricing, Catalog::load(connection, scope)?))
    })?;
    let mut catalog = catalog;
    let product = ProductView::from(found.ok_or_else(|| Error::not_found(format!("product {id}")))?);
    // One of very many lists must not be swapped for another just because the form does not offer it.
    if let Some((list, name)) = &product.list
        && catalog.lists.iter().all(|offered| offered.id != list.to_string())
    {
        catalog.lists.insert(0, Offered { id: list.to_string(), name: name.clone() });
    }
    let (price, fault) = match query.entered("width").or(query.entered("height")) {
        None => (None, None),
        Some(_asked) => match priced(query, &pricing, scope) {
            Ok(price) => (Some(price), None),
            Err(fault) => (None, Some(fault)),
        },
    };
    let range = pricing.offer.as_ref().and_then(|offer| offer.matrix.dimension_range()).map(|range| {
        let unit = scope.unit;
        let (widths, heights) = ((range.min_width, range.max_width), (range.min_height, range.max_height));
        format!("{} to {} {unit} wide, {} to {} {unit} high", widths.0, widths.1, heights.0, heights.1)
    });
    let heading = product.title.clone().unwrap_or_else(|| format!("Product {}", product.number));
    let (sent_form, sent_fault) = match refused {
        Some((entered, fault)) => (entered, Some(fault)),
        None => (SentForm::of(&product), None),
    };
    page(
        status,
        &OnePage {
            frame: frame_of(visit, FLASHES),
            area: ShopArea::of(visit, Tab::Products)?,
            sent: sent::lines(&product, scope),
            sent_form,
            sent_fault,
            heading,
            product,
            catalog,
            unit: scope.unit.as_str(),
            range,
            groups: pricing.groups.iter().map(|group| group_view(group, query, scope)).collect(),
            width: query.get("width").to_owned(),
            height: query.get("height").to_owned(),
            quantity: query.entered("quantity").unwrap_or("1").to_owned(),
            price,
            fault,
        },
    )
}

fn field_of(group: &OptionGroup) -> String {
    format!("{GROUP_FIELD}{}", group.id)
}

fn group_view(group: &OptionGroup, query: &Form, scope: Scope) -> GroupView {
    let field = field_of(group);
    let asked = query.has(&field).then(|| query.get(&field));
    let choices = group.choices.iter().map(|choice| {
        let id = choice.id.to_string();
        let is_chosen = asked.map_or(choice.is_default, |asked| asked == id);
        (id, format!("{} ({})", choice.label, effect(choice.modifier, scope.currency)), is_chosen)
    });
    GroupView {
        choices: choices.collect(),
        field,
        name: group.name.to_string(),
        is_required: group.requirement == Requirement::Required,
    }
}

/// The price of what a form asks for.
fn priced(query: &Form, pricing: &ProductPricing, scope: Scope) -> std::result::Result<PriceView, String> {
    let size =
        |field: &str, name: &str| length(query.get(field).trim()).map_err(|fault| format!("The {name} {fault}."));
    let (width, height) = (size("width", "width")?, size("height", "height")?);
    let quantity = Quantity::parse(query.entered("quantity").unwrap_or("1"), QUANTITY_MAX);
    let quantity = quantity.map_err(|fault| format!("The quantity {fault}."))?;
    let chosen = pricing.groups.iter().filter_map(|group| {
        let (field, id) = (field_of(group), group.id.to_string());
        // As a page of the shop does: what is not chosen yet is what the merchant has selected first.
        let first = || group.choices.iter().find(|choice| choice.is_default).map(|choice| choice.id.to_string());
        let choice = if query.has(&field) { query.entered(&field).map(str::to_owned) } else { first() };
        Some(Selection { option_group_id: id, choice_id: choice? })
    });
    let selections: Vec<Selection> = chosen.collect();
    let request = QuoteRequest { width, height, quantity, selections: &selections, required: RequiredGroups::Reported };
    let quote = pricing.quote(&request).map_err(|error| sentence(&error.to_string()))?;
    Ok(price_view(&quote, pricing, scope))
}

fn price_view(quote: &Quote, pricing: &ProductPricing, scope: Scope) -> PriceView {
    let Scope { currency, unit, .. } = scope;
    let money = |amount| format!("{} {currency}", currency.format(amount));
    // With all decimals, as money is written; more of them only where a percentage has not been rounded yet.
    let exact = |amount: Exact| match i64::try_from(amount.get() / EXACT) {
        Ok(minor) if amount.get() % EXACT == 0 => currency.format(Minor::new(minor)),
        _ => amount.format(currency),
    };
    let steps = quote.explain(currency, unit).into_iter().map(|step| StepView {
        amount: if step.amount.get() == 0 { String::new() } else { exact(step.amount) },
        subtotal: exact(step.subtotal),
        text: sentence(&step.text),
    });
    let name = |id| pricing.groups.iter().find(|group| group.id == id).map(|group| group.name.to_string());
    PriceView {
        total: money(quote.total),
        unit_price: money(quote.unit_price),
        quantity: quote.quantity.get(),
        steps: steps.collect(),
        missing: quote.missing_required.iter().filter_map(|id| name(*id)).collect(),
    }
}
