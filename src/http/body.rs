//! A request's JSON body, read field by field: all faults are reported at once, each under its field's name.

use super::Request;
use crate::domain::{DecimalFault, whole_number};
use crate::error::{Error, Kind, Result};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The fault of a field that was not read.
const UNKNOWN: &str = "unknown field";

/// The fields of a JSON object, and what is wrong with those that were read.
#[derive(Debug)]
pub(super) struct Fields {
    members: Map<String, Value>,
    read: Vec<&'static str>,
    faults: BTreeMap<String, Vec<String>>,
}

impl Fields {
    /// The fields of a request's body.
    ///
    /// # Errors
    /// `Malformed` when it is not a JSON object.
    pub(super) fn of(request: &Request) -> Result<Self> {
        match json(&request.body) {
            Ok(Value::Object(members)) => Ok(Self::from(members)),
            Ok(_) => Err(Error::new(Kind::Malformed, "the body must be a JSON object")),
            // These words name a line and a column, and quote nothing.
            Err(error) if error.is_data() => Err(Error::new(Kind::Malformed, format!("the body has a {error}"))),
            Err(error) => Err(Error::new(Kind::Malformed, format!("the body is not JSON: {error}"))),
        }
    }

    /// The same, where a request without a body means one without fields.
    ///
    /// # Errors
    /// `Malformed` when there is a body and it is not a JSON object.
    pub(super) fn of_optional(request: &Request) -> Result<Self> {
        if request.body.iter().all(u8::is_ascii_whitespace) { Ok(Self::from(Map::new())) } else { Self::of(request) }
    }

    /// The fields of an object within a body; `None` where `value` is something else.
    pub(super) fn of_value(value: &Value) -> Option<Self> {
        value.as_object().cloned().map(Self::from)
    }

    /// The field `name` as `read` understands it; `None` where it is absent, null or faulty.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> std::result::Result<T, String>,
    ) -> Option<T> {
        self.read.push(name);
        match self.members.get(name).filter(|value| !value.is_null()).map(read)? {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fault(name, fault);
                None
            }
        }
    }

    /// The field `name` where null means something too: `Some(None)` says that it is null.
    pub(super) fn nullable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> std::result::Result<T, String>,
    ) -> Option<Option<T>> {
        if self.members.get(name).is_some_and(Value::is_null) {
            self.read.push(name);
            return Some(None);
        }
        self.optional(name, read).map(Some)
    }

    /// Whether there is such a field, null aside.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.get(name).is_some_and(|value| !value.is_null())
    }

    /// Takes note of fields that an answer of ours has and that a client need not leave out when it sends the answer back.
    pub(super) fn ignore(&mut self, names: &[&'static str]) {
        self.read.extend(names);
    }

    /// The same for a field that must be there.
    pub(super) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> std::result::Result<T, String>,
    ) -> Option<T> {
        if self.members.get(name).is_none_or(Value::is_null) {
            self.read.push(name);
            self.fault(name, "is required");
            return None;
        }
        self.optional(name, read)
    }

    /// Reads an object within the body by its own fields. Its faults are named below its `path`: `choices[2].label`. `None` where
    /// `read` finds one.
    pub(super) fn object<T>(
        &mut self,
        path: &str,
        value: &Value,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let Some(mut fields) = Self::of_value(value) else {
            self.fault(path, "must be an object");
            return None;
        };
        let found = read(&mut fields).filter(|_| fields.faults.is_empty());
        for name in fields.unread() {
            fields.fault(name, UNKNOWN);
        }
        for (name, faults) in fields.faults {
            for fault in faults {
                self.fault(format!("{path}.{name}"), fault);
            }
        }
        found
    }

    /// Whether a fault of the field `name` is noted.
    pub(super) fn is_faulty(&self, name: &str) -> bool {
        self.faults.contains_key(name)
    }

    /// Notes a fault of the field `name`.
    pub(super) fn fault(&mut self, name: impl Into<String>, fault: impl Into<String>) {
        self.faults.entry(name.into()).or_default().push(fault.into());
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `Invalid` with every fault; a field that was not read is one, because it is most likely misspelt.
    pub(super) fn finish(mut self, message: &str) -> Result<()> {
        for name in self.unread() {
            self.fault(name, UNKNOWN);
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        let mut error = Error::new(Kind::Invalid, message);
        for (name, faults) in self.faults {
            for fault in faults {
                error = error.with_fault(&name, fault);
            }
        }
        Err(error)
    }

    /// Ends the reading of an object whose faults are all reported under the field that holds it, each as a sentence about its own
    /// field; `unknown` says what is wrong with one that was not read.
    pub(super) fn into_sentences(self, unknown: impl Fn(&str) -> String) -> Vec<String> {
        let unread = self.unread();
        let faults = self.faults.into_iter().flat_map(|(name, faults)| {
            let sentences = faults.into_iter().map(move |fault| format!("{name} {fault}"));
            sentences.collect::<Vec<_>>()
        });
        faults.chain(unread.iter().map(|name| unknown(name))).collect()
    }

    fn unread(&self) -> Vec<String> {
        self.members.keys().filter(|name| !self.read.contains(&name.as_str())).cloned().collect()
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(members: Map<String, Value>) -> Self {
        Self { members, read: Vec::new(), faults: BTreeMap::new() }
    }
}

/// Reads JSON in which no object has a field twice: which of two prices is meant cannot be known.
///
/// # Errors
/// serde_json's error, which names a line and a column, when the text is not JSON or an object has a field twice.
pub(super) fn json(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text).map(|Unambiguous(value)| value)
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(UnambiguousVisitor).map(Self)
    }
}

