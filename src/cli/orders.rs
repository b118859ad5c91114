//! `quotegrid orders`: what shoppers have ordered, and what each price came from.

use super::matrices::scope_of;
use super::output::{Output, table};
use super::{Failure, open, write_in_store};
use crate::access::audit::Entry;
use crate::background::Stop;
use crate::clock::instant;
use crate::config::{ConfigError, DatabaseSettings, checked_public_url};
use crate::db::Schema;
use crate::domain::ids::{DraftOrderId, ShopDomain};
use crate::error::{Error, Result};
use crate::http::state::LISTEN;
use crate::orders::records::{self, Record};
use crate::views::orders as views;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};
use serde_json::json;
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
    /// Show an order, what its price came from, and the address of its page
    Show {
        /// Its number, such as D12 or 12, or its id
        order: Name,
    },
}

fn parse_time(text: &str) -> std::result::Result<DateTime<Utc>, String> {
    let day = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    text.parse().ok().or_else(day).ok_or_else(|| "must be a time such as 2026-11-01T08:00:00Z, or a day".to_owned())
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
    let scope = app.db.read(|connection| scope_of(connection, shop.as_ref()))?;
    let store = scope.store;
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
        Command::Show { order } => {
            let record = app.db.read(|connection| -> Result<_> {
                match order {
                    Name::Id(id) => records::load(connection, store, id),
                    Name::Number(number) => records::find_by_number(connection, store, number)?
                        .ok_or_else(|| Error::not_found(format!("draft order #D{number}"))),
                }
            })?;
            output.print(&views::draft_order_with_page(&record, &public_url), || order_text(&record, &public_url))?;
        }
    }
    Ok(())
}

fn public_url_of(given: Option<&str>) -> std::result::Result<String, ConfigError> {
    Ok(checked_public_url(given.unwrap_or_default())?.unwrap_or_else(|| format!("http://{LISTEN}")))
}

fn size(record: &Record) -> String {
    format!("{} x {} {}", record.width, record.height, record.unit)
}

fn list_text(found: &[Record]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|record| {
            vec![
                record.name(),
                instant(record.created_at),
                status(record),
                format!("{} x {}", record.quantity, record.product_title),
                size(record),
                format!("{} {}", record.currency.format(record.total_price), record.currency),
            ]
        })
        .collect();
    table(&["ORDER", "CREATED AT", "STATUS", "PRODUCT", "SIZE", "TOTAL"], &rows, "no orders")
}

/// Where it stands, and whether somebody should look at it: `orders show` says why.
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
        format!("product     {} ({})", record.product_title, record.product_id),
        format!("size        {}", size(record)),
        format!(
            "priced as   {} x {} {} by {}",
            record.priced_width, record.priced_height, record.unit, record.matrix_name
        ),
        format!("base price  {}", money(record.base_price)),
    ];
    for option in &record.selections {
        let (group, choice) = (&option.option_group_name, &option.choice_label);
        lines.push(format!("option      {group}, {choice}: {}", money(option.applied())));
    }
    lines.push(format!("price       {}", money(record.unit_price)));
    lines.push(format!("quantity    {}", record.quantity));
    lines.push(format!("total       {}", money(record.total_price)));
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
