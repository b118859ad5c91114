//! One test binary, a module per behaviour.

mod database;
mod gdpr;
mod queue;
mod webhooks;
