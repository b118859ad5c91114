//! What each role may do, on pages and in the admin API.

use super::{Person, SERVER_PAGES, request, text};
use quotegrid::access::Role;
use quotegrid::catalog::stores;
use quotegrid::domain::ids::{ShopDomain, StoreId};
use quotegrid::queue::NewJob;
use quotegrid::testing::Fixture;
use serde_json::json;

fn store_of(fixture: &Fixture, shop: &ShopDomain) -> StoreId {
    let found = fixture.app.db.read(|connection| stores::find(connection, shop));
    found.expect("readable").expect("there").id
}

#[test]
fn a_viewer_sees_everything_and_changes_nothing_on_pages_and_in_the_api() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let job = fixture.app.enqueue(NewJob::new("later", json!({}))).expect("enqueued");
    let viewer = Person::sign_in(&fixture, Role::Viewer, None);
    for path in SERVER_PAGES {
        let page = viewer.get(path);
        assert_eq!(page.status, 200, "{path}");
        let forms = text(&page).matches("<form method=\"post\"").count();
        assert_eq!(forms, 1, "{path} offers a viewer more than to sign out");
    }
    for path in [
        format!("/admin/jobs/{job}/cancel"),
        "/admin/jobs/all/cancel".to_owned(),
        "/admin/jobs/types/pause".to_owned(),
        "/admin/health/backup".to_owned(),
        "/admin/privacy/verify".to_owned(),
    ] {
        let refused = viewer.post(&path, "type=later");
        assert_eq!(refused.status, 403, "{path}");
    }
    let stores = "/admin/api/stores";
    assert_eq!(viewer.ask("GET", "/admin/api/jobs", "").status, 200);
    assert_eq!(viewer.ask("GET", &format!("{stores}/{}/products", demo.shop), "").status, 200);
    for (method, path, body) in [
        ("POST", format!("/admin/api/jobs/{job}/cancel"), ""),
        ("POST", "/admin/api/jobs/cancel".to_owned(), "{}"),
        ("POST", format!("{stores}/{}/keys", demo.shop), "{}"),
        ("PATCH", format!("{stores}/{}", demo.shop), r#"{"unit":"cm"}"#),
        ("DELETE", format!("{stores}/{}?dryRun=true", demo.shop), ""),
    ] {
        assert_eq!(viewer.ask(method, &path, body).status, 403, "{method} {path}");
    }
    assert_eq!(fixture.job(job).status.as_str(), "pending");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM audit_log WHERE action <> 'session.begin'"), 0);
}

#[test]
fn for_a_merchant_there_is_one_shop_and_nothing_else_of_this_server() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let made = fixture.admin("POST", "/admin/api/stores", Some(&json!({ "shop": "other.myshopify.com" })));
    assert_eq!(made.status, 201);
    let merchant = Person::sign_in(&fixture, Role::Merchant, Some(store_of(&fixture, &demo.shop)));
    let home = merchant.get("/admin");
    assert_eq!((home.status, home.header("location")), (303, Some(format!("admin/shops/{}", demo.shop).as_str())));
    for path in SERVER_PAGES.iter().filter(|path| **path != "/admin") {
        assert_eq!(merchant.get(path).status, 404, "{path}");
    }
    for path in ["/admin/jobs/types/pause", "/admin/health/backup", "/admin/jobs/all/cancel"] {
        assert_eq!(merchant.post(path, "type=a").status, 404, "{path}");
    }
    let own = format!("/admin/api/stores/{}", demo.shop);
    for area in ["", "/matrices", "/option-groups", "/products", "/draft-orders", "/draft-orders.csv"] {
        assert_eq!(merchant.ask("GET", &format!("{own}{area}"), "").status, 200, "{area}");
        let other = merchant.ask("GET", &format!("/admin/api/stores/other.myshopify.com{area}"), "");
        let none = merchant.ask("GET", &format!("/admin/api/stores/none.myshopify.com{area}"), "");
        assert_eq!((other.status, none.status), (404, 404), "{area}");
    }
    for (method, path, body) in [
        ("GET", format!("{own}/keys"), ""),
        ("POST", format!("{own}/keys"), "{}"),
        ("GET", format!("{own}/export"), ""),
        ("PATCH", own.clone(), r#"{"unit":"cm"}"#),
        ("DELETE", format!("{own}?dryRun=true"), ""),
        ("GET", "/admin/api/stores".to_owned(), ""),
        ("GET", "/admin/api/jobs".to_owned(), ""),
        ("GET", "/admin/api/audit".to_owned(), ""),
        ("GET", "/admin/api/gdpr/requests".to_owned(), ""),
        ("GET", "/admin/api/webhooks/deliveries".to_owned(), ""),
        ("POST", "/admin/api/jobs/run".to_owned(), "{}"),
    ] {
        assert_eq!(merchant.ask(method, &path, body).status, 404, "{method} {path}");
    }
    let group = json!({ "name": "Handles", "requirement": "OPTIONAL", "choices": [{ "label": "Oak", "modifierType": "FIXED", "modifierValue": 100 }] });
    let made = merchant.ask("POST", &format!("{own}/option-groups"), &group.to_string());
    assert_eq!(made.status, 201, "{}", text(&made));
    let last = "SELECT role || ' ' || actor || ' ' || action FROM audit_log ORDER BY id DESC LIMIT 1";
    assert_eq!(fixture.query::<String>(last), "merchant merchant option_group.create");
}

#[test]
fn a_session_is_no_way_into_the_api_for_another_sites_page() {
    let fixture = Fixture::new();
    let operator = Person::operator(&fixture);
    let path = "/admin/api/jobs/types/later/pause";
    // A browser sends the cookie by itself, the token only who has read one of our pages.
    assert_eq!(fixture.call(request("POST", path, Some(&operator.cookie), "")).status, 403);
    for (name, value) in [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "same-site")] {
        let mut forged = request("POST", path, Some(&operator.cookie), "");
        forged.headers.push("X-CSRF-Token", operator.csrf.clone());
        forged.headers.push(name, value);
        assert_eq!(fixture.call(forged).status, 403, "{name}: {value}");
    }
    assert_eq!(fixture.count("paused_job_types"), 0);
    assert_eq!(operator.ask("POST", path, "").status, 204);
}
