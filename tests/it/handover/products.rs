//! Products of a shop as Shopify lists them, chosen and assigned on a page of the console.

use super::Shop;
use crate::shop_pages::Visitor;
use quotegrid::access::Role;
use quotegrid::testing::Fixture;

fn page_of(shop: &Shop) -> String {
    format!("/admin/shops/{}/products/shopify", shop.demo.shop)
}

/// The values of the boxes that choose a product.
fn offered(page: &str) -> Vec<&str> {
    page.split("name=\"new\" value=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn products_are_chosen_from_shopifys_own_list_page_by_page_and_assigned() {
    let shop = Shop::new();
    let (operator, path) = (Visitor::new(&shop.fixture, Role::Operator, None), page_of(&shop));
    let list = path.trim_end_matches("/shopify");
    assert!(operator.page(list).contains("Choose from Shopify"));
    let first = operator.page(&path);
    assert_eq!(offered(&first).len(), 50);
    assert!(offered(&first)[0].starts_with("7001 Blind 01 ") && !first.contains("<b>"), "{first}");
    assert!(first.contains("not active"), "what shoppers cannot see is marked");
    let next = first.split("href=\"?").nth(1).and_then(|rest| rest.split('"').next()).expect("another page");
    let second = operator.page(&format!("{path}?{}", next.replace("&#38;", "&").replace("&amp;", "&")));
    assert_eq!((offered(&second).len(), second.contains("rel=\"next\"")), (10, false));
    // Two of them, as the boxes have them.
    let matrix: String = shop.fixture.query("SELECT id FROM price_matrices LIMIT 1");
    let fields =
        [("new", "7001 Blind 01 <b>\"wide\"</b>"), ("new", "7060 Blind 60"), ("list", &matrix), ("add-group", "")];
    let done = operator.post_from(&path, list, &fields);
    assert_eq!(done.status, 303);
    let titles = "SELECT group_concat(product_title, '|') FROM (SELECT product_title FROM product_matrices WHERE product_id LIKE '%/70__' ORDER BY product_id)";
    assert_eq!(shop.fixture.query::<String>(titles), "Blind 01 <b>\"wide\"</b>|Blind 60");
}

#[test]
fn shopify_is_asked_once_for_a_list_that_is_looked_at_again_and_anew_for_another_search() {
    let shop = Shop::new();
    let (operator, path) = (Visitor::new(&shop.fixture, Role::Operator, None), page_of(&shop));
    for _ in 0..3 {
        operator.page(&path);
    }
    assert_eq!(shop.fake.state().product_lists, 1);
    let found = operator.page(&format!("{path}?q=Blind+07"));
    assert_eq!((offered(&found).len(), shop.fake.state().product_lists), (1, 2));
    assert!(operator.page(&format!("{path}?q=nothing")).contains("No product matches"));
}

#[test]
fn an_app_without_the_scope_is_told_which_one_it_needs_and_the_answer_is_not_kept() {
    let shop = Shop::new();
    let (operator, path) = (Visitor::new(&shop.fixture, Role::Operator, None), page_of(&shop));
    shop.fake.state().denies_products = true;
    let denied = operator.page(&path);
    assert!(denied.contains("read_products") && denied.contains("enter products by their number"), "{denied}");
    shop.fake.state().denies_products = false;
    assert_eq!(offered(&operator.page(&path)).len(), 50);
}

#[test]
fn without_an_app_products_are_entered_by_number_and_there_is_no_such_page() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let operator = Visitor::new(&fixture, Role::Operator, None);
    let list = format!("/admin/shops/{}/products", demo.shop);
    assert!(!operator.page(&list).contains("Choose from Shopify"));
    assert_eq!(operator.get(&format!("{list}/shopify")).status, 404);
}

#[test]
fn a_currency_that_shopify_does_not_know_is_shown_with_the_shop_that_has_it() {
    let shop = Shop::new();
    let operator = Visitor::new(&shop.fixture, Role::Operator, None);
    let write = |sql: &'static str| {
        shop.fixture.app.db.write(move |tx| -> quotegrid::db::Result<_> { Ok(tx.execute(sql, ())?) })
    };
    assert_eq!(write("UPDATE stores SET currency = 'CLF'").expect("written"), 1);
    let page = operator.page("/admin");
    assert!(page.contains("1 store has prices in CLF"), "{page}");
    assert!(page.contains(&format!("admin/shops/{}\"", shop.demo.shop)), "{page}");
}
