//! One test binary, a module per behaviour.

mod database;
mod edge;
mod gdpr;
mod process;
mod queue;
mod webhooks;
