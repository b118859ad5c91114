//! Prices, options and products by plain forms.

use super::{FORM, SHOP, Visitor, install, location, text, value_of, values_of, with_shop};
use quotegrid::access::Role;
use quotegrid::catalog::matrices;
use quotegrid::catalog::stores::Scope;
use quotegrid::domain::ids::MatrixId;
use quotegrid::testing::Fixture;
use serde_json::json;

const PRICES: &str = "/admin/shops/blinds.myshopify.com/prices";
const OPTIONS: &str = "/admin/shops/blinds.myshopify.com/options";
const PRODUCTS: &str = "/admin/shops/blinds.myshopify.com/products";

/// A new list, and its page.
fn new_list(visitor: &Visitor<'_>, name: &str) -> String {
    let to = location(&visitor.post(PRICES, &[("name", name)]));
    to.split('?').next().expect("a path").to_owned()
}

/// The fields of a sheet, filled in.
fn sheet<'a>(
    page: &'a [(String, String)],
    widths: &[&'a str],
    heights: &[&'a str],
    prices: &[&'a str],
) -> Vec<(&'a str, &'a str)> {
    let kept = page.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let named = |name: &'static str, values: &[&'a str]| values.iter().map(|value| (name, *value)).collect::<Vec<_>>();
    kept.chain(named("w", widths)).chain(named("h", heights)).chain(named("p", prices)).collect()
}

/// The hidden fields of a sheet's page.
fn hidden(page: &str) -> Vec<(String, String)> {
    ["version", "base"].map(|name| (name.to_owned(), value_of(page, name))).to_vec()
}

/// A list with two widths and two heights, saved.
fn filled(visitor: &Visitor<'_>) -> String {
    let list = new_list(visitor, "Roller blinds");
    let fields = hidden(&visitor.page(&list));
    let saved = visitor.post(&list, &sheet(&fields, &["300", "600"], &["400", "800"], &["10", "20,00", "15", ""]));
    assert_eq!(location(&saved), format!("{list}?done=saved"));
    list
}

fn prices(fixture: &Fixture, scope: Scope, list: &str) -> Vec<Option<i64>> {
    let id: MatrixId = list.rsplit('/').next().expect("an id").parse().expect("an id");
    let stored = fixture.app.db.read(|connection| matrices::load(connection, scope.store, id)).expect("a list");
    stored.matrix.rows().flatten().map(|price| price.map(|price| price.get())).collect()
}

#[test]
fn a_merchant_fills_a_sheet_by_a_plain_form_and_the_audit_log_has_a_row() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = filled(&merchant);
    assert_eq!(prices(&fixture, scope, &list), [Some(1_000), Some(2_000), Some(1_500), None]);
    let page = merchant.page(&list);
    assert_eq!(values_of(&page, "p"), ["10.00", "20.00", "15.00", ""]);
    let audited: String =
        fixture.query("SELECT group_concat(role || ' ' || action, ', ') FROM (SELECT * FROM audit_log WHERE action LIKE 'matrix%' ORDER BY id)");
    assert_eq!(audited, "merchant matrix.create, merchant matrix.update");
}

#[test]
fn what_cannot_be_read_is_marked_at_its_cell_and_nothing_is_saved_or_lost() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = filled(&merchant);
    let fields = hidden(&merchant.page(&list));
    let refused =
        merchant.post(&list, &sheet(&fields, &["300", "600"], &["400", "800"], &["1.234", "x<b>", "15", "7"]));
    let page = text(&refused);
    assert_eq!(refused.status, 422);
    assert_eq!(values_of(&page, "p"), ["1.234", "x&#60;b&#62;", "15", "7"], "what was typed is still there, escaped");
    assert_eq!(page.matches("aria-invalid=\"true\"").count(), 2);
    assert_eq!(prices(&fixture, scope, &list), [Some(1_000), Some(2_000), Some(1_500), None]);
}

