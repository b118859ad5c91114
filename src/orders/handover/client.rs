//! The calls themselves. Every wait has an end, every answer a size; redirects are not followed, for they could lead a token to
//! another host; and each call has a connection of its own, because one that was kept and has died in the meantime cannot be told
//! from one that died after the work was done.

use super::Options;
use crate::domain::ids::ShopDomain;
use crate::secret::Secret;
use crate::shopify::admin::{self, ShopifyError};
use log::warn;
use parking_lot::Mutex;
use serde_json::Value;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;
use ureq::http::{HeaderMap, Response};
use ureq::{Body, Timeout};

/// Getting through to Shopify takes a fraction of this.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// Bytes of an answer: fifty drafts with their tags are a tenth of it.
const ANSWER_MAX: u64 = 1 << 20;

/// What is in an [`Address`] for the shop's domain.
const SHOP: &str = "{shop}";

/// Where the Admin API of a shop is: `https://{shop}`, or a proxy or test server that gets the shop in the path or host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(String);

/// The text is no [`Address`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must look like https://{SHOP}, with https unless it is an address of this machine, and without a query")]
pub struct NotAnAddress;

impl Default for Address {
    fn default() -> Self {
        Self(format!("https://{SHOP}"))
    }
}

impl std::str::FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let text = text.trim().trim_end_matches('/');
        let (rest, is_plain) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return Err(NotAnAddress),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let is_sound = !authority.is_empty()
            && !authority.contains('@')
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>\\".contains(&byte));
        // The secret and every token go there: in the clear they may not leave the machine.
        if is_sound && (!is_plain || is_loopback(authority)) { Ok(Self(text.to_owned())) } else { Err(NotAnAddress) }
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Address {
    /// The address of a path of this shop's.
    fn of(&self, shop: &ShopDomain, path: &str) -> String {
        format!("{}{path}", self.0.replace(SHOP, shop.as_str()))
    }

    fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }
}

/// Calls the Admin API.
pub(super) struct AdminClient {
    agent: ureq::Agent,
    address: Address,
    version: String,
    client_id: String,
    client_secret: Secret,
    /// The version that answered last, if it was not the one asked for: logged once.
    reported_version: Mutex<Option<String>>,
}

/// An answer as it came.
pub(super) struct HttpReply {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) body: Vec<u8>,
}

impl AdminClient {
    pub(super) fn new(options: &Options) -> Self {
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .timeout_connect(Some(CONNECT_MAX.min(options.timeout)))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .https_only(!options.address.is_plain())
            .user_agent(concat!("quotegrid/", env!("CARGO_PKG_VERSION")));
        if options.address.is_plain() {
            // What is on this machine is not behind a proxy.
            config = config.proxy(None);
        }
        Self {
            agent: config.build().into(),
            address: options.address.clone(),
            version: options.version.clone(),
            client_id: options.client_id.clone(),
            client_secret: options.client_secret.clone(),
            reported_version: Mutex::default(),
        }
    }

    /// Asks for a token.
    pub(super) fn grant(&self, shop: &ShopDomain) -> Result<admin::Grant, ShopifyError> {
        let reply = self.ask_for_token(shop)?;
        admin::read_grant(reply.status, reply.retry_after.as_deref(), &reply.body)
    }

    /// Asks for a token to find out whether the app is installed; the token is not kept.
    pub(super) fn ask_installed(&self, shop: &ShopDomain) -> admin::Installation {
        match self.ask_for_token(shop) {
            Ok(reply) => admin::read_installation(reply.status, reply.retry_after.as_deref(), &reply.body),
            Err(failure) => admin::Installation::Uncertain(failure.to_string()),
        }
    }

    fn ask_for_token(&self, shop: &ShopDomain) -> Result<HttpReply, ShopifyError> {
        let form = admin::grant_form(&self.client_id, self.client_secret.expose());
        let request = self.agent.post(self.address.of(shop, admin::GRANT_PATH)).header("Accept", "application/json");
        request.send_form(form).map_err(|error| lost(&error)).and_then(hear)
    }

