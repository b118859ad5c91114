//! The element on a shop's page: its script, at an address that is always the newest and at one that never changes, and the page of
//! `serve --dev` that shows it.

use super::guard::language_for;
use super::pages;
use super::route::{Params, Route};
use super::state::AppState;
use super::{Method, Request, Response};
use crate::error::{Error, Kind, Result};
use crate::keyed_hash::hex;
use crate::languages::{Language, element_texts};
use askama::Template;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The table's lines.
pub(super) const ROUTES: &[Route] = &[
    Route::now(Method::Get, "/widget/v1.js", newest),
    Route::now(Method::Get, "/widget/demo", demo_page),
    Route::now(Method::Get, "/widget/{file}", by_hash),
];

/// The element as people read it.
const SOURCE: &str = include_str!("quote-grid.js");

/// Where the texts of all languages go.
const TEXTS: &str = "{/* texts */}";

/// What the element's style begins with.
const STYLE_BEGINS: &str = "replaceSync(`";

/// Marks with a blank behind them, and what stands before the few that shoppers see: "`, ${label}`" and "${group}: ${choice}".
const BLANKS: [(char, char); 2] = [(',', '`'), (':', '}')];

/// What short names are made of.
const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// For how long browsers take the newest script as such: a fault in it is out of the shops' pages in five minutes.
const NEWEST: &str = "public, max-age=300";

/// A script with this very hash is never another one.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// Digits of the hash in an address: enough that two scripts never share them.
const HASH_LENGTH: usize = 16;

/// The products that the demo page shows: one with options, and one that needs none.
const DEMO_PRODUCTS: [&str; 2] = ["1007", "1009"];

struct Script {
    text: String,
    hash: String,
}

static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    let text = shortened(SOURCE).replace(TEXTS, &element_texts().to_string());
    let hash = hex(&Sha256::digest(&text))[..HASH_LENGTH].to_owned();
    Script { text, hash }
});

/// `source` without indentation, empty lines and lines that hold only a comment, without the blanks around its commonest operators, and
/// with short names for what is private or constant. Nothing of that is in a string of the source, except for what [`BLANKS`] tells apart.
fn shortened(source: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let mut text: String = lines.flat_map(|line| [line, "\n"]).collect();
    for operator in ["=>", "===", "!==", "&&", "||", "??", "=", "?", ":", "+", "*"] {
        text = text.replace(&format!(" {operator} "), operator);
    }
    for (mark, shown_behind) in BLANKS {
        text = without_blanks(&text, mark, shown_behind);
    }
    for (from, to) in [(") {", "){"), ("if (", "if("), ("for (", "for("), ("; ", ";"), ("{ ", "{"), (" }", "}")] {
        text = text.replace(from, to);
    }
    // The style's own blanks, between its first and its last line.
    if let Some((before, style)) = text.split_once(STYLE_BEGINS)
        && let Some((style, after)) = style.split_once("`);")
    {
        let blanks = [(";}", "}"), (" {", "{"), (": ", ":"), (", ", ",")];
        let style = blanks.iter().fold(style.to_owned(), |style, (from, to)| style.replace(from, to));
        text = [before, STYLE_BEGINS, &style, "`);", after].concat();
    }
    with_short_names(&text)
}

/// `text` without the blanks behind `mark`, but for those where it stands behind `shown_behind`.
fn without_blanks(text: &str, mark: char, shown_behind: char) -> String {
    let blank = format!("{mark} ");
    let mut pieces = text.split(blank.as_str()).peekable();
    let mut shortened = String::with_capacity(text.len());
    while let Some(piece) = pieces.next() {
        shortened.push_str(piece);
        if pieces.peek().is_some() {
            shortened.push(mark);
            if piece.ends_with(shown_behind) {
                shortened.push(' ');
            }
        }
    }
    shortened
}

/// `text` with a number in the place of each private name (`#name`) that is used, and of each constant in capitals.
fn with_short_names(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let private = text.split("this.#").skip(1).filter_map(|rest| rest.split(|c| !is_part(c)).next());
    let constant = text.split("\nconst ").skip(1).filter_map(|rest| rest.split(|c| !is_part(c)).next());
    let constant = constant.filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'));
    let names = private.map(|name| format!("#{name}")).chain(constant.map(str::to_owned));
    let mut short: HashMap<String, String> = HashMap::new();
    for name in names {
        let number = short.len();
        // A letter is enough for the first two alphabets of private names; constants have a digit, which no private name has.
        let letter = LETTERS.get(number).map_or_else(|| format!("a{number}"), |letter| char::from(*letter).to_string());
        let mark = if name.starts_with('#') { format!("#{letter}") } else { format!("N{number}") };
        short.entry(name).or_insert(mark);
    }
    let mut shortened = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let mark = usize::from(first == '#');
        let length = mark + rest[mark..].find(|c| !is_part(c)).unwrap_or(rest.len() - mark);
        let (word, after) = rest.split_at(length.max(first.len_utf8()));
        shortened.push_str(short.get(word).map_or(word, String::as_str));
        rest = after;
    }
    shortened
}

