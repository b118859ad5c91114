//! `quotegrid quote`: the price of a size from the command line, and why it is what it is.

use super::matrices::store_of;
use super::output::Output;
use super::{Failure, open};
use crate::config::DatabaseSettings;
use crate::db::Schema;
use crate::domain::ids::{ProductId, ShopDomain};
use crate::domain::length::Length;
use crate::domain::money::Minor;
use crate::domain::options::{OptionGroup, RequiredGroups, Selection};
use crate::domain::quote::{QUANTITY_MAX, Quantity, Quote, QuoteRequest};
use crate::error::{Error, Kind};
use crate::pricing::{self, ProductPricing};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The store's domain, name.myshopify.com; may be left out where the database holds one store only
    #[arg(long)]
    shop: Option<ShopDomain>,
    /// The product: digits, or gid://shopify/Product/ and digits
    #[arg(long, value_name = "ID")]
    product: ProductId,
    /// The width, in the store's unit
    #[arg(long, value_name = "SIZE")]
    width: Length,
    /// The height, in the store's unit
    #[arg(long, value_name = "SIZE")]
    height: Length,
    /// How many pieces
    #[arg(long, value_name = "PIECES", default_value = "1", value_parser = |text: &str| Quantity::parse(text, QUANTITY_MAX))]
    quantity: Quantity,
    /// A choice of an option group, each by its name or id; may be given once a group
    #[arg(long = "option", value_name = "GROUP=CHOICE")]
    options: Vec<String>,
}

pub(super) fn run(database: &DatabaseSettings, args: &Args, output: Output) -> Result<(), Failure> {
    let app = open(database, Schema::MustBeCurrent)?;
    let (shop, pricing) = app.db.read(|connection| {
        let store = store_of(connection, args.shop.as_ref())?;
        let pricing = pricing::read_product_pricing(connection, store.scope(), store.catalog_version, &args.product)?;
        Ok::<_, Error>((store.shop, pricing))
    })?;
    let selections = args.options.iter().map(|text| select(&pricing, text)).collect::<Result<Vec<_>, Error>>()?;
    let quote = pricing.quote(&QuoteRequest {
        width: args.width,
        height: args.height,
        quantity: args.quantity,
        selections: &selections,
        required: RequiredGroups::Reported,
    })?;
    output.print(&document(&shop, args, &pricing, &quote), || text(&pricing, &quote))?;
    Ok(())
}

/// The selection that `GROUP=CHOICE` means.
fn select(pricing: &ProductPricing, text: &str) -> Result<Selection, Error> {
    let unclear =
        |sentence: String| Error::new(Kind::Invalid, "the option cannot be selected").with_fault(text, sentence);
    let (group, choice) =
        text.split_once('=').ok_or_else(|| unclear("must be a group and a choice, GROUP=CHOICE".to_owned()))?;
    let group =
        the_one(&pricing.groups, group, |found| (found.id.to_string(), found.name.as_str())).ok_or_else(|| {
            unclear(format!("there must be one such group: {}", names(pricing.groups.iter().map(|g| g.name.as_str()))))
        })?;
    let choice =
        the_one(&group.choices, choice, |found| (found.id.to_string(), found.label.as_str())).ok_or_else(|| {
            unclear(format!("there must be one such choice: {}", names(group.choices.iter().map(|c| c.label.as_str()))))
        })?;
    Ok(Selection { option_group_id: group.id.to_string(), choice_id: choice.id.to_string() })
}

/// The one thing with this id, or with this name in any case; none when there are two.
fn the_one<'a, T>(things: &'a [T], wanted: &str, id_and_name: impl Fn(&'a T) -> (String, &'a str)) -> Option<&'a T> {
    let wanted = wanted.trim();
    if let Some(thing) = things.iter().find(|thing| id_and_name(thing).0 == wanted) {
        return Some(thing);
    }
    let lower = wanted.to_lowercase();
    let mut named = things.iter().filter(|thing| id_and_name(thing).1.to_lowercase() == lower);
    named.next().filter(|_| named.next().is_none())
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "the product has none".to_owned() } else { names.join(", ") }
}

fn missing<'a>(pricing: &'a ProductPricing, quote: &Quote) -> Vec<&'a OptionGroup> {
    pricing.groups.iter().filter(|group| quote.missing_required.contains(&group.id)).collect()
}

fn document(shop: &ShopDomain, args: &Args, pricing: &ProductPricing, quote: &Quote) -> Value {
    let money = |amount: Minor| pricing.currency.format(amount);
    let modifiers: Vec<Value> = quote
        .modifiers
        .iter()
        .map(|modifier| {
            json!({
                "optionGroup": modifier.option_group.as_str(),
                "choice": modifier.choice.as_str(),
                "modifierType": modifier.modifier.kind(),
                "modifierValue": modifier.modifier.value(),
                "appliedAmount": money(modifier.applied),
            })
        })
        .collect();
    let explanation: Vec<Value> = quote
        .explain(pricing.currency, pricing.unit)
        .into_iter()
        .map(|step| {
            json!({
                "kind": step.kind.as_str(),
                "text": step.text,
                "amount": step.amount.format(pricing.currency),
                "subtotal": step.subtotal.format(pricing.currency),
            })
        })
        .collect();
    json!({
        "shop": shop.as_str(),
        "productId": args.product.as_str(),
        "matrix": pricing.offer.as_ref().map(|offer| offer.name.as_str()),
        "currency": pricing.currency.code(),
        "unit": pricing.unit.as_str(),
        "width": quote.width.to_number(),
        "height": quote.height.to_number(),
        "quantity": quote.quantity.get(),
        "basePrice": money(quote.base_price()),
        "price": money(quote.unit_price),
        "total": money(quote.total),
        "optionModifiers": modifiers,
        "missingRequired": missing(pricing, quote).iter().map(|group| group.name.as_str()).collect::<Vec<_>>(),
        "explanation": explanation,
    })
}

fn text(pricing: &ProductPricing, quote: &Quote) -> String {
    let mut lines: Vec<String> =
        vec![format!("{} {}", pricing.currency.format(quote.total), pricing.currency), String::new()];
    lines.extend(quote.explain(pricing.currency, pricing.unit).into_iter().map(|step| format!("  {}", step.text)));
    for group in missing(pricing, quote) {
        let choices = names(group.choices.iter().map(|choice| choice.label.as_str()));
        lines.push(format!("\nAn order also needs a choice of {}: {choices}", group.name.as_str()));
    }
    lines.join("\n")
}
