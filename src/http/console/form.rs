//! What a form sends: `application/x-www-form-urlencoded`, names and values in their order.

use crate::domain::percent;
use crate::error::{Error, Kind, Result};
use crate::http::Request;

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The form in a request's body.
    ///
    /// # Errors
    /// `Malformed` when it is not a form in UTF-8.
    pub(super) fn of(request: &Request) -> Result<Self> {
        let malformed = || Error::new(Kind::Malformed, "the form is not percent-encoded UTF-8");
        let body = std::str::from_utf8(&request.body).map_err(|_other| malformed())?;
        let decoded = |text: &str| percent::decode(&text.replace('+', " ")).ok_or_else(malformed);
        let pairs = body.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        Ok(Self(pairs.collect::<Result<_>>()?))
    }

    /// The first value of the field `name`; empty where it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The first value of the field `name` without blanks around it; `None` where nothing is entered.
    pub(super) fn entered(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|value| !value.is_empty())
    }

    /// Every value of the field `name`, in their order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Whether the form has the field `name`: a box that is ticked, a button that was pressed.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}
