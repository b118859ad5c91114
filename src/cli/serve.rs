//! `quotegrid serve`
use super::Failure;
use super::output::Output;
use crate::config::{DatabaseSettings, ServerSettings, WorkerSettings};
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerSettings,
    #[command(flatten)]
    workers: WorkerSettings,
}
pub(super) fn run(_database: &DatabaseSettings, _args: Args, _output: Output) -> Result<(), Failure> {
    Err(Failure::Told)
}