#[test]
fn steps_are_added_and_removed_and_prices_changed_by_percent_without_saving() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = filled(&merchant);
    let fields = hidden(&merchant.page(&list));
    let mut form = sheet(&fields, &["300", "600"], &["400", "800"], &["10.00", "20.00", "15.00", ""]);
    let rework = format!("{list}/sheet");
    form.push(("do", "add-width"));
    let page = text(&merchant.post_from(&list, &rework, &form));
    assert_eq!((values_of(&page, "w").len(), values_of(&page, "p").len()), (3, 6));
    form.pop();
    form.extend([("do", "remove-height"), ("row", "0")]);
    let page = text(&merchant.post_from(&list, &rework, &form));
    assert_eq!(values_of(&page, "h"), ["800"]);
    form.truncate(form.len() - 2);
    form.extend([("do", "adjust"), ("percent", "4"), ("rounding", ".95"), ("from-width", "600")]);
    let page = text(&merchant.post_from(&list, &rework, &form));
    assert_eq!(values_of(&page, "p"), ["10.00", "20.95", "15.00", ""]);
    assert!(page.contains("1 price is changed"), "{page}");
    assert_eq!(page.matches("class=\"changed\"").count(), 1, "what changes is marked");
    assert!(page.contains("data-saved=\"20.00\""));
    for (field, wrong) in [("percent", "-100"), ("percent", "x"), ("percent", "")] {
        let mut form = form.clone();
        form.retain(|(name, _)| *name != field);
        form.push((field, wrong));
        let refused = merchant.post_from(&list, &rework, &form);
        assert_eq!(refused.status, 422, "{field} {wrong}");
        assert_eq!(values_of(&text(&refused), "p"), ["10.00", "20.00", "15.00", ""]);
    }
    assert_eq!(prices(&fixture, scope, &list), [Some(1_000), Some(2_000), Some(1_500), None], "nothing is saved");
}

#[test]
fn two_edits_that_meet_are_shown_cell_by_cell_and_no_edit_is_lost() {
    let (fixture, scope) = with_shop();
    let (one, other) =
        (Visitor::new(&fixture, Role::Merchant, Some(scope)), Visitor::new(&fixture, Role::Operator, None));
    let list = filled(&one);
    let fields = hidden(&one.page(&list));
    let (widths, heights) = (["300", "600"], ["400", "800"]);
    let theirs = other.post(&list, &sheet(&fields, &widths, &heights, &["12", "20", "15", "30"]));
    assert_eq!(theirs.status, 303);
    let met = one.post(&list, &sheet(&fields, &widths, &heights, &["11", "21", "15", ""]));
    let page = text(&met);
    assert_eq!(met.status, 412, "{page}");
    assert_eq!(values_of(&page, "p"), ["11.00", "21.00", "15.00", "30.00"], "mine, mine, same, theirs");
    assert!(page.contains("theirs: 12.00") && page.contains("One price was changed by both"), "{page}");
    assert_eq!(prices(&fixture, scope, &list), [Some(1_200), Some(2_000), Some(1_500), Some(3_000)], "not saved yet");
    // The page that is shown is a form that can be saved.
    let fields = hidden(&page);
    let saved = one.post(&list, &sheet(&fields, &widths, &heights, &["11", "21", "15", "30"]));
    assert_eq!(saved.status, 303);
    assert_eq!(prices(&fixture, scope, &list), [Some(1_100), Some(2_100), Some(1_500), Some(3_000)]);
}

