//! The GraphQL documents and what is sent with them, held against Shopify's own schema, and so are the answers of the fake: their fields,
//! arguments and types, as far as something here asks for them (`schema.graphql`). That excerpt was written by a program from the
//! introspection of version 2026-10 that Shopify publishes in its package `@shopify/dev-mcp` (1.16.0); it is the same in 2025-10 to
//! 2026-07 and in the unstable version. (The same files pass graphql-js' `validate` against those six schemas, and none of their
//! fields is deprecated; that needs Node.js and 17 MB of data, so it is not part of the tests.)

use quotegrid::shopify::admin::{
    CREATE, DELETE, Draft, DraftLine, FIND, LOOK, PRODUCTS, STATES, VARIANTS, create, delete, find, look, products,
    states, variants,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// What a name of the schema stands for.
enum Definition {
    /// An object, in answers or in what is sent.
    Fields(BTreeMap<&'static str, FieldDefinition>),
    /// A word among these.
    Words(Vec<&'static str>),
}

/// What is known of a field.
struct FieldDefinition {
    /// Its arguments with their types.
    arguments: BTreeMap<&'static str, &'static str>,
    /// Its type, as the schema writes it: `[DraftOrder!]!`.
    of: &'static str,
}

static SCHEMA: LazyLock<BTreeMap<&str, Definition>> = LazyLock::new(|| {
    let blocks = include_str!("schema.graphql").split("\n\n");
    blocks
        .map(|block| {
            let (head, body) = block.split_once(" {\n").expect("a block");
            let (kind, name) = head.split_once(' ').expect("a kind and a name");
            let lines = body.trim_end().trim_end_matches('}').lines().map(str::trim).filter(|line| !line.is_empty());
            let definition = match kind {
                "enum" => Definition::Words(lines.collect()),
                _ => Definition::Fields(lines.map(field_of_line).collect()),
            };
            (name, definition)
        })
        .collect()
});

/// `name: Type` or `name(argument: Type, …): Type`.
fn field_of_line(line: &'static str) -> (&'static str, FieldDefinition) {
    let typed = |text: &'static str| text.split_once(": ").expect("a name and a type");
    let (name, arguments, of) = match line.split_once('(') {
        Some((name, rest)) => {
            let (arguments, of) = rest.split_once("): ").expect("arguments and a type");
            (name, arguments.split(", ").map(typed).collect(), of)
        }
        None => {
            let (name, of) = typed(line);
            (name, BTreeMap::new(), of)
        }
    };
    (name, FieldDefinition { arguments, of })
}

/// The fields of a type; none for what has a value of its own.
fn fields_of(of: &str) -> Option<&'static BTreeMap<&'static str, FieldDefinition>> {
    match SCHEMA.get(of.trim_matches(['[', ']', '!'])) {
        Some(Definition::Fields(fields)) => Some(fields),
        _ => None,
    }
}

/// The words and marks of a document; strings do not occur in one.
fn tokens(document: &str) -> Vec<&str> {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '.';
    let mut tokens = Vec::new();
    let mut rest = document.trim_start();
    while let Some(first) = rest.chars().next() {
        let end =
            if is_of_word(first) { rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        tokens.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }
    tokens
}

/// A document, taken apart.
struct Document<'a> {
    /// `QueryRoot` or `Mutation`.
    root: &'static str,
    variables: BTreeMap<&'a str, String>,
    selections: Vec<Selection<'a>>,
    /// By name: on which type, and what of it.
    fragments: BTreeMap<&'a str, (&'a str, Vec<Selection<'a>>)>,
}

/// What is asked for of a type.
enum Selection<'a> {
    Field {
        key: &'a str,
        name: &'a str,
        arguments: Vec<(&'a str, &'a str)>,
        selections: Vec<Selection<'a>>,
    },
    /// What is asked for where the object is of this type.
    On(&'a str, Vec<Selection<'a>>),
    Spread(&'a str),
}

/// Takes a document apart, from left to right.
struct Reader<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        self.at += 1;
        self.tokens[self.at - 1]
    }

    fn skip(&mut self, token: &str) {
        assert_eq!(self.next(), token, "token {} of {:?}", self.at, self.tokens);
    }

    fn takes(&mut self, token: &str) -> bool {
        let is_next = self.peek() == token;
        self.at += usize::from(is_next);
        is_next
    }

    fn document(mut self) -> Document<'a> {
        let root = match self.next() {
            "query" => "QueryRoot",
            "mutation" => "Mutation",
            other => panic!("no operation: {other}"),
        };
        let (_name, mut variables) = (self.next(), BTreeMap::new());
        if self.takes("(") {
            while !self.takes(")") {
                let name = self.next();
                self.skip(":");
                let mut of = String::new();
                while self.peek() != ")" && !self.peek().starts_with('$') {
                    of += self.next();
                }
                variables.insert(name, of);
            }
        }
        let (selections, mut fragments) = (self.selections(), BTreeMap::new());
        while self.at < self.tokens.len() {
            self.skip("fragment");
            let name = self.next();
            self.skip("on");
            let of = self.next();
            fragments.insert(name, (of, self.selections()));
        }
        Document { root, variables, selections, fragments }
    }

    fn selections(&mut self) -> Vec<Selection<'a>> {
        self.skip("{");
        let mut selections = Vec::new();
        while !self.takes("}") {
            let word = self.next();
            selections.push(match word.strip_prefix("...") {
                Some("") => {
                    self.skip("on");
                    Selection::On(self.next(), self.selections())
                }
                Some(fragment) => Selection::Spread(fragment),
                None => self.field(word),
            });
        }
        selections
    }

    fn field(&mut self, key: &'a str) -> Selection<'a> {
        let name = if self.takes(":") { self.next() } else { key };
        let mut arguments = Vec::new();
        if self.takes("(") {
            while !self.takes(")") {
                let argument = self.next();
                self.skip(":");
                arguments.push((argument, self.next()));
            }
        }
        let selections = if self.peek() == "{" { self.selections() } else { Vec::new() };
        Selection::Field { key, name, arguments, selections }
    }
}

