//! One test binary, a module per behaviour.

mod access;
mod admin;
mod architecture;
mod backup;
mod browser;
mod catalog;
mod database;
mod edge;
mod ending;
mod gdpr;
mod handover;
mod model;
mod notices;
mod operators;
mod orders;
mod pricing_properties;
mod process;
mod queue;
mod storefront;
mod webhooks;
