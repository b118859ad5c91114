//! `quotegrid stores`: add, change, list, show, erase, and their keys.

use super::output::{Output, table};
use super::terminal::VisibleJson;
use super::{Failure, entry_of, open, recorded, write_recorded};
use crate::catalog::installation::{self, Installation, Wanted};
use crate::catalog::keys::{self, ApiKey, NewKey};
use crate::catalog::settings::{self, Change};
use crate::catalog::stores::{self, Store};
use crate::clock::{instant, optional_instant};
use crate::config::DatabaseSettings;
use crate::db::{RowCounts, Schema};
use crate::domain::ids::{KeyId, ShopDomain};
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::domain::tax_label::TaxLabel;
use crate::erasure;
use crate::error::{Error, Kind};
use crate::export::{self, ExportError};
use crate::languages::Language;
use crate::views::stores::{self as views, Counted};
use clap::{Args, Subcommand};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::io::IsTerminal;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a store, or make an uninstalled one live again, and print a new API key: it is shown only this once
    Add {
        /// The shop's domain, name.myshopify.com
        shop: ShopDomain,
        /// ISO 4217 code of the shop's money; USD where unset. A store that was there before keeps its own
        #[arg(long)]
        currency: Option<Currency>,
        /// The unit that sizes are given in; mm where unset. A store that was there before keeps its own
        #[arg(long, value_name = "mm|cm")]
        unit: Option<Unit>,
        /// Revoke the keys of an earlier installation, which would work again
        #[arg(long)]
        revoke_keys: bool,
    },
    /// Change what a store's sizes and prices are in, how shoppers are spoken to, and which discounts count at Shopify's checkout
    Set {
        /// The shop's domain
        shop: ShopDomain,
        #[command(flatten)]
        what: SetWhat,
        /// Only where there are no sizes to convert
        #[arg(long)]
        no_convert: bool,
        /// Also another currency for prices that are there already: their figures stay, 10.50 USD becomes 10.50 EUR
        #[arg(long)]
        confirm: bool,
    },
    /// List stores
    List {
        /// Only those after this shop: the last of the page before
        #[arg(long, value_name = "SHOP")]
        after: Option<ShopDomain>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 200)]
        limit: usize,
    },
    /// Show a store and how many rows it has in each table
    Show {
        /// The shop's domain
        shop: ShopDomain,
    },
    /// Erase a store permanently, by the same job as Shopify's shop/redact
    Erase {
        /// The shop's domain
        shop: ShopDomain,
        /// Only show how many rows would go
        #[arg(long)]
        dry_run: bool,
        /// Do not ask for the shop's domain first, as a terminal is asked
        #[arg(long)]
        yes: bool,
    },
    /// Print everything that is held about a shop as one JSON document
    Export {
        /// The shop's domain
        shop: ShopDomain,
    },
    /// Issue, list and revoke a store's API keys
    Keys {
        /// The shop's domain
        shop: ShopDomain,
        #[command(subcommand)]
        command: KeysCommand,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct SetWhat {
    /// ISO 4217 code of the shop's money
    #[arg(long)]
    currency: Option<Currency>,
    /// The unit that sizes are given in; sizes are converted exactly, or nothing is changed
    #[arg(long, value_name = "mm|cm")]
    unit: Option<Unit>,
    /// What shoppers read about taxes alongside a price: that it includes them, that they are added, or nothing
    #[arg(long, value_name = "incl|excl|none")]
    tax_label: Option<TaxLabel>,
    /// The language of the store's pages and messages; none leaves it to each shopper's browser
    #[arg(long, value_name = "en|de|nl|fr|none", value_parser = parse_locale)]
    locale: Option<Locale>,
    /// Whether discount codes count at Shopify's checkout of an order; they do not unless this is set
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    allow_discount_codes: Option<bool>,
    /// Whether the shop's automatic discounts count there; they do not unless this is set
    #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
    allow_automatic_discounts: Option<bool>,
}

/// A language, or none.
type Locale = Option<Language>;

fn parse_locale(text: &str) -> Result<Locale, String> {
    match text {
        "none" => Ok(None),
        _ => text.parse().map(Some).map_err(|_unknown| "must be en, de, nl, fr or none".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Issue another key and print it: it is shown only this once. Others go on working
    Issue {
        /// What it is for
        #[arg(long)]
        label: Option<String>,
        /// An origin that may use it from web pages, such as https://shop.example.com; may be repeated. Any where unset
        #[arg(long = "origin", value_name = "ORIGIN")]
        origins: Vec<String>,
    },
    /// List keys, newest first
    List {
        /// Only those issued before this one: the last of the page before
        #[arg(long, value_name = "ID")]
        before: Option<KeyId>,
        /// At most this many
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Revoke a key: it stops working at once
    Revoke {
        /// Its id
        id: KeyId,
    },
}

pub(super) fn run(database: &DatabaseSettings, command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add { shop, currency, unit, revoke_keys } => {
            add(database, Wanted { shop, currency, unit, revoke_keys }, output)?;
        }
        Command::Set { shop, what, no_convert, confirm } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let SetWhat { currency, unit, tax_label, locale, allow_discount_codes, allow_automatic_discounts } = what;
            let change = Change {
                currency,
                unit,
                convert: !no_convert,
                tax_label,
                locale,
                allow_discount_codes,
                allow_automatic_discounts,
            };
            let record = recorded(&app, entry_of(&app, "store.update", &shop));
            let store = settings::carry_out(&app.db, app.clock.as_ref(), &shop, change, confirm, Some(&record));
            let store = store.map_err(super::say_confirm)?;
            let counted = app.db.read(|connection| Counted::load(connection, &store))?;
            output.print(&views::store(&store, &counted), || {
                let locale = store.locale.map_or("none", Language::as_str);
                let (Store { currency, unit, tax_label, .. }, discounts) = (&store, discounts(&store));
                format!(
                    "{shop} has prices in {currency} and sizes in {unit}; tax label {tax_label}, locale {locale}; {discounts}"
                )
            })?;
        }
        Command::List { after, limit } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let found = app.db.read(|connection| -> Result<_, Failure> {
                let found = stores::list(connection, after.as_ref(), limit)?;
                found
                    .into_iter()
                    .map(|store| Ok((Counted::load(connection, &store)?, store)))
                    .collect::<Result<Vec<_>, Failure>>()
            })?;
            let stores: Vec<Value> = found.iter().map(|(counted, store)| views::store(store, counted)).collect();
            output.print(&json!({ "stores": stores }), || stores_text(&found))?;
        }
        Command::Show { shop } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let (store, counted, rows) = app.db.read(|connection| -> Result<_, Failure> {
                let store = load(connection, &shop)?;
                let rows = views::rows(connection, &store)?;
                let counted = Counted::load(connection, &store)?;
                Ok((store, counted, rows))
            })?;
            let document = views::store_in_full(&store, &counted, &rows);
            output.print(&document, || store_text(&store, &rows))?;
        }
        Command::Erase { shop, dry_run: true, yes: _ } => preview_erasure(database, &shop, output)?,
        Command::Erase { shop, dry_run: false, yes } => erase(database, &shop, yes, output)?,
        Command::Export { shop } => export(database, &shop)?,
        Command::Keys { shop, command } => run_keys(database, shop, command, output)?,
    }
    Ok(())
}

