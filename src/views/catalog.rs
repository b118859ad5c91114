//! Price matrices, option groups and products. Sizes are JSON numbers, money is decimal text in major units, what is not offered is
//! null.

use crate::catalog::assignments::Product;
use crate::catalog::matrices::{Adjusted, MatrixSummary, StoredMatrix};
use crate::catalog::options::StoredGroup;
use crate::catalog::stores::Scope;
use crate::clock::{instant, optional_instant};
use crate::domain::ids::MatrixId;
use crate::domain::length::Length;
use crate::domain::matrix::{Axis, GridChanges, PriceChange, PriceMatrix, SizeLimits};
use crate::domain::matrix_csv::{CsvFault, DecimalMark, Findings, Import, ListUnit, PricedSize, Understood};
use crate::domain::money::{BasisPoints, Currency, Minor};
use crate::domain::options::Choice;
use crate::domain::weight::Weight;
use serde_json::{Value, json};

/// A matrix as lists show it: with counts in the place of its grid.
pub fn matrix_summary(matrix: &MatrixSummary) -> Value {
    json!({
        "id": matrix.id.to_string(),
        "name": matrix.name.as_str(),
        "version": matrix.version,
        "outside": matrix.outside.as_str(),
        "widths": matrix.widths,
        "heights": matrix.heights,
        "products": matrix.products,
        "createdAt": instant(matrix.created_at),
        "updatedAt": instant(matrix.updated_at),
    })
}

/// A matrix with its grid, a row of prices for each height.
pub fn matrix(stored: &StoredMatrix, scope: Scope) -> Value {
    let StoredMatrix { id, name, version, matrix, created_at, updated_at } = stored;
    json!({
        "id": id.to_string(),
        "name": name.as_str(),
        "version": version,
        "unit": scope.unit.as_str(),
        "currency": scope.currency.code(),
        "widths": sizes(matrix.widths()),
        "heights": sizes(matrix.heights()),
        "prices": prices(matrix, scope.currency),
        "outside": matrix.outside().as_str(),
        "limits": limits(&matrix.limits()),
        "createdAt": instant(*created_at),
        "updatedAt": instant(*updated_at),
    })
}

fn sizes(sizes: &[Length]) -> Vec<Value> {
    sizes.iter().map(|size| Value::Number(size.to_number())).collect()
}

fn prices(matrix: &PriceMatrix, currency: Currency) -> Vec<Vec<Value>> {
    matrix.rows().map(|row| row.iter().map(|cell| price(*cell, currency)).collect()).collect()
}

fn price(price: Option<Minor>, currency: Currency) -> Value {
    price.map_or(Value::Null, |price| Value::String(currency.format(price)))
}

fn limits(limits: &SizeLimits) -> Value {
    let size = |size: Option<Length>| size.map_or(Value::Null, |size| Value::Number(size.to_number()));
    json!({
        "minWidth": size(limits.min_width),
        "maxWidth": size(limits.max_width),
        "minHeight": size(limits.min_height),
        "maxHeight": size(limits.max_height),
    })
}

/// What a price list holds and how it was understood, and what it would change in `current`.
pub fn import(import: &Import, current: Option<&PriceMatrix>, scope: Scope) -> Value {
    let (widths, heights) = import.matrix.as_ref().map_or((&[][..], &[][..]), |grid| (grid.widths(), grid.heights()));
    let found = import.matrix.as_ref().map(Findings::of).unwrap_or_default();
    let read = import.understood.as_ref();
    let axis = |axis: Axis, steps: &[Length], list_unit: fn(&Understood) -> ListUnit| {
        let runs = |read: &Understood| match read.across {
            None => "column",
            Some(across) if across == axis => "across",
            Some(_) => "down",
        };
        json!({
            "runs": read.map(runs),
            "unit": scope.unit.as_str(),
            "listUnit": read.map(|read| list_unit(read).as_str()),
            "smallest": steps.first().map(|step| step.to_number()),
            "largest": steps.last().map(|step| step.to_number()),
        })
    };
    let falls = found.falls.iter().map(|fall| {
        let mut size = priced(&fall.size, scope.currency);
        size["than"] = priced(&fall.than, scope.currency);
        size
    });
    let repeats = import.repeats.iter().map(|repeat| {
        json!({
            "line": repeat.line,
            "width": repeat.width.to_number(),
            "height": repeat.height.to_number(),
            "from": price(repeat.before, scope.currency),
            "to": price(repeat.now, scope.currency),
        })
    });
    let mut document = json!({
        "layout": import.layout.as_str(),
        "widths": sizes(widths),
        "heights": sizes(heights),
        "cells": widths.len() * heights.len(),
        "rows": import.total_rows,
        "validRows": import.valid_rows,
        "currency": scope.currency.code(),
        "axes": {
            "width": axis(Axis::Width, widths, |read| read.widths_in),
            "height": axis(Axis::Height, heights, |read| read.heights_in),
        },
        "decimalMark": read.and_then(|read| read.decimal).map(DecimalMark::as_str),
        "separator": read.map(|read| read.separator),
        "linesAbove": read.map_or(0, |read| read.lines_above),
        "smallestPrice": found.cheapest.as_ref().map(|size| priced(size, scope.currency)),
        "largestPrice": found.dearest.as_ref().map(|size| priced(size, scope.currency)),
        "notOffered": places(&found.not_offered),
        "zeroPrices": places(&found.free),
        "fallingPrices": falls.collect::<Vec<_>>(),
        "repeated": repeats.collect::<Vec<_>>(),
        "faults": csv_faults(&import.faults),
        "moreFaults": import.more_faults,
    });
    if let (Some(current), Some(new)) = (current, &import.matrix) {
        document["changes"] = changes(&current.changes_to(new), scope.currency);
    }
    document
}