#[test]
fn a_price_list_is_imported_from_a_file_with_a_look_before_it_is_saved() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = filled(&merchant);
    let import = format!("{list}/import");
    let csrf = value_of(&merchant.page(&import), "csrf");
    // As Excel in Germany writes it: Windows-1252, semicolons, decimal commas.
    let mut body = format!("--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n").into_bytes();
    body.extend_from_slice(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"p.csv\"\r\nContent-Type: text/csv\r\n\r\nH\xf6he/Breite;300;600\r\n400;11,50 \x80;21,50 \x80\r\n800;16,00 \x80;31,00 \x80\r\n\r\n--b--\r\n");
    let shown = merchant.send("POST", &import, body, "multipart/form-data; boundary=b");
    let page = text(&shown);
    assert_eq!(shown.status, 200, "{page}");
    assert_eq!(values_of(&page, "p"), ["11.50", "21.50", "16.00", "31.00"]);
    assert!(page.contains("Nothing is saved yet"), "{page}");
    assert_eq!(prices(&fixture, scope, &list)[0], Some(1_000));
    let fields = hidden(&page);
    let saved =
        merchant.post(&list, &sheet(&fields, &["300", "600"], &["400", "800"], &["11.50", "21.50", "16.00", "31.00"]));
    assert_eq!(saved.status, 303);
    assert_eq!(prices(&fixture, scope, &list), [Some(1_150), Some(2_150), Some(1_600), Some(3_100)]);
    // What was pasted stays in the form where it is refused.
    let refused = merchant.post(&import, &[("text", "width,height,price\n300,400,<oops>")]);
    let page = text(&refused);
    assert_eq!(refused.status, 422);
    assert!(page.contains("Line 2") && page.contains("&#60;oops&#62;") && !page.contains("<oops>"), "{page}");
    // A body that is cut short is refused with a page.
    let cut = merchant.send("POST", &import, b"--b\r\nContent-Disposition".to_vec(), "multipart/form-data; boundary=b");
    assert_eq!(cut.status, 400);
    assert_eq!(merchant.send("POST", &import, b"text=1".to_vec(), FORM).status, 403, "without its token");
}

#[test]
fn a_list_is_renamed_copied_exported_and_deleted_with_products_named() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = filled(&merchant);
    let version = value_of(&merchant.page(&list), "version");
    let settings = format!("{list}/settings");
    let fields = [("version", version.as_str()), ("name", "<i>Blinds</i>"), ("outside", "clamp"), ("max-width", "550")];
    assert_eq!(merchant.post_from(&list, &settings, &fields).status, 303);
    let page = merchant.page(&list);
    assert!(page.contains("&#60;i&#62;Blinds") && !page.contains("<i>Blinds"), "{page}");
    assert!(page.contains("value=\"550\""));
    let export = text(&merchant.get(&format!("{list}/export")));
    assert_eq!(export, "height/width,300,600\n400,10.00,20.00\n800,15.00,\n");
    let copy = location(&merchant.post_from(&list, &format!("{list}/duplicate"), &[]));
    assert!(merchant.page(&copy).contains("(copy)"));
    // In use: the page names the products, and asks once more.
    let id = list.rsplit('/').next().expect("an id");
    let assigned = merchant.post(PRODUCTS, &[("new", "1001 Blind & co"), ("list", id)]);
    assert_eq!(assigned.status, 303, "{}", text(&assigned));
    let delete = format!("{list}/delete");
    let page = merchant.page(&delete);
    assert!(page.contains("Blind &#38; co"), "{page}");
    let version = value_of(&page, "version");
    assert_eq!(merchant.post(&delete, &[("version", &version)]).status, 409);
    assert_eq!(merchant.post(&delete, &[("version", &version), ("confirmed", "yes")]).status, 303);
    assert_eq!(merchant.get(&list).status, 404);
}

#[test]
fn an_option_group_is_made_reordered_and_saved_over_another_edit_only_knowingly() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let new = format!("{OPTIONS}/new");
    let row = |label: &'static str, kind: &'static str, value: &'static str| {
        [("choice", ""), ("label", label), ("kind", kind), ("value", value)]
    };
    let mut fields = vec![("name", "Operation"), ("requirement", "REQUIRED"), ("first", "1")];
    fields.extend(row("By hand", "fixed", ""));
    fields.extend(row("Motor", "fixed", "89,00"));
    fields.extend(row("Mounting", "percent", "5 %"));
    let mut up = fields.clone();
    up.push(("do", "up-1"));
    let page = text(&merchant.post_from(&new, &format!("{new}/form"), &up));
    assert_eq!(values_of(&page, "label"), ["Motor", "By hand", "Mounting"]);
    let group = location(&merchant.post(&new, &fields));
    let group = group.split('?').next().expect("a path");
    let page = merchant.page(group);
    assert_eq!(values_of(&page, "value"), ["0.00", "89.00", "5"]);
    assert!(merchant.page(OPTIONS).contains("Motor (+89.00 EUR)"));
    // Two edits from one version.
    let ids = values_of(&page, "choice");
    let edit = |motor: &'static str| {
        let kept = [("version", "1"), ("name", "Operation"), ("requirement", "OPTIONAL")].into_iter();
        let rows = [("By hand", "fixed", "0"), ("Motor", "fixed", motor)].into_iter().zip(&ids);
        kept.chain(rows.flat_map(|((label, kind, value), id)| {
            [("choice", id.as_str()), ("label", label), ("kind", kind), ("value", value)]
        }))
        .collect::<Vec<_>>()
    };
    assert_eq!(merchant.post(group, &edit("95")).status, 303);
    let met = merchant.post(group, &edit("99"));
    let page = text(&met);
    assert_eq!(met.status, 412);
    assert!(page.contains("Motor +95.00 EUR"), "what is saved now is told: {page}");
    assert_eq!(values_of(&page, "value"), ["0", "99"], "and mine is still there");
    let version = value_of(&page, "version");
    let mut again = edit("99");
    again[0] = ("version", &version);
    assert_eq!(merchant.post(group, &again).status, 303);
    // Choices keep their ids, so what shoppers have picked stays valid.
    assert_eq!(values_of(&merchant.page(group), "choice"), ids[..2]);
    // What is wrong is told beside its field.
    let refused =
        merchant.post(&new, &[("name", ""), ("choice", ""), ("label", "X"), ("kind", "fixed"), ("value", "many")]);
    assert_eq!((refused.status, text(&refused).matches("aria-invalid").count()), (422, 2));
}

