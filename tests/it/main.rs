//! One test binary, a module per behaviour.

mod catalog;
mod database;
mod edge;
mod gdpr;
mod pricing_properties;
mod queue;
mod storefront;
mod webhooks;
