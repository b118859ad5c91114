//! The script: small, the same for everybody, and kept by browsers as long as it should be.

use crate::storefront::harness::{Server, ask, body, request};
use crate::storefront::spec;
use quotegrid::http::{AppState, Response, Router, widget};
use quotegrid::shopify::Secrets;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// The most bytes of the script as it travels, in gzip.
const GZIPPED_MAX: usize = 10_000;

fn get(server: &Server, target: &str, headers: &[(&str, &str)]) -> Response {
    let response = ask(&server.router, request("GET", target, headers));
    spec::check("GET", target, &response);
    response
}

#[test]
fn the_script_is_served_to_any_page_and_asked_for_again_only_when_it_has_changed() {
    let server = Server::new();
    let newest = get(&server, "/widget/v1.js", &[]);
    assert_eq!((newest.status, newest.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(newest.header("access-control-allow-origin"), Some("*"));
    assert_eq!(newest.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert_eq!(newest.header("cache-control"), Some("public, max-age=300"));
    let etag = newest.header("etag").expect("an ETag").to_owned();
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let again = get(&server, "/widget/v1.js", &[("If-None-Match", &known)]);
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(etag.as_str())), "{known}");
    }
    assert_eq!(get(&server, "/widget/v1.js", &[("If-None-Match", "\"x\"")]).status, 200);

    let path = widget::permanent_path();
    assert!(path.contains(etag.trim_matches('"')), "{path} {etag}");
    let forever = get(&server, &path, &[]);
    assert_eq!((forever.status, &forever.body), (200, &newest.body));
    assert_eq!(forever.header("cache-control"), Some("public, max-age=31536000, immutable"));
    for other in ["/widget/0000000000000000.js", "/widget/.js", "/widget/v2.js", &path[..path.len() - 3]] {
        assert_eq!(get(&server, other, &[]).status, 404, "{other}");
    }
}

#[test]
fn the_script_is_small_enough_for_a_phone() {
    let server = Server::new();
    let script = get(&server, "/widget/v1.js", &[]).body;
    let gzip = Command::new("gzip").args(["-9", "-c", "-n"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut gzip = gzip.expect("gzip");
    let mut stdin = gzip.stdin.take().expect("piped");
    stdin.write_all(&script).expect("written");
    drop(stdin);
    let length = gzip.wait_with_output().expect("it ends").stdout.len();
    assert!((1..=GZIPPED_MAX).contains(&length), "{length} bytes of {GZIPPED_MAX}");
}

#[test]
fn the_demo_page_is_only_there_with_a_demo_store() {
    let server = Server::new();
    assert_eq!(get(&server, "/widget/demo", &[]).status, 404);
    let demo = server.fixture.demo_store();
    let state = AppState::new(server.fixture.app.clone(), Secrets::new(["hush"])).with_demo(Some(demo.clone()));
    let page = ask(&Router::new(Arc::new(state)), request("GET", "/widget/demo?lang=nl", &[]));
    assert_eq!(page.status, 200);
    let html = String::from_utf8(page.body.clone()).expect("text");
    assert!(html.contains("<html lang=\"nl\">") && html.contains(&demo.key.key), "{html}");
    assert!(body(&get(&server, "/widget/demo", &[]))["detail"].is_string());
}
