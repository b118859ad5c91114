//! What Shopify sends: is it really Shopify's, and what does it say.
//!
//! The signature covers the body and nothing else; topic, shop, ids and times stand in headers that anyone who has seen one
//! delivery could change. So a body is read under its topic's own shape and refused under any other (`Shape`), and the shop
//! that the signed body names must be the header's. Between `shop/update` and `app/uninstalled` alone no shape can tell: both
//! carry the shop object. quotegrid subscribes to the second only.
//!
//! E-mail, phone, name and address are not members of any type here: what is not read cannot be written anywhere.

use crate::domain::ids::ShopDomain;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use sha2::Sha256;
use std::borrow::Cow;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// A SHA-256 in base64: 43 digits and one `=`.
const SIGNATURE_LENGTH: usize = 44;

/// Ids and topics are client data that goes into the database and the log: a name, not a text.
const NAME_MAX: usize = 255;

/// The app's client secrets, ready to check signatures with: one, or the new and the old one while Shopify changes over, which
/// takes it up to an hour.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

impl Secrets {
    /// Takes the secrets as they are: Shopify signs with their text, also where it looks like hexadecimal digits.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        // An empty secret would let anybody sign.
        Self(secrets.into_iter().filter(|secret| !secret.is_empty()).map(keyed).collect())
    }

    /// Whether `header` is the signature of exactly these bytes by one of the secrets. Takes the same time whichever it is, and
    /// however much of a wrong signature is right.
    pub fn verify(&self, header: &str, body: &[u8]) -> bool {
        let mut buffer = [0; SIGNATURE_LENGTH];
        let decoded = if header.len() == SIGNATURE_LENGTH { STANDARD.decode_slice(header, &mut buffer) } else { Ok(0) };
        let Some(given) = decoded.ok().and_then(|length| buffer.get(..length)).filter(|given| given.len() == 32) else {
            return false;
        };
        let mut found = Choice::from(0);
        for secret in &self.0 {
            found |= secret.clone().chain_update(body).finalize().into_bytes().as_slice().ct_eq(given);
        }
        found.into()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets(*** x {})", self.0.len())
    }
}

pub(super) fn keyed(secret: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length")
}

/// What a delivery is about, as its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// A customer asks what is held about them.
    CustomersDataRequest,
    /// A customer is to be forgotten.
    CustomersRedact,
    /// A shop is to be forgotten.
    ShopRedact,
    /// The app was uninstalled.
    AppUninstalled,
    /// Something we do not ask for.
    Unknown(String),
}

impl Topic {
    /// The topics that mean something here.
    pub const KNOWN: [Self; 4] =
        [Self::CustomersDataRequest, Self::CustomersRedact, Self::ShopRedact, Self::AppUninstalled];

    /// Its name on the wire, in the database and in the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::CustomersDataRequest => "customers/data_request",
            Self::CustomersRedact => "customers/redact",
            Self::ShopRedact => "shop/redact",
            Self::AppUninstalled => "app/uninstalled",
            Self::Unknown(name) => name,
        }
    }

    /// The known topic of this name. In any case: an erasure must not get lost over the spelling of an unsigned header.
    pub fn find_known(name: &str) -> Option<Self> {
        Self::KNOWN.into_iter().find(|topic| topic.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A delivery that is Shopify's and makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// What it is about.
    pub topic: Topic,
    /// Shopify's id of this delivery, the same when it is sent again. Absent also where it is no id that could be kept (empty,
    /// longer than 255 characters, not visible ASCII): refusing it would lose an erasure over an unsigned header.
    pub webhook_id: Option<String>,
    /// Shopify's id of the event behind it, shared by all deliveries that it caused. Absent as `webhook_id` is.
    pub event_id: Option<String>,
    /// Whose it is. For the known topics the signed body agrees.
    pub shop: ShopDomain,
    /// When Shopify says it happened; absent where that cannot be read. May lie in the future: it is an unsigned header.
    pub triggered_at: Option<DateTime<Utc>>,
    /// What it says.
    pub notice: Notice,
}

/// What a delivery says: the ids that are needed, and nothing of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Say what is held about a customer.
    CustomersDataRequest {
        /// Shopify's number of the request.
        data_request_id: Option<u64>,
    },
    /// Forget a customer.
    CustomersRedact {
        /// The customer; Shopify knows some by their e-mail address only.
        customer_id: Option<u64>,
        /// Their orders.
        orders_to_redact: Option<Vec<u64>>,
    },
    /// Erase the shop.
    ShopRedact,
    /// The app was uninstalled from the shop.
    AppUninstalled,
    /// Of a topic that means nothing here.
    Unknown,
}

