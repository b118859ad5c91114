//! The body of a delivery, read under its topic's own shape: the members that are needed, and nothing of a person.

use super::{Notice, Refusal, Topic};
use crate::domain::ids::ShopDomain;
use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// The members that say which topic a body belongs to. All others are skipped unread.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
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

impl<'a> Body<'a> {
    pub(super) fn of(body: &'a [u8]) -> Result<Self, Refusal> {
        // serde would also fill a struct from an array, member by member.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return read::<IgnoredAny>(body).and(Err(WRONG_SHAPE));
        }
        read(body)
    }

    /// What the body says under `topic`, and the shop it names.
    pub(super) fn into_notice(self, topic: &Topic) -> Result<(Option<ShopDomain>, Notice), Refusal> {
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
pub(super) fn named_under_unknown_topic(body: &[u8]) -> Result<Option<ShopDomain>, Refusal> {
    #[derive(Default, Deserialize)]
    struct Names {
        shop_domain: Option<Value>,
        myshopify_domain: Option<Value>,
    }
    read::<IgnoredAny>(body)?;
    let names: Names = serde_json::from_slice(body).unwrap_or_default();
    Ok(names.shop_domain.or(names.myshopify_domain).and_then(|named| named.as_str()?.parse().ok()))
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

/// Whether a topic's bodies have a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Must,
    May,
    Never,
}

pub(super) const WRONG_SHAPE: Refusal = Refusal::Malformed("the body has not the shape of its topic");

/// A member that was there, be it null: under a topic that has no such member its mere presence is wrong.
type Present<T> = Option<Option<T>>;

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Present<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
struct WithId {
    #[serde(default)]
    id: Option<Id>,
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
