//! The price sheet in a real browser: by keyboard alone, with blocks from a spreadsheet, undo, percent, another person's edit, and
//! below a path prefix.

use super::{SHOP, Visitor, link, with_shop};
use crate::support::browser::Browser;
use quotegrid::access::Role;
use quotegrid::catalog::matrices::{self, Edit};
use quotegrid::catalog::{Expected, stores::Scope};
use quotegrid::domain::ids::MatrixId;
use quotegrid::domain::length::Length;
use quotegrid::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use quotegrid::domain::money::Minor;
use quotegrid::edge::{Server, ServerOptions};
use quotegrid::testing::Fixture;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Keys as WebDriver names them.
const CONTROL: char = '\u{e009}';
const SHIFT: char = '\u{e008}';
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";
const DELETE: &str = "\u{e017}";
const LEFT: &str = "\u{e012}";
const UP: &str = "\u{e013}";
const RIGHT: &str = "\u{e014}";
const DOWN: &str = "\u{e015}";

/// A list of two widths and two heights, open in the browser of a merchant.
struct Sheet {
    fixture: Fixture,
    scope: Scope,
    id: MatrixId,
    browser: Browser,
    _server: Server,
}

impl Sheet {
    fn open() -> Self {
        let (fixture, scope) = with_shop();
        let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
        let id = MatrixId::new(now, entropy.array());
        let grid = grid(&[300, 600], &[400, 800], &[Some(1_000), Some(2_000), Some(1_500), None]);
        let name = "Blinds".parse().expect("a name");
        fixture.app.db.write(move |tx| matrices::insert(tx, now, id, scope, &name, &grid)).expect("a list");
        let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = Server::start(options, Arc::new(fixture.router.clone())).expect("a server");
        let (url, browser) = (format!("http://{}", server.address()), Browser::start());
        browser.resize(1_280, 900);
        let token = link(&fixture, Role::Merchant, Some(scope));
        browser.open(&format!("{url}/admin/enter#{token}"));
        let sheet = Self { fixture, scope, id, browser, _server: server };
        // A merchant is led to the shop that is theirs.
        sheet.browser.wait_for(&format!("return location.pathname === '/admin/shops/{SHOP}'"));
        sheet.browser.open(&format!("{url}/admin/shops/{SHOP}/prices/{id}"));
        sheet.focus(0);
        sheet
    }

    /// Goes into a cell as clicking does.
    fn focus(&self, cell: usize) {
        self.browser.ask(&format!(
            "const field = document.querySelectorAll('[name=p]')[{cell}]; field.focus(); field.select();"
        ));
    }

    /// Pastes text into the cell that has the focus.
    fn paste(&self, text: &str) {
        self.browser.ask(&format!(
            "const data = new DataTransfer(); data.setData('text/plain', {});
             document.activeElement.dispatchEvent(new ClipboardEvent('paste', {{ clipboardData: data, bubbles: true, cancelable: true }}));",
            json!(text)
        ));
    }

    fn values(&self, field: &str) -> Value {
        self.browser.ask(&format!("return [...document.querySelectorAll('[name={field}]')].map(field => field.value)"))
    }

    fn says(&self, what: &str) -> String {
        let said = self.browser.ask(&format!("return document.querySelector('[data-says={what}]').textContent"));
        said.as_str().unwrap_or_default().to_owned()
    }

    /// What is committed.
    fn saved(&self) -> Vec<Option<i64>> {
        let (store, id) = (self.scope.store, self.id);
        let stored = self.fixture.app.db.read(|connection| matrices::load(connection, store, id)).expect("a list");
        stored.matrix.rows().flatten().map(|price| price.map(Minor::get)).collect()
    }

    fn no_complaints(&self) {
        let complaints = self.browser.complaints();
        assert!(complaints.iter().all(|text| text.contains("412")), "{complaints:?}");
    }
}

