//! The storefront API: what the widget depends on, and that nobody reaches another store's prices or an old one.

mod browser;
mod command;
mod cors;
mod fuzz;
pub(crate) mod harness;
mod languages;
mod limits;
mod options;
mod prices;
mod product;
mod socket;
pub(crate) mod spec;
mod stale;
mod tenancy;
mod vectors;
