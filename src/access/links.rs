//! SQL of `admin_links`: addresses that let a person in once.

use super::{Role, Token, TokenDigest};
use crate::db::{self, Millis, Tx};
use crate::domain::ids::StoreId;
use crate::entropy::Entropy;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{OptionalExtension, named_params};

/// For how long a link is good where nothing is said: long enough to be sent and opened, short enough to be of no use in an old mail.
pub const LINK_LIFE: TimeDelta = TimeDelta::hours(1);

/// The longest life of a link, in hours: a week.
pub const LINK_HOURS_MAX: u16 = 168;

/// Whom a link lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// What they may do.
    pub role: Role,
    /// The only store they may see.
    pub store: Option<StoreId>,
    /// How the audit log calls them.
    pub label: String,
}

/// Makes a link that is good until `expires_at`, once.
///
/// # Errors
/// When the database cannot be written.
pub fn insert(
    tx: &Tx<'_>,
    now: DateTime<Utc>,
    entropy: &dyn Entropy,
    invitation: &Invitation,
    expires_at: DateTime<Utc>,
) -> db::Result<Token> {
    let token = Token::new(entropy);
    tx.prepare_cached("DELETE FROM admin_links WHERE expires_at <= :now")?
        .execute(named_params! { ":now": Millis(now) })?;
    let mut statement = tx.prepare_cached(
        "INSERT INTO admin_links (digest, role, store_id, label, created_at, expires_at)
         VALUES (:digest, :role, :store, :label, :now, :expires_at)",
    )?;
    statement.execute(named_params! {
        ":digest": token.digest(),
        ":role": invitation.role,
        ":store": invitation.store,
        ":label": invitation.label,
        ":now": Millis(now),
        ":expires_at": Millis(expires_at),
    })?;
    Ok(token)
}

/// Makes all links useless; returns how many.
///
/// # Errors
/// When the database cannot be written.
pub fn remove_all(tx: &Tx<'_>) -> db::Result<usize> {
    Ok(tx.prepare_cached("DELETE FROM admin_links")?.execute(())?)
}

/// Uses a link up: whom it lets in, where it is good.
///
/// # Errors
/// When the database cannot be written.
pub fn take(tx: &Tx<'_>, now: DateTime<Utc>, digest: TokenDigest) -> db::Result<Option<Invitation>> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM admin_links WHERE digest = :digest AND expires_at > :now
         RETURNING role, store_id, label",
    )?;
    let found = statement.query_row(named_params! { ":digest": digest, ":now": Millis(now) }, |row| {
        Ok(Invitation { role: row.get("role")?, store: row.get("store_id")?, label: row.get("label")? })
    });
    Ok(found.optional()?)
}