fn grid(widths: &[i64], heights: &[i64], prices: &[Option<i64>]) -> PriceMatrix {
    let lengths = |steps: &[i64]| -> Vec<Length> {
        steps.iter().map(|step| step.to_string().parse().expect("a length")).collect()
    };
    let rows: Vec<Vec<Option<Minor>>> =
        prices.chunks(widths.len()).map(|row| row.iter().map(|price| price.map(Minor::new)).collect()).collect();
    PriceMatrix::new(&lengths(widths), &lengths(heights), &rows, OutOfRange::Reject, SizeLimits::default())
        .expect("a grid")
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_edits_a_sheet_by_keyboard_alone_with_undo_and_saves_it() {
    let sheet = Sheet::open();
    let (browser, start) = (&sheet.browser, json!(["10.00", "20.00", "15.00", ""]));
    assert_eq!(sheet.says("changes"), "No unsaved changes");
    // Typed, with a decimal comma, and on with the arrow keys.
    browser.press(&[], "12,5");
    browser.press(&[], RIGHT);
    browser.press(&[], "22");
    browser.press(&[], ENTER);
    browser.press(&[], "32");
    browser.press(&[], UP);
    browser.press(&[], LEFT);
    assert_eq!(sheet.values("p"), json!(["12.50", "22.00", "15.00", "32.00"]));
    assert_eq!(sheet.says("changes"), "3 unsaved changes");
    // Back, and forth again.
    for _ in 0..3 {
        browser.press(&[CONTROL], "z");
    }
    assert_eq!((sheet.values("p"), sheet.says("changes").as_str()), (start, "No unsaved changes"));
    browser.press(&[CONTROL, SHIFT], "z");
    browser.press(&[CONTROL], "y");
    assert_eq!(sheet.values("p"), json!(["12.50", "22.00", "15.00", ""]));
    // What is being typed can be taken back before the cell is left.
    sheet.focus(0);
    browser.press(&[], "99");
    browser.press(&[], ESCAPE);
    assert_eq!(sheet.values("p")[0], "12.50");
    // A selection is emptied as one change.
    sheet.focus(0);
    browser.press(&[SHIFT], DOWN);
    browser.press(&[], DELETE);
    assert_eq!(sheet.values("p"), json!(["", "22.00", "", ""]));
    assert_eq!(browser.ask("return document.querySelectorAll('td.hole').length"), 3);
    browser.press(&[CONTROL], "z");
    assert_eq!(sheet.values("p"), json!(["12.50", "22.00", "15.00", ""]));
    // Up into the steps, and saved without a mouse.
    sheet.focus(0);
    browser.press(&[], UP);
    browser.press(&[], "250");
    browser.press(&[CONTROL], "s");
    sheet.browser.wait_for("return document.querySelector('.flash') !== null");
    assert_eq!(sheet.values("w"), json!(["250", "600"]));
    assert_eq!(sheet.saved(), [Some(1_250), Some(2_200), Some(1_500), None]);
    sheet.no_complaints();
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_pastes_blocks_from_spreadsheets_and_the_sheet_grows_with_them() {
    let sheet = Sheet::open();
    // As LibreOffice and Excel put cells on the clipboard: tabs, decimal commas, thousands, a line's end behind the last.
    sheet.paste("11,50\t1.021,50 €\r\n16,00\t31,00\r\n");
    assert_eq!(sheet.values("p"), json!(["11.50", "1021.50", "16.00", "31.00"]));
    assert_eq!(sheet.says("done"), "4 cells pasted.");
    sheet.focus(3);
    sheet.paste("1\t2\n3\t1.234");
    assert_eq!((sheet.values("w"), sheet.values("h")), (json!(["300", "600", ""]), json!(["400", "800", ""])));
    assert_eq!(
        sheet.says("done"),
        "4 cells pasted. Not readable as prices: 1.234.",
        "what may be two things is not guessed"
    );
    assert_eq!(sheet.browser.ask("return document.querySelectorAll('td.wrong').length"), 1);
    sheet.browser.press(&[CONTROL], "z");
    assert_eq!(sheet.values("p"), json!(["11.50", "1021.50", "16.00", "31.00"]), "one paste is one change");
    // A whole table with its steps, into the first cell.
    sheet.focus(0);
    sheet.paste("H/B\t500\t1000\t1500\n300\t1,5\t2,5\t3,5\n600\t4,5\t5,5\t6,5");
    assert_eq!((sheet.values("w"), sheet.values("h")), (json!(["500", "1000", "1500"]), json!(["300", "600"])));
    assert_eq!(sheet.values("p"), json!(["1.50", "2.50", "3.50", "4.50", "5.50", "6.50"]));
    // A price that is cut off looks like another price.
    sheet.focus(5);
    sheet.browser.press(&[], "1234567890,12");
    sheet.browser.press(&[], UP);
    assert_eq!(sheet.values("p")[5], "1234567890.12");
    let cut = "return [...document.querySelectorAll('[name=p]')].filter(field => field.scrollWidth > field.clientWidth).length";
    assert_eq!(sheet.browser.ask(cut), 0);
    sheet.browser.press(&[CONTROL], "z");
    // A selection is copied with tabs, and one value fills one.
    sheet.focus(0);
    sheet.browser.press(&[SHIFT], RIGHT);
    let copied = sheet.browser.ask(
        "const data = new DataTransfer();
         document.activeElement.dispatchEvent(new ClipboardEvent('copy', { clipboardData: data, bubbles: true, cancelable: true }));
         return data.getData('text/plain')",
    );
    assert_eq!(copied, "1.50\t2.50");
    sheet.paste("9,9");
    assert_eq!(sheet.values("p"), json!(["9.90", "9.90", "3.50", "4.50", "5.50", "6.50"]));
    assert_eq!(sheet.browser.ask("return document.querySelectorAll('td.falls').length"), 3);
    sheet.browser.press(&[CONTROL], "s");
    sheet.browser.wait_for("return document.querySelector('.flash') !== null");
    assert_eq!(sheet.saved(), [990, 990, 350, 450, 550, 650].map(Some));
    sheet.no_complaints();
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_changes_prices_by_percent_as_one_change_that_can_be_undone() {
    let sheet = Sheet::open();
    let browser = &sheet.browser;
    let press = |selector: &str| browser.ask(&format!("document.querySelector('{selector}').click()"));
    let enter =
        |field: &str, text: &str| browser.ask(&format!("document.querySelector('[name={field}]').value = '{text}'"));
    enter("percent", "4");
    press("[data-adjust]");
    sheet.browser.wait_for("return document.querySelector('[data-says=changes]').textContent === '3 unsaved changes'");
    assert_eq!(sheet.values("p"), json!(["10.40", "20.80", "15.60", ""]));
    assert_eq!(browser.ask("return document.querySelectorAll('td.changed').length"), 3);
    press("[data-do=undo]");
    assert_eq!(sheet.values("p"), json!(["10.00", "20.00", "15.00", ""]));
    // Only what is selected, rounded.
    sheet.focus(0);
    browser.press(&[SHIFT], DOWN);
    assert_eq!(browser.ask("return ['from-width', 'to-width', 'from-height', 'to-height'].map(name => document.querySelector(`[name=${name}]`).value)"),
        json!(["300", "300", "400", "800"]));
    enter("rounding", ".95");
    press("[data-adjust]");
    sheet.browser.wait_for("return document.querySelector('[data-says=changes]').textContent === '2 unsaved changes'");
    assert_eq!(sheet.values("p"), json!(["9.95", "20.00", "15.95", ""]));
    // What cannot be done is said, and changes nothing.
    enter("percent", "-100");
    press("[data-adjust]");
    sheet
        .browser
        .wait_for("return document.querySelector('[data-says=adjust-fault]').textContent.includes('percentage')");
    assert_eq!(sheet.values("p"), json!(["9.95", "20.00", "15.95", ""]));
    assert_eq!(sheet.saved(), [Some(1_000), Some(2_000), Some(1_500), None], "nothing was saved");
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|text| text.contains("422")), "{complaints:?}");
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_shows_an_edit_that_meets_another_cell_by_cell_and_warns_of_unsaved_changes() {
    let sheet = Sheet::open();
    let browser = &sheet.browser;
    let leaves = "const event = new Event('beforeunload', { cancelable: true }); dispatchEvent(event); return event.defaultPrevented";
    assert_eq!(browser.ask(leaves), false);
    browser.press(&[], "11");
    browser.press(&[], DOWN);
    assert_eq!(browser.ask(leaves), true, "unsaved changes are not lost without a question");
    // Somebody else is faster.
    let (now, scope, id) = (sheet.fixture.now(), sheet.scope, sheet.id);
    let theirs = grid(&[300, 600], &[400, 800], &[Some(1_200), Some(2_000), Some(1_500), Some(3_000)]);
    let edit = Edit { grid: Some(theirs), ..Edit::default() };
    let written = sheet.fixture.app.db.write(move |tx| matrices::edit(tx, now, scope, id, Some(Expected::Any), &edit));
    written.expect("written");
    browser.press(&[CONTROL], "s");
    sheet.browser.wait_for("return document.querySelector('td.conflict') !== null");
    browser.picture("console-conflict");
    assert_eq!(sheet.values("p"), json!(["11.00", "20.00", "15.00", "30.00"]));
    assert_eq!(browser.ask("return document.querySelector('td.conflict small').textContent"), "theirs: 12.00");
    assert_eq!(sheet.says("changes"), "1 unsaved change");
    assert_eq!(sheet.saved()[0], Some(1_200));
    browser.ask("document.querySelector('[data-save]').click()");
    sheet.browser.wait_for("return document.querySelector('.flash') !== null");
    assert_eq!(sheet.saved(), [1_100, 2_000, 1_500, 3_000].map(Some));
    sheet.no_complaints();
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_adds_and_removes_steps_in_place() {
    let sheet = Sheet::open();
    let browser = &sheet.browser;
    let press = |what: &str| browser.ask(&format!("document.querySelector('[data-do={what}]').click()"));
    press("add-width");
    browser.press(&[], "900");
    browser.press(&[], DOWN);
    browser.press(&[], "30");
    browser.press(&[], DOWN);
    assert_eq!(
        (sheet.values("w"), sheet.values("p")),
        (json!(["300", "600", "900"]), json!(["10.00", "20.00", "30.00", "15.00", "", ""]))
    );
    sheet.focus(3);
    press("remove-height");
    assert_eq!((sheet.values("h"), sheet.values("p")), (json!(["400"]), json!(["10.00", "20.00", "30.00"])));
    press("remove-height");
    assert_eq!(sheet.values("h"), json!(["400"]), "the last one stays");
    press("undo");
    assert_eq!(sheet.values("p"), json!(["10.00", "20.00", "30.00", "15.00", "", ""]));
    browser.ask("document.querySelector('[data-save]').click()");
    sheet.browser.wait_for("return document.querySelector('.flash') !== null");
    assert_eq!(sheet.saved(), [Some(1_000), Some(2_000), Some(3_000), Some(1_500), None, None]);
    sheet.no_complaints();
}

#[test]
#[ignore = "needs Chromium and chromedriver: cargo test --test it -- --ignored browser"]
fn browser_moves_through_the_largest_sheet_without_delay() {
    let (fixture, scope) = with_shop();
    let operator = Visitor::new(&fixture, Role::Operator, None);
    let (now, entropy) = (fixture.now(), fixture.app.entropy.clone());
    let id = MatrixId::new(now, entropy.array());
    let steps: Vec<i64> = (1..=50).map(|step| step * 100).collect();
    let large = grid(&steps, &steps, &vec![Some(12_345); 2_500]);
    let name = "Large".parse().expect("a name");
    fixture.app.db.write(move |tx| matrices::insert(tx, now, id, scope, &name, &large)).expect("a list");
    let path = format!("/admin/shops/{SHOP}/prices/{id}");
    assert_eq!(operator.page(&path).matches("name=\"p\"").count(), 2_500);
    let options = ServerOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    let server = Server::start(options, Arc::new(fixture.router.clone())).expect("a server");
    let (url, browser) = (format!("http://{}", server.address()), Browser::start());
    browser.resize(1_280, 900);
    browser.open(&format!("{url}/admin/enter#{}", link(&fixture, Role::Operator, None)));
    for _ in 0..200 {
        if browser.ask("return location.pathname") == "/admin" {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    browser.open(&format!("{url}{path}"));
    browser.ask("document.querySelectorAll('[name=p]')[0].focus()");
    browser.press(&[CONTROL], RIGHT);
    browser.press(&[CONTROL], DOWN);
    let at = "return [...document.querySelectorAll('[name=p]')].indexOf(document.activeElement)";
    assert_eq!(browser.ask(at), 2_499);
    browser.press(&[], "1");
    browser.picture("console-sheet-large");
    assert_eq!(browser.ask("return document.querySelector('[data-says=changes]').textContent"), "1 unsaved change");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
