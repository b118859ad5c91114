//! A store with price lists, for benchmarks that erase it.

use quotegrid::app::App;
use quotegrid::catalog::stores;
use quotegrid::db;
use quotegrid::domain::ids::{MatrixId, ShopDomain};
use quotegrid::domain::length::Unit;
use quotegrid::domain::money::Currency;
use quotegrid::error::Error;

/// Installs `shop` with so many `matrices`, each of `side` by `side` cells.
pub(crate) fn fill(app: &App, shop: &ShopDomain, matrices: usize, side: usize) {
    let (entropy, now, wanted) = (app.entropy.clone(), app.clock.now(), shop.clone());
    let euro: Currency = "EUR".parse().expect("a currency");
    let installed: Result<String, Error> = app.db.write(move |tx| {
        let installed = stores::install(tx, now, entropy.as_ref(), &wanted, euro, Unit::Mm)?;
        Ok(installed.scope().store.to_string())
    });
    let store = installed.expect("installed");
    for _ in 0..matrices {
        let matrix = MatrixId::new(now, app.entropy.array()).to_string();
        let (store, now) = (store.clone(), now.timestamp_millis());
        let written: db::Result<()> = app.db.write(move |tx| {
            tx.execute(
                "INSERT INTO price_matrices (id, store_id, name, unit, currency, created_at, updated_at)
                 VALUES (?1, ?2, 'bench', 'mm', 'EUR', ?3, ?3)",
                (&matrix, &store, now),
            )?;
            tx.execute(
                "WITH RECURSIVE side (at) AS (SELECT 0 UNION ALL SELECT at + 1 FROM side WHERE at < ?2 - 1)
                 INSERT INTO matrix_cells (matrix_id, height_position, width_position, price_minor)
                 SELECT ?1, height.at, width.at, 1999 FROM side AS height, side AS width",
                (&matrix, side),
            )?;
            Ok(())
        });
        written.expect("written");
    }
}
