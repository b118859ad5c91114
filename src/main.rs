//! The `quotegrid` binary: starts the logger, hands over to [`quotegrid::cli`], and turns its answer into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    quotegrid::cli::start_logger();
    // Failpoints exist only in builds for tests.
    let _failpoints = fail::has_failpoints().then(fail::FailScenario::setup);
    quotegrid::cli::run().into()
}
