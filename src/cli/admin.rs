//! `quotegrid admin`: who may come in to the console.

use super::output::{Output, table};
use super::{Failure, open, write_recorded};
use crate::access::audit::{self, Entry};
use crate::access::links::{self, Invitation, LINK_HOURS_MAX, LINK_LIFE};
use crate::access::sessions::{self, Session};
use crate::access::{LABEL_MAX, Role, Token};
use crate::app::App;
use crate::catalog::stores;
use crate::clock::instant;
use crate::config::{ConfigError, DatabaseSettings, checked_public_url};
use crate::db::Schema;
use crate::domain::ids::{AuditId, SessionId, ShopDomain};
use crate::error::{Error, Kind, Result};
use crate::http::state::LISTEN;
use crate::views::access as views;
use chrono::TimeDelta;
use clap::Subcommand;
use serde_json::json;

/// What the audit log says of a link.
const LINK_CREATE: &str = "link.create";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a link that lets one person in to the console, once
    Link {
        /// What they may do: operator (everything) or viewer (look at everything, change nothing). [default: operator]
        #[arg(long, value_name = "operator|viewer", conflicts_with = "shop", value_parser = parse_role)]
        role: Option<Role>,
        /// Let a merchant in: they see this shop's prices, options, products and orders, and nothing else
        #[arg(long)]
        shop: Option<ShopDomain>,
        /// For how many hours the link is good
        #[arg(long, value_name = "HOURS", default_value_t = 1,
              value_parser = clap::value_parser!(u16).range(1..=i64::from(LINK_HOURS_MAX)))]
        hours: u16,
        /// How the activity page calls them, such as "till 2"; the role where unset
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// How people reach the server from outside: the beginning of the link. [default: http://127.0.0.1:8080]
        #[arg(long, env = "QUOTEGRID_PUBLIC_URL", value_name = "URL")]
        public_url: Option<String>,
    },
    /// List and end sessions of the console
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// List what was changed, and by whom, newest first
    Audit {
        /// Only what was changed of this shop
        #[arg(long)]
        shop: Option<ShopDomain>,
        /// Only those before this one: the last of the page before
        #[arg(long, value_name = "ID")]
        before: Option<AuditId>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// List the sessions that have not ended, the one used last first
    List,
    /// End a session, or all of them: their next click asks them to sign in
    End {
        /// Its id
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        id: Option<SessionId>,
        /// End every session
        #[arg(long)]
        all: bool,
    },
}

fn parse_role(text: &str) -> std::result::Result<Role, String> {
    match text.parse() {
        Ok(Role::Merchant) => Err("is for one shop: say which with --shop name.myshopify.com".to_owned()),
        Ok(role) => Ok(role),
        Err(_unknown) => Err("must be operator or viewer".to_owned()),
    }
}

pub(super) fn run(database: &DatabaseSettings, command: Command, output: Output) -> std::result::Result<(), Failure> {
    match command {
        Command::Link { role, shop, hours, label, public_url } => {
            let public_url = public_url_of(public_url.as_deref())?;
            let app = open(database, Schema::MustBeCurrent)?;
            let invitation = invitation(&app, role, shop.as_ref(), label)?;
            let role = invitation.role;
            let entry = match &shop {
                Some(shop) => Entry::new(LINK_CREATE).of_store(crate::erasure::subject_hash(&app.hasher, shop)),
                None => Entry::new(LINK_CREATE),
            };
            let (link, expires_at) = make_link(&app, &public_url, invitation, TimeDelta::hours(hours.into()), entry)?;
            let document = json!({ "link": link, "role": role.as_str(), "shop": shop.as_ref().map(ShopDomain::as_str), "expiresAt": expires_at });
            output.print(&document, || link.clone())?;
        }
        Command::Sessions(SessionsCommand::List) => {
            let app = open(database, Schema::MustBeCurrent)?;
            let now = app.clock.now();
            let found = app.db.read(|connection| sessions::list(connection, now))?;
            let document = json!({ "sessions": found.iter().map(views::session).collect::<Vec<_>>() });
            output.print(&document, || sessions_text(&found))?;
        }
        Command::Sessions(SessionsCommand::End { id, .. }) => {
            let app = open(database, Schema::MustBeCurrent)?;
            let entry = id.map_or_else(|| Entry::new("sessions.end"), |id| Entry::new("session.end").object(id));
            let ended = write_recorded(&app, entry, move |tx| -> Result<usize> {
                match id {
                    None => Ok(sessions::end_all(tx, None)?),
                    Some(id) if sessions::end(tx, id)? => Ok(1),
                    Some(id) => Err(Error::not_found(format!("session {id}"))),
                }
            })?;
            output.print(&json!({ "ended": ended }), || format!("{ended} sessions ended"))?;
        }
        Command::Audit { shop, before, limit } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let store = shop.map(|shop| crate::erasure::subject_hash(&app.hasher, &shop));
            let filter = audit::Filter { store, before, limit };
            let found = app.db.read(|connection| audit::list(connection, &filter))?;
            let document = json!({ "entries": found.iter().map(views::audit_entry).collect::<Vec<_>>() });
            output.print(&document, || audit_text(&found))?;
        }
    }
    Ok(())
}