fn load(connection: &Connection, shop: &ShopDomain) -> Result<Store, Error> {
    stores::find(connection, shop)?.ok_or_else(|| Error::not_found(format!("store {shop}")))
}

fn add(database: &DatabaseSettings, wanted: Wanted, output: Output) -> Result<(), Failure> {
    let app = open(database, Schema::MakeIfMissing)?;
    let (entropy, now, shop) = (app.entropy.clone(), app.clock.now(), wanted.shop.clone());
    let entry = entry_of(&app, "store.add", &wanted.shop);
    let done = write_recorded(&app, entry, move |tx| installation::install(tx, now, entropy.as_ref(), &wanted))?;
    output.print(&views::installation(&shop, &done), || installation_text(&shop, &done))?;
    Ok(())
}

fn installation_text(shop: &ShopDomain, done: &Installation) -> String {
    let standing = if done.again { "is live again, with all it had" } else { "is ready" };
    let (currency, unit) = (done.scope.currency, done.scope.unit);
    let mut lines = vec![format!("{shop} {standing}: prices in {currency}, sizes in {unit}")];
    let currency = done.ignored_currency.map(|currency| format!("--currency {currency}"));
    let unit = done.ignored_unit.map(|unit| format!("--unit {unit}"));
    let ignored: Vec<String> = currency.into_iter().chain(unit).collect();
    if !ignored.is_empty() {
        let flags = ignored.join(" ");
        lines.push(format!(
            "{flags} was ignored, for the store was there before: quotegrid stores set {shop} {flags} changes it"
        ));
    }
    if !done.keys_alive.is_empty() {
        lines.push(format!("these keys work again; quotegrid stores keys {shop} revoke ID ends one:"));
        lines.push(keys_text(&done.keys_alive));
    }
    if done.keys_revoked > 0 {
        lines.push(format!("{} older keys are revoked", done.keys_revoked));
    }
    lines.push(format!("API key (shown only now): {}", done.key.key));
    lines.join("\n")
}

