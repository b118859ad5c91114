//! One test binary, a module per behaviour.

mod architecture;
mod backup;
mod database;
mod edge;
mod gdpr;
mod model;
mod pricing_properties;
mod process;
mod queue;
mod webhooks;
