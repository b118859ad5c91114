//! What deliveries are about, and all that is to be known of each topic, in one table ([`Topic::definition`]). A new topic is a variant
//! here with its line, what `intake` does about it, and a sample in `data/webhooks/`.

use super::body::{self, Mark, Shape};
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
    subscription: Subscription,
    /// What its bodies look like.
    pub(super) shape: Shape,
    /// A body as Shopify sends it, of the shop `sample-shop.myshopify.com`.
    sample: &'static str,
    /// What a body of this shape says.
    pub(super) read: fn(&[u8]) -> WebhookEvent,
}

impl Topic {
    /// The topics that mean something here.
    pub const KNOWN: [Self; 4] =
        [Self::CustomersDataRequest, Self::CustomersRedact, Self::ShopRedact, Self::AppUninstalled];

    /// The table of the topics; an unknown one has no line.
    pub(super) fn definition(&self) -> Option<Definition> {
        Some(match self {
            Self::CustomersDataRequest => Definition {
                name: "customers/data_request",
                subscription: Subscription::Compliance,
                shape: Shape {
                    customer: true,
                    orders_requested: true,
                    data_request: true,
                    mark: Mark::DataRequest,
                    ..Shape::EVENT
                },
                sample: include_str!("../../../data/webhooks/customers_data_request.json"),
                read: |body| WebhookEvent::CustomersDataRequest { data_request_id: body::data_request_id(body) },
            },
            Self::CustomersRedact => Definition {
                name: "customers/redact",
                subscription: Subscription::Compliance,
                shape: Shape { customer: true, orders_to_redact: true, mark: Mark::RedactedCustomer, ..Shape::EVENT },
                sample: include_str!("../../../data/webhooks/customers_redact.json"),
                read: |body| WebhookEvent::CustomersRedact {
                    customer_id: body::customer_id(body),
                    orders_to_redact: body::orders_to_redact(body),
                },
            },
            Self::ShopRedact => Definition {
                name: "shop/redact",
                subscription: Subscription::Compliance,
                shape: Shape { mark: Mark::NothingElse, ..Shape::EVENT },
                sample: include_str!("../../../data/webhooks/shop_redact.json"),
                read: |_body| WebhookEvent::ShopRedact,
            },
            Self::AppUninstalled => Definition {
                name: "app/uninstalled",
                // Of an uninstallation only what is read is asked for; updated_at besides, for Shopify drops a delivery whose fields
                // are all the same as the last one's.
                subscription: Subscription::Fields(&["id", "myshopify_domain", "updated_at"]),
                shape: Shape { is_resource: true, ..Shape::EVENT },
                sample: include_str!("../../../data/webhooks/app_uninstalled.json"),
                read: |_body| WebhookEvent::AppUninstalled,
            },
            Self::Unknown(_) => return None,
        })
    }

    /// Its name on the wire, in the database and in the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown(name) => name,
            known => known.definition().map_or("", |definition| definition.name),
        }
    }

    /// How Shopify comes to send it; an unknown one is not asked for.
    pub fn subscription(&self) -> Option<Subscription> {
        self.definition().map(|definition| definition.subscription)
    }

    /// A body as Shopify sends it.
    pub(in crate::shopify) fn sample(&self) -> Option<&'static str> {
        self.definition().map(|definition| definition.sample)
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