    /// Asks GraphQL.
    pub(super) fn ask(&self, shop: &ShopDomain, token: &Secret, body: &Value) -> Result<HttpReply, ShopifyError> {
        let request = self
            .agent
            .post(self.address.of(shop, &admin::graphql_path(&self.version)))
            .header(admin::TOKEN_HEADER, token.expose())
            .header("Accept", "application/json")
            .header("Content-Type", "application/json");
        let response = request.send(body.to_string()).map_err(|error| lost(&error))?;
        self.note_version(response.headers());
        hear(response)
    }

    /// A version that Shopify has retired is answered by the oldest that it has, without a word in the answer.
    fn note_version(&self, headers: &HeaderMap) {
        let header = headers.get(admin::VERSION_HEADER).and_then(|value| value.to_str().ok());
        let Some(served) = admin::served_version(&self.version, header) else { return };
        let mut settled = self.reported_version.lock();
        if settled.as_deref() != Some(served) {
            warn!("Shopify answers with version {served} of the Admin API where {} was asked for", self.version);
            *settled = Some(served.to_owned());
        }
    }
}

fn hear(mut response: Response<Body>) -> Result<HttpReply, ShopifyError> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
    // The status alone may say enough: a 429 whose body was cut off still did nothing.
    match body {
        Ok(body) => Ok(HttpReply { status, retry_after, body }),
        Err(_cut) if status != 200 => Ok(HttpReply { status, retry_after, body: Vec::new() }),
        Err(error) => Err(lost(&error)),
    }
}

/// What a call without a whole answer means. Only what surely came before the request was sent counts as nothing done.
fn lost(error: &ureq::Error) -> ShopifyError {
    let unreached = |why: &str| ShopifyError::Blocked(format!("Shopify cannot be reached: {why}"));
    let uncertain = |why: String| ShopifyError::Uncertain { why, after: None };
    match error {
        ureq::Error::HostNotFound => unreached("its name cannot be resolved"),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => unreached("no connection in time"),
        ureq::Error::ConnectionFailed => unreached("no connection"),
        ureq::Error::Io(error) => match error.kind() {
            kind @ (ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
                unreached(&kind.to_string())
            }
            kind => uncertain(format!("the connection to Shopify broke: {kind}")),
        },
        ureq::Error::Timeout(_) => uncertain("Shopify did not answer in time".to_owned()),
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => unreached("the address is not a valid URL"),
        ureq::Error::BodyExceedsLimit(_) => uncertain("Shopify's answer is too long".to_owned()),
        _ => uncertain("Shopify's answer cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_leave_the_machine_only_by_https() {
        for text in [
            "https://{shop}",
            "https://proxy.example/{shop}/",
            "http://127.0.0.1:8081/{shop}",
            "http://localhost",
            "http://[::1]:80/{shop}",
        ] {
            assert!(text.parse::<Address>().is_ok(), "{text}");
        }
        for text in [
            "",
            "{shop}",
            "ftp://{shop}",
            "http://{shop}",
            "http://proxy.example/{shop}",
            "http://127.0.0.1.example/",
            "http://localhost.example/",
            "http://localhost@evil.example/",
            "https:///x",
            "https://{shop}?a",
            "https://{shop}#a",
            "https://a b",
        ] {
            assert_eq!(text.parse::<Address>(), Err(NotAnAddress), "{text}");
        }
    }

    #[test]
    fn an_address_is_told_the_shop() {
        let shop: ShopDomain = "one.myshopify.com".parse().expect("a shop");
        assert_eq!(Address::default().of(&shop, "/x"), "https://one.myshopify.com/x");
        let proxy: Address = "http://127.0.0.1:1/{shop}/".parse().expect("an address");
        assert_eq!(proxy.of(&shop, "/x"), "http://127.0.0.1:1/one.myshopify.com/x");
    }
}