/// Why a delivery is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not signed with one of the secrets: not Shopify's, or of another app.
    #[error("the webhook's signature is missing or wrong")]
    Unsigned,
    /// The signed body is about another shop than the unsigned header.
    #[error("the webhook's body names another shop than its header")]
    OtherShop,
    /// Signed, and still not what Shopify sends. The text holds nothing of the delivery.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Webhook {
    /// Checks and reads a delivery. Nothing but the signature is looked at before the signature has been found right.
    ///
    /// # Errors
    /// The first fault, in the order of [`Refusal`]'s use: signature, headers, body, shop.
    pub fn receive<'a>(
        secrets: &Secrets,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let headers = Headers::read(headers);
        let family = headers.signed_family()?;
        let One(signature) = family.hmac else { return Err(Refusal::Unsigned) };
        if !secrets.verify(signature, body) {
            return Err(Refusal::Unsigned);
        }
        Self::parse(family, body)
    }

    fn parse(headers: &Family<'_>, body: &[u8]) -> Result<Self, Refusal> {
        let topic = headers.topic.once("the topic header is given twice")?;
        let topic = name(topic.unwrap_or_default())
            .ok_or(Refusal::Malformed("the topic header is missing, too long or not plain text"))?;
        let shop = headers.shop.once("the shop domain header is given twice")?;
        let shop = shop.ok_or(Refusal::Malformed("the shop domain header is missing"))?;
        let shop: ShopDomain =
            shop.parse().map_err(|_| Refusal::Malformed("the shop domain header must look like name.myshopify.com"))?;
        let webhook_id = headers.webhook_id.once("the webhook id header is given twice")?;
        let event_id = headers.event_id.once("the event id header is given twice")?;
        let triggered_at = headers.triggered_at.once("the triggered-at header is given twice")?;

        let topic = Topic::find_known(topic).unwrap_or_else(|| Topic::Unknown(topic.to_owned()));
        let (named, notice) = match &topic {
            Topic::Unknown(_) => (named_under_unknown_topic(body)?, Notice::Unknown),
            known => Body::of(body)?.into_notice(known)?,
        };
        if named.is_some_and(|named| named != shop) {
            return Err(Refusal::OtherShop);
        }
        Ok(Self {
            topic,
            webhook_id: webhook_id.and_then(name).map(str::to_owned),
            event_id: event_id.and_then(name).map(str::to_owned),
            shop,
            triggered_at: triggered_at
                .and_then(|at| DateTime::parse_from_rfc3339(at).ok())
                .map(|at| at.with_timezone(&Utc)),
            notice,
        })
    }
}

