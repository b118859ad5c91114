//! `quotegrid orders`: what shoppers have ordered, and what each price came from.

use super::matrices::store_of;
use super::output::{Output, table};
use super::{Failure, open, write_in_store};
use crate::access::audit::Entry;
use crate::background::Stop;
use crate::clock::instant;
use crate::config::{ConfigError, DatabaseSettings, checked_public_url};
use crate::db::{Db, Schema};
use crate::domain::ids::{DraftOrderId, ShopDomain, StoreId};
use crate::domain::length::Unit;
use crate::error::{Error, Result};
use crate::http::state::LISTEN;
use crate::orders::lines::Line;
use crate::orders::records::{self, Record, Selected, State};
use crate::views::orders as views;
use crate::views::{NotATime, Time};
use crate::workshop::{self, Format, WriteError};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand, ValueEnum};
use rusqlite::Connection;
use serde_json::json;
use std::io::BufWriter;
use std::str::FromStr;

#[derive(Debug, Args)]
pub(super) struct OrdersCommand {
    /// The store's domain, name.myshopify.com; may be left out where the database holds one store only
    #[arg(long, global = true)]
    shop: Option<ShopDomain>,
    /// How people reach the server from outside: the beginning of the addresses of order pages. [default: http://127.0.0.1:8080]
    #[arg(long, global = true, env = "QUOTEGRID_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a store's orders, newest first
    List {
        /// Only those before this number: the last of the page before
        #[arg(long, value_name = "NUMBER")]
        before: Option<i64>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Delete a store's orders that never went to Shopify, such as those of a flood. Their numbers are not given again
    Delete {
        /// Those that are open: Shopify has none of them. The only ones that can be deleted alone
        #[arg(long, required = true)]
        never_sent: bool,
        /// Those made before this time, RFC 3339, or before this day, such as 2026-11-01 (UTC)
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        before: DateTime<Utc>,
        /// Only say how many there are
        #[arg(long)]
        dry_run: bool,
    },
    /// Call an order off: its draft order at Shopify is deleted too. One that was paid for is cancelled and refunded at Shopify
    Cancel {
        /// Its number, such as D12 or 12, or its id
        order: Name,
    },
    /// Print what the workshop needs: a row for each item of a store's orders, the oldest first
    Export {
        /// Only orders made at this time or later: RFC 3339, or a day, such as 2026-11-01 (UTC)
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        since: Option<DateTime<Utc>>,
        /// Only orders made before this time
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        until: Option<DateTime<Utc>>,
        /// Only orders of which this has become
        #[arg(long, value_name = "open|sent|ordered|cancelled")]
        state: Option<State>,
        /// For spreadsheets, or for programs
        #[arg(long, value_enum, default_value_t = ExportFormat::Csv)]
        format: ExportFormat,
    },
    /// Show an order, what its price came from, and the address of its page
    Show {
        /// Its number, such as D12 or 12, or its id
        order: Name,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    Csv,
    Json,
}

fn parse_time(text: &str) -> std::result::Result<DateTime<Utc>, String> {
    text.parse().map(|Time(at)| at).map_err(|fault: NotATime| fault.to_string())
}

/// What people call an order by.
#[derive(Debug, Clone, Copy)]
enum Name {
    Number(i64),
    Id(DraftOrderId),
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let digits = text.trim_start_matches('#').trim_start_matches(['D', 'd']);
        if let Ok(number) = digits.parse() {
            return Ok(Self::Number(number));
        }
        text.parse().map(Self::Id).map_err(|_unreadable| "must be a number such as D12, or an id".to_owned())
    }
}

pub(super) fn run(
    database: &DatabaseSettings,
    orders: OrdersCommand,
    output: Output,
) -> std::result::Result<(), Failure> {
    let OrdersCommand { shop, public_url, command } = orders;
    let public_url = public_url_of(public_url.as_deref())?;
    let app = open(database, Schema::MustBeCurrent)?;
    let store = app.db.read(|connection| store_of(connection, shop.as_ref()))?;
    let (scope, store, shop) = (store.scope(), store.id, store.shop);
    match command {
        Command::List { before, limit } => {
            let found = app.db.read(|connection| records::list(connection, store, before, limit))?;
            let document =
                found.iter().map(|record| views::draft_order_with_page(record, &public_url)).collect::<Vec<_>>();
            output.print(&json!({ "draftOrders": document }), || list_text(&found))?;
        }
        Command::Delete { never_sent: _, before, dry_run } => {
            let count = if dry_run {
                app.db.read(|connection| records::count_never_sent(connection, store, before))?
            } else {
                // With a transaction of its own: the deletion is many.
                write_in_store(&app, scope, Entry::new("orders.delete"), |_tx| Ok::<(), crate::db::Error>(()))?;
                app.housekeeper().delete_never_sent(&Stop::default(), store, before)? as u64
            };
            let name = if dry_run { "neverSent" } else { "deleted" };
            output.print(&json!({ name: count }), || {
                let verb = if dry_run { "would be deleted" } else { "deleted" };
                format!("{count} orders {verb}")
            })?;
        }
        Command::Cancel { order } => {
            let id = app.db.read(|connection| find(connection, store, order))?.id;
            let (handover, queue, now) = (app.handover.clone(), app.queue.clone(), app.clock.now());
            let entry = Entry::new("order.cancel").object(id);
            let record = write_in_store(&app, scope, entry, move |tx| handover.cancel(tx, now, &queue, &shop, id))?;
            output.print(&views::draft_order_with_page(&record, &public_url), || {
                format!(
                    "order {} is cancelled; its draft order at Shopify, where it has one, is deleted by a job",
                    record.name()
                )
            })?;
        }
        Command::Export { since, until, state, format } => {
            let selected = Selected { since, until, state, number: None };
            // For programs with --json too, as everywhere.
            let is_json = format == ExportFormat::Json || output.is_json();
            let format = if is_json { Format::Json } else { Format::Csv };
            return export(&app.db, store, selected, &public_url, format);
        }
        Command::Show { order } => {
            let record = app.db.read(|connection| find(connection, store, order))?;
            output.print(&views::draft_order_with_page(&record, &public_url), || order_text(&record, &public_url))?;
        }
    }
    Ok(())
}

fn find(connection: &Connection, store: StoreId, order: Name) -> Result<Record> {
    match order {
        Name::Id(id) => records::load(connection, store, id),
        Name::Number(number) => records::find_by_number(connection, store, number)?
            .ok_or_else(|| Error::not_found(format!("draft order #D{number}"))),
    }
}

fn export(
    db: &Db,
    store: StoreId,
    selected: Selected,
    public_url: &str,
    format: Format,
) -> std::result::Result<(), Failure> {
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    match workshop::write(db, store, selected, public_url, format, &mut stdout) {
        Ok(()) => Ok(()),
        Err(WriteError::Read(error)) => Err(error.into()),
        // The reader has seen enough, as `| head` has.
        Err(WriteError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(WriteError::Write(error)) => Err(error.into()),
    }
}

fn public_url_of(given: Option<&str>) -> std::result::Result<String, ConfigError> {
    Ok(checked_public_url(given.unwrap_or_default())?.unwrap_or_else(|| format!("http://{LISTEN}")))
}

fn size(line: &Line, unit: Unit) -> String {
    format!("{} x {} {unit}", line.width, line.height)
}

/// What is ordered, in a line of a table: the first item, and how many more there are.
fn summary(record: &Record) -> [String; 2] {
    let Some((first, more)) = record.lines.split_first() else { return Default::default() };
    let rest = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    [format!("{} x {}{rest}", first.quantity, first.product_title), size(first, record.unit)]
}

fn list_text(found: &[Record]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|record| {
            let [what, size] = summary(record);
            vec![
                record.name(),
                instant(record.created_at),
                status(record),
                what,
                size,
                format!("{} {}", record.currency.format(record.total_price), record.currency),
            ]
        })
        .collect();
    table(&["ORDER", "CREATED AT", "STATUS", "PRODUCT", "SIZE", "TOTAL"], &rows, "no orders")
}

/// Its state, and whether an operator should look at it: `orders show` says why.
fn status(record: &Record) -> String {
    let mark = if record.handover_warnings.is_empty() { "" } else { " (differs)" };
    format!("{}{mark}", record.status)
}

fn order_text(record: &Record, public_url: &str) -> String {
    let money = |amount| format!("{} {}", record.currency.format(amount), record.currency);
    let mut lines = vec![
        format!("order       {} ({})", record.name(), record.status),
        format!("id          {}", record.id),
        format!("created at  {}", instant(record.created_at)),
    ];
    let several = record.lines.len() > 1;
    for (place, line) in record.lines.iter().enumerate() {
        if several {
            lines.push(format!("item        {}", place + 1));
        }
        lines.extend(item_text(line, record));
    }
    if several {
        lines.push(format!("sum         {}", money(record.total_price)));
    }
    if let Some(name) = &record.shopify_order_name {
        lines.push(format!("at Shopify  {name}"));
    }
    if let Some(why) = &record.handover_error {
        lines.push(format!("not handed over: {why}"));
    }
    lines.extend(record.handover_warnings.iter().map(|warning| format!("WARNING     {warning}")));
    if let Some(url) = &record.checkout_url {
        lines.push(format!("checkout    {url}"));
    }
    lines.push(format!("page        {}", views::page_url(record, public_url)));
    lines.join("\n")
}

fn item_text(line: &Line, record: &Record) -> Vec<String> {
    let money = |amount| format!("{} {}", record.currency.format(amount), record.currency);
    let mut lines = vec![
        format!("product     {} ({})", line.product_title, line.product_id),
        format!("size        {}", size(line, record.unit)),
        format!("priced as   {} x {} {} by {}", line.priced_width, line.priced_height, record.unit, line.matrix_name),
        format!("base price  {}", money(line.base_price)),
    ];
    lines.extend(line.label.iter().map(|label| format!("label       {label}")));
    for option in &line.selections {
        let (group, choice) = (&option.option_group_name, &option.choice_label);
        lines.push(format!("option      {group}, {choice}: {}", money(option.applied())));
    }
    lines.push(format!("price       {}", money(line.unit_price)));
    lines.push(format!("quantity    {}", line.quantity));
    lines.push(format!("total       {}", money(line.total_price)));
    lines
}
