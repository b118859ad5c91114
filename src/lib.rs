//! quotegrid: a self-hosted backend for size-priced Shopify shops, in one binary and one SQLite file.

pub mod clock;
pub mod config;
pub mod db;
pub mod domain;
pub mod entropy;
pub mod error;
pub mod http;
pub mod metrics;