fn preview_erasure(database: &DatabaseSettings, shop: &ShopDomain, output: Output) -> Result<(), Failure> {
    let app = open(database, Schema::MustBeCurrent)?;
    let rows = app
        .db
        .read(|connection| -> Result<_, Error> { Ok(erasure::shop::preview(connection, &load(connection, shop)?)?) })?;
    output.print(&json!({ "shop": shop.as_str(), "rows": rows }), || {
        let mut lines = vec![format!("erasing {shop} would delete")];
        lines.extend(rows.iter().map(|(table, rows)| format!("{table:<23}{rows}")));
        lines.join("\n")
    })?;
    Ok(())
}

fn erase(database: &DatabaseSettings, shop: &ShopDomain, yes: bool, output: Output) -> Result<(), Failure> {
    let app = open(database, Schema::MustBeCurrent)?;
    // Scripts have no terminal, or say --yes: only a person can mistype a name.
    if !yes && std::io::stdin().is_terminal() {
        app.db.read(|connection| load(connection, shop))?;
        ask_for(shop)?;
    }
    let (now, order, wanted) = (app.clock.now(), app.erasure_of(shop), shop.clone());
    let id = write_recorded(&app, entry_of(&app, "store.erase", shop), move |tx| {
        load(tx, &wanted)?;
        order.write(tx, now)
    })?;
    output.print(&json!({ "jobId": id.to_string() }), || {
        format!("job {id} erases {shop}: a running server works it off, or `quotegrid jobs run-next` does")
    })?;
    Ok(())
}

/// Has the person at the terminal type the shop's domain, as the admin API has it repeated.
fn ask_for(shop: &ShopDomain) -> Result<(), Failure> {
    eprint!(
        "This erases {shop} permanently: its prices, products, orders and keys.\nType the shop's domain to confirm: "
    );
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed)?;
    if typed.trim().parse().as_ref() == Ok(shop) {
        return Ok(());
    }
    Err(Error::new(Kind::Conflict, "nothing was erased: what was typed is not the shop's domain").into())
}