/// `text`, where it can be the name of something.
fn name(text: &str) -> Option<&str> {
    let fits = (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(text)
}

/// A header field that must not come twice: which of the two a proxy and we believe could differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Field<'a> {
    #[default]
    Absent,
    One(&'a str),
    Twice,
}

use Field::One;

impl<'a> Field<'a> {
    fn add(&mut self, value: &'a str) {
        *self = if *self == Self::Absent { One(value) } else { Self::Twice };
    }

    fn once(self, twice: &'static str) -> Result<Option<&'a str>, Refusal> {
        match self {
            Self::Absent => Ok(None),
            One(value) => Ok(Some(value)),
            Self::Twice => Err(Refusal::Malformed(twice)),
        }
    }
}

/// The fields of one family of header names.
#[derive(Debug, Default)]
struct Family<'a> {
    hmac: Field<'a>,
    topic: Field<'a>,
    shop: Field<'a>,
    webhook_id: Field<'a>,
    event_id: Field<'a>,
    triggered_at: Field<'a>,
}

impl<'a> Family<'a> {
    fn add(&mut self, name: &str, value: &'a str) {
        const NAMES: [&str; 6] = ["hmac-sha256", "topic", "shop-domain", "webhook-id", "event-id", "triggered-at"];
        let field = match NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            Some(0) => &mut self.hmac,
            Some(1) => &mut self.topic,
            Some(2) => &mut self.shop,
            Some(3) => &mut self.webhook_id,
            Some(4) => &mut self.event_id,
            Some(5) => &mut self.triggered_at,
            _ => return,
        };
        field.add(value);
    }
}

/// Both families: `X-Shopify-…` of today's webhooks and `Shopify-…` of the events that will follow them.
#[derive(Debug, Default)]
struct Headers<'a> {
    classic: Family<'a>,
    events: Family<'a>,
}

impl<'a> Headers<'a> {
    fn read(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in fields {
            if let Some(name) = without_prefix(name, "x-shopify-") {
                headers.classic.add(name, value);
            } else if let Some(name) = without_prefix(name, "shopify-") {
                headers.events.add(name, value);
            }
        }
        headers
    }

    /// The family that all fields are taken from: the one with the signature, so that no field of one is paired with the
    /// signature of the other. With two signatures that agree it is the classic one.
    fn signed_family(&self) -> Result<&Family<'a>, Refusal> {
        match (self.classic.hmac, self.events.hmac) {
            (One(classic), One(events)) if classic != events => Err(Refusal::Unsigned),
            (Field::Twice, _) | (_, Field::Twice) => Err(Refusal::Unsigned),
            (Field::Absent, _) => Ok(&self.events),
            (One(_), _) => Ok(&self.classic),
        }
    }
}

fn without_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Reads JSON. serde's own message is not passed on: it may quote the body.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::Malformed(if error.is_data() {
            "the body has not the shape of its topic"
        } else {
            "the body is not JSON"
        })
    })
}

/// Shopify's number of something: a JSON number, or the same as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id(u64);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;

        impl Visitor<'_> for IdVisitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                // `parse` alone would also take "+5".
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = if digits { text.parse().ok() } else { None };
                number.map(Id).ok_or_else(|| E::custom("not a whole number"))
            }
        }

        deserializer.deserialize_any(IdVisitor)
    }
}

/// A member that was there, be it null: under a topic that has no such member its mere presence is wrong.
type Present<T> = Option<Option<T>>;

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Present<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The members that say which topic a body belongs to. All others are skipped unread.
#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(default, deserialize_with = "present")]
    shop_id: Present<Id>,
    #[serde(default, borrow, deserialize_with = "present")]
    shop_domain: Present<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    customer: Present<WithId>,
    #[serde(default, deserialize_with = "present")]
    orders_to_redact: Present<Vec<Id>>,
    #[serde(default, deserialize_with = "present")]
    orders_requested: Present<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    data_request: Present<WithId>,
    #[serde(default, borrow, deserialize_with = "present")]
    myshopify_domain: Present<Cow<'a, str>>,
    /// Only resources, such as a shop or an order, have an id of their own.
    #[serde(default, deserialize_with = "present")]
    id: Present<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    admin_graphql_api_id: Present<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct WithId {
    #[serde(default)]
    id: Option<Id>,
}

/// Whether a topic's bodies have a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Must,
    May,
    Never,
}

/// What tells a topic's bodies from all others. `shop_domain` and `myshopify_domain` are apart: whichever a topic has, it must.
struct Shape {
    shop_id: Rule,
    customer: Rule,
    orders_to_redact: Rule,
    orders_requested: Rule,
    data_request: Rule,
    is_resource: bool,
}

