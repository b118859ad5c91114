//! What deliveries are about, and all that is to be known of each topic, in one table ([`Topic::definition`]). A new topic is a variant
//! here with its line, what `intake` does about it, and a sample in `data/webhooks/`.

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
    subscription: Subscription,
    /// What its bodies look like.
    pub(super) shape: Shape,
    /// A body as Shopify sends it, of the shop `sample-shop.myshopify.com`.
    sample: &'static str,
    /// What a body of this shape says.
    pub(super) read: fn(&[u8]) -> WebhookEvent,
}

impl Topic {
    /// What becomes of draft orders: their bodies name no shop, and so have no shape of the table's.
    pub const DRAFT_ORDERS: [Self; 2] = [Self::DraftOrdersUpdate, Self::DraftOrdersDelete];

    /// The topics whose bodies name their shop: duties, and the end of an installation.
    pub const KNOWN: [Self; 4] =
        [Self::CustomersDataRequest, Self::CustomersRedact, Self::ShopRedact, Self::AppUninstalled];

    /// Whether its bodies are draft orders.
    pub(super) fn is_about_draft_order(&self) -> bool {
        Self::DRAFT_ORDERS.contains(self)
    }

    /// The table of the topics whose bodies name their shop; others have no line.
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
            Self::DraftOrdersUpdate | Self::DraftOrdersDelete | Self::Unknown(_) => return None,
        })
    }

    /// Its name on the wire, in the database and in the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown(name) => name,
            Self::DraftOrdersUpdate => "draft_orders/update",
            Self::DraftOrdersDelete => "draft_orders/delete",
            known => known.definition().map_or("", |definition| definition.name),
        }
    }

    /// How Shopify comes to send it; an unknown one is not asked for.
    pub fn subscription(&self) -> Option<Subscription> {
        match self {
            // Nothing of a customer; updated_at for the same reason as above.
            Self::DraftOrdersUpdate => {
                Some(Subscription::Fields(&["id", "status", "order_id", "name", "completed_at", "updated_at"]))
            }
            // Shopify sends nothing else of what is gone.
            Self::DraftOrdersDelete => Some(Subscription::Fields(&["id"])),
            other => other.definition().map(|definition| definition.subscription),
        }
    }

    /// A body as Shopify sends it.
    pub(in crate::shopify) fn sample(&self) -> Option<&'static str> {
        self.definition().map(|definition| definition.sample)
    }

    /// The known topic of this name. In any case: an erasure must not get lost over the spelling of an unsigned header.
    pub fn find_known(name: &str) -> Option<Self> {
        Self::KNOWN.into_iter().chain(Self::DRAFT_ORDERS).find(|topic| topic.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
