//! What deliveries are about.

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

impl Topic {
    /// What becomes of draft orders: their bodies name no shop.
    pub const DRAFT_ORDERS: [Self; 2] = [Self::DraftOrdersUpdate, Self::DraftOrdersDelete];

    /// The topics whose bodies name their shop, and which are duties or the end of an installation.
    pub const KNOWN: [Self; 4] =
        [Self::CustomersDataRequest, Self::CustomersRedact, Self::ShopRedact, Self::AppUninstalled];

    /// Its name on the wire, in the database and in the log.
    pub fn as_str(&self) -> &str {
        match self {
            Self::CustomersDataRequest => "customers/data_request",
            Self::CustomersRedact => "customers/redact",
            Self::ShopRedact => "shop/redact",
            Self::AppUninstalled => "app/uninstalled",
            Self::DraftOrdersUpdate => "draft_orders/update",
            Self::DraftOrdersDelete => "draft_orders/delete",
            Self::Unknown(name) => name,
        }
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
