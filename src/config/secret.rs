//! Where secrets are given: by value or by file.

use super::ConfigError;
use super::file::read_bounded;
use crate::db::access::unreadable;
use crate::secret::Secret;
use std::io::{Error, ErrorKind};
use std::path::Path;

/// The shortest secret that `serve` accepts: Shopify's have 32 characters, and a short one can be guessed.
pub(super) const SECRET_MIN: usize = 8;

/// The shortest token of our own that `serve` accepts: operators make it up, and any client may guess at it.
pub(super) const TOKEN_MIN: usize = 16;

/// The longest file of a secret: all secrets that there can be at once have less.
const FILE_BYTES_MAX: usize = 64 << 10;

/// Tokens at once: one, and another while it replaces that one.
pub(super) const TOKENS_MAX: usize = 2;

/// One or two bearer tokens of our own that are given by value or by file, with a comma between them.
pub(super) fn own_tokens(
    name: &'static str,
    value: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, ConfigError> {
    let text = one_of(name, value, file)?;
    let tokens: Vec<&str> = text.split(',').map(str::trim).filter(|token| !token.is_empty()).collect();
    if tokens.len() > TOKENS_MAX {
        return Err(ConfigError::TooManyTokens { name });
    }
    // One that no header can hold would be refused for ever, without a word.
    if tokens.iter().any(|token| token.len() < TOKEN_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(ConfigError::BadToken { name });
    }
    Ok((!tokens.is_empty()).then(|| Secret::new(tokens.join(","))))
}

/// A token of another service that is given by value or by file.
pub(super) fn token(
    name: &'static str,
    value: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, ConfigError> {
    let text = one_of(name, value, file)?;
    let token = text.trim();
    if token.is_empty() {
        return Ok(None);
    }
    check_copied(name, token)?;
    Ok(Some(Secret::new(token)))
}

/// The text of a secret that is given by value or by file; empty when by neither.
pub(super) fn one_of(name: &'static str, value: Option<&Secret>, file: Option<&Path>) -> Result<String, ConfigError> {
    let value = value.map(Secret::expose).filter(|value| !value.trim().is_empty());
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice { name }),
        (Some(value), None) => Ok(value.to_owned()),
        (None, Some(path)) => read_file(path).map_err(|source| ConfigError::File { name, source }),
        (None, None) => Ok(String::new()),
    }
}

/// The text of a secret's file, without the byte order mark that editors put in front of it: with that, no signature would be right.
///
/// # Errors
/// The system's, which names the file, who was refused, and what to do; and where it is too long to be a secret's.
pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    let bytes = read_bounded(path, FILE_BYTES_MAX).map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => {
            Error::new(error.kind(), format!("{error}: name the file that holds the secret alone"))
        }
        _ => error,
    })?;
    let text = String::from_utf8(bytes).map_err(|_odd| unreadable(path, ErrorKind::InvalidData.into()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Refuses a secret of another service that was not copied as it is: each signature would be wrong, and nothing would say why.
pub(super) fn check_copied(name: &'static str, secret: &str) -> Result<(), ConfigError> {
    let is_quoted = ['"', '\''].into_iter().any(|mark| secret.starts_with(mark) && secret.ends_with(mark));
    match secret.len() {
        length if length < SECRET_MIN => Err(ConfigError::ShortSecret { name }),
        _ if is_quoted || !secret.bytes().all(|byte| byte.is_ascii_graphic()) => Err(ConfigError::OddSecret { name }),
        _ => Ok(()),
    }
}
