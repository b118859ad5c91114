//! What is behind a path's `?`: names and values as forms write them, and the paging that all lists share.

use super::Request;
use crate::domain::percent;
use crate::error::{Error, Kind, Result};
use std::fmt::Display;
use std::str::FromStr;

/// Items a list answers with where the client does not say.
const PAGE_DEFAULT: usize = 50;

/// Items a list answers with at the most: more are another page, so that no answer grows with the database.
const PAGE_MAX: usize = 200;

/// The parameters of a request, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The parameters of `request`, which must be among `known`: a filter that is misspelt would otherwise list everything.
    ///
    /// # Errors
    /// `Invalid`, with a fault for each parameter that is unknown, empty or given twice; `Malformed` for what is unreadable.
    pub(super) fn of(request: &Request, known: &[&str]) -> Result<Self> {
        if percent::decode(&request.query).is_none() {
            return Err(Error::new(Kind::Malformed, "the query is not percent-encoded UTF-8"));
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        let mut error = faulty();
        for (name, value) in Self::open(&request.query).0 {
            if !known.contains(&name.as_str()) {
                error = error.with_fault(name, "is not a parameter of this path");
            } else if parameters.iter().any(|(found, _)| *found == name) {
                error = error.with_fault(name, "is given twice");
            } else if value.is_empty() {
                // A script whose variable was unset means one shop's jobs, and would be answered with all.
                error = error.with_fault(name, "is empty: leave it out, or say what it is");
            } else {
                parameters.push((name, value));
            }
        }
        if error.faults().is_empty() { Ok(Self(parameters)) } else { Err(error) }
    }

    /// The parameters of a storefront's request, whatever they are: pages and proxies add their own. Read as browsers read them, so
    /// that what is no `%XX` stays as it is.
    pub(super) fn open(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// All parameters, in the order they came.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The value of the parameter `name`, where it may be given once.
    pub(super) fn once(&self, name: &str) -> std::result::Result<Option<&str>, Repeated> {
        let mut values = self.0.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str());
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// The value of the parameter `name` of a request read by [`Query::of`], which is never empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The value of the parameter `name`, parsed.
    ///
    /// # Errors
    /// `Invalid` with `fault` for that parameter.
    pub(super) fn parse<T: FromStr>(&self, name: &str, fault: &str) -> Result<Option<T>> {
        let parsed = self.get(name).map(|value| value.parse().map_err(|_unreadable| faulty().with_fault(name, fault)));
        parsed.transpose()
    }

    /// The value of the parameter `name`, parsed; what is wrong with it is said by its type.
    ///
    /// # Errors
    /// `Invalid` with the fault of that parameter.
    pub(super) fn read<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>> {
        let read = |value: &str| value.parse().map_err(|fault: T::Err| faulty().with_fault(name, fault.to_string()));
        self.get(name).map(read).transpose()
    }

    /// Whether the parameter `name` is `true`; `false` or absent, it is not.
    ///
    /// # Errors
    /// `Invalid` for any other value.
    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.parse(name, "must be true or false")?.unwrap_or(false))
    }

    /// The page that `limit` and `cursor` ask for; a cursor is what a list answered as `next`.
    ///
    /// # Errors
    /// `Invalid`, with the fault.
    pub(super) fn page<C: FromStr>(&self) -> Result<Page<C>> {
        let limit =
            self.parse("limit", &format!("must be a whole number from 1 to {PAGE_MAX}"))?.unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(faulty().with_fault("limit", format!("must be from 1 to {PAGE_MAX}")));
        }
        Ok(Page { limit, after: self.parse("cursor", "must be the next of an earlier answer")? })
    }
}

/// A parameter that may be given once was given more often: which one counts would be anybody's guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is given more than once")]
pub(super) struct Repeated;

fn faulty() -> Error {
    Error::new(Kind::Invalid, "the query's parameters are wrong")
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page<C> {
    limit: usize,
    /// The last item of the page before.
    pub(super) after: Option<C>,
}

impl<C> Page<C> {
    /// How many items to fetch: one more than are shown says whether there is another page.
    pub(super) fn fetch(&self) -> usize {
        self.limit + 1
    }

    /// Cuts `items` to the page, and names the cursor of the next one where there is one.
    pub(super) fn cut<T>(&self, items: &mut Vec<T>, cursor: impl FnOnce(&T) -> String) -> Option<String> {
        if items.len() <= self.limit {
            return None;
        }
        items.truncate(self.limit);
        items.last().map(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{Headers, Method};

    fn query(text: &str) -> Result<Query> {
        let request = Request {
            method: Method::Get,
            path: "/".to_owned(),
            query: text.to_owned(),
            headers: Headers::default(),
            body: Vec::new(),
            client: std::net::IpAddr::from([127, 0, 0, 1]),
            id: String::new(),
        };
        Query::of(&request, &["a", "limit", "cursor", "dry"])
    }

    #[test]
    fn parameters_are_decoded_and_others_than_the_known_ones_refused() {
        let found = query("a=x%2By+z&&dry=true").expect("readable");
        assert_eq!((found.get("a"), found.get("limit"), found.get("cursor")), (Some("x+y z"), None, None));
        assert!(found.flag("dry").expect("a flag"));
        let faults = query("b=1&a=1&a=2&limit=&dry").expect_err("wrong");
        assert_eq!(faults.faults().keys().collect::<Vec<_>>(), ["a", "b", "dry", "limit"]);
        assert_eq!(query("a=%zz").expect_err("unreadable").kind(), Kind::Malformed);
        assert!(query("dry=yes").expect("readable").flag("dry").is_err());
    }

    #[test]
    fn queries_of_pages_are_read_as_browsers_read_them() {
        let query = Query::open("a=1&b=x+y%20z&&c&d=%7B%22%C3%A4%22%7d&e=50%&f=%f&g=a=b&a%62=2");
        let get = |name: &str| query.once(name).expect("given once");
        assert_eq!(get("a"), Some("1"));
        assert_eq!(get("b"), Some("x y z"));
        assert_eq!(get("c"), Some(""));
        assert_eq!(get("d"), Some("{\"ä\"}"));
        assert_eq!((get("e"), get("f"), get("g")), (Some("50%"), Some("%f"), Some("a=b")));
        assert_eq!((get("ab"), get("z")), (Some("2"), None));
        assert_eq!(Query::open("").once(""), Ok(None));
        assert_eq!(Query::open("a=1&%61=2").once("a"), Err(Repeated));
        assert_eq!(Query::open("a=%ff").once("a"), Ok(Some("\u{fffd}")));
    }

    #[test]
    fn a_page_is_cut_where_there_is_more() {
        let page = query("limit=2&cursor=7").expect("readable").page::<u32>().expect("a page");
        assert_eq!((page.fetch(), page.after), (3, Some(7)));
        let mut items = vec![8, 9, 10];
        assert_eq!(page.cut(&mut items, u32::to_string), Some("9".to_owned()));
        assert_eq!(items, [8, 9]);
        assert_eq!(page.cut(&mut items, u32::to_string), None);
        for wrong in ["limit=0", "limit=201", "limit=x", "limit=-1", "cursor=x"] {
            assert!(query(wrong).expect("readable").page::<u32>().is_err(), "{wrong}");
        }
        assert_eq!(query("").expect("readable").page::<u32>().expect("a page").fetch(), PAGE_DEFAULT + 1);
    }
}
