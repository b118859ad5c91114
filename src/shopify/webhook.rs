//! What Shopify sends: is it really Shopify's, and what does it say.
//!
//! The signature covers the body and nothing else; topic, shop, ids and times are in headers that anyone who has seen one
//! delivery could change. So a body is read under its topic's own shape and refused under any other (`webhook/body.rs`), and the
//! shop that the signed body names must be the header's where there is that header: Shopify has sent privacy requests without, and the body
//! names the shop all the same. What a privacy request does not need is not asked for. Between `shop/update` and `app/uninstalled` alone no
//! shape can be told from its body: both carry the shop object. quotegrid subscribes to the second only.
//!
//! E-mail, phone, name and address are not fields of any type here: what is not read cannot be written anywhere.

mod body;
mod headers;
mod secrets;
mod topic;

pub use secrets::Secrets;
pub(super) use secrets::keyed;
pub use topic::{Subscription, Topic, WebhookEvent};

use crate::domain::ids::ShopDomain;
use body::{Body, named_under_unknown_topic};
use chrono::{DateTime, Utc};
use headers::{Family, Field, Headers};
use topic::Reading;

/// Ids and topics are client data that goes into the database and the log: a name, not a text.
const NAME_MAX: usize = 255;

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
    /// When Shopify says it happened; absent where that cannot be read. May are in the future: it is an unsigned header.
    pub triggered_at: Option<DateTime<Utc>>,
    /// What it says.
    pub event: WebhookEvent,
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
        let Field::One(signature) = family.hmac else { return Err(Refusal::Unsigned) };
        if !secrets.verify(signature, body) {
            return Err(Refusal::Unsigned);
        }
        Self::parse(&family, body)
    }

    fn parse(headers: &Family<'_>, body: &[u8]) -> Result<Self, Refusal> {
        let topic = headers.topic.once("the topic header is given twice")?;
        let topic = name(topic.unwrap_or_default())
            .ok_or(Refusal::Malformed("the topic header is missing, too long or not plain text"))?;
        let shop = headers.shop.once("the shop domain header is given twice")?.filter(|shop| !shop.trim().is_empty());
        let shop: Option<ShopDomain> = shop
            .map(str::parse)
            .transpose()
            .map_err(|_| Refusal::Malformed("the shop domain header must look like name.myshopify.com"))?;
        let webhook_id = headers.webhook_id.once("the webhook id header is given twice")?;
        let event_id = headers.event_id.once("the event id header is given twice")?;
        let triggered_at = headers.triggered_at.once("the triggered-at header is given twice")?;

        let topic = Topic::find_known(topic).unwrap_or_else(|| Topic::Unknown(topic.to_owned()));
        let (named, event) = match topic.definition() {
            Some(known) => match known.reading {
                Reading::OfShop(shape, read) => (Some(Body::of(body)?.shop_under(&shape, body)?), read(body)),
                Reading::OfDraftOrder(read) => (None, read(body)?),
            },
            None => (named_under_unknown_topic(body)?, WebhookEvent::Unknown),
        };
        let shop = match (shop, named) {
            (Some(shop), Some(named)) if shop != named => return Err(Refusal::OtherShop),
            (Some(shop), _) | (None, Some(shop)) => shop,
            (None, None) => return Err(Refusal::Malformed("neither a header nor the body names the shop")),
        };
        Ok(Self {
            topic,
            webhook_id: webhook_id.and_then(name).map(str::to_owned),
            event_id: event_id.and_then(name).map(str::to_owned),
            shop,
            triggered_at: triggered_at
                .and_then(|at| DateTime::parse_from_rfc3339(at).ok())
                .map(|at| at.with_timezone(&Utc)),
            event,
        })
    }
}

/// `text`, where it can be the name of something.
fn name(text: &str) -> Option<&str> {
    let fits = (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then_some(text)
}

#[cfg(test)]
mod tests;
