//! A store with rows in every table below it.

use chrono::Utc;
use quotegrid::domain::ids::StoreId;
use quotegrid::entropy::{Entropy, OsEntropy};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Every table that hangs below a store, and the rows that [`fill`] writes there alongside the store itself.
pub(crate) const FILLED: [(&str, u64); 12] = [
    ("api_keys", 1),
    ("price_matrices", 2),
    ("breakpoints", 2 * (20 + 150)),
    ("matrix_cells", 2 * 20 * 150),
    ("product_matrices", 2),
    ("option_groups", 1),
    ("option_choices", 3),
    ("product_option_groups", 2),
    ("product_settings", 2),
    ("draft_order_records", 40),
    ("draft_order_lines", 120),
    ("order_idempotency_keys", 40),
];

/// What a redacted store of [`fill`] leaves in its request: the rows that were deleted.
pub(crate) fn filled_counts() -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = FILLED.into_iter().map(|(table, rows)| (table.to_owned(), rows)).collect();
    counts.insert("stores".to_owned(), 1);
    counts
}

fn new_id() -> String {
    let entropy: &dyn Entropy = &OsEntropy;
    StoreId::new(Utc::now(), entropy.array()).to_string()
}

/// Adds a store with rows in every table below it, more than one step of an erasure deletes. `mark` is in every text.
pub(crate) fn fill(connection: &mut Connection, shop: &str, mark: &str) {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).expect("writable");
    let now = Utc::now().timestamp_millis();
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
        tx.prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
    };
    let store = new_id();
    run(
        "INSERT INTO stores (id, shop, installed_at, created_at, updated_at) VALUES (?1, ?2, ?3, ?3, ?3)",
        &[&store, &shop, &now],
    );
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&store.as_bytes()[20..]);
    run(
        "INSERT INTO api_keys (id, store_id, digest, prefix, label, created_at) VALUES (?1, ?2, ?3, 'fake-key', ?4, ?5)",
        &[&new_id(), &store, &digest, &mark, &now],
    );
    let group = new_id();
    run(
        "INSERT INTO option_groups (id, store_id, name, currency, created_at, updated_at) VALUES (?1, ?2, ?3, 'EUR', ?4, ?4)",
        &[&group, &store, &format!("{mark} glass"), &now],
    );
    for number in 0..3 {
        run(
            "INSERT INTO option_choices (id, option_group_id, label, modifier_type, modifier_value, created_at)
             VALUES (?1, ?2, ?3, 'FIXED', ?4, ?5)",
            &[&new_id(), &group, &format!("{mark} choice {number}"), &number, &now],
        );
    }
    for number in 0..2 {
        let (matrix, product) = (new_id(), format!("gid://shopify/Product/{number}"));
        run(
            "INSERT INTO price_matrices (id, store_id, name, unit, currency, created_at, updated_at)
             VALUES (?1, ?2, ?3, 'mm', 'EUR', ?4, ?4)",
            &[&matrix, &store, &format!("{mark} matrix {number}"), &now],
        );
        for (axis, count) in [("width", 20), ("height", 150)] {
            for position in 0..count {
                let value = (position + 1) * 1000;
                run(
                    "INSERT INTO breakpoints (matrix_id, axis, position, value) VALUES (?1, ?2, ?3, ?4)",
                    &[&matrix, &axis, &position, &value],
                );
            }
        }
        for cell in 0..20 * 150 {
            run(
                "INSERT INTO matrix_cells (matrix_id, height_position, width_position, price_minor) VALUES (?1, ?2, ?3, ?4)",
                &[&matrix, &(cell / 20), &(cell % 20), &cell],
            );
        }
        run(
            "INSERT INTO product_matrices (store_id, product_id, matrix_id, product_title, assigned_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            &[&store, &product, &matrix, &format!("{mark} pane {number}"), &now],
        );
        run(
            "INSERT INTO product_option_groups (store_id, product_id, option_group_id, assigned_at) VALUES (?1, ?2, ?3, ?4)",
            &[&store, &product, &group, &now],
        );
        run(
            "INSERT INTO product_settings (store_id, product_id, sku) VALUES (?1, ?2, ?3)",
            &[&store, &product, &format!("{mark} sku {number}")],
        );
        for order in 0..20 {
            let id = new_id();
            run(
                "INSERT INTO draft_order_records (id, store_id, number, token, unit, currency, total_price_minor, created_at)
                 VALUES (?1, ?2, ?3, ?4, 'mm', 'EUR', 3, ?5)",
                &[&id, &store, &(number * 20 + order + 1), &new_id(), &now],
            );
            for line in 0..3 {
                run(
                    "INSERT INTO draft_order_lines (draft_order_id, position, matrix_id, matrix_name, product_id, product_title,
                         label, width, height, priced_width, priced_height, quantity, base_price_minor, unit_price_minor,
                         total_price_minor, option_selections)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?4, ?4, 1000, 1000, 1000, 1000, 1, 1, 1, 1,
                         json_array(json_object('optionGroupName', ?4, 'choiceLabel', ?4, 'modifierType', 'FIXED', 'modifierValue', 0,
                                                'appliedMinor', 0)))",
                    &[&id, &line, &matrix, &format!("{mark} order {order}"), &product],
                );
            }
        }
    }
    tx.execute(
        "INSERT INTO order_idempotency_keys
         SELECT store_id, randomblob(32), randomblob(32), id, created_at FROM draft_order_records WHERE store_id = ?1",
        [&store],
    )
    .expect("keys");
    tx.commit().expect("committed");
}
