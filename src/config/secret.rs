//! Values that must not be seen, and where they are given: by value or by file.

use super::ConfigError;
use std::fmt;
use std::path::Path;

/// The shortest secret that `serve` accepts: Shopify's have 32 characters, and a short one can be guessed.
pub(super) const SECRET_MIN: usize = 8;

/// A value that must not be seen. `Debug` and `Display` show `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value itself: for signing and comparing, never for printing.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl std::str::FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(text))
    }
}

/// A bearer token that is given by value or by file.
pub(super) fn token(
    name: &'static str,
    value: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, ConfigError> {
    let text = one_of(name, value, file)?;
    let token = text.trim();
    match token.len() {
        0 => Ok(None),
        length if length < SECRET_MIN => Err(ConfigError::ShortSecret { name }),
        _ => Ok(Some(Secret::new(token))),
    }
}

/// The text of a secret that is given by value or by file; empty when by neither.
pub(super) fn one_of(name: &'static str, value: Option<&Secret>, file: Option<&Path>) -> Result<String, ConfigError> {
    let value = value.map(Secret::expose).filter(|value| !value.trim().is_empty());
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice { name }),
        (Some(value), None) => Ok(value.to_owned()),
        (None, Some(path)) => {
            std::fs::read_to_string(path).map_err(|source| ConfigError::File { name, path: path.to_path_buf(), source })
        }
        (None, None) => Ok(String::new()),
    }
}