#[test]
fn several_products_are_assigned_at_once_and_an_edit_of_a_list_stays() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let (list, other) = (filled(&merchant), new_list(&merchant, "Other"));
    let id = |path: &str| path.rsplit('/').next().expect("an id").to_owned();
    let (list_id, other_id) = (id(&list), id(&other));
    let new = "1001 Blind\n1002 Awning\nhttps://admin.shopify.com/store/x/products/1003 Screen";
    assert_eq!(merchant.post(PRODUCTS, &[("new", new), ("list", &list_id)]).status, 303);
    assert_eq!(
        prices(&fixture, scope, &list),
        [Some(1_000), Some(2_000), Some(1_500), None],
        "assigning resets no price"
    );
    let page = merchant.page(PRODUCTS);
    assert_eq!(values_of(&page, "product").len(), 3);
    // From another list only knowingly, and all of them or none.
    let all = ["1001", "1002", "1003"].map(|number| ("product", number));
    let to_other: Vec<(&str, &str)> = all.into_iter().chain([("list", other_id.as_str())]).collect();
    let refused = merchant.post(PRODUCTS, &to_other);
    assert_eq!(refused.status, 409);
    assert!(text(&refused).contains("Nothing was changed"), "{}", text(&refused));
    let mut replacing = to_other.clone();
    replacing.push(("replace", "yes"));
    assert_eq!(merchant.post(PRODUCTS, &replacing).status, 303);
    assert_eq!(
        merchant.page(PRODUCTS).matches(&other_id).count()
            - merchant.page(PRODUCTS).matches(&format!("value=\"{other_id}\"")).count(),
        3
    );
    let refused = merchant.post(PRODUCTS, &[("new", "1004"), ("list", &list_id)]);
    assert_eq!(refused.status, 422);
    assert!(text(&refused).contains("Line 1"), "{}", text(&refused));
}

#[test]
fn a_price_is_tried_with_its_reasons_as_the_storefront_would_price_it() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = filled(&merchant);
    let list_id = list.rsplit('/').next().expect("an id");
    let new = format!("{OPTIONS}/new");
    let motor = [
        ("name", "Operation"),
        ("requirement", "REQUIRED"),
        ("choice", ""),
        ("label", "Motor"),
        ("kind", "fixed"),
        ("value", "89"),
    ];
    let group = location(&merchant.post(&new, &motor));
    let group_id = group.split('?').next().and_then(|path| path.rsplit('/').next()).expect("an id").to_owned();
    let assigned = merchant.post(PRODUCTS, &[("new", "1001 Blind"), ("list", list_id), ("add-group", &group_id)]);
    assert_eq!(assigned.status, 303);
    let one = format!("{PRODUCTS}/one?id=1001");
    let page = merchant.page(&one);
    let choice =
        page.split(&format!("name=\"group-{group_id}\"")).nth(1).and_then(|rest| rest.split("<option value=\"").nth(2));
    let choice = choice.and_then(|rest| rest.split('"').next()).expect("a choice").to_owned();
    let priced = merchant.page(&format!("{one}&width=450&height=400&quantity=2&group-{group_id}={choice}"));
    assert!(priced.contains("218.00 EUR"), "(20 + 89) x 2: {priced}");
    assert!(priced.contains("600") && priced.contains("109"), "why: {priced}");
    let without = merchant.page(&format!("{one}&width=450,5&height=400&group-{group_id}="));
    assert!(without.contains("needs a choice of"), "{without}");
    let outside = merchant.page(&format!("{one}&width=9000&height=350"));
    assert!(outside.contains("not available"), "{outside}");
    assert_eq!(merchant.get(&format!("{PRODUCTS}/one?id=77")).status, 404);
}