impl<'a> Document<'a> {
    fn read(text: &'a str) -> Self {
        Reader { tokens: tokens(text), at: 0 }.document()
    }

    /// Whether the schema has all that is asked for.
    fn check(&self, selections: &[Selection<'a>], of: &str, used: &mut BTreeSet<&'a str>) {
        let of = of.trim_matches(['[', ']', '!']);
        let fields = fields_of(of).unwrap_or_else(|| panic!("no type {of}"));
        assert!(!selections.is_empty(), "of {of} something must be asked for");
        for selection in selections {
            match selection {
                Selection::On(on, selections) => {
                    assert!(of == "Node" || of == *on, "an inline fragment on {on} in {of}");
                    self.check(selections, on, used);
                }
                Selection::Spread(fragment) => {
                    let (on, selections) = &self.fragments[*fragment];
                    assert_eq!(of, *on, "{fragment} is spread on {of}");
                    self.check(selections, on, used);
                }
                Selection::Field { name, arguments, selections, .. } => {
                    let field = fields.get(name).unwrap_or_else(|| panic!("{of} has no field {name}"));
                    for (argument, value) in arguments {
                        let wanted = field.arguments.get(argument);
                        let wanted = wanted.unwrap_or_else(|| panic!("{name} has no argument {argument}"));
                        if let Some(declared) = self.variables.get(value) {
                            used.insert(*value);
                            let fits = declared == wanted || declared.strip_suffix('!') == Some(*wanted);
                            assert!(fits, "{argument} of {name} is {wanted}, and {value} is {declared}");
                        } else {
                            let literal = serde_json::from_str(value).unwrap_or_else(|_word| json!(value));
                            check_value(&format!("{argument} of {name}"), wanted, &literal);
                            assert!(
                                *argument != "first" || literal.as_u64() <= Some(250),
                                "a page of {name} is too long"
                            );
                        }
                    }
                    let is_given = |wanted: &str| arguments.iter().any(|(argument, _)| *argument == wanted);
                    for (argument, _) in field.arguments.iter().filter(|(_, of)| of.ends_with('!')) {
                        assert!(is_given(argument), "{name} needs {argument}");
                    }
                    assert!(
                        !field.arguments.contains_key("first") || is_given("first"),
                        "{name} needs a length of its page"
                    );
                    match fields_of(field.of) {
                        Some(_) => self.check(selections, field.of, used),
                        None => assert!(selections.is_empty(), "{name} of {of} has a value of its own"),
                    }
                }
            }
        }
    }

    /// Whether `object` is an answer to the selections: nothing that was not asked for, and everything else of its type.
    fn check_answer(&self, selections: &[Selection<'a>], of: &str, object: &Value) {
        let object = object.as_object().unwrap_or_else(|| panic!("a {of} is no object: {object}"));
        let mut asked = BTreeMap::new();
        self.flatten(selections, of, &mut asked);
        for name in object.keys() {
            assert!(asked.contains_key(name.as_str()), "{name} of {of} was not asked for");
        }
        for (key, (field, selections)) in asked {
            match object.get(key) {
                Some(value) => self.check_answered(&format!("{key} of {of}"), selections, field.of, value),
                // What a test wants to be left unsaid.
                None => assert!(["totalTaxSet", "taxesIncluded"].contains(&key), "{key} of {of} is not answered"),
            }
        }
    }

    fn check_answered(&self, place: &str, selections: &[Selection<'a>], of: &str, value: &Value) {
        let inner = of.strip_suffix('!').unwrap_or(of);
        match (inner.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')), value) {
            (_, Value::Null) => assert_eq!(inner, of, "{place} is null"),
            (Some(item), Value::Array(values)) => {
                values.iter().for_each(|value| self.check_answered(place, selections, item, value));
            }
            (Some(_), other) => panic!("{place} is no list: {other}"),
            (None, value) if fields_of(inner).is_some() => self.check_answer(selections, inner, value),
            // A test may want an amount that is none.
            (None, value) if inner == "Decimal" => assert!(value.is_string(), "{place} is no text: {value}"),
            (None, value) => check_value(place, inner, value),
        }
    }

    /// All that is asked for of an object, whatever fragments it stands in.
    fn flatten<'b>(
        &'b self,
        selections: &'b [Selection<'a>],
        of: &str,
        asked: &mut BTreeMap<&'a str, (&'static FieldDefinition, &'b [Selection<'a>])>,
    ) {
        for selection in selections {
            match selection {
                Selection::On(on, selections) => self.flatten(selections, on, asked),
                Selection::Spread(fragment) => self.flatten(&self.fragments[*fragment].1, of, asked),
                Selection::Field { key, name, selections, .. } => {
                    asked.insert(key, (&fields_of(of).expect("a type")[*name], selections));
                }
            }
        }
    }
}

