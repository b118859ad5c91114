//! What tests of several areas need: waiting, chance that repeats, the binary, plans of queries, bytes of files, a real browser.

pub(crate) mod browser;
pub(crate) mod command;
pub(crate) mod dice;
pub(crate) mod files;
pub(crate) mod plans;
pub(crate) mod waiting;