/// One document with or without `--json`: there is no other way to show it.
fn export(database: &DatabaseSettings, shop: &ShopDomain) -> Result<(), Failure> {
    let app = open(database, Schema::MustBeCurrent)?;
    let mut stdout = VisibleJson::new(std::io::BufWriter::new(std::io::stdout().lock()));
    match export::write(&app.db, &app.hasher, app.clock.now(), shop, &mut stdout) {
        Ok(()) => Ok(()),
        Err(ExportError::Read(error)) => Err(error.into()),
        // The reader has seen enough, as `| head` has.
        Err(ExportError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(ExportError::Write(error)) => Err(error.into()),
    }
}

fn run_keys(
    database: &DatabaseSettings,
    shop: ShopDomain,
    command: KeysCommand,
    output: Output,
) -> Result<(), Failure> {
    let app = open(database, Schema::MustBeCurrent)?;
    let now = app.clock.now();
    match command {
        KeysCommand::Issue { label, origins } => {
            let (new, entropy) = (NewKey::new(label, Some(origins))?, app.entropy.clone());
            let key = write_recorded(&app, entry_of(&app, "key.issue", &shop), move |tx| -> Result<_, Error> {
                let store = stores::load_live(tx, &shop)?;
                keys::issue_new(tx, now, entropy.as_ref(), store.id, &new)
            })?;
            output.print(&json!({ "id": key.id.to_string(), "apiKey": key.key }), || {
                format!("key {}\nAPI key (shown only now): {}", key.id, key.key)
            })?;
        }
        KeysCommand::List { before, limit } => {
            let found = app.db.read(|connection| -> Result<_, Error> {
                Ok(keys::list(connection, load(connection, &shop)?.id, before, limit)?)
            })?;
            let document = json!({ "keys": found.iter().map(views::key).collect::<Vec<_>>() });
            output.print(&document, || keys_text(&found))?;
        }
        KeysCommand::Revoke { id } => {
            let entry = entry_of(&app, "key.revoke", &shop).object(id);
            write_recorded(&app, entry, move |tx| keys::revoke(tx, now, load(tx, &shop)?.id, id))?;
            output.print(&json!({ "id": id.to_string(), "revokedAt": instant(now) }), || {
                format!("key {id} is revoked")
            })?;
        }
    }
    Ok(())
}

fn keys_text(found: &[ApiKey]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|key| {
            vec![
                key.id.to_string(),
                format!("{}…", key.prefix),
                key.label.clone().unwrap_or_default(),
                instant(key.created_at),
                optional_instant(key.last_used_at).unwrap_or_else(|| "never".to_owned()),
                optional_instant(key.revoked_at).unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    table(&["ID", "KEY", "LABEL", "CREATED AT", "LAST USED AT", "REVOKED AT"], &rows, "no keys")
}

fn state(store: &Store) -> String {
    match (store.erasing_since, store.uninstalled_at) {
        (Some(_), _) => "being erased".to_owned(),
        (None, Some(at)) => format!("uninstalled {}", instant(at)),
        (None, None) => "live".to_owned(),
    }
}

fn stores_text(found: &[(Counted, Store)]) -> String {
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|(counted, store)| {
            vec![
                store.shop.to_string(),
                state(store),
                instant(store.installed_at),
                counted.matrices.to_string(),
                counted.option_groups.to_string(),
                counted.draft_orders.to_string(),
            ]
        })
        .collect();
    let heads = ["SHOP", "STATE", "INSTALLED AT", "MATRICES", "OPTION GROUPS", "DRAFT ORDERS"];
    table(&heads, &rows, "no stores")
}

/// Which discounts count at Shopify's checkout of an order.
fn discounts(store: &Store) -> &'static str {
    match (store.allow_discount_codes, store.allow_automatic_discounts) {
        (false, false) => "no discounts at Shopify",
        (true, false) => "discount codes at Shopify",
        (false, true) => "automatic discounts at Shopify",
        (true, true) => "discount codes and automatic discounts at Shopify",
    }
}

fn store_text(store: &Store, rows: &RowCounts) -> String {
    let mut lines = vec![
        format!("shop          {}", store.shop),
        format!("state         {}", state(store)),
        format!("installed at  {}", instant(store.installed_at)),
        format!("currency      {}", store.currency),
        format!("unit          {}", store.unit),
        format!("tax label     {}", store.tax_label),
        format!("locale        {}", store.locale.map_or("none", Language::as_str)),
        format!("discounts     {}", discounts(store)),
    ];
    lines.extend(rows.iter().map(|(table, rows)| format!("{table:<23}{rows}")));
    lines.join("\n")
}
