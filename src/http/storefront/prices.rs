//! `POST /api/v1/prices`: a list priced in one call. Each item has its price or its own problem; the total is there when all have one.

use super::item::{ItemRequest, items_of};
use super::query::Query;
use super::sizes::SizeUnit;
use super::{PriceBody, answer};
use crate::domain::money::{Currency, Minor};
use crate::domain::options::RequiredGroups;
use crate::error::{Kind, Result};
use crate::http::guard::Pass;
use crate::http::respond;
use crate::http::routes::{Params, Site};
use crate::http::{Request, Response};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// The table's line.
pub(super) fn prices(site: &Arc<Site>, request: &Request, _params: &Params) -> Result<Response> {
    site.guard.admit(site, request, |pass| {
        let query = Query::parse(&request.query);
        let unit = SizeUnit::read(&query, pass.visitor.key.unit)?;
        let items = items_of(request, unit)?;
        let more = u32::try_from(items.len() - 1).unwrap_or(u32::MAX);
        site.guard.take_more(&site.app, pass, more)?;
        price_all(site, pass, items)
    })
}

fn price_all(site: &Site, pass: &Pass, items: Vec<Result<ItemRequest>>) -> Result<Response> {
    let currency = pass.visitor.key.currency;
    let mut bodies = Vec::with_capacity(items.len());
    let mut sum = Some(Minor::ZERO);
    for item in items {
        match item.and_then(|item| price(site, pass, &item)) {
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
                bodies.push(respond::problem_of_item(&error, pass.language));
                sum = None;
            }
        }
    }
    let mut body = Map::from_iter([("items".to_owned(), Value::Array(bodies))]);
    if let Some(sum) = sum {
        body.insert("currency".to_owned(), json!(currency.code()));
        body.insert("total".to_owned(), json!(currency.to_number(sum)));
    }
    Ok(answer(&body))
}

fn price(site: &Site, pass: &Pass, item: &ItemRequest) -> Result<(Value, Currency, Minor)> {
    let shelf = site.app.pricing.load(&site.app.db, &pass.visitor, &item.product)?;
    // As the order will be: a list that has a total can be ordered.
    let quote = item.quote(&shelf, RequiredGroups::Enforced)?;
    let body = PriceBody::new(&shelf, &quote, item.dimensions(), !item.selections.is_empty(), false);
    Ok((json!(body), shelf.currency, quote.total))
}
