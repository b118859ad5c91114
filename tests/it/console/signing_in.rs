//! The way in, and out.

use super::{HOST, Person, SERVER_PAGES, cookie_of, link, request, text};
use quotegrid::access::Role;
use quotegrid::access::links::LINK_LIFE;
use quotegrid::access::sessions::IDLE_END;
use quotegrid::http::router::Router;
use quotegrid::http::state::AppState;
use quotegrid::secret::Secret;
use quotegrid::shopify::Secrets;
use quotegrid::testing::Fixture;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

fn enter(fixture: &Fixture, token: &str) -> quotegrid::http::Response {
    fixture.call(request("POST", "/admin/enter", None, &format!("token={token}")))
}

#[test]
fn without_a_session_every_page_answers_alike() {
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
fn signing_in_over_a_network_without_tls_is_refused_and_the_link_stays_valid() {
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
fn a_client_that_guesses_too_often_is_refused_and_others_are_not() {
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
    assert_eq!(from(2, &link(&fixture, Role::Operator, None)).status, 303, "a person has signed in from there before");
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

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let field = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name}: {page}"));
    field.split('"').next().expect("a value").to_owned()
}

#[test]
fn a_person_who_is_signed_in_is_asked_before_a_link_signs_in_another_and_the_old_session_ends() {
    let fixture = Fixture::new();
    let person = Person::operator(&fixture);
    // Another person's link, opened in this browser.
    let token = link(&fixture, Role::Viewer, None);
    let open = |body: &str| fixture.call(request("POST", "/admin/enter", Some(&person.cookie), body));
    let asked = open(&format!("token={token}&next=admin/jobs"));
    assert_eq!((asked.status, asked.header("set-cookie")), (200, None));
    assert_eq!(asked.header("content-security-policy"), person.get("/admin").header("content-security-policy"));
    let page = text(&asked);
    assert!(page.contains("a operator") && page.contains("Stay signed in"), "{page}");
    assert_eq!((fixture.count("admin_sessions"), fixture.count("admin_links")), (1, 1), "nothing has happened");
    // A page of another site, or one that does not know this session, cannot press the button.
    for csrf in ["", "guessed"] {
        let refused = open(&format!("token={token}&instead=1&csrf={csrf}"));
        assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{csrf}");
    }
    assert_eq!(person.get("/admin").status, 200);
    let (csrf, sent, next) = (hidden(&page, "csrf"), hidden(&page, "token"), hidden(&page, "next"));
    let entered = open(&format!("token={sent}&instead=1&csrf={csrf}&next={next}"));
    assert_eq!((entered.status, entered.header("location")), (303, Some("../admin/jobs")));
    assert_eq!(person.get("/admin").status, 303, "the old session has ended");
    assert_eq!(fixture.query::<String>("SELECT group_concat(role) FROM admin_sessions"), "viewer");
    let log = fixture.query::<String>(
        "SELECT group_concat(action || ' ' || actor) FROM (SELECT action, actor FROM audit_log ORDER BY id)",
    );
    assert_eq!(log.matches("session.begin").count(), 2, "{log}");
    assert!(log.contains("session.end a operator"), "{log}");
}

#[test]
fn an_invalid_link_ends_no_session() {
    let fixture = Fixture::new();
    let person = Person::operator(&fixture);
    let body = format!("token=guessed&instead=1&csrf={}", person.csrf);
    assert_eq!(fixture.call(request("POST", "/admin/enter", Some(&person.cookie), &body)).status, 401);
    assert_eq!(person.get("/admin").status, 200);
}

#[test]
fn what_is_typed_as_a_token_comes_back_escaped() {
    let fixture = Fixture::new();
    let person = Person::operator(&fixture);
    let body = "token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&next=%22%3E%3Cb%3E";
    let page = text(&fixture.call(request("POST", "/admin/enter", Some(&person.cookie), body)));
    assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
}

#[test]
fn a_session_that_an_admin_token_began_ends_when_that_token_is_set_no_more() {
    let mut fixture = Fixture::new();
    let by_link = Person::operator(&fixture).cookie;
    let by_token = cookie_of(&enter(&fixture, Fixture::ADMIN_TOKEN)).expect("a cookie");
    let start_with = |fixture: &mut Fixture, tokens: Option<&str>| {
        let state = AppState::new(fixture.app.clone(), Secrets::new([Fixture::SECRET]));
        let state = match tokens {
            Some(tokens) => state.with_admin_token(&Secret::new(tokens)),
            None => state,
        };
        fixture.router = Router::new(Arc::new(state));
    };
    let shown = |fixture: &Fixture, cookie: &str| fixture.call(request("GET", "/admin", Some(cookie), "")).status;
    // While one token replaces the other, both are good.
    start_with(&mut fixture, Some(&format!("the-new-token-of-the-test,{}", Fixture::ADMIN_TOKEN)));
    assert_eq!((shown(&fixture, &by_link), shown(&fixture, &by_token)), (200, 200));
    start_with(&mut fixture, Some("the-new-token-of-the-test"));
    assert_eq!((shown(&fixture, &by_link), shown(&fixture, &by_token)), (200, 303));
    let api = fixture.call(request("GET", "/admin/api/jobs", Some(&by_token), ""));
    assert_eq!(api.status, 401, "nor is it a way into the API");
    // Its row is taken away behind the answer, and it does not come back with the token.
    fixture.app.db.write(|_tx| Ok::<(), quotegrid::db::Error>(())).expect("a working database");
    assert_eq!(fixture.count("admin_sessions"), 1);
    start_with(&mut fixture, Some(Fixture::ADMIN_TOKEN));
    assert_eq!(shown(&fixture, &by_token), 303);

    let again = cookie_of(&enter(&fixture, Fixture::ADMIN_TOKEN)).expect("a cookie");
    assert_eq!(shown(&fixture, &again), 200);
    start_with(&mut fixture, None);
    assert_eq!((shown(&fixture, &by_link), shown(&fixture, &again)), (200, 303), "without any token as well");
}

#[test]
fn a_page_that_refreshes_itself_keeps_no_session_alive() {
    let fixture = Fixture::new();
    let (left, used) = (Person::operator(&fixture), Person::operator(&fixture));
    let hour = Duration::from_secs(3_600);
    let hours = IDLE_END.num_hours();
    for _ in 0..hours {
        fixture.advance(hour);
        let mut refresh = request("GET", "/admin", Some(&left.cookie), "");
        refresh.headers.push("X-Refresh", "1");
        fixture.call(refresh);
        used.get("/admin");
        // The note of the use is written behind the answer.
        fixture.app.db.write(|_tx| Ok::<(), quotegrid::db::Error>(())).expect("a working database");
    }
    assert_eq!((left.get("/admin").status, used.get("/admin").status), (303, 200));
}
