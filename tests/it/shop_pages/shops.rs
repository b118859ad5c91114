//! The list of shops, and one shop: settings, keys, erasure.

use super::{SHOP, Visitor, install, location, text, with_shop};
use crate::support::plans::plan;
use quotegrid::access::Role;
use quotegrid::catalog::stores;
use quotegrid::testing::Fixture;

const SHOPS: &str = "/admin/shops";

#[test]
fn a_shop_is_added_with_its_key_shown_once() {
    let fixture = Fixture::new();
    let operator = Visitor::new(&fixture, Role::Operator, None);
    let added = operator.post(SHOPS, &[("shop", "My-Blinds"), ("currency", "eur"), ("unit", "cm")]);
    let page = text(&added);
    assert_eq!(added.status, 201, "{page}");
    let key = page.split("class=\"secret\">").nth(1).and_then(|rest| rest.split('<').next()).expect("a key").to_owned();
    assert!(key.starts_with("pm_") && key.len() == 67, "{key}");
    assert_eq!(added.header("Cache-Control"), Some("private, no-store"));
    let shop = format!("{SHOPS}/my-blinds.myshopify.com");
    for path in [SHOPS, &shop] {
        assert!(!operator.page(path).contains(&key), "{path}");
    }
    let again = operator.post(SHOPS, &[("shop", "my-blinds.myshopify.com"), ("currency", "EUR"), ("unit", "mm")]);
    assert_eq!(again.status, 409);
    assert!(text(&again).contains("exists already"), "{}", text(&again));
    let wrong = operator.post(SHOPS, &[("shop", "<b>"), ("currency", "euro"), ("unit", "mm")]);
    assert_eq!(wrong.status, 422);
    assert!(text(&wrong).contains("&#60;b&#62;") && !text(&wrong).contains("<b>"), "{}", text(&wrong));
    let audited: String = fixture.query("SELECT group_concat(action, ' ') FROM audit_log WHERE action LIKE 'store%'");
    assert_eq!(audited, "store.install", "what was refused is not there");
}

