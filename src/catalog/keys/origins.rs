//! Where pages that use a key may come from.

/// The most origins of a key: a shop's domains in every country, with and without `www`.
pub const ORIGINS_MAX: usize = 50;

/// The longest origin: a scheme, a DNS name of 253 characters, a port.
const ORIGIN_LENGTH_MAX: usize = 270;

/// Characters of a bad entry that its fault shows.
const SHOWN: usize = 100;

/// The web origins that a key is for; any, unless the merchant lists some.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Option<Vec<String>>);

/// Why a list of origins is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnOrigin {
    /// This entry is no origin.
    #[error("\"{0}\" is not an origin such as https://example.com")]
    Entry(String),
    /// Too many.
    #[error("at most {ORIGINS_MAX} origins")]
    TooMany,
}

impl Origins {
    /// Every origin.
    pub fn any() -> Self {
        Self(None)
    }

    /// Only these: `scheme://host[:port]` without a path, as browsers send it. An empty list means any.
    ///
    /// # Errors
    /// Every entry that is no origin.
    pub fn only(origins: &[impl AsRef<str>]) -> Result<Self, Vec<NotAnOrigin>> {
        if origins.len() > ORIGINS_MAX {
            return Err(vec![NotAnOrigin::TooMany]);
        }
        let mut kept: Vec<String> = Vec::with_capacity(origins.len());
        let mut faults = Vec::new();
        for origin in origins {
            let origin = origin.as_ref();
            // Browsers send scheme and host in lower case, and a port only where it is not the scheme's own; people do not always
            // write them so, and many add a slash.
            let normal = without_default_port(origin.trim().trim_end_matches('/').to_ascii_lowercase());
            if !is_origin(&normal) {
                faults.push(NotAnOrigin::Entry(origin.chars().filter(|c| !c.is_control()).take(SHOWN).collect()));
            } else if !kept.contains(&normal) {
                kept.push(normal);
            }
        }
        if faults.is_empty() { Ok(Self((!kept.is_empty()).then_some(kept))) } else { Err(faults) }
    }

    /// Whether a page of `origin`, as its browser names it, may use the key.
    pub fn allow(&self, origin: &str) -> bool {
        self.0.as_ref().is_none_or(|origins| origins.iter().any(|allowed| allowed == origin))
    }

    /// The origins, or `None` where any will do.
    pub fn listed(&self) -> Option<&[String]> {
        self.0.as_deref()
    }
}

fn without_default_port(origin: String) -> String {
    let port = if origin.starts_with("https://") { ":443" } else { ":80" };
    origin.strip_suffix(port).map(str::to_owned).unwrap_or(origin)
}

fn is_origin(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else { return false };
    let (host, port) = match rest.rsplit_once(':') {
        // The last colon of an address in brackets is its own.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let named = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let address = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
    };
    text.len() <= ORIGIN_LENGTH_MAX
        && !host.is_empty()
        && (named(host) || address(host))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        let origins = Origins::only(&["https://Shop.example/", "http://localhost:3000", "https://[::1]:8443"]);
        let origins = origins.expect("origins");
        for origin in ["https://shop.example", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(origins.allow(origin), "{origin}");
        }
        for origin in ["http://shop.example", "https://shop.example:8443", "https://evil.example", "null", ""] {
            assert!(!origins.allow(origin), "{origin}");
        }
        let origins = Origins::only(&["https://shop.example:443", "http://[::1]:80/", "http://shop.example:443"]);
        let origins = origins.expect("origins");
        for origin in ["https://shop.example", "http://[::1]", "http://shop.example:443"] {
            assert!(origins.allow(origin), "browsers leave out a scheme's own port: {origin}");
        }
        assert!(Origins::any().allow("null"));
        assert_eq!(Origins::only(&[] as &[&str]), Ok(Origins::any()));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in
            ["", "*", "null", "shop.example", "https://", "https://a/b", "https://a b", "https://a:0", "https://a:x"]
        {
            assert!(Origins::only(&["https://a", text]).is_err_and(|faults| faults.len() == 1), "{text:?}");
        }
        assert_eq!(Origins::only(&vec!["https://a"; ORIGINS_MAX + 1]), Err(vec![NotAnOrigin::TooMany]));
    }
}
