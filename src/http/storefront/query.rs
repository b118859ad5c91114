//! What follows the `?` of a storefront's request: `name=value` pairs as forms and `URLSearchParams` write them. Names that nobody
//! knows are let through: pages and proxies add their own.

/// The pairs of a query, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

/// A name that may be given once was given more often: which one counts would be anybody's guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is given more than once")]
pub(super) struct Repeated;

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        Self(pairs.collect())
    }

    /// The value of `name`, if it is there.
    pub(super) fn get(&self, name: &str) -> Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }
}

/// As browsers decode it: `+` is a blank, and what is no `%XX` stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match after {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                    bytes.push(digit(*high).unwrap_or(0) * 16 + digit(*low).unwrap_or(0));
                    rest = after;
                }
                _ => bytes.push(b'%'),
            },
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_browsers_read_them() {
        let query = Query::parse("a=1&b=x+y%20z&&c&d=%7B%22%C3%A4%22%7d&e=50%&f=%f&g=a=b&a%62=2");
        let get = |name: &str| query.get(name).expect("given once");
        assert_eq!(get("a"), Some("1"));
        assert_eq!(get("b"), Some("x y z"));
        assert_eq!(get("c"), Some(""));
        assert_eq!(get("d"), Some("{\"ä\"}"));
        assert_eq!((get("e"), get("f"), get("g")), (Some("50%"), Some("%f"), Some("a=b")));
        assert_eq!((get("ab"), get("z")), (Some("2"), None));
        assert_eq!(Query::parse("").get(""), Ok(None));
        assert_eq!(Query::parse("a=1&%61=2").get("a"), Err(Repeated));
        assert_eq!(Query::parse("a=%ff").get("a"), Ok(Some("\u{fffd}")));
    }
}
