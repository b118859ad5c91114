//! One test binary, a module per behaviour.

mod database;
<<<<<<< HEAD
mod edge;
mod gdpr;
mod queue;
mod webhooks;
=======
mod pricing_properties;
>>>>>>> domain