/// Whether a value that is sent, or one without fields in an answer, is of its type.
#[track_caller]
fn check_value(place: &str, of: &str, value: &Value) {
    let inner = of.strip_suffix('!').unwrap_or(of);
    if value.is_null() {
        return assert_eq!(inner, of, "{place} is null");
    }
    if let Some(item) = inner.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let values = value.as_array().unwrap_or_else(|| panic!("{place} is no list: {value}"));
        return values.iter().for_each(|value| check_value(place, item, value));
    }
    let text = value.as_str();
    let is_one = match (inner, SCHEMA.get(inner)) {
        (_, Some(Definition::Words(words))) => text.is_some_and(|text| words.contains(&text)),
        (_, Some(Definition::Fields(fields))) => return check_fields(inner, fields, value),
        ("Boolean", _) => value.is_boolean(),
        ("Int", _) => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        ("Float", _) => value.is_number(),
        // As text: a number would have lost its last digits on the way.
        ("Decimal", _) => text.is_some_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite)),
        ("UnsignedInt64", _) => text.is_some_and(|text| text.parse::<u64>().is_ok()),
        ("CurrencyCode", _) => {
            text.is_some_and(|text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()))
        }
        ("ID", _) => text.is_some_and(|text| text.starts_with("gid://shopify/")),
        ("String" | "URL" | "DateTime", _) => text.is_some(),
        (other, _) => panic!("no type {other}"),
    };
    assert!(is_one, "{place} is no {inner}: {value}");
}

/// Whether an object that is sent has the fields of its type, and those that it must have.
fn check_fields(of: &str, fields: &BTreeMap<&str, FieldDefinition>, value: &Value) {
    let object = value.as_object().unwrap_or_else(|| panic!("{of} is no object: {value}"));
    for (name, value) in object {
        let field = fields.get(name.as_str()).unwrap_or_else(|| panic!("{of} has no field {name}"));
        check_value(&format!("{name} of {of}"), field.of, value);
    }
    for (name, _) in fields.iter().filter(|(_, field)| field.of.ends_with('!')) {
        assert!(object.contains_key(*name), "{of} has no {name}, which it needs");
    }
}

/// Holds what is asked against the schema: the document, and the variables that come with it.
#[track_caller]
pub(super) fn check(body: &Value) {
    let document = Document::read(body["query"].as_str().expect("a document"));
    let mut used = BTreeSet::new();
    document.check(&document.selections, document.root, &mut used);
    let variables = body["variables"].as_object().cloned().unwrap_or_default();
    for (name, of) in &document.variables {
        assert!(used.contains(name), "{name} is for nothing");
        check_value(name, of, variables.get(&name[1..]).unwrap_or(&Value::Null));
    }
    for name in variables.keys() {
        assert!(document.variables.contains_key(format!("${name}").as_str()), "{name} is not declared");
    }
}

