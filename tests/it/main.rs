//! One test binary, a module per behaviour.

mod access;
mod admin;
mod architecture;
mod backup;
mod catalog;
mod console;
mod database;
mod edge;
mod gdpr;
mod handover;
// Whoever dies in a history dies at a failpoint, which no release build has.
#[cfg(debug_assertions)]
mod model;
mod notices;
mod operators;
mod orders;
mod pricing_properties;
mod process;
mod proxy;
mod queue;
mod shop_pages;
mod storefront;
mod support;
mod webhooks;
mod widget;
