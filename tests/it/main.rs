//! One test binary, a module per behaviour.

mod admin;
mod architecture;
mod catalog;
mod database;
mod edge;
mod gdpr;
mod pricing_properties;
mod process;
mod queue;
mod storefront;
mod webhooks;
