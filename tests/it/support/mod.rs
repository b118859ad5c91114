//! What tests of several areas need: waiting, chance that repeats, the binary, plans of queries, bytes of files,
//! jobs that come at the wrong moment, a real browser.

pub(crate) mod browser;
pub(crate) mod command;
pub(crate) mod dice;
pub(crate) mod files;
pub(crate) mod late_jobs;
pub(crate) mod plans;
pub(crate) mod waiting;