struct UnambiguousVisitor;

impl<'de> Visitor<'de> for UnambiguousVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> std::result::Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> std::result::Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> std::result::Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Unambiguous(value))) = members.next_entry::<String, _>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate field"));
            }
        }
        Ok(object.into())
    }
}

/// Reads a text.
pub(super) fn text(value: &Value) -> std::result::Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "must be a text".to_owned())
}

/// Reads a text that `T` can be parsed from; what does not parse says itself why.
pub(super) fn parsed<T>(value: &Value) -> std::result::Result<T, String>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text(value)?.parse().map_err(|fault: T::Err| fault.to_string())
}

/// The whole number that a value is, however it is written: to JSON `5`, `5.0` and `0.5e1` are the same.
pub(super) fn integer(value: &Value) -> Option<i64> {
    value.as_number().and_then(whole_number)
}

/// Reads a whole number from `from` to `to`.
pub(super) fn whole(from: u64, to: u64) -> impl FnOnce(&Value) -> std::result::Result<u64, String> {
    move |value| {
        let number = value.as_u64().or_else(|| integer(value).and_then(|number| u64::try_from(number).ok()));
        let number = number.filter(|number| (from..=to).contains(number));
        number.ok_or_else(|| format!("must be a whole number from {from} to {to}"))
    }
}

/// Reads decimal text, or a number that is exact.
pub(super) fn decimal<T>(
    value: &Value,
    from_text: impl FnOnce(&str) -> std::result::Result<T, DecimalFault>,
    from_number: impl FnOnce(&Number) -> std::result::Result<T, DecimalFault>,
) -> std::result::Result<T, String> {
    let read = match value {
        Value::String(text) => from_text(text),
        Value::Number(number) => from_number(number),
        _ => return Err("must be decimal text such as \"89.00\"".to_owned()),
    };
    read.map_err(|fault| fault.to_string())
}

/// Reads `true` or `false`.
pub(super) fn flag(value: &Value) -> std::result::Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be true or false".to_owned())
}

/// Takes any JSON.
#[expect(clippy::unnecessary_wraps, reason = "all readers have one type")]
pub(super) fn any(value: &Value) -> std::result::Result<Value, String> {
    Ok(value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        match value {
            Value::Object(members) => Fields::from(members),
            _ => panic!("an object"),
        }
    }

    #[test]
    fn json_is_read_as_serde_json_reads_it_but_for_duplicate_fields() {
        for text in [
            "null",
            r#" {"a": [1, -2, 0.1, 1e300, 18446744073709551615, "\u00e9", true, null, {}], "b": {"a": []}} "#,
            r#"[{"a": 1}, {"a": 2}]"#,
        ] {
            assert_eq!(json(text.as_bytes()).expect("JSON"), serde_json::from_str::<Value>(text).expect("JSON"));
        }
        for text in [r#"{"a": 1, "a": 2}"#, r#"[{"b": {"a": 1, "\u0061": 1}}]"#] {
            let error = json(text.as_bytes()).expect_err("ambiguous");
            assert!(error.is_data() && error.to_string().starts_with("duplicate field at line 1"), "{error}");
        }
        assert!(json(b"{} {}").is_err() && json(b"").is_err() && json(b"{\"a\":}").is_err());
        assert!(json("[".repeat(100_000).as_bytes()).is_err(), "depth has its limit");
    }

    #[test]
    fn all_faults_are_reported_at_once_and_so_are_unknown_fields() {
        let mut body = fields(json!({ "a": 1, "b": "x", "n": 11, "odd": true, "none": null }));
        assert_eq!(body.required("a", text), None);
        assert_eq!(body.required("b", text), Some("x".to_owned()));
        assert_eq!(body.required("c", text), None);
        assert_eq!(body.optional("n", whole(1, 10)), None);
        assert_eq!(body.optional("none", text), None);
        let error = body.finish("no").expect_err("faults");
        assert_eq!(error.faults().keys().collect::<Vec<_>>(), ["a", "c", "n", "odd"]);
        for written in ["10", "10.0", "1e1"] {
            let mut good = fields(json!({ "n": json(written.as_bytes()).expect("JSON") }));
            assert_eq!(good.optional("n", whole(1, 10)), Some(10), "{written}");
            assert!(good.finish("no").is_ok());
        }
    }

    #[test]
    fn faults_of_an_object_within_the_body_are_named_below_its_path() {
        let mut body = fields(json!({ "list": [] }));
        body.ignore(&["list"]);
        let item = json!({ "a": 1, "b": "x", "odd": true });
        assert_eq!(body.object("list[2]", &item, |item| item.required("b", text)), Some("x".to_owned()));
        assert_eq!(body.object("list[3]", &item, |item| (item.optional("a", text), Some(())).1), None, "a is faulty");
        assert_eq!(body.object("list[4]", &json!(7), |_| Some(())), None);
        let error = body.finish("no").expect_err("faults");
        let paths: Vec<_> = error.faults().keys().map(String::as_str).collect();
        assert_eq!(paths, ["list[2].a", "list[2].odd", "list[3].a", "list[3].b", "list[3].odd", "list[4]"]);
    }

    #[test]
    fn faults_of_an_object_can_be_sentences_about_its_fields() {
        let mut object = Fields::of_value(&json!({ "a": 1, "b": "x", "odd": true })).expect("an object");
        assert_eq!((object.optional("a", text), object.optional("b", text)), (None, Some("x".to_owned())));
        let sentences = object.into_sentences(|name| format!("no {name:?} here"));
        assert_eq!(sentences, ["a must be a text", "no \"odd\" here"]);
    }
}
