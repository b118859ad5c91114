//! The body of a delivery, read under its topic's own shape: the fields that are needed, and nothing of a person.

use super::{Refusal, Topic, WebhookEvent};
use crate::domain::ids::ShopDomain;
use crate::shopify::admin::{DRAFT_ORDER_GID, read_time};
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// The fields that say which topic a body belongs to. All others are skipped unread, and of these only the shop's name is read: what
/// else a body says is read one by one, so that nothing odd in one of them costs the request.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(default, deserialize_with = "present")]
    shop_id: Present<IgnoredAny>,
    #[serde(default, borrow, deserialize_with = "present")]
    shop_domain: Present<Cow<'a, str>>,
    #[serde(default, deserialize_with = "present")]
    customer: Present<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    orders_to_redact: Present<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    orders_requested: Present<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    data_request: Present<IgnoredAny>,
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
        read_object(body)
    }

    /// The shop that the body names, where it is a body of this shape and of no other.
    pub(super) fn shop_under(self, shape: &Shape, body: &[u8]) -> Result<ShopDomain, Refusal> {
        if !(self.has_mark(shape.mark, body) && shape.fits(&self)) {
            return Err(WRONG_SHAPE);
        }
        let named = self.shop_domain.flatten().or(self.myshopify_domain.flatten());
        let named = named.and_then(|named| named.parse().ok());
        named.ok_or(Refusal::Malformed("the shop in the body must look like name.myshopify.com"))
    }

    fn has_mark(&self, mark: Mark, body: &[u8]) -> bool {
        match mark {
            Mark::RedactedCustomer => self.customer.is_some() || self.orders_to_redact.is_some(),
            Mark::DataRequest => self.data_request.is_some() || self.orders_requested.is_some(),
            Mark::NothingElse => self.shop_id.is_some() || counts_one_member(body),
            Mark::None => true,
        }
    }
}

fn counts_one_member(body: &[u8]) -> bool {
    serde_json::from_slice::<HashMap<Cow<'_, str>, IgnoredAny>>(body).is_ok_and(|members| members.len() == 1)
}

/// Shopify's number of the customer.
pub(super) fn customer_id(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Said {
        customer: Option<WithId>,
    }
    serde_json::from_slice::<Said>(body).ok()?.customer?.id?.0
}

/// Shopify's number of the request.
pub(super) fn data_request_id(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Said {
        data_request: Option<WithId>,
    }
    serde_json::from_slice::<Said>(body).ok()?.data_request?.id?.0
}

/// The orders, without those that cannot be read.
pub(super) fn orders_to_redact(body: &[u8]) -> Option<Vec<u64>> {
    #[derive(Deserialize)]
    struct Said {
        orders_to_redact: Option<Vec<Id>>,
    }
    let orders = serde_json::from_slice::<Said>(body).ok()?.orders_to_redact?;
    Some(orders.into_iter().filter_map(|id| id.0).collect())
}

/// How a draft order's status reads once the shopper has ordered.
const COMPLETED: &str = "completed";

/// What a body says of a draft order: its id, its status and when it was completed. Nothing of a customer is a field here. Of all that a
/// whole draft order has only the id must be there; but what says its status is no notice of a deletion, whatever the unsigned
/// header calls it.
pub(super) fn draft_order(topic: &Topic, body: &[u8]) -> Result<WebhookEvent, Refusal> {
    #[derive(Deserialize)]
    struct Said {
        id: Id,
        #[serde(default, deserialize_with = "present")]
        status: Present<Value>,
        completed_at: Option<Value>,
        admin_graphql_api_id: Option<Value>,
    }
    let said: Said = read_object(body)?;
    let named = said.admin_graphql_api_id.as_ref().and_then(Value::as_str);
    if named.is_some_and(|gid| !gid.starts_with(DRAFT_ORDER_GID)) {
        return Err(WRONG_SHAPE);
    }
    let draft_id = format!("{DRAFT_ORDER_GID}{}", said.id.0.ok_or(WRONG_SHAPE)?);
    if *topic == Topic::DraftOrdersDelete {
        return if said.status.is_none() { Ok(WebhookEvent::DraftOrderDeleted { draft_id }) } else { Err(WRONG_SHAPE) };
    }
    let status = said.status.flatten();
    let completed_at = said.completed_at.as_ref().and_then(Value::as_str).and_then(read_time);
    let is_completed =
        status.as_ref().and_then(Value::as_str).is_some_and(|status| status.eq_ignore_ascii_case(COMPLETED));
    Ok(WebhookEvent::DraftOrderUpdated { draft_id, is_completed, completed_at })
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

/// What distinguishes a topic's bodies from all others, by its fields' presence. `shop_domain` and `myshopify_domain` are apart: whichever a
/// topic has, it must.
pub(super) struct Shape {
    /// The fields that it may have; of these, others are wrong.
    pub(super) customer: bool,
    pub(super) orders_to_redact: bool,
    pub(super) orders_requested: bool,
    pub(super) data_request: bool,
    /// Whether it is a resource, such as a shop, and no event about one.
    pub(super) is_resource: bool,
    /// What it must have besides.
    pub(super) mark: Mark,
}

/// What a body must have to be taken for its topic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A customer, or the orders to redact.
    RedactedCustomer,
    /// The request, or the orders asked for.
    DataRequest,
    /// What distinguishes it is what it lacks. Without the shop's number it may have nothing but its name: it is the one body that
    /// erases everything.
    NothingElse,
    /// Its shape says enough.
    None,
}