#[test]
fn what_a_product_sends_is_shown_and_changed_as_the_api_does_with_a_row_in_the_audit_log() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let (list, other) = (filled(&merchant), new_list(&merchant, "Other"));
    let id = |path: &str| path.rsplit('/').next().expect("an id").to_owned();
    let (list_id, other_id) = (id(&list), id(&other));
    assert_eq!(merchant.post(PRODUCTS, &[("new", "1001 Blind"), ("list", &list_id)]).status, 303);
    let (one, to) = (format!("{PRODUCTS}/one?id=1001"), format!("{PRODUCTS}/1001/sent"));
    let of_api = || fixture.admin("GET", &format!("/admin/api/stores/{SHOP}/products/1001"), None).json_body();
    let send = |fields: &[(&str, &str)]| merchant.post_from(&one, &to, fields);
    let page = merchant.page(&one);
    assert_eq!(values_of(&page, "title"), ["Blind"]);
    assert!(page.contains("is shipped") && page.contains("is taxed"), "{page}");
    fixture.advance(std::time::Duration::from_millis(1));
    let filled_in = [
        ("title-was", "Blind"),
        ("title", "Roller blind"),
        ("sku", "RB-1"),
        ("variant", ""),
        ("taxable", "yes"),
        ("grams", "300"),
        ("grams-per-square-metre", "850"),
    ];
    assert_eq!(send(&filled_in).status, 303);
    let row: String =
        fixture.query("SELECT role || ' ' || action || ' ' || objects FROM audit_log ORDER BY id DESC LIMIT 1");
    assert_eq!(row, "merchant product.update 1001");
    let product = of_api();
    assert_eq!(
        (&product["title"], &product["sku"], &product["requiresShipping"], &product["taxable"], &product["weight"]),
        (
            &json!("Roller blind"),
            &json!("RB-1"),
            &json!(false),
            &json!(true),
            &json!({ "gramsPerSquareMetre": 850, "baseGrams": 300 })
        )
    );
    let page = merchant.page(&one);
    for shown in ["Roller blind", "RB-1", "850 g a square metre and 300 g", "is not shipped", "is taxed"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(values_of(&page, "grams-per-square-metre"), ["850"]);
    let listed = merchant.page(PRODUCTS);
    assert!(listed.contains("RB-1, 850 g a square metre and 300 g, not shipped"), "{listed}");
    // On another list the product is what it was.
    let moved = [("product", "1001"), ("list", other_id.as_str()), ("replace", "yes")];
    assert_eq!(merchant.post(PRODUCTS, &moved).status, 303);
    assert_eq!((&of_api()["title"], &of_api()["sku"]), (&json!("Roller blind"), &json!("RB-1")));
    // What cannot be taken changes nothing and comes back as it was entered.
    let before = of_api();
    let rows = fixture.count("audit_log");
    for (field, value, words) in [
        ("grams", "a lot", "whole number of grams"),
        ("grams-per-square-metre", "10000001", "whole number of grams"),
        ("variant", "blue", "id of a variant"),
        ("sku", "a\tb", "control characters"),
    ] {
        let fields = [("title-was", "Roller blind"), ("title", "Roller blind"), ("taxable", "yes"), (field, value)];
        let refused = send(&fields);
        assert_eq!(refused.status, 422, "{field}");
        let page = text(&refused);
        assert!(page.contains(words) && page.contains("Nothing was changed"), "{page}");
        assert_eq!(values_of(&page, field), [value]);
    }
    assert_eq!((of_api(), fixture.count("audit_log")), (before, rows));
    // A variant brings its own title, weight, tax and shipping; what is emptied is cleared.
    let address = "https://admin.shopify.com/store/x/products/1001/variants/42";
    let with_variant = [
        ("title-was", "Roller blind"),
        ("title", "Roller blind"),
        ("variant", address),
        ("ships", "yes"),
        ("taxable", "yes"),
    ];
    assert_eq!(send(&with_variant).status, 303);
    let product = of_api();
    assert_eq!(product["variantId"], "gid://shopify/ProductVariant/42");
    assert_eq!(
        (&product["sku"], &product["weight"], &product["requiresShipping"]),
        (&json!(null), &json!(null), &json!(true))
    );
    assert!(merchant.page(PRODUCTS).contains("variant 42"));
    let viewer = Visitor::new(&fixture, Role::Viewer, None);
    assert!(!viewer.page(&one).contains("/sent\""));
    assert_eq!(viewer.post_from(PRODUCTS, &to, &filled_in).status, 403);
    assert_eq!(merchant.post_from(PRODUCTS, &format!("{PRODUCTS}/77/sent"), &filled_in).status, 404);
}

