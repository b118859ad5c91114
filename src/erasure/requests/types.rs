//! A privacy request as a value: what is asked, by whom, what there is to know of its store, and what came of it.

use crate::db::text_sql;
use crate::db::{Millis, RowCounts};
use crate::domain::ids::{JobId, RequestId, ShopDomain};
use crate::domain::text_enum::text_enum;
use crate::erasure::{CUSTOMER_REDACT, CUSTOMERS_DATA_REQUEST, SHOP_REDACT};
use chrono::{DateTime, Utc};
use rusqlite::Row;
use serde_json::Value as Json;

text_enum! {
    /// What is asked.
    pub enum RequestKind {
        /// Say what is held about a customer.
        CustomersDataRequest = "CUSTOMERS_DATA_REQUEST",
        /// Forget a customer.
        CustomersRedact = "CUSTOMERS_REDACT",
        /// Erase a shop.
        ShopRedact = "SHOP_REDACT",
    }
}

impl RequestKind {
    /// The type of the jobs that fulfil such requests.
    pub const fn job_type(self) -> &'static str {
        match self {
            Self::CustomersDataRequest => CUSTOMERS_DATA_REQUEST,
            Self::CustomersRedact => CUSTOMER_REDACT,
            Self::ShopRedact => SHOP_REDACT,
        }
    }
}

text_enum! {
    /// What came of it.
    pub enum RequestOutcome {
        /// Rows were deleted.
        Erased = "erased",
        /// There was nothing to delete.
        NothingHeld = "nothing_held",
        /// Taken note of: no such data is kept at all.
        Acknowledged = "acknowledged",
        /// A report is ready.
        Reported = "reported",
        /// The store was installed again after the event; it stays.
        SupersededByReinstall = "superseded_by_reinstall",
        /// Shopify grants the app access to the shop, so the app is still installed there; the store stays.
        StillInstalled = "still_installed",
        /// A person has decided that the store stays.
        Rejected = "rejected",
    }
}

text_enum! {
    /// Who asks.
    pub enum OrderedBy {
        /// Shopify, by a webhook.
        Shopify = "shopify",
        /// The operator, by a command or the admin API.
        Operator = "operator",
    }
}

text_sql!(RequestKind, RequestOutcome, OrderedBy, ShopifySays, Decision);

/// A request that has just come in.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// Whose data it is about.
    pub shop: ShopDomain,
    /// What is asked.
    pub kind: RequestKind,
    /// The ids needed to fulfil it, and nothing else of a person.
    pub payload: Json,
    /// Shopify's id of the delivery.
    pub webhook_id: Option<String>,
    /// Shopify's id of the event that the delivery is about.
    pub event_id: Option<String>,
    /// The job that the delivery leads to.
    pub job: Option<JobId>,
    /// When Shopify says it happened; a later instant than receipt counts as receipt.
    pub triggered_at: DateTime<Utc>,
}

/// A request as it is stored.
#[derive(Debug, Clone)]
pub struct PrivacyRequest {
    /// Its id.
    pub id: RequestId,
    /// Whose data it is about.
    pub shop: ShopDomain,
    /// What is asked.
    pub kind: RequestKind,
    /// Shopify's id of the delivery.
    pub webhook_id: Option<String>,
    /// When it happened.
    pub triggered_at: DateTime<Utc>,
    /// When it came in.
    pub created_at: DateTime<Utc>,
    /// By when it must be fulfilled.
    pub due_at: DateTime<Utc>,
    /// When its effects were committed.
    pub processed_at: Option<DateTime<Utc>>,
    /// When the bytes had left the files too.
    pub erased_at: Option<DateTime<Utc>>,
    /// What came of it.
    pub outcome: Option<RequestOutcome>,
    /// Rows deleted, by table.
    pub deleted: RowCounts,
    /// Who asks.
    pub ordered_by: OrderedBy,
    /// What there is to know of it where its store looked live.
    pub hold: Hold,
}

text_enum! {
    /// What Shopify says of whether the app is installed in the shop.
    pub enum ShopifySays {
        /// It is being asked.
        Asking = "asking",
        /// It is installed: an access token was granted.
        Installed = "installed",
        /// It is not installed.
        NotInstalled = "not_installed",
        /// Nothing that could be understood, for as long as the deadline allowed to ask.
        Unclear = "unclear",
        /// It was not asked in the end: there is no app, or no need any more.
        NotAsked = "not_asked",
    }
}

text_enum! {
    /// What a person has decided of a held erasure.
    pub enum Decision {
        /// Erase at once.
        Confirmed = "confirmed",
        /// The store stays.
        Rejected = "rejected",
    }
}

/// What there is to know of a request whose store looked live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hold {
    /// When it was found that its store looks live; never: none of the rest is set.
    pub found_live_at: Option<DateTime<Utc>>,
    /// When the store's keys had last been used then, within about ten minutes.
    pub keys_used_at: Option<DateTime<Utc>>,
    /// Until when it waits at the most.
    pub held_until: Option<DateTime<Utc>>,
    /// What Shopify says.
    pub shopify_says: Option<ShopifySays>,
    /// What a person has decided.
    pub decision: Option<Decision>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
}

impl Hold {
    pub(in crate::erasure) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let instant =
            |column: &str| -> rusqlite::Result<_> { Ok(row.get::<_, Option<Millis>>(column)?.map(|at| at.0)) };
        Ok(Self {
            found_live_at: instant("found_live_at")?,
            keys_used_at: instant("keys_used_at")?,
            held_until: instant("held_until")?,
            shopify_says: row.get("shopify_says")?,
            decision: row.get("decision")?,
            decided_at: instant("decided_at")?,
        })
    }
}