/// Ids as a list.
pub fn ids(matrices: &[MatrixId]) -> Value {
    matrices.iter().map(ToString::to_string).collect()
}

/// The sizes of a matrix that are sold for nothing.
pub fn zero_prices(matrix: &PriceMatrix) -> Value {
    places(&Findings::of(matrix).free)
}

fn places(sizes: &[(Length, Length)]) -> Value {
    sizes.iter().map(|(width, height)| json!({ "width": width.to_number(), "height": height.to_number() })).collect()
}

fn priced(size: &PricedSize, currency: Currency) -> Value {
    json!({
        "width": size.width.to_number(),
        "height": size.height.to_number(),
        "price": currency.format(size.price),
    })
}

/// What an adjustment changes.
pub fn adjusted(id: MatrixId, adjusted: &Adjusted, currency: Currency) -> Value {
    let change = |change: &PriceChange| {
        json!({
            "width": change.width.to_number(),
            "height": change.height.to_number(),
            "from": price(change.from, currency),
            "to": price(change.to, currency),
        })
    };
    let changes: Vec<Value> = adjusted.changes.iter().map(change).collect();
    json!({ "id": id.to_string(), "version": adjusted.version, "changed": changes.len(), "changes": changes })
}

/// What is wrong with a price list, by line; line 0 is the file as a whole.
pub fn csv_faults(faults: &[CsvFault]) -> Value {
    faults.iter().map(|fault| json!({ "line": fault.line, "message": fault.message })).collect()
}

/// What a list changes, the largest change of a price first; sizes that begin or cease to be offered come last.
fn changes(changes: &GridChanges, currency: Currency) -> Value {
    let mut found = changes.prices.clone();
    found.sort_by_key(|change| match (change.from, change.to) {
        (Some(from), Some(to)) => (0, std::cmp::Reverse((to.get() - from.get()).abs())),
        _ => (1, std::cmp::Reverse(0)),
    });
    let prices = found.iter().map(|change| {
        json!({
            "width": change.width.to_number(),
            "height": change.height.to_number(),
            "from": price(change.from, currency),
            "to": price(change.to, currency),
        })
    });
    json!({
        "widthsAdded": sizes(&changes.widths_added),
        "widthsRemoved": sizes(&changes.widths_removed),
        "heightsAdded": sizes(&changes.heights_added),
        "heightsRemoved": sizes(&changes.heights_removed),
        "prices": prices.collect::<Vec<_>>(),
    })
}

/// An option group with its choices.
pub fn option_group(stored: &StoredGroup) -> Value {
    let group = &stored.group;
    json!({
        "id": group.id.to_string(),
        "name": group.name.as_str(),
        "version": stored.version,
        "requirement": group.requirement.as_str(),
        "choices": group.choices.iter().map(|one| choice(one, stored.currency)).collect::<Vec<_>>(),
        "products": stored.products,
        "createdAt": instant(stored.created_at),
        "updatedAt": instant(stored.updated_at),
    })
}

/// A choice with its value twice: as integers, and as people write it. Of `amount` and `percent` the other one is null.
fn choice(choice: &Choice, currency: Currency) -> Value {
    json!({
        "id": choice.id.to_string(),
        "label": choice.label.as_str(),
        "modifierType": choice.modifier.kind(),
        "modifierValue": choice.modifier.value(),
        "amount": choice.modifier.fixed().map(|amount| currency.format(amount)),
        "percent": choice.modifier.share().map(BasisPoints::format_percent),
        "isDefault": choice.is_default,
    })
}

/// A product with what is assigned to it.
pub fn product(product: &Product) -> Value {
    let named = |id: String, name: &str| json!({ "id": id, "name": name });
    let groups = product.groups.iter().map(|(id, name)| named(id.to_string(), name)).collect::<Vec<_>>();
    json!({
        "productId": product.id.as_str(),
        "title": product.title,
        "matrix": product.matrix.as_ref().map(|(id, name)| named(id.to_string(), name)),
        "assignedAt": optional_instant(product.assigned_at),
        "optionGroups": groups,
        "sku": product.settings.sku,
        "variantId": product.settings.variant_id,
        "requiresShipping": product.settings.is_shipped(),
        "taxable": product.settings.is_taxable(),
        "weight": product.settings.weight.map(weight),
        "warnings": product.settings.warnings(),
    })
}

/// What a piece weighs, as an edit takes it.
fn weight(weight: Weight) -> Value {
    match weight {
        Weight::Piece { grams } => json!({ "grams": grams }),
        Weight::Area { grams_per_square_metre, base_grams } => {
            json!({ "gramsPerSquareMetre": grams_per_square_metre, "baseGrams": base_grams })
        }
    }
}
