//! quotegrid: a self-hosted backend for size-priced Shopify shops, in one binary and one SQLite file.

#[macro_use]
mod failpoints;

pub mod access;
pub mod activity;
pub mod alerts;
pub mod app;
pub mod background;
pub mod backup;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod demo;
pub mod disk;
pub mod domain;
pub mod edge;
pub mod entropy;
pub mod erasure;
pub mod error;
pub mod export;
pub mod housekeeping;
pub mod http;
pub mod intake;
pub mod keyed_hash;
pub mod languages;
mod log_limit;
pub mod metrics;
pub mod orders;
pub mod pricing;
pub mod queue;
pub mod secret;
pub mod shopify;
pub mod testing;
pub mod views;
pub mod workshop;

/// The README's example, tried like those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
