//! The console in a real browser that runs no scripts, behind a proxy that takes a path prefix away: whatever a person needs daily works
//! by links and forms alone, and no address leads out of the prefix.

use crate::support::browser::Browser;
use parking_lot::Mutex;
use quotegrid::access::Role;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::testing::Fixture;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Where the proxy has the server.
const PREFIX: &str = "/shop/quotes";

/// A reverse proxy. Returns the server's address behind it, and what was asked of it that is not below the prefix.
fn proxied(server: SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}{PREFIX}", listener.local_addr().expect("an address"));
    let strays: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = strays.clone();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let seen = seen.clone();
            // A thread each: browsers open connections ahead of what they ask on them.
            thread::spawn(move || pass_on(&client, server, &seen));
        }
    });
    (url, strays)
}

/// Passes one request on, and its answer back.
fn pass_on(mut client: &TcpStream, server: SocketAddr, strays: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(client);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let asked = line.clone();
    let mut head = line.replacen(&format!(" {PREFIX}/"), " /", 1);
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        match line.split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?;
                head.push_str(&line);
            }
            Some((name, _)) if name.eq_ignore_ascii_case("connection") => {}
            Some(_) => head.push_str(&line),
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if asked == head.lines().next()?.to_owned() + "\r\n" {
        strays.lock().push(asked);
        return client.write_all(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").ok();
    }
    head.push_str("Connection: close\r\n\r\n");
    let mut upstream = TcpStream::connect(server).ok()?;
    upstream.write_all(head.as_bytes()).and_then(|()| upstream.write_all(&body)).ok()?;
    std::io::copy(&mut upstream, &mut client).ok().map(drop)
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_without_scripts_does_all_of_a_merchants_work_below_a_path_prefix() {
    let fixture = Fixture::new();
    let demo = fixture.demo_store();
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::start(options, Arc::new(fixture.router.clone())).expect("a server");
    let (url, strays) = proxied(server.address());
    fixture.router.state().set_public_url(url.as_str());
    let store: String = fixture.query("SELECT id FROM stores");
    let token = super::link(&fixture, Role::Merchant, Some(store.parse().expect("an id")));
    let shop = format!("{PREFIX}/admin/shops/{}", demo.shop);

    let browser = Browser::start();
    browser.without_scripts();
    let is_at = |path: &str| {
        browser.wait_for(&format!("return location.pathname === '{path}' && document.readyState === 'complete'"));
    };
    let says = |text: &str| browser.ask(&format!("return document.body.textContent.includes('{text}')")) == true;

    // Without scripts the link's token is not posted: a person pastes the link.
    browser.open(&format!("{url}/admin/shops/{}/prices", demo.shop));
    is_at(&format!("{PREFIX}/admin/enter"));
    browser.fill("#token", &format!("{url}/admin/enter#{token}"));
    browser.click("button.main");
    is_at(&format!("{shop}/prices"));
    assert!(browser.ask("return getComputedStyle(document.querySelector('nav')).display") != "", "the style is there");

    browser.click("td a[href*='/prices/']");
    browser.wait_for("return document.querySelectorAll('[name=p]').length > 3");
    assert!(browser.ask("return document.querySelector('noscript select') !== null") == true, "no scripts run");
    browser.fill("[name=p]", "1234.56");
    browser.click("button[data-save]");
    browser.wait_for("return document.querySelector('[role=status].flash, [role=status].finding') !== null");
    assert_eq!(fixture.query::<u64>("SELECT count(*) FROM matrix_cells WHERE price_minor = 123456"), 1);

    let groups = fixture.count("option_groups");
    browser.open(&format!("{url}/admin/shops/{}/options/new", demo.shop));
    browser.fill("#name", "Motor");
    browser.fill("[name=label]", "With a motor");
    browser.fill("[name=value]", "89.00");
    browser.click("main button.main");
    browser.wait_for("return document.querySelector('.flash') !== null");
    assert_eq!(fixture.count("option_groups"), groups + 1);

    browser.open(&format!("{url}/admin/shops/{}/products", demo.shop));
    browser.click("td a[href*='/products/one']");
    is_at(&format!("{shop}/products/one"));
    browser.fill("#width", "800");
    browser.fill("#height", "800");
    browser.click("form[method=get] button.main");
    browser.wait_for("return location.search.includes('width=800')");
    assert!(says("EUR"));

    browser.open(&format!("{url}/admin/shops/{}/orders", demo.shop));
    browser.click("td a[href*='/orders/']");
    browser.wait_for("return location.pathname.includes('/orders/')");
    assert!(says("#D"));

    browser.open(&format!("{url}/admin/jobs"));
    assert!(says("There is no such page"), "a merchant has one shop and nothing else");

    browser.click("nav form button");
    is_at(&format!("{PREFIX}/admin/enter"));
    assert_eq!(fixture.count("admin_sessions"), 0);
    let strays: Vec<String> = strays.lock().iter().filter(|asked| !asked.contains("/favicon.ico")).cloned().collect();
    assert_eq!(strays, Vec::<String>::new(), "addresses that lead out of the prefix");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_that_is_signed_in_is_asked_before_a_link_signs_in_another_person() {
    let fixture = Fixture::new();
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::start(options, Arc::new(fixture.router.clone())).expect("a server");
    let url = format!("http://{}", server.address());
    let browser = Browser::start();
    let heading = |text: &str| {
        browser.wait_for(&format!("return document.querySelector('h1')?.textContent === '{text}'"));
    };
    browser.open(&format!("{url}/admin/enter#{}", super::link(&fixture, Role::Operator, None)));
    heading("Overview");
    browser.open(&format!("{url}/admin/enter#{}", super::link(&fixture, Role::Viewer, None)));
    heading("You are signed in already");
    browser.picture("console-enter-instead");
    browser.click("p a");
    heading("Overview");
    assert_eq!(fixture.query::<String>("SELECT group_concat(role) FROM admin_sessions"), "operator");
    browser.open(&format!("{url}/admin/enter#{}", super::link(&fixture, Role::Viewer, None)));
    heading("You are signed in already");
    browser.click("button.main");
    heading("Overview");
    assert_eq!(fixture.query::<String>("SELECT group_concat(role) FROM admin_sessions"), "viewer");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
