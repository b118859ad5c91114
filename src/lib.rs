//! quotegrid: a self-hosted backend for size-priced Shopify shops, in one binary and one SQLite file.
//!
//! Most users run the `quotegrid` binary; [`docs`] is the handbook for them. This page is for programs that embed it, or only its
//! job queue.
//!
//! # Embed it
//!
//! Open the app with a job type of your own, write a row and a job in one transaction, start the background threads, and serve:
//!
//! ```
//! use quotegrid::{
//!     App, AppState, Claim, Context, Finish, Handler, JobError, JobStatus, NewJob, Options, Registry, Router, Secrets, Server,
//!     ServerOptions,
//! };
//! use serde_json::json;
//! use std::{sync::Arc, time::Duration};
//!
//! struct SendLabel;
//!
//! impl Handler for SendLabel {
//!     fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
//!         let parcel = job.payload["parcel"].as_i64().ok_or_else(|| JobError::Permanent("no parcel".to_owned()))?;
//!         // Slow work belongs here, outside any transaction; it may run again after a crash. The closure is committed together
//!         // with the job's completion, exactly once.
//!         Ok(Finish::with(move |tx, _now| {
//!             tx.execute("UPDATE parcels SET labels = labels + 1 WHERE id = ?1", [parcel])?;
//!             Ok(())
//!         }))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//! let mut options = Options::new(directory.path().join("shop.db"));
//! options.handlers = Registry::new().with("send_label", SendLabel);
//! let app = Arc::new(App::open(options)?);
//!
//! // A table of your own, in the same file. The row and its job are both committed, or neither is.
//! let (queue, now) = (app.queue.clone(), app.clock.now());
//! let job = app.db.write(move |tx| -> quotegrid::Result<_> {
//!     tx.execute_batch("CREATE TABLE IF NOT EXISTS parcels (id INTEGER PRIMARY KEY, labels INTEGER NOT NULL) STRICT")?;
//!     tx.execute("INSERT INTO parcels (id, labels) VALUES (7, 0)", ())?;
//!     queue.enqueue(tx, now, NewJob::new("send_label", json!({ "parcel": 7 })))
//! })?;
//!
//! // Two threads for jobs, and the maintenance; then the server, on any free port.
//! let background = app.start(2)?;
//! let state = AppState::new(app.clone(), Secrets::new(["the app's client secret"]));
//! let server = Server::start(ServerOptions::new("127.0.0.1:0".parse()?), Arc::new(Router::new(Arc::new(state))))?;
//! println!("listening on http://{}", server.address());
//!
//! loop {
//!     let seen = app.db.notifier().seen();
//!     let found = app.db.read(|connection| quotegrid::queue::find(connection, job))?.expect("it was enqueued");
//!     if found.status == JobStatus::Completed {
//!         break;
//!     }
//!     app.db.notifier().wait(seen, Duration::from_millis(100));
//! }
//!
//! server.stop(Duration::from_secs(10));
//! background.stop(Duration::from_secs(10));
//! # Ok(())
//! # }
//! ```
//!
//! A test of such a program takes [`testing::Fixture`]: the same app on a temporary file, with a clock that moves when the test
//! says so, and jobs that run when it asks.
//!
//! ```
//! # use quotegrid::{Claim, Context, Finish, Handler, JobError};
//! # struct SendLabel;
//! # impl Handler for SendLabel {
//! #     fn run(&self, _job: &Claim, _context: &Context) -> Result<Finish, JobError> { Ok(Finish::done()) }
//! # }
//! use quotegrid::{JobStatus, Registry, testing::Fixture};
//!
//! let fixture = Fixture::with_handlers(Registry::new().with("send_label", SendLabel));
//! let job = fixture.enqueue("send_label", serde_json::json!({ "parcel": 7 }));
//! assert_eq!(fixture.run_jobs(), 1);
//! assert_eq!(fixture.job(job).status, JobStatus::Completed);
//! ```
//!
//! # Only the queue
//!
//! [`Db`], [`Queue`] and [`Worker`] need nothing else of this crate: [`queue`] shows them in one example, without an app, a server
//! or a shop.
//!
//! # The modules, in reading order
//!
//! | module | what it is |
//! | --- | --- |
//! | [`docs`] | the handbook |
//! | [`app`] | the one place that wires the parts; [`clock`], [`entropy`], [`error`], [`metrics`] are what all of them share |
//! | [`db`] | one file, one writer thread that commits in groups, a pool of readers |
//! | [`queue`] | durable jobs, each run exactly once in effect |
//! | [`domain`] | sizes, money, price matrices and options as plain values: what a size costs, without a database |
//! | [`catalog`], [`pricing`], [`orders`], [`languages`] | what a merchant keeps, a price from memory, an order and its hand-over to Shopify, the words for shoppers |
//! | [`shopify`], [`intake`], [`erasure`] | what Shopify sends, how a webhook becomes durable, and how a privacy request is fulfilled and proved |
//! | [`edge`], [`http`], [`views`] | the sockets, the API and the console behind them, and the shapes of the JSON |
//! | [`access`], [`activity`] | who may do what in the console and the admin API, and what happened in which hour |
//! | [`housekeeping`], [`alerts`], [`backup`], [`export`], [`workshop`], [`disk`] | what keeps a database that runs for years small, safe and watched |
//! | [`testing`], [`demo`] | the app in a test, and a store to try it on |

#[macro_use]
mod failpoints;

pub mod access;
pub mod activity;
pub mod alerts;
pub mod app;
pub mod background;
pub mod backup;
pub mod catalog;
#[doc(hidden)]
pub mod cli;
pub mod clock;
pub(crate) mod config;
pub mod db;
pub mod demo;
pub mod disk;
pub mod docs;
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

pub use app::{App, Options};
pub use db::{Db, Tx};
pub use edge::{Server, ServerOptions};
pub use error::{Error, Kind, Result};
pub use http::{AppState, Router};
pub use queue::{Claim, Context, Finish, Handler, JobError, NewJob, Queue, Registry, Status as JobStatus, Worker};
pub use shopify::Secrets;

/// The README's example, run like those of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
