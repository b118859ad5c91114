//! What a preview of a price list says to people: the same as its JSON document, line by line.

use serde_json::Value;

/// Items of a list that are named one by one; `--json` has all of them.
const NAMED: usize = 10;

/// The document of a preview as text.
pub(super) fn text(document: &Value) -> String {
    let count = |name: &str| list(document, name).len();
    let mut lines = vec![format!(
        "{} layout, {} of {} lines are good: {} widths x {} heights",
        plain(&document["layout"]),
        document["validRows"],
        document["rows"],
        count("widths"),
        count("heights")
    )];
    lines.extend(reading(document));
    for name in ["width", "height"] {
        lines.extend(axis(name, &document["axes"][name]));
    }
    lines.extend(prices(document));
    lines.extend(named("not offered", list(document, "notOffered"), size));
    lines.extend(zeros(document));
    lines.extend(named("prices that fall", list(document, "fallingPrices"), |fall| {
        format!("{} costs less than {}", priced(fall), priced(&fall["than"]))
    }));
    lines.extend(named("repeated sizes", list(document, "repeated"), |repeat| {
        format!("line {}: {} {}", repeat["line"], size(repeat), change(repeat))
    }));
    if !list(document, "sameName").is_empty() {
        lines.push("a price matrix has this name already: import with --into or --new".to_owned());
    }
    lines.extend(document.get("changes").into_iter().flat_map(changes));
    for fault in list(document, "faults") {
        let line = fault["line"].as_u64().filter(|line| *line > 0).map(|line| format!("line {line}: "));
        lines.push(format!("{}{}", line.unwrap_or_default(), plain(&fault["message"])));
    }
    if document["moreFaults"].as_u64().is_some_and(|more| more > 0) {
        lines.push(format!("and {} more faults", document["moreFaults"]));
    }
    lines.join("\n")
}

/// The sizes of a document that are sold for nothing, if there are any.
pub(super) fn zeros(document: &Value) -> Option<String> {
    named("sold for nothing", list(document, "zeroPrices"), size)
}

/// How the text was taken apart.
fn reading(document: &Value) -> Option<String> {
    let separator = match document["separator"].as_str()? {
        "," => "commas",
        ";" => "semicolons",
        _ => "tabs",
    };
    let mut said = format!("fields between {separator}");
    if let Some(mark) = document["decimalMark"].as_str() {
        said.push_str(&format!(", decimals behind a {mark}"));
    }
    match document["linesAbove"].as_u64() {
        Some(1) => said.push_str(", 1 line above the list left out"),
        Some(lines @ 2..) => said.push_str(&format!(", {lines} lines above the list left out")),
        _ => {}
    }
    Some(said)
}

fn axis(name: &str, axis: &Value) -> Option<String> {
    let runs = match axis["runs"].as_str()? {
        "across" => ", along the top",
        "down" => ", down the side",
        _ => "",
    };
    let unit = plain(&axis["unit"]);
    let list_unit = axis["listUnit"].as_str().filter(|list_unit| *list_unit != unit);
    let converted = list_unit.map(|list_unit| format!(", converted from {list_unit}")).unwrap_or_default();
    if axis["smallest"].is_null() {
        return None;
    }
    Some(format!("{name}s {} to {} {unit}{runs}{converted}", axis["smallest"], axis["largest"]))
}

fn prices(document: &Value) -> Option<String> {
    let (smallest, largest) = (&document["smallestPrice"], &document["largestPrice"]);
    let at = |price: &Value| format!("{} ({})", plain(&price["price"]), size(price));
    smallest
        .is_object()
        .then(|| format!("prices {} to {} in {}", at(smallest), at(largest), plain(&document["currency"])))
}

fn changes(changes: &Value) -> Vec<String> {
    let count = |name: &str| list(changes, name).len();
    let widths = count("widthsAdded") + count("widthsRemoved");
    let heights = count("heightsAdded") + count("heightsRemoved");
    let mut lines = vec![format!("changes {} prices, {widths} widths and {heights} heights", count("prices"))];
    for (name, what) in [
        ("widthsAdded", "new widths"),
        ("widthsRemoved", "widths that go"),
        ("heightsAdded", "new heights"),
        ("heightsRemoved", "heights that go"),
    ] {
        lines.extend(named(what, list(changes, name), Value::to_string));
    }
    lines.extend(named("prices that change, the largest first", list(changes, "prices"), |price| {
        format!("{} {}", size(price), change(price))
    }));
    lines
}

/// A list with its first items, or nothing where it is empty.
fn named(what: &str, items: &[Value], show: impl Fn(&Value) -> String) -> Option<String> {
    if items.is_empty() {
        return None;
    }
    let shown: Vec<String> = items.iter().take(NAMED).map(show).collect();
    let more = items.len() - shown.len();
    let more = if more > 0 { format!("; and {more} more (--json has all)") } else { String::new() };
    Some(format!("{what} ({}): {}{more}", items.len(), shown.join("; ")))
}

fn list<'a>(document: &'a Value, name: &str) -> &'a [Value] {
    document[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn size(size: &Value) -> String {
    format!("{} x {}", size["width"], size["height"])
}

fn priced(size_and_price: &Value) -> String {
    format!("{} at {}", size(size_and_price), plain(&size_and_price["price"]))
}

fn change(change: &Value) -> String {
    let price = |price: &Value| price.as_str().unwrap_or("not offered").to_owned();
    format!("{} → {}", price(&change["from"]), price(&change["to"]))
}

/// A text without its quotes.
fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
