//! Price matrices, option groups and products. Sizes are JSON numbers, money is decimal text in major units, what is not offered is
//! null.

use super::{instant, optional_instant};
use crate::catalog::assignments::Product;
use crate::catalog::matrices::{Adjusted, MatrixSummary, StoredMatrix};
use crate::catalog::options::StoredGroup;
use crate::catalog::stores::Scope;
use crate::domain::ids::MatrixId;
use crate::domain::length::Length;
use crate::domain::matrix::{GridChanges, Limits, PriceChange, PriceMatrix};
use crate::domain::matrix_csv::{CsvFault, Import};
use crate::domain::money::{BasisPoints, Currency, Minor};
use crate::domain::options::Choice;
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

fn limits(limits: &Limits) -> Value {
    let size = |size: Option<Length>| size.map_or(Value::Null, |size| Value::Number(size.to_number()));
    json!({
        "minWidth": size(limits.min_width),
        "maxWidth": size(limits.max_width),
        "minHeight": size(limits.min_height),
        "maxHeight": size(limits.max_height),
    })
}

/// What a price list holds, and what it would change in `current`.
pub fn import(import: &Import, current: Option<&PriceMatrix>, scope: Scope) -> Value {
    let (widths, heights) = import.matrix.as_ref().map_or((&[][..], &[][..]), |grid| (grid.widths(), grid.heights()));
    let mut document = json!({
        "layout": import.layout.as_str(),
        "widths": sizes(widths),
        "heights": sizes(heights),
        "cells": widths.len() * heights.len(),
        "rows": import.total_rows,
        "validRows": import.valid_rows,
        "faults": csv_faults(&import.faults),
        "moreFaults": import.more_faults,
    });
    if let (Some(current), Some(new)) = (current, &import.matrix) {
        document["changes"] = changes(&current.changes_to(new), scope.currency);
    }
    document
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

fn changes(changes: &GridChanges, currency: Currency) -> Value {
    let prices = changes.prices.iter().map(|change| {
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
    })
}
