//! `quotegrid alert`: whether alerts reach their receiver.

use super::Failure;
use super::output::Output;
use crate::alerts::{self, Poster};
use crate::clock::{Clock, SystemClock};
use crate::config::UpkeepSettings;
use crate::error::{Error, Kind};
use serde_json::json;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Post one alert that says it is a test, now, and report how it was answered; exit code 1 when it was not accepted
    Test {
        #[command(flatten)]
        upkeep: UpkeepSettings,
    },
}

pub(super) fn run(command: Command, output: Output) -> Result<(), Failure> {
    let Command::Test { upkeep } = command;
    let posted = Poster::new(upkeep.alerts()?.url).post(&alerts::test_document(SystemClock.now()));
    match posted {
        Ok(()) => {
            output.print(&json!({ "delivered": true }), || {
                "the address for alerts has accepted a test alert".to_owned()
            })?;
            Ok(())
        }
        Err(fault) => Err(Error::new(Kind::Conflict, fault.to_string()).into()),
    }
}