/// The path of the script that never changes.
pub fn permanent_path() -> String {
    format!("/widget/{}.js", SCRIPT.hash)
}

#[expect(clippy::unnecessary_wraps, reason = "all handlers of the table have one type")]
fn newest(_state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let etag = format!("\"{}\"", SCRIPT.hash);
    let is_known = |tags: &str| tags.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag);
    let response = match request.headers.all("if-none-match").any(|tags| tags.trim() == "*" || is_known(tags)) {
        true => Response::empty(304),
        false => Response::new(200, "text/javascript; charset=utf-8", SCRIPT.text.as_str()),
    };
    Ok(for_any_page(response, NEWEST).with_header("ETag", etag))
}

fn by_hash(_state: &Arc<AppState>, _request: &Request, params: &Params) -> Result<Response> {
    if params.get("file").strip_suffix(".js") != Some(&SCRIPT.hash) {
        return Err(Error::not_found("script"));
    }
    Ok(for_any_page(Response::new(200, "text/javascript; charset=utf-8", SCRIPT.text.as_str()), FOREVER))
}

/// Browsers load a module from another site only where that site says that they may.
fn for_any_page(response: Response, kept: &str) -> Response {
    response
        .with_header("Cache-Control", kept)
        .with_header("Access-Control-Allow-Origin", "*")
        .with_header("Cross-Origin-Resource-Policy", "cross-origin")
        .with_header("X-Content-Type-Options", "nosniff")
}

#[derive(Template)]
#[template(path = "demo.html", config = "src/http/pages/askama.toml")]
struct DemoPage<'a> {
    language: Language,
    script: String,
    key: &'a str,
    products: [&'static str; 2],
}

/// The element with the demo store, where there is one.
fn demo_page(state: &Arc<AppState>, request: &Request, _params: &Params) -> Result<Response> {
    let Some(demo) = &state.demo else { return Err(Error::not_found("page: it is only there with serve --dev")) };
    let page = DemoPage {
        language: language_for(request, None),
        script: permanent_path(),
        key: &demo.key.key,
        products: DEMO_PRODUCTS,
    };
    let html = page.render();
    let html = html.map_err(|error| Error::new(Kind::Internal, "a page cannot be written").with_source(error))?;
    let response = Response::new(200, "text/html; charset=utf-8", html)
        .with_header("Content-Security-Policy", format!("{}; script-src 'self'; connect-src 'self'", pages::policy()))
        .with_header("X-Content-Type-Options", "nosniff")
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("Cache-Control", "no-store");
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_has_the_texts_and_no_comment_of_its_own() {
        assert_eq!(SOURCE.matches(TEXTS).count(), 1);
        assert!(SCRIPT.text.contains("Nach Maß bestellen") && !SCRIPT.text.contains(TEXTS));
        assert!(!SCRIPT.text.lines().any(|line| line.starts_with("//") || line.starts_with(' ')));
        // What an element on other people's pages must not use.
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "eval(",
            "Function(",
            "localStorage",
            "sessionStorage",
            "cookie",
        ] {
            assert!(!SCRIPT.text.contains(word), "{word}");
        }
    }

    #[test]
    fn every_text_of_the_element_is_used_and_every_one_that_it_uses_is_there() {
        let texts = element_texts();
        let names: Vec<&str> =
            texts["names"].as_array().expect("names").iter().filter_map(|name| name.as_str()).collect();
        let code: String = SOURCE.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for name in &names {
            assert!(code.contains(&format!("'{name}'")), "{name} is not used");
        }
        // A name that is said is a string at once, one of two, or the name of a field or of a tax label.
        for said in code.split("#say(").skip(1).filter(|said| said.starts_with('\'')) {
            let name = said.split('\'').nth(1).unwrap_or_default();
            assert!(names.contains(&name), "{name} has no text");
        }
    }

    #[test]
    fn blanks_are_left_out_where_nobody_sees_them() {
        let source = "make('p', { a: 1, b: x ? 2 : 3 }, `${name}: ${this.say('x')}${label ? `, ${label}` : ''}`);";
        let short = "make('p',{a:1,b:x?2:3 },`${name}: ${this.say('x')}${label?`, ${label}`:''}`);";
        assert_eq!(shortened(source), format!("{}\n", short.replace("3 }", "3}")));
    }

    #[test]
    fn private_names_and_constants_are_shortened_and_nothing_else_is() {
        let source = "\nconst LONG_NAME = 1;\n#some() { return this.#some(LONG_NAME, '#fff', OTHER_NAME, 'some'); }";
        let short = with_short_names(source);
        assert_eq!(short, "\nconst N1 = 1;\n#a() { return this.#a(N1, '#fff', OTHER_NAME, 'some'); }");
    }
}
