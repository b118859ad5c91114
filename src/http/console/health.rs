//! `/admin/health`: files, disk and backups, and what is wrong with them.

use super::findings::{Finding, Standing};
use super::layout::{Frame, Section, page};
use super::words::{bytes, time};
use super::{Page, Visit};
use crate::access::Role;
use crate::backup::{BackupError, folder};
use crate::db;
use crate::error::{Error, Kind, Result};
use crate::http::Response;
use crate::http::deferred::Deferred;
use crate::http::route::Params;
use crate::http::state::AppState;
use askama::Template;
use std::sync::Arc;

/// The table's lines.
pub(super) const ROUTES: &[Page] =
    &[Page::show("/admin/health", show), Page::write("/admin/health/backup", "backup.create", back_up)];

/// What the page says after a write.
const DONE: &[(&str, &str)] = &[("backup", "The backup is made and checked. Copy it to another machine.")];

/// Backups that are listed.
const LISTED_MAX: usize = 20;

#[derive(Template)]
#[template(path = "health.html", config = "src/http/console/askama.toml")]
struct Health {
    frame: Frame,
    findings: Vec<Finding>,
    database: String,
    facts: Vec<(&'static str, String)>,
    folder: String,
    backups: Vec<(String, String, String)>,
    may_write: bool,
}

fn show(state: &Arc<AppState>, visit: &Visit, _params: &Params) -> Result<Response> {
    let app = &state.app;
    let Standing { findings, disk, .. } = Standing::look(state)?;
    let space = app.db.read(db::space)?;
    let sizes = app.db.file_sizes();
    let backups = folder::list(app.db.path()).unwrap_or_default();
    let mut facts = vec![
        ("Database", bytes(sizes.database)),
        ("of it free", bytes(space.free * space.page_size)),
        ("Write-ahead log", bytes(sizes.wal)),
    ];
    facts.extend(disk.map(|disk| ("Disk, free", bytes(disk.free))));
    facts.push(("Schema", app.db.migrated().to.to_string()));
    facts.push(("quotegrid", env!("CARGO_PKG_VERSION").to_owned()));
    facts.push(("SQLite", rusqlite::version().to_owned()));
    let template = Health {
        frame: visit.frame(Section::Health).with_flash(visit.flash(DONE)),
        findings,
        database: app.db.path().display().to_string(),
        facts,
        folder: folder::of(app.db.path()).display().to_string(),
        backups: backups
            .into_iter()
            .take(LISTED_MAX)
            .map(|backup| (backup.name, time(backup.made_at), bytes(backup.bytes)))
            .collect(),
        may_write: visit.session.role == Role::Operator,
    };
    page(200, &template)
}

fn back_up(_state: &Arc<AppState>, visit: Visit, _params: &Params) -> Result<Deferred> {
    Ok(Deferred::on_own_thread(move |state, record| {
        let app = &state.app;
        folder::add(app.db.path(), app.clock.now()).map_err(|error| {
            let kind = if matches!(error, BackupError::Exists { .. }) { Kind::Conflict } else { Kind::Internal };
            Error::new(kind, "the backup could not be made").with_source(error)
        })?;
        // After it: a backup that failed is not recorded, and the copy is no change of the database.
        if let Some(record) = record {
            app.db.write(move |tx| record.write(tx))?;
        }
        Ok(visit.see_other("admin/health?done=backup"))
    }))
}
