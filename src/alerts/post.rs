//! The handler that posts an alert. It runs outside any transaction, as every handler does: a receiver that hangs holds up a
//! worker for a few seconds, and no other.

use crate::queue::{Claim, Context, Finish, Handler, JobError};
use crate::secret::Secret;
use serde_json::Value;
use std::io::ErrorKind;
use std::time::Duration;

/// A receiver that takes longer is as good as down.
const PATIENCE: Duration = Duration::from_secs(10);

/// With delays that double from two seconds, the last try is about two hours after the first.
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
            // An alert goes where the operator said and nowhere else; an answer that leads elsewhere is not a delivery.
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("quotegrid/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { url, agent: config.into() }
    }
}

impl Poster {
    /// Posts one document and waits for the answer.
    ///
    /// # Errors
    /// `Permanent` where there is no address or it is not one, `Retry` for whatever may pass. The text never repeats the address.
    pub fn post(&self, document: &Value) -> Result<(), JobError> {
        let url = self
            .url
            .as_ref()
            .ok_or_else(|| JobError::Permanent("there is no address for alerts: set QUOTEGRID_ALERT_URL".to_owned()))?;
        let request = self.agent.post(url.expose()).header("Content-Type", "application/json");
        let status = request.send(document.to_string()).map_err(|error| refused(&error))?.status();
        match status.as_u16() {
            200..=299 => Ok(()),
            300..=399 => Err(JobError::Retry(format!(
                "the address for alerts answered {status}, a redirect, which is not followed: set QUOTEGRID_ALERT_URL to where it leads",
                status = status.as_u16()
            ))),
            other => Err(JobError::Retry(format!("the address for alerts answered {other}"))),
        }
    }
}

impl Handler for Poster {
    fn run(&self, job: &Claim, _context: &Context) -> Result<Finish, JobError> {
        self.post(&job.payload)?;
        Ok(Finish::done())
    }

    fn max_attempts(&self) -> u32 {
        ATTEMPTS
    }
}

/// Why an alert was not taken, in words that do not repeat the address.
fn refused(error: &ureq::Error) -> JobError {
    match error {
        ureq::Error::Timeout(_) => JobError::Retry("the address for alerts did not answer in time".to_owned()),
        ureq::Error::HostNotFound => JobError::Retry("the host of the address for alerts is not known".to_owned()),
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            JobError::Retry("nothing listens at the address for alerts".to_owned())
        }
        ureq::Error::BadUri(_) => JobError::Permanent("the address for alerts is no URL".to_owned()),
        _ => JobError::Retry("the address for alerts cannot be reached".to_owned()),
    }
}
