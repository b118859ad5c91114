//! Matrices from price lists: a list is used whole or not at all, unless its bad lines may be skipped.

use crate::catalog::stores::Scope;
use crate::domain::matrix::PriceMatrix;
use crate::domain::matrix_csv::{Import, ImportOptions, Layout, Zero};
use crate::error::{Error, Kind, Result};
use serde_json::json;

/// How to read a price list for a store.
pub fn import_options(scope: Scope, layout: Option<Layout>, zero: Option<Zero>, skip_bad: bool) -> ImportOptions {
    ImportOptions { layout, zero, skip_bad, ..ImportOptions::new(scope.unit, scope.currency) }
}

/// The grid of a price list that may be used.
///
/// # Errors
/// `Invalid` when the list has faults; the field `faults` holds each.
pub fn accept(import: Import) -> Result<PriceMatrix> {
    import.accept().map_err(|refused| {
        let message = match refused.faults.len() + refused.more_faults {
            1 => "the price list has a fault".to_owned(),
            count => format!("the price list has {count} faults"),
        };
        let faults = refused.faults.iter().map(|fault| json!({ "line": fault.line, "message": fault.message }));
        Error::new(Kind::Invalid, message)
            .with_member("faults", faults.collect::<Vec<_>>())
            .with_member("moreFaults", refused.more_faults)
    })
}
