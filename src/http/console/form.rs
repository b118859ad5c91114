//! What a form sends: `application/x-www-form-urlencoded`, or with a file `multipart/form-data`; names and values in their order.

use super::multipart;
use crate::catalog::Expected;
use crate::domain::percent;
use crate::error::{Error, Kind, Result};
use crate::http::Request;

/// The fields of a form.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>, Vec<(String, Vec<u8>)>);

impl Form {
    /// The form in a request's body.
    ///
    /// # Errors
    /// `Malformed` when it is not a form in UTF-8.
    pub(super) fn of(request: &Request) -> Result<Self> {
        if let Some(boundary) = multipart::boundary(request) {
            return Self::with_files(&request.body, boundary);
        }
        let malformed = || Error::new(Kind::Malformed, "the form is not percent-encoded UTF-8");
        Self::parse(std::str::from_utf8(&request.body).map_err(|_other| malformed())?)
    }

    /// What is behind a page's `?`: what a search form has sent, with fields that were left empty.
    ///
    /// # Errors
    /// `Malformed` when it is not a form in UTF-8.
    pub(super) fn of_query(request: &Request) -> Result<Self> {
        Self::parse(&request.query)
    }

    fn with_files(body: &[u8], boundary: &str) -> Result<Self> {
        let malformed = |message: String| Error::new(Kind::Malformed, message);
        let mut form = Self::default();
        for part in multipart::parts(body, boundary).map_err(|damaged| malformed(damaged.to_string()))? {
            if part.is_file {
                form.1.push((part.name, part.content));
            } else {
                let text =
                    String::from_utf8(part.content).map_err(|_other| malformed("the form is not UTF-8".into()))?;
                form.0.push((part.name, text));
            }
        }
        Ok(form)
    }

    fn parse(text: &str) -> Result<Self> {
        let malformed = || Error::new(Kind::Malformed, "the form is not percent-encoded UTF-8");
        let decoded = |text: &str| percent::decode(&text.replace('+', " ")).ok_or_else(malformed);
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        Ok(Self(pairs.collect::<Result<_>>()?, Vec::new()))
    }

    /// The first value of the field `name`; empty where it is absent.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The first value of the field `name` without blanks around it; `None` where nothing is entered.
    pub(super) fn entered(&self, name: &str) -> Option<&str> {
        Some(self.get(name).trim()).filter(|value| !value.is_empty())
    }

    /// What is in the file of the field `name`; `None` where none was chosen.
    pub(super) fn file(&self, name: &str) -> Option<&[u8]> {
        let file = self.1.iter().find(|(found, _)| found == name).map(|(_, content)| content.as_slice());
        file.filter(|content| !content.is_empty())
    }

    /// Which version the form was made from.
    ///
    /// # Errors
    /// `Malformed` where it does not say.
    pub(super) fn expected(&self) -> Result<Expected> {
        let version = self.get("version").parse();
        let version = version
            .map_err(|_unreadable| Error::new(Kind::Malformed, "the form does not say which version it was made from"));
        version.map(Expected::Version)
    }

    /// All fields, in their order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
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
