//! `quotegrid stores`: add, list, show.

use super::output::{Output, instant, optional_instant, table};
use super::{Failure, open};
use crate::catalog;
use crate::catalog::keys::{self, Origins};
use crate::catalog::stores::{self, Store};
use crate::config::DatabaseSettings;
use crate::db::{RowCounts, Schema};
use crate::domain::ids::ShopDomain;
use crate::domain::length::Unit;
use crate::domain::money::Currency;
use crate::error::Error;
use crate::orders;
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a store, or make an uninstalled one live again, and print a new API key: it is shown only this once
    Add {
        /// The shop's domain, name.myshopify.com
        shop: ShopDomain,
        /// ISO 4217 code of the shop's money
        #[arg(long, default_value = "USD")]
        currency: Currency,
        /// The unit that sizes are given in
        #[arg(long, default_value = "mm", value_name = "mm|cm")]
        unit: Unit,
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
}

pub(super) fn run(database: &DatabaseSettings, command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Add { shop, currency, unit } => {
            let app = open(database, Schema::MakeIfMissing)?;
            let (entropy, now, wanted) = (app.entropy.clone(), app.clock.now(), shop.clone());
            let key = app.db.write(move |tx| -> Result<_, Error> {
                let store = stores::install(tx, now, entropy.as_ref(), &wanted, currency, unit)?;
                keys::issue(tx, now, entropy.as_ref(), store.id(), None, &Origins::any())
            })?;
            output.print(&json!({ "shop": shop.as_str(), "apiKey": key.key }), || {
                format!("{shop} is ready\nAPI key (shown only now): {}", key.key)
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
            let documents: Vec<Value> = found.iter().map(|(counted, store)| store_document(store, counted)).collect();
            output.print(&json!({ "stores": documents }), || stores_text(&found))?;
        }
        Command::Show { shop } => {
            let app = open(database, Schema::MustBeCurrent)?;
            let (store, counted, rows) = app.db.read(|connection| -> Result<_, Failure> {
                let store =
                    stores::find(connection, &shop)?.ok_or_else(|| Error::not_found(format!("store {shop}")))?;
                let mut rows = catalog::count_rows(connection, store.id)?;
                rows.merge(&orders::records::count_rows(connection, store.id)?);
                let counted = Counted::load(connection, &store)?;
                Ok((store, counted, rows))
            })?;
            let mut document = store_document(&store, &counted);
            document["rows"] = json!(rows);
            output.print(&document, || store_text(&store, &rows))?;
        }
    }
    Ok(())
}

/// What a store has that a list should say; cells and the like are many, and counted only for one store.
struct Counted {
    matrices: u64,
    option_groups: u64,
    draft_orders: u64,
}

impl Counted {
    fn load(connection: &rusqlite::Connection, store: &Store) -> Result<Self, Failure> {
        Ok(Self {
            matrices: catalog::matrices::count(connection, store.id)?,
            option_groups: catalog::options::count(connection, store.id)?,
            draft_orders: orders::records::count(connection, store.id)?,
        })
    }
}

fn store_document(store: &Store, counted: &Counted) -> Value {
    json!({
        "shop": store.shop.as_str(),
        "currency": store.currency.code(),
        "unit": store.unit.as_str(),
        "installedAt": instant(store.installed_at),
        "uninstalledAt": optional_instant(store.uninstalled_at),
        "erasingSince": optional_instant(store.erasing_since),
        "matrices": counted.matrices,
        "optionGroups": counted.option_groups,
        "draftOrders": counted.draft_orders,
    })
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

fn store_text(store: &Store, rows: &RowCounts) -> String {
    let mut lines = vec![
        format!("shop          {}", store.shop),
        format!("state         {}", state(store)),
        format!("installed at  {}", instant(store.installed_at)),
        format!("currency      {}", store.currency),
        format!("unit          {}", store.unit),
    ];
    lines.extend(rows.iter().map(|(table, rows)| format!("{table:<23}{rows}")));
    lines.join("\n")
}
