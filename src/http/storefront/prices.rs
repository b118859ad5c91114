//! `POST /api/v1/prices`: a list priced in one call. Each item has its price or its own problem; the total is there when all have one.

use super::item::{ListItem, items_of};
use super::sizes::SizeUnit;
use super::{PriceBody, json_response};
use crate::domain::money::{Currency, Minor};
use crate::domain::options::RequiredGroups;
use crate::error::{Kind, Result};
use crate::http::guard::Admission;
use crate::http::query::Query;
use crate::http::respond;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::http::{Request, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The table's line.
pub(super) fn prices(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    state.guard.admit(&state.app, &state.secrets, request, |admission| {
        let query = Query::open(&request.query);
        let unit = SizeUnit::read(&query, admission.authenticated.key.unit)?;
        let items = items_of(request, unit)?;
        let more = u32::try_from(items.len() - 1).unwrap_or(u32::MAX);
        state.guard.take_more(&state.app, admission, more)?;
        price_all(state, admission, items)
    })
}

fn price_all(state: &AppState, admission: &Admission, items: Vec<Result<ListItem>>) -> Result<Response> {
    let currency = admission.authenticated.key.currency;
    let mut bodies = Vec::with_capacity(items.len());
    let mut sum = Some(Minor::ZERO);
    for item in items {
        match item.and_then(|item| price(state, admission, &item)) {
            Ok((body, of_item, total)) => {
                bodies.push(body);
                // The store's currency may change while a list is priced.
                sum = sum
                    .filter(|_| of_item == currency)
                    .and_then(|sum| Minor::from_wide(i128::from(sum.get()) + i128::from(total.get())).ok());
            }
            // What is wrong with the server, or with the key, is wrong with all of them.
            Err(error) if matches!(error.kind(), Kind::Internal | Kind::Overloaded | Kind::Unauthorized) => {
                return Err(error);
            }
            Err(error) => {
                bodies.push(respond::problem_of_item(&error, admission.language));
                sum = None;
            }
        }
    }
    let mut body = Map::from_iter([("items".to_owned(), Value::Array(bodies))]);
    if let Some(sum) = sum {
        body.insert("currency".to_owned(), json!(currency.code()));
        body.insert("total".to_owned(), json!(currency.to_number(sum)));
    }
    Ok(json_response(&body))
}

fn price(state: &AppState, admission: &Admission, item: &ListItem) -> Result<(Value, Currency, Minor)> {
    let pricing = state.app.pricing.load(&state.app.db, &admission.authenticated, &item.product)?;
    // As the order will be: a list that has a total can be ordered.
    let quote = item.quote(&pricing, RequiredGroups::Enforced)?;
    let body = PriceBody::new(&pricing, &quote, item.dimensions(), !item.selections.is_empty(), false);
    Ok((json!(body), pricing.currency, quote.total))
}
