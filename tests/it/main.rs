//! One test binary, a module per behaviour.

mod backup;
mod database;
mod edge;
mod gdpr;
mod model;
mod queue;
mod webhooks;
