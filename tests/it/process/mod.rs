//! The real binary, on real files and sockets: started, asked, killed, started again.

mod disk;
mod displaced;
mod duplicates;
mod fsync;
pub(crate) mod harness;
mod idle;
mod kill_loop;
mod kills;
mod late_jobs;
mod leftovers;
mod log;
mod main_job;
mod panics;
mod poison;
mod reader;
mod stops;