/// Holds the data of an answer of the fake against the document that it answers.
#[track_caller]
pub(super) fn check_answer(document: &str, answer: &Value) {
    let document = Document::read(document);
    document.check_answer(&document.selections, document.root, &answer["data"]);
}

fn draft() -> Draft {
    let line = |variant_id| DraftLine {
        variant_id,
        title: "Pane".to_owned(),
        quantity: 1,
        unit_price: "1.00".to_owned(),
        requires_shipping: true,
        taxable: true,
        sku: Some("P-1".to_owned()),
        weight_grams: Some(1),
        attributes: vec![("Width".to_owned(), "1mm".to_owned())],
    };
    Draft {
        order_id: "01900000-0000-7000-8000-000000000001".to_owned(),
        name: "#D1".to_owned(),
        currency: "EUR".to_owned(),
        lines: [None, Some("gid://shopify/ProductVariant/1".to_owned())].map(line).to_vec(),
        allow_discount_codes: false,
        allow_automatic_discounts: false,
    }
}

#[test]
fn the_documents_and_what_is_sent_with_them_are_what_the_schema_has() {
    let draft_id = "gid://shopify/DraftOrder/1".to_owned();
    let bodies = [
        (CREATE, create(&draft())),
        (FIND, find("01900000-0000-7000-8000-000000000001")),
        (LOOK, look(&draft_id)),
        (STATES, states(std::slice::from_ref(&draft_id))),
        (DELETE, delete(&draft_id)),
        (VARIANTS, variants(&["gid://shopify/ProductVariant/1".to_owned()])),
        (PRODUCTS, products(Some("cursor"), "blind")),
    ];
    for (document, body) in bodies {
        assert_eq!(body["query"], document);
        check(&body);
    }
    check(&products(None, ""));
}

#[test]
fn a_document_that_asks_for_something_else_is_found_out() {
    let (create, find, states) = (create(&draft()), find("x"), states(&["gid://shopify/DraftOrder/1".to_owned()]));
    let weight = |grams: &Value| {
        let mut body = create.clone();
        body["variables"]["input"]["lineItems"][0]["weight"] = grams.clone();
        body
    };
    let with = |body: &Value, from: &str, to: &str| {
        let mut body = body.clone();
        let changed = body["query"].as_str().expect("a document").replacen(from, to, 1);
        assert_ne!(body["query"], changed, "{from} is not there");
        body["query"] = json!(changed);
        body
    };
    for (body, says) in [
        (with(&create, "invoiceUrl", "checkoutUrl"), "DraftOrder has no field checkoutUrl"),
        (with(&create, "DraftOrderInput!", "DraftOrderInput"), "input of draftOrderCreate is DraftOrderInput!"),
        (with(&create, "first: 100", "first: 251"), "too long"),
        (with(&create, "(first: 100)", ""), "needs a length of its page"),
        (with(&create, "presentmentMoney", "presentmentMoney { amount } shopMoney"), "MoneyBag has no field shopMoney"),
        (with(&find, "sortKey: ID", "sortKey: CREATED_AT"), "sortKey of draftOrders is no DraftOrderSortKeys"),
        (with(&find, "reverse: true", "reverse: 1"), "reverse of draftOrders is no Boolean"),
        (with(&find, "query: $search", "search: $search"), "draftOrders has no argument search"),
        (with(&states, "(ids: $ids)", ""), "nodes needs ids"),
        (with(&states, "name", "name { first }"), "name of Order has a value of its own"),
        (weight(&json!({ "value": 1 })), "WeightInput has no unit"),
        (weight(&json!({ "value": 1, "unit": "G" })), "unit of WeightInput is no WeightUnit"),
        (weight(&json!({ "grams": 1 })), "WeightInput has no field grams"),
        (weight(&json!(1)), "WeightInput is no object"),
    ] {
        let told = std::panic::catch_unwind(|| check(&body)).expect_err(says);
        let told = told.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(told.contains(says), "{says}: {told}");
    }
}

#[test]
fn nothing_of_a_person_is_sent() {
    let input = create(&draft())["variables"]["input"].clone();
    for name in ["email", "phone", "note", "shippingAddress", "billingAddress", "customerId", "purchasingEntity"] {
        assert_eq!(input.get(name), None, "{name}");
    }
}