#[test]
fn a_merchant_finds_one_shop_only_and_a_viewer_changes_nothing() {
    let (fixture, scope) = with_shop();
    let other = install(&fixture, "other.myshopify.com");
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = filled(&merchant);
    let stranger = Visitor::new(&fixture, Role::Merchant, Some(other));
    let elsewhere = |path: &str| path.replace(SHOP, "other.myshopify.com");
    for path in [PRICES, OPTIONS, PRODUCTS, &list, &format!("{list}/export"), &format!("{list}/import")] {
        assert_eq!(stranger.get(path).status, 404, "{path}");
        // Below their own shop another shop's list is not there either.
        if path.starts_with(&list) {
            assert_eq!(stranger.get(&elsewhere(path)).status, 404, "{path}");
        }
    }
    let fields = hidden(&merchant.page(&list));
    let wanted = sheet(&fields, &["300"], &["400"], &["1"]);
    let own = elsewhere(PRICES);
    assert_eq!(stranger.post_from(&own, &list, &wanted).status, 404);
    assert_eq!(stranger.post_from(&own, &elsewhere(&list), &wanted).status, 404);
    let viewer = Visitor::new(&fixture, Role::Viewer, None);
    let page = viewer.page(&list);
    assert!(!page.contains("data-save") && page.contains("readonly"), "{page}");
    for (path, fields) in [(PRICES, vec![("name", "New")]), (list.as_str(), wanted)] {
        assert_eq!(viewer.post_from(PRICES, path, &fields).status, 403, "{path}");
    }
    assert_eq!(prices(&fixture, scope, &list), [Some(1_000), Some(2_000), Some(1_500), None]);
}

#[test]
fn the_largest_sheet_is_saved_and_shown() {
    let (fixture, scope) = with_shop();
    let merchant = Visitor::new(&fixture, Role::Merchant, Some(scope));
    let list = new_list(&merchant, "Large");
    let fields = hidden(&merchant.page(&list));
    let steps: Vec<String> = (1..=50).map(|step| (step * 100).to_string()).collect();
    let cells: Vec<String> = (0..2_500).map(|cell| format!("{}.{:02}", 10 + cell % 900, cell % 100)).collect();
    let (steps, cells): (Vec<&str>, Vec<&str>) =
        (steps.iter().map(String::as_str).collect(), cells.iter().map(String::as_str).collect());
    let saved = merchant.post(&list, &sheet(&fields, &steps, &steps, &cells));
    assert_eq!(saved.status, 303, "{}", text(&saved));
    assert_eq!(values_of(&merchant.page(&list), "p"), cells);
    let too_many: Vec<&str> = steps.iter().copied().chain(["9999"]).collect();
    assert_eq!(merchant.post(&list, &sheet(&fields, &too_many, &["1"], &["1"; 51])).status, 400);
}