#[test]
fn shops_are_found_by_the_beginning_of_their_name_and_pages_go_on_by_key() {
    let fixture = Fixture::new();
    for number in 0..60 {
        install(&fixture, &format!("shop-{number:02}.myshopify.com"));
    }
    install(&fixture, "blinds.myshopify.com");
    let viewer = Visitor::new(&fixture, Role::Viewer, None);
    let listed = |query: &str| viewer.page(&format!("{SHOPS}{query}")).matches("data-label=\"Shop\"").count();
    assert_eq!(
        [listed(""), listed("?q=SHOP-1"), listed("?q=blinds"), listed("?q=nothing"), listed("?q=%25")],
        [50, 10, 1, 0, 0]
    );
    let page = viewer.page(SHOPS);
    let after = page.split("after=").nth(1).and_then(|rest| rest.split('"').next()).expect("another page");
    assert_eq!(listed(&format!("?after={after}")), 11);
    let plan = plan(
        &fixture,
        "SELECT id FROM stores WHERE shop > coalesce(?1, '') AND shop >= ?2 AND shop < ?2 || '~' ORDER BY shop LIMIT 9",
    );
    assert!(plan.starts_with("SEARCH stores") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn keys_are_issued_for_pages_and_revoked_only_when_that_is_ticked() {
    let (fixture, _scope) = with_shop();
    let operator = Visitor::new(&fixture, Role::Operator, None);
    let shop = format!("{SHOPS}/{SHOP}");
    let issued = operator.post_from(
        &shop,
        &format!("{shop}/keys"),
        &[("label", "Live <theme>"), ("origins", "https://blinds.example")],
    );
    assert_eq!(issued.status, 201, "{}", text(&issued));
    let page = operator.page(&shop);
    assert!(page.contains("Live &#60;theme&#62;") && page.contains("https://blinds.example"), "{page}");
    let id: String = fixture.query("SELECT id FROM api_keys");
    let revoke = format!("{shop}/keys/{id}/revoke");
    assert_eq!(operator.post_from(&shop, &revoke, &[]).status, 422);
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"), 1);
    assert_eq!(location(&operator.post_from(&shop, &revoke, &[("confirmed", "yes")])), format!("{shop}?done=revoked"));
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL"), 0);
}

#[test]
fn the_currency_of_prices_changes_only_knowingly_and_with_a_row_in_the_audit_log() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let operator = Visitor::new(&fixture, Role::Operator, None);
    let shop = format!("{SHOPS}/demo-store.myshopify.com");
    let settings = format!("{shop}/settings");
    let asked = operator.post_from(&shop, &settings, &[("currency", "USD"), ("unit", "mm")]);
    assert_eq!(asked.status, 409, "{}", text(&asked));
    assert!(text(&asked).contains("name=\"confirmed\""), "{}", text(&asked));
    assert_eq!(fixture.query::<String>("SELECT currency FROM stores"), "EUR");
    let sure = [("currency", "USD"), ("unit", "mm"), ("confirmed", "yes")];
    assert_eq!(location(&operator.post_from(&shop, &settings, &sure)), format!("{shop}?done=changed"));
    assert_eq!(fixture.query::<String>("SELECT currency FROM stores"), "USD");
    assert_eq!(fixture.query::<i64>("SELECT count(*) FROM audit_log WHERE action = 'store.update'"), 1);
}

#[test]
fn a_shop_is_erased_only_with_its_name_typed_out_after_a_look_at_what_goes() {
    let fixture = Fixture::new();
    fixture.demo_store();
    let operator = Visitor::new(&fixture, Role::Operator, None);
    let shop = format!("{SHOPS}/demo-store.myshopify.com");
    let erase = format!("{shop}/erase");
    let page = operator.page(&erase);
    assert!(page.contains("matrix cells") && page.contains("draft order records"), "{page}");
    for wrong in ["", "demo-store", "other.myshopify.com"] {
        assert_eq!(operator.post(&erase, &[("confirm", wrong)]).status, 422, "{wrong}");
    }
    fixture.run_jobs();
    assert_eq!(fixture.count("stores"), 1, "nothing was ordered");
    assert_eq!(
        location(&operator.post(&erase, &[("confirm", " Demo-Store.myshopify.com ")])),
        format!("{shop}?done=erasing")
    );
    fixture.run_jobs();
    assert_eq!(fixture.count("stores"), 0);
    assert_eq!(operator.get(&shop).status, 404);
}

#[test]
fn a_merchant_sees_nothing_of_keys_settings_and_erasure() {
    let (fixture, scope) = with_shop();
    let other = install(&fixture, "other.myshopify.com");
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let shop = format!("{SHOPS}/{SHOP}");
    let page = merchant.page(&shop);
    for hidden in ["/keys", "/settings", "/erase", "Shops</a>"] {
        assert!(!page.contains(hidden), "{hidden}: {page}");
    }
    assert_eq!(location(&merchant.get("/admin")), shop, "they are led to their shop");
    for path in [SHOPS, &format!("{shop}/erase"), "/admin/shops/other.myshopify.com"] {
        assert_eq!(merchant.get(path).status, 404, "{path}");
    }
    for (path, fields) in [
        ("keys", vec![("label", "x")]),
        ("settings", vec![("currency", "USD"), ("unit", "mm")]),
        ("erase", vec![("confirm", SHOP)]),
    ] {
        let refused = merchant.post_from(&format!("{shop}/prices"), &format!("{shop}/{path}"), &fields);
        assert_eq!(refused.status, 404, "{path}");
    }
    let viewer = Visitor::new(&fixture, Role::Viewer, None);
    assert_eq!(viewer.post_from(SHOPS, &format!("{shop}/keys"), &[("label", "x")]).status, 403);
    assert!(!viewer.page(&shop).contains("Issue a key"));
    assert_eq!(fixture.count("api_keys"), 0);
    let left =
        fixture.app.db.read(|connection| stores::find(connection, &"other.myshopify.com".parse().expect("a shop")));
    assert_eq!(left.expect("readable").map(|store| store.id), Some(other.store));
}
