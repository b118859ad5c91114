//! The way in, and out.

use super::{HOST, Person, SERVER_PAGES, cookie_of, link, request, text};
use quotegrid::access::Role;
use quotegrid::access::links::LINK_LIFE;
use quotegrid::testing::Fixture;
use std::net::IpAddr;

fn enter(fixture: &Fixture, token: &str) -> quotegrid::http::Response {
    fixture.call(request("POST", "/admin/enter", None, &format!("token={token}")))
}

#[test]
fn who_is_not_signed_in_sees_no_page_and_is_told_nothing_of_which_there_are() {
    let fixture = Fixture::new();
    for path in SERVER_PAGES.iter().chain(&["/admin/no-such-page", "/admin/shops/demo.myshopify.com"]) {
        for cookie in [None, Some("quotegrid=guessed"), Some("__Host-quotegrid=")] {
            let response = fixture.call(request("GET", path, cookie, ""));
            assert_eq!(response.status, 303, "{path}");
            let to = response.header("location").unwrap_or_default();
            assert!(to.contains(&format!("admin/enter?next={}", &path[1..])), "{path}: {to}");
            assert!(response.body.is_empty());
        }
    }
    assert_eq!(fixture.call(request("POST", "/admin/jobs/types/pause", None, "type=a")).status, 303);
    assert_eq!(fixture.count("paused_job_types"), 0);
}

#[test]
fn a_link_lets_in_once_and_within_its_hour() {
    let fixture = Fixture::new();
    let token = link(&fixture, Role::Operator, None);
    let entered = enter(&fixture, &token);
    assert_eq!((entered.status, entered.header("location")), (303, Some("../admin")));
    let cookie = cookie_of(&entered).expect("a cookie");
    assert_eq!(fixture.call(request("GET", "/admin", Some(&cookie), "")).status, 200);
    let again = enter(&fixture, &token);
    assert_eq!((again.status, again.header("set-cookie")), (401, None));
    let late = link(&fixture, Role::Operator, None);
    fixture.advance(LINK_LIFE.to_std().expect("positive"));
    assert_eq!(enter(&fixture, &late).status, 401);
    // A whole link that was pasted is its token.
    let pasted = link(&fixture, Role::Operator, None);
    assert_eq!(enter(&fixture, &format!("http%3A%2F%2F{HOST}%2Fadmin%2Fenter%23{pasted}")).status, 303);
}

#[test]
fn the_page_that_was_asked_for_follows_and_never_one_of_another_site() {
    let fixture = Fixture::new();
    for (next, to) in [
        ("admin/jobs", "../admin/jobs"),
        ("//evil.example", "../admin"),
        ("https%3A%2F%2Fevil.example", "../admin"),
        ("admin//evil.example", "../admin"),
        ("admin/../..//evil.example", "../admin"),
        ("admin%5Cevil.example", "../admin"),
        ("api/v1/products", "../admin"),
        ("admin/jobs%0D%0ASet-Cookie%3Aa", "../admin"),
    ] {
        let token = link(&fixture, Role::Operator, None);
        let entered = fixture.call(request("POST", "/admin/enter", None, &format!("token={token}&next={next}")));
        assert_eq!((entered.status, entered.header("location")), (303, Some(to)), "{next}");
    }
}

#[test]
fn the_admin_token_signs_in_as_operator_and_a_wrong_one_does_not() {
    let fixture = Fixture::new();
    assert_eq!(enter(&fixture, "fixture-admin-toke").status, 401);
    assert_eq!(enter(&fixture, "").status, 401);
    let entered = enter(&fixture, Fixture::ADMIN_TOKEN);
    assert_eq!(entered.status, 303);
    assert_eq!(fixture.query::<String>("SELECT role FROM admin_sessions"), "operator");
}