fn public_url_of(given: Option<&str>) -> std::result::Result<String, ConfigError> {
    Ok(checked_public_url(given.unwrap_or_default())?.unwrap_or_else(|| format!("http://{LISTEN}")))
}

fn invitation(app: &App, role: Option<Role>, shop: Option<&ShopDomain>, label: Option<String>) -> Result<Invitation> {
    let store = match shop {
        Some(shop) => {
            let found = app.db.read(|connection| stores::find(connection, shop))?;
            Some(found.ok_or_else(|| Error::not_found(format!("store {shop}")))?.id)
        }
        None => None,
    };
    let role = if store.is_some() { Role::Merchant } else { role.unwrap_or(Role::Operator) };
    let label = label.map(|label| label.trim().to_owned()).filter(|label| !label.is_empty());
    let label = label.unwrap_or_else(|| role.to_string());
    if label.chars().count() > LABEL_MAX || label.chars().any(char::is_control) {
        let message = format!("--label must have at most {LABEL_MAX} characters, and no line breaks");
        return Err(Error::new(Kind::Invalid, message));
    }
    Ok(Invitation { role, store, label })
}

/// Makes a link; returns it, and when it ends.
fn make_link(
    app: &App,
    public_url: &str,
    invitation: Invitation,
    life: TimeDelta,
    entry: Entry,
) -> Result<(String, String)> {
    let (now, entropy) = (app.clock.now(), app.entropy.clone());
    let expires_at = now + life;
    let token = write_recorded(app, entry, move |tx| -> Result<Token> {
        Ok(links::insert(tx, now, entropy.as_ref(), &invitation, expires_at)?)
    })?;
    // Behind the `#`, where no server and no log sees it.
    Ok((format!("{public_url}/admin/enter#{}", token.expose()), instant(expires_at)))
}

/// The link that a server prints at its first start; `None` on a database that has had one, or a session, before.
pub(super) fn first_link(app: &App, public_url: &str) -> Result<Option<String>> {
    if !app.db.write(sessions::note_first_link)? {
        return Ok(None);
    }
    let invitation = Invitation { role: Role::Operator, store: None, label: Role::Operator.to_string() };
    Ok(Some(make_link(app, public_url, invitation, LINK_LIFE, Entry::new(LINK_CREATE))?.0))
}

fn sessions_text(found: &[Session]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|session| {
            vec![
                session.id.to_string(),
                session.role.to_string(),
                session.label.clone(),
                instant(session.created_at),
                instant(session.last_used_at),
                instant(session.ends_at()),
            ]
        })
        .collect();
    table(&["ID", "ROLE", "LABEL", "SIGNED IN AT", "LAST USED AT", "ENDS AT"], &rows, "no sessions")
}

fn audit_text(found: &[audit::Recorded]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|row| {
            vec![
                row.id.to_string(),
                instant(row.at),
                row.role.clone(),
                row.actor.clone(),
                row.action.clone(),
                row.objects.join(" "),
            ]
        })
        .collect();
    table(&["ID", "AT", "ROLE", "WHO", "ACTION", "OBJECTS"], &rows, "nothing was changed yet")
}
