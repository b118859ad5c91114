//! A wrong command line in words that say what to write instead.

use std::error::Error;
use std::net::AddrParseError;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

/// clap's message, where it would repeat a sentence of the standard library's with one that says what is expected.
pub(super) fn in_plain_words(error: &clap::Error) -> String {
    let message = error.to_string();
    match error.source().and_then(|source| Some((source.to_string(), expected(source)?))) {
        Some((raw, plain)) => message.replace(&raw, plain),
        None => message,
    }
}

fn expected(source: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(fault) = source.downcast_ref::<ParseIntError>() {
        return Some(match fault.kind() {
            IntErrorKind::PosOverflow => "the number is too large",
            IntErrorKind::NegOverflow => "the number must not be negative",
            _ => "must be a whole number, such as 5",
        });
    }
    if source.is::<ParseFloatError>() {
        return Some("must be a number, such as 4.5");
    }
    if source.is::<chrono::ParseError>() {
        return Some("must be a time such as 2026-11-29T08:00:00Z");
    }
    source.is::<AddrParseError>().then_some("must be an address and port, such as 127.0.0.1:8080")
}
