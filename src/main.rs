//! The `quotegrid` binary: starts the logger, hands over to [`quotegrid::cli`], and turns its answer into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    quotegrid::cli::start_logger();
    quotegrid::cli::forbid_core_dumps();
    #[cfg(debug_assertions)]
    let _armed = quotegrid::cli::arm_failpoints();
    quotegrid::cli::run().into()
}
