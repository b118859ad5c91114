//! Who may do what in the console and the admin API, and what they did: roles, links that let a person in once (`links.rs`), sessions
//! (`sessions.rs`), and the audit log (`audit.rs`). Knows no HTTP: surfaces ask [`Actor`] before they do anything.

pub mod audit;
pub mod links;
pub mod sessions;

use crate::db::{self, RowCounts};
use crate::domain::ids::StoreId;
use crate::entropy::Entropy;
use crate::error::{Error, Kind, Result};
use crate::keyed_hash::hex;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, named_params};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Characters of a session's label.
pub const LABEL_MAX: usize = 60;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Operator,
    /// Look at everything, change nothing.
    Viewer,
    /// Look at and change one shop's prices, products, options and orders; nothing else of this server exists.
    Merchant,
}

impl Role {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Merchant => "merchant",
        }
    }
}

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> std::result::Result<Self, NotARole> {
        [Self::Operator, Self::Viewer, Self::Merchant].into_iter().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

/// The text is not a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be operator, viewer or merchant")]
pub struct NotARole;

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ToSql for Role {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for Role {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(FromSqlError::other)
    }
}

/// Who asks for something: a session of the console, a bearer of the admin token, or a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What they may do.
    pub role: Role,
    /// The only store they may see; `None`: all of them.
    pub store: Option<StoreId>,
    /// How the audit log calls them: a session's label, `api` or `cli`. Never a person's name unless an operator chose it as a label.
    pub name: String,
}

impl Actor {
    /// A bearer of the admin token.
    pub fn api() -> Self {
        Self { role: Role::Operator, store: None, name: "api".to_owned() }
    }

    /// A person who runs a command on this machine.
    pub fn command_line() -> Self {
        Self { role: Role::Operator, store: None, name: "cli".to_owned() }
    }

    /// Lets through those who may change something of `store`.
    ///
    /// # Errors
    /// `NotFound` where this store does not exist for them, `Forbidden` where they may only look.
    pub fn may_change_store(&self, store: StoreId) -> Result<()> {
        self.may_see_store(store)?;
        self.may_change_anything()
    }

    /// Lets through those who may look at `store`.
    ///
    /// # Errors
    /// `NotFound` where this store does not exist for them: a refusal would show that it does for others.
    pub fn may_see_store(&self, store: StoreId) -> Result<()> {
        match self.store {
            Some(own) if own != store => Err(Error::not_found("store")),
            _ => Ok(()),
        }
    }

    /// Lets through those who may look at what concerns the whole server.
    ///
    /// # Errors
    /// `NotFound` for a merchant.
    pub fn may_see_server(&self) -> Result<()> {
        if self.role == Role::Merchant { Err(Error::not_found("path")) } else { Ok(()) }
    }

    /// Lets through those who may change what concerns the whole server.
    ///
    /// # Errors
    /// `NotFound` for a merchant, `Forbidden` for a viewer.
    pub fn may_change_server(&self) -> Result<()> {
        self.may_see_server()?;
        self.may_change_anything()
    }

    fn may_change_anything(&self) -> Result<()> {
        match self.role {
            Role::Viewer => Err(Error::new(Kind::Forbidden, "a viewer may look at everything and change nothing")),
            Role::Operator | Role::Merchant => Ok(()),
        }
    }
}

/// A secret that lets a person in: 32 random bytes, shown once, of which only the digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self(hex(&entropy.array::<32>()))
    }

    /// The token itself: for the one it is made for, never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest by which it is found again.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

/// The SHA-256 of a token: what is stored. A look-up by digest reveals nothing about how near a guess was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of a token as it was sent. Any text has one.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl ToSql for TokenDigest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(&self.0[..]))
    }
}

impl FromSql for TokenDigest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

/// Counts the rows that hang below a store here: its erasure takes links and sessions of its merchant with it.
///
/// # Errors
/// When the database cannot be read.
pub fn count_rows(connection: &Connection, store: StoreId, counts: &mut RowCounts) -> db::Result<()> {
    for (table, sql) in [
        ("admin_links", "SELECT count(*) FROM admin_links WHERE store_id = :store"),
        ("admin_sessions", "SELECT count(*) FROM admin_sessions WHERE store_id = :store"),
    ] {
        let rows: usize =
            connection.prepare_cached(sql)?.query_row(named_params! { ":store": store }, |row| row.get(0))?;
        counts.add(table, rows);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn a_merchant_sees_one_store_and_nothing_else_and_a_viewer_changes_nothing() {
        let entropy: &dyn Entropy = &SeededEntropy::new(1);
        let now = chrono::DateTime::UNIX_EPOCH;
        let (own, other) = (StoreId::new(now, entropy.array()), StoreId::new(now, entropy.array()));
        let actor = |role, store| Actor { role, store, name: "test".to_owned() };
        let kind = |outcome: Result<()>| outcome.err().map(|error| error.kind());

        let merchant = actor(Role::Merchant, Some(own));
        assert_eq!(kind(merchant.may_change_store(own)), None);
        assert_eq!(kind(merchant.may_see_store(other)), Some(Kind::NotFound));
        assert_eq!(kind(merchant.may_change_store(other)), Some(Kind::NotFound));
        assert_eq!(kind(merchant.may_see_server()), Some(Kind::NotFound));
        assert_eq!(kind(merchant.may_change_server()), Some(Kind::NotFound));

        let viewer = actor(Role::Viewer, None);
        assert_eq!((kind(viewer.may_see_store(own)), kind(viewer.may_see_server())), (None, None));
        assert_eq!(kind(viewer.may_change_store(own)), Some(Kind::Forbidden));
        assert_eq!(kind(viewer.may_change_server()), Some(Kind::Forbidden));

        let operator = Actor::api();
        assert_eq!((kind(operator.may_change_store(own)), kind(operator.may_change_server())), (None, None));
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = Token::new(&SeededEntropy::new(2));
        assert_eq!((format!("{token:?}").as_str(), token.expose().len()), ("Token(***)", 64));
        assert_eq!(token.digest(), TokenDigest::of(token.expose()));
    }
}