impl Shape {
    fn of(topic: &Topic) -> Option<Self> {
        use Rule::{May, Must, Never};
        let nothing = Self {
            shop_id: Must,
            customer: Never,
            orders_to_redact: Never,
            orders_requested: Never,
            data_request: Never,
            is_resource: false,
        };
        match topic {
            Topic::ShopRedact => Some(nothing),
            Topic::CustomersRedact => Some(Self { shop_id: May, customer: Must, orders_to_redact: May, ..nothing }),
            Topic::CustomersDataRequest => {
                Some(Self { shop_id: May, customer: May, orders_requested: May, data_request: Must, ..nothing })
            }
            Topic::AppUninstalled => Some(Self { shop_id: Never, is_resource: true, ..nothing }),
            Topic::Unknown(_) => None,
        }
    }

    fn fits(&self, body: &Body<'_>) -> bool {
        fn obeys<T>(member: &Present<T>, rule: Rule) -> bool {
            match rule {
                Rule::Must => matches!(member, Some(Some(_))),
                Rule::May => true,
                Rule::Never => member.is_none(),
            }
        }
        let resource = if self.is_resource { Rule::Must } else { Rule::Never };
        let resource_too = if self.is_resource { Rule::May } else { Rule::Never };
        let notice = if self.is_resource { Rule::Never } else { Rule::Must };
        obeys(&body.shop_id, self.shop_id)
            && obeys(&body.customer, self.customer)
            && obeys(&body.orders_to_redact, self.orders_to_redact)
            && obeys(&body.orders_requested, self.orders_requested)
            && obeys(&body.data_request, self.data_request)
            && obeys(&body.shop_domain, notice)
            && obeys(&body.myshopify_domain, resource)
            && obeys(&body.id, resource)
            && obeys(&body.admin_graphql_api_id, resource_too)
    }
}

const WRONG_SHAPE: Refusal = Refusal::Malformed("the body has not the shape of its topic");

impl<'a> Body<'a> {
    fn of(body: &'a [u8]) -> Result<Self, Refusal> {
        // serde would also fill a struct from an array, member by member.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return read::<IgnoredAny>(body).and(Err(WRONG_SHAPE));
        }
        read(body)
    }

    /// What the body says under `topic`, and the shop it names.
    fn into_notice(self, topic: &Topic) -> Result<(Option<ShopDomain>, Notice), Refusal> {
        if !Shape::of(topic).is_some_and(|shape| shape.fits(&self)) {
            return Err(WRONG_SHAPE);
        }
        let named = self.shop_domain.flatten().or(self.myshopify_domain.flatten());
        let named = named.and_then(|named| named.parse().ok());
        let named = named.ok_or(Refusal::Malformed("the shop in the body must look like name.myshopify.com"))?;
        let notice = match topic {
            Topic::CustomersDataRequest => Notice::CustomersDataRequest {
                data_request_id: self.data_request.flatten().and_then(|request| request.id).map(|id| id.0),
            },
            Topic::CustomersRedact => Notice::CustomersRedact {
                customer_id: self.customer.flatten().and_then(|customer| customer.id).map(|id| id.0),
                orders_to_redact: self
                    .orders_to_redact
                    .flatten()
                    .map(|orders| orders.into_iter().map(|id| id.0).collect()),
            },
            Topic::ShopRedact => Notice::ShopRedact,
            Topic::AppUninstalled => Notice::AppUninstalled,
            Topic::Unknown(_) => Notice::Unknown,
        };
        Ok((Some(named), notice))
    }
}

/// The shop that a body of an unknown topic names, if it names one; such a body may be any JSON.
fn named_under_unknown_topic(body: &[u8]) -> Result<Option<ShopDomain>, Refusal> {
    #[derive(Default, Deserialize)]
    struct Names {
        shop_domain: Option<Value>,
        myshopify_domain: Option<Value>,
    }
    read::<IgnoredAny>(body)?;
    let names: Names = serde_json::from_slice(body).unwrap_or_default();
    Ok(names.shop_domain.or(names.myshopify_domain).and_then(|named| named.as_str()?.parse().ok()))
}

#[cfg(test)]
mod tests;
