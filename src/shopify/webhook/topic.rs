//! What deliveries are about, and all that is to be known of each topic, in one table ([`Topic::definition`]). A new topic is a variant
//! here with its line, what `intake` does about it, and a sample in `data/webhooks/`.

use super::Refusal;
use super::body::{self, Mark, Shape};
use chrono::{DateTime, Utc};
use std::fmt;

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
    /// A draft order was changed: completed, perhaps.
    DraftOrdersUpdate,
    /// A draft order was deleted.
    DraftOrdersDelete,
    /// Something we do not ask for.
    Unknown(String),
}

/// What a delivery says: the ids that are needed, and nothing of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookEvent {
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
    /// A draft order was changed.
    DraftOrderUpdated {
        /// `gid://shopify/DraftOrder/…`.
        draft_id: String,
        /// Whether the shopper has ordered.
        is_completed: bool,
        /// Shopify's number of the order, where it says so.
        order_id: Option<u64>,
        /// When, where it says so.
        completed_at: Option<DateTime<Utc>>,
    },
    /// A draft order was deleted.
    DraftOrderDeleted {
        /// `gid://shopify/DraftOrder/…`.
        draft_id: String,
    },
    /// Of a topic that means nothing here.
    Unknown,
}

/// How Shopify comes to send a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// As one of the compliance topics, which are configured together.
    Compliance,
    /// By a subscription of its own, to these fields only.
    Fields(&'static [&'static str]),
}

/// All that is to be known of a topic.
pub(super) struct Definition {
    /// Its name on the wire, in the database and in the log.
    name: &'static str,
    /// What it says to a person.
    meaning: &'static str,
    subscription: Subscription,
    /// How its bodies are read.
    pub(super) reading: Reading,
    /// A body as Shopify sends it, of the shop `sample-shop.myshopify.com`.
    sample: Option<&'static str>,
}

/// How the bodies of a topic are read.
pub(super) enum Reading {
    /// They name their shop and have a shape that no other topic's has.
    OfShop(Shape, fn(&[u8]) -> WebhookEvent),
    /// They are about a draft order and name no shop: it is the header's alone, and a draft of another shop is found under none.
    OfDraftOrder(fn(&[u8]) -> Result<WebhookEvent, Refusal>),
}

/// Nothing of the customer; updated_at besides, as for an uninstallation.
const DRAFT_ORDER_FIELDS: Subscription =
    Subscription::Fields(&["id", "status", "order_id", "name", "completed_at", "updated_at"]);

impl Topic {
    /// What becomes of draft orders: their bodies name no shop.
    pub const DRAFT_ORDERS: [Self; 2] = [Self::DraftOrdersUpdate, Self::DraftOrdersDelete];

    /// The topics whose bodies name their shop, and which are privacy requests or the end of an installation.
    pub const KNOWN: [Self; 4] =
        [Self::CustomersDataRequest, Self::CustomersRedact, Self::ShopRedact, Self::AppUninstalled];

    /// Every topic that is known, in the order of the table.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::KNOWN.into_iter().chain(Self::DRAFT_ORDERS)
    }

    /// The table of the topics; an unknown one has no line.
    pub(super) fn definition(&self) -> Option<Definition> {
        Some(match self {
            Self::CustomersDataRequest => Definition {
                name: "customers/data_request",
                meaning: "a shopper asks what data is held about them",
                subscription: Subscription::Compliance,
                reading: Reading::OfShop(
                    Shape {
                        customer: true,
                        orders_requested: true,
                        data_request: true,
                        mark: Mark::DataRequest,
                        ..Shape::EVENT
                    },
                    |body| WebhookEvent::CustomersDataRequest { data_request_id: body::data_request_id(body) },
                ),
                sample: Some(include_str!("../../../data/webhooks/customers_data_request.json")),
            },
            Self::CustomersRedact => Definition {
                name: "customers/redact",
                meaning: "a shopper’s data must be erased",
                subscription: Subscription::Compliance,
                reading: Reading::OfShop(
                    Shape { customer: true, orders_to_redact: true, mark: Mark::RedactedCustomer, ..Shape::EVENT },
                    |body| WebhookEvent::CustomersRedact {
                        customer_id: body::customer_id(body),
                        orders_to_redact: body::orders_to_redact(body),
                    },
                ),
                sample: Some(include_str!("../../../data/webhooks/customers_redact.json")),
            },
            Self::ShopRedact => Definition {
                name: "shop/redact",
                meaning: "a shop’s data must be erased",
                subscription: Subscription::Compliance,
                reading: Reading::OfShop(Shape { mark: Mark::NothingElse, ..Shape::EVENT }, |_body| {
                    WebhookEvent::ShopRedact
                }),
                sample: Some(include_str!("../../../data/webhooks/shop_redact.json")),
            },
            Self::AppUninstalled => Definition {
                name: "app/uninstalled",
                meaning: "a shop has removed the app",
                // Of an uninstallation only what is read is asked for; updated_at besides, for Shopify drops a delivery whose fields
                // are all the same as the last one's.
                subscription: Subscription::Fields(&["id", "myshopify_domain", "updated_at"]),
                reading: Reading::OfShop(Shape { is_resource: true, ..Shape::EVENT }, |_body| {
                    WebhookEvent::AppUninstalled
                }),
                sample: Some(include_str!("../../../data/webhooks/app_uninstalled.json")),
            },
            Self::DraftOrdersUpdate => Definition {
                name: "draft_orders/update",
                meaning: "a draft order was changed: the shopper may have ordered",
                subscription: DRAFT_ORDER_FIELDS,
                reading: Reading::OfDraftOrder(|body| body::draft_order(&Self::DraftOrdersUpdate, body)),
                sample: Some(include_str!("../../../data/webhooks/draft_orders_update.json")),
            },
            Self::DraftOrdersDelete => Definition {
                name: "draft_orders/delete",
                meaning: "a draft order was deleted",
                subscription: DRAFT_ORDER_FIELDS,
                reading: Reading::OfDraftOrder(|body| body::draft_order(&Self::DraftOrdersDelete, body)),
                sample: Some(include_str!("../../../data/webhooks/draft_orders_delete.json")),
            },
            Self::Unknown(_) => return None,
        })
    }

    /// Its name on the wire, in the database and in the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown(name) => name,
            known => known.known_name().unwrap_or_default(),
        }
    }

    /// The same of a known topic: none of it is a stranger's text.
    pub fn known_name(&self) -> Option<&'static str> {
        self.definition().map(|definition| definition.name)
    }

    /// What it says, in words for a person; an unknown one says nothing.
    pub fn meaning(&self) -> Option<&'static str> {
        self.definition().map(|definition| definition.meaning)
    }

    /// How Shopify comes to send it; an unknown one is not asked for.
    pub fn subscription(&self) -> Option<Subscription> {
        self.definition().map(|definition| definition.subscription)
    }

    /// A body as Shopify sends it.
    pub(in crate::shopify) fn sample(&self) -> Option<&'static str> {
        self.definition().and_then(|definition| definition.sample)
    }

    /// The known topic of this name. In any case: an erasure must not get lost over the spelling of an unsigned header.
    pub fn find_known(name: &str) -> Option<Self> {
        Self::all().find(|topic| topic.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