#[test]
fn the_cookie_is_for_this_host_alone_and_out_of_reach_of_scripts() {
    let fixture = Fixture::new();
    let entered = enter(&fixture, &link(&fixture, Role::Operator, None));
    let cookie = entered.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("quotegrid="), "{cookie}");
    for wanted in ["; Path=/;", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(wanted), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");

    let fixture = Fixture::new();
    fixture.router.state().set_public_url("https://quotes.example.com/shop");
    let mut behind_tls =
        request("POST", "/admin/enter", None, &format!("token={}", link(&fixture, Role::Viewer, None)));
    behind_tls.headers = quotegrid::http::Headers::default();
    behind_tls.headers.push("Origin", "https://quotes.example.com");
    let entered = fixture.call(behind_tls);
    let cookie = entered.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-quotegrid=") && cookie.contains("; Secure"), "{cookie}");
    // The plain name could be set by any page of this host without TLS.
    let (_, token) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a token");
    let plain = format!("quotegrid={token}");
    assert_eq!(fixture.call(request("GET", "/admin", Some(&plain), "")).status, 303);
    let secure = format!("__Host-quotegrid={token}");
    assert_eq!(fixture.call(request("GET", "/admin", Some(&secure), "")).status, 200);
}

#[test]
fn nobody_signs_in_over_a_network_without_tls_and_the_link_stays_good() {
    let fixture = Fixture::new();
    let token = link(&fixture, Role::Operator, None);
    let mut far = request("POST", "/admin/enter", None, &format!("token={token}"));
    far.headers = quotegrid::http::Headers::default();
    far.headers.push("Host", "192.0.2.7:8080");
    far.headers.push("Origin", "http://192.0.2.7:8080");
    let refused = fixture.call(far);
    assert_eq!((refused.status, refused.header("set-cookie")), (403, None));
    assert!(text(&refused).contains("TLS"));
    assert_eq!(enter(&fixture, &token).status, 303);
}

#[test]
fn another_sites_page_cannot_sign_anybody_in() {
    let fixture = Fixture::new();
    let token = link(&fixture, Role::Operator, None);
    for (name, value) in [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        let mut forged = request("POST", "/admin/enter", None, &format!("token={token}"));
        forged.headers.push(name, value);
        assert_eq!(fixture.call(forged).status, 403, "{name}: {value}");
    }
    assert_eq!(enter(&fixture, &token).status, 303);
}

#[test]
fn who_guesses_too_often_is_refused_and_others_are_not() {
    let fixture = Fixture::new();
    let token = link(&fixture, Role::Operator, None);
    let from = |last: u8, token: &str| {
        let mut guess = request("POST", "/admin/enter", None, &format!("token={token}"));
        guess.client = IpAddr::from([192, 0, 2, last]);
        fixture.call(guess)
    };
    let statuses: Vec<u16> = (0..12).map(|guess| from(1, &format!("guess{guess}")).status).collect();
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[11], 429);
    let refused = from(1, &token);
    assert_eq!(refused.status, 429, "a right guess must not show");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(from(2, &token).status, 303);
    // All together are limited too.
    for last in 3..=250 {
        from(last, "guess");
    }
    assert_eq!(from(251, &link(&fixture, Role::Operator, None)).status, 429);
}

#[test]
fn signing_out_ends_the_session_and_takes_the_cookie_away() {
    let fixture = Fixture::new();
    let person = Person::operator(&fixture);
    assert_eq!(person.get("/admin/sign-out").status, 303, "a link ends nothing");
    assert_eq!(person.get("/admin").status, 200);
    let out = person.post("/admin/sign-out", "");
    assert_eq!((out.status, out.header("location")), (303, Some("../admin/enter")));
    let taken: Vec<&str> =
        out.headers.iter().filter(|(name, _)| *name == "Set-Cookie").map(|(_, value)| value.as_str()).collect();
    assert!(taken.len() == 2 && taken.iter().all(|cookie| cookie.contains("Max-Age=0")), "{taken:?}");
    assert_eq!(person.get("/admin").status, 303);
    assert_eq!(fixture.count("admin_sessions"), 0);
}

#[test]
fn a_link_from_another_site_leads_to_the_page_though_the_cookie_stayed_behind() {
    let fixture = Fixture::new();
    let mut followed = request("GET", "/admin/jobs", None, "");
    followed.headers.push("Sec-Fetch-Site", "cross-site");
    let away = fixture.call(followed);
    let to = away.header("location").expect("a place").trim_start_matches("..").to_owned();
    let page = text(&fixture.call(request("GET", &to, None, "")));
    assert!(page.contains(r#"<meta http-equiv="refresh" content="0; url=../admin/jobs">"#), "{page}");
    let typed = text(&fixture.call(request("GET", "/admin/enter?next=admin/jobs", None, "")));
    assert!(!typed.contains("http-equiv"), "once, and not for ever");
}
