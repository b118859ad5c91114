//! One test binary, a module per behaviour.

mod database;
mod pricing_properties;
