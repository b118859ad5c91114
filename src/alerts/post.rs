//! The handler that posts an alert. It runs outside any transaction, as every handler does: a receiver that hangs holds up a
//! worker for a few seconds, and nobody else.

use crate::config::Secret;
use crate::queue::{Claim, Context, Finish, Handler, JobError};
use std::time::Duration;

/// A receiver that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(10);

/// With rests that double from two seconds, the last try is about two hours after the first.
const ATTEMPTS: u32 = 12;

/// Posts alerts to one address.
pub struct Poster {
    url: Option<Secret>,
    agent: ureq::Agent,
}

impl Poster {
    /// Posts to `url`. The address may be a secret, as chat services' are: it is never logged.
    pub fn new(url: Option<Secret>) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("quotegrid/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { url, agent: config.into() }
    }
}

impl Handler for Poster {
    fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        let url = self
            .url
            .as_ref()
            .ok_or_else(|| JobError::Permanent("there is no address for alerts: set QUOTEGRID_ALERT_URL".to_owned()))?;
        let request = self.agent.post(url.expose()).header("Content-Type", "application/json");
        match request.send(job.payload.to_string()) {
            Ok(_answer) => Ok(Finish::done()),
            Err(error) => Err(refused(&error)),
        }
    }

    fn max_attempts(&self) -> u32 {
        ATTEMPTS
    }
}

/// Why an alert was not taken, in words that do not repeat the address.
fn refused(error: &ureq::Error) -> JobError {
    match error {
        ureq::Error::StatusCode(status) => JobError::Retry(format!("the address for alerts answered {status}")),
        ureq::Error::Timeout(_) => JobError::Retry("the address for alerts did not answer in time".to_owned()),
        ureq::Error::Io(error) => {
            JobError::Retry(format!("the address for alerts cannot be reached: {}", error.kind()))
        }
        ureq::Error::BadUri(_) => JobError::Permanent("the address for alerts is no URL".to_owned()),
        _ => JobError::Retry("the address for alerts cannot be reached".to_owned()),
    }
}