impl Shape {
    /// An event about a shop that says nothing else.
    pub(super) const EVENT: Self = Self {
        customer: false,
        orders_to_redact: false,
        orders_requested: false,
        data_request: false,
        is_resource: false,
        mark: Mark::None,
    };

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
        let allowed = |is_allowed: bool| if is_allowed { Rule::May } else { Rule::Never };
        let event = if self.is_resource { Rule::Never } else { Rule::Must };
        let notice_too = if self.is_resource { Rule::Never } else { Rule::May };
        obeys(&body.shop_id, notice_too)
            && obeys(&body.customer, allowed(self.customer))
            && obeys(&body.orders_to_redact, allowed(self.orders_to_redact))
            && obeys(&body.orders_requested, allowed(self.orders_requested))
            && obeys(&body.data_request, allowed(self.data_request))
            && obeys(&body.shop_domain, event)
            && obeys(&body.myshopify_domain, resource)
            && obeys(&body.id, resource_too)
            && obeys(&body.admin_graphql_api_id, resource_too)
    }
}

/// Whether a topic's bodies have a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Must,
    May,
    Never,
}

pub(super) const WRONG_SHAPE: Refusal = Refusal::Malformed("the body does not match its topic");

/// A field that was there, be it null: under a topic that has no such field its mere presence is wrong.
type Present<T> = Option<Option<T>>;

fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Present<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Debug, Deserialize)]
struct WithId {
    #[serde(default)]
    id: Option<Id>,
}

/// Shopify's number of something: a JSON number, the same as text, or at the end of a `gid://shopify/Customer/…`. `None` where it is
/// anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id(Option<u64>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;

        impl<'de> Visitor<'de> for IdVisitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(Some(number)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id(number_of(text)))
            }

            fn visit_i64<E: de::Error>(self, _negative: i64) -> Result<Id, E> {
                Ok(Id(None))
            }

            fn visit_f64<E: de::Error>(self, _not_whole_or_too_large: f64) -> Result<Id, E> {
                Ok(Id(None))
            }

            fn visit_bool<E: de::Error>(self, _bool: bool) -> Result<Id, E> {
                Ok(Id(None))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Id, E> {
                Ok(Id(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Id, A::Error> {
                IgnoredAny.visit_seq(list).map(|_| Id(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Id, A::Error> {
                IgnoredAny.visit_map(object).map(|_| Id(None))
            }
        }

        deserializer.deserialize_any(IdVisitor)
    }
}

fn number_of(text: &str) -> Option<u64> {
    let digits = match text.strip_prefix("gid://shopify/") {
        Some(gid) => gid.split_once('/')?.1,
        None => text,
    };
    // `parse` alone would also take "+5".
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// Reads a JSON object. serde would also fill a struct from an array, field by field.
fn read_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return read::<IgnoredAny>(body).and(Err(WRONG_SHAPE));
    }
    read(body)
}

/// Reads JSON. serde's own message is not passed on: it may quote the body.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::Malformed(if error.is_data() { "the body does not match its topic" } else { "the body is not JSON" })
    })
}
