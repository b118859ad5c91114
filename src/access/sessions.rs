//! SQL of `admin_sessions`: who is signed in. A session ends twelve hours after it was last used, thirty days after it began,
//! when it is ended, and with the store of its merchant. Only digests are kept: a reader of the file cannot sign in with it.

use super::links::Invitation;
use super::{Actor, Role, Token, TokenDigest};
use crate::db::{self, Millis, Tx};
use crate::domain::ids::{SessionId, StoreId};
use crate::entropy::Entropy;
use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

/// A session that has not been used for this long is over.
pub const IDLE_END: TimeDelta = TimeDelta::hours(12);

/// A session is over this long after it began, however much it is used.
pub const ABSOLUTE_END: TimeDelta = TimeDelta::days(30);

/// How exactly the last use of a session is known: a write per page would cost more than the page.
const USE_PRECISION: TimeDelta = TimeDelta::minutes(5);

/// Sessions at once; one more ends the one that was used longest ago. Far more than people who share a server.
const SESSIONS_MAX: usize = 200;

/// A person who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What they may do.
    pub role: Role,
    /// The only store they may see.
    pub store: Option<StoreId>,
    /// How the audit log calls them.
    pub label: String,
    /// When they signed in.
    pub created_at: DateTime<Utc>,
    /// When they were last seen, within about five minutes.
    pub last_used_at: DateTime<Utc>,
}

impl Session {
    /// Who they are to those who are asked for something.
    pub fn actor(&self) -> Actor {
        Actor { role: self.role, store: self.store, name: self.label.clone() }
    }

    /// When it ends if it is not used any more.
    pub fn ends_at(&self) -> DateTime<Utc> {
        (self.last_used_at + IDLE_END).min(self.created_at + ABSOLUTE_END)
    }

    /// Whether [`note_used`] would have something to write.
    pub fn use_is_news(&self, now: DateTime<Utc>) -> bool {
        // A clock that was set back must not write at every page.
        (now - self.last_used_at).abs() >= USE_PRECISION
    }
}

/// Begins a session for whom `invitation` lets in.
///
/// # Errors
/// When the database cannot be written.
pub fn begin(tx: &Tx<'_>, now: DateTime<Utc>, entropy: &dyn Entropy, invitation: &Invitation) -> db::Result<Token> {
    prune(tx, now)?;
    let token = Token::new(entropy);
    let mut statement = tx.prepare_cached(
        "INSERT INTO admin_sessions (id, digest, role, store_id, label, created_at, last_used_at)
         VALUES (:id, :digest, :role, :store, :label, :now, :now)",
    )?;
    statement.execute(named_params! {
        ":id": SessionId::new(now, entropy.array()),
        ":digest": token.digest(),
        ":role": invitation.role,
        ":store": invitation.store,
        ":label": invitation.label,
        ":now": Millis(now),
    })?;
    note_first_link(tx)?;
    Ok(token)
}

/// Notes that a person has had a way in to this database's console; `true` for the first time. A server prints a link by itself
/// only then, so that no later start offers one to readers of its log.
///
/// # Errors
/// When the database cannot be written.
pub fn note_first_link(tx: &Tx<'_>) -> db::Result<bool> {
    let mut statement =
        tx.prepare_cached("INSERT INTO meta (name, value) VALUES ('console_opened', x'01') ON CONFLICT DO NOTHING")?;
    Ok(statement.execute(())? == 1)
}

/// The session of this token, where it has not ended.
///
/// # Errors
/// When the database cannot be read.
pub fn find(connection: &Connection, now: DateTime<Utc>, digest: TokenDigest) -> db::Result<Option<Session>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, role, store_id, label, created_at, last_used_at
         FROM admin_sessions WHERE digest = :digest",
    )?;
    let found = statement.query_row(named_params! { ":digest": digest }, session_from_row).optional()?;
    Ok(found.filter(|session| session.ends_at() > now))
}

/// Every session that has not ended, the one that was used last first.
///
/// # Errors
/// When the database cannot be read.
pub fn list(connection: &Connection, now: DateTime<Utc>) -> db::Result<Vec<Session>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, role, store_id, label, created_at, last_used_at
         FROM admin_sessions ORDER BY last_used_at DESC, id",
    )?;
    let sessions: Vec<Session> = statement.query_map((), session_from_row)?.collect::<rusqlite::Result<_>>()?;
    Ok(sessions.into_iter().filter(|session| session.ends_at() > now).collect())
}

/// Notes that a session was used, where that is worth a write ([`Session::use_is_news`]).
///
/// # Errors
/// When the database cannot be written.
pub fn note_used(tx: &Tx<'_>, now: DateTime<Utc>, id: SessionId) -> db::Result<()> {
    let mut statement = tx.prepare_cached("UPDATE admin_sessions SET last_used_at = :now WHERE id = :id")?;
    statement.execute(named_params! { ":now": Millis(now), ":id": id })?;
    Ok(())
}

/// Ends a session; `false` where there is none.
///
/// # Errors
/// When the database cannot be written.
pub fn end(tx: &Tx<'_>, id: SessionId) -> db::Result<bool> {
    let mut statement = tx.prepare_cached("DELETE FROM admin_sessions WHERE id = :id")?;
    Ok(statement.execute(named_params! { ":id": id })? == 1)
}

/// Ends every session, or every one of a role; returns how many.
///
/// # Errors
/// When the database cannot be written.
pub fn end_all(tx: &Tx<'_>, role: Option<Role>) -> db::Result<usize> {
    let mut statement = tx.prepare_cached("DELETE FROM admin_sessions WHERE :role IS NULL OR role = :role")?;
    Ok(statement.execute(named_params! { ":role": role })?)
}

/// Removes sessions that have ended, and makes room for one more. There are few, so they need no index by time.
fn prune(tx: &Tx<'_>, now: DateTime<Utc>) -> db::Result<()> {
    let mut statement = tx.prepare_cached(
        "DELETE FROM admin_sessions
         WHERE last_used_at <= :idle OR created_at <= :oldest
            OR id IN (SELECT id FROM admin_sessions ORDER BY last_used_at DESC LIMIT -1 OFFSET :kept)",
    )?;
    statement.execute(named_params! {
        ":idle": Millis(now - IDLE_END),
        ":oldest": Millis(now - ABSOLUTE_END),
        ":kept": SESSIONS_MAX - 1,
    })?;
    Ok(())
}

fn session_from_row(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get("id")?,
        role: row.get("role")?,
        store: row.get("store_id")?,
        label: row.get("label")?,
        created_at: row.get::<_, Millis>("created_at")?.0,
        last_used_at: row.get::<_, Millis>("last_used_at")?.0,
    })
}
