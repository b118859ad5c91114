//! What the pages for shoppers say. `{name}` stands for a value; a text that is missing in a file, or that no field here has, is not read.

use serde::Deserialize;

/// The texts of all pages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PageTexts {
    /// What the language calls itself.
    pub(crate) language: String,
    pub(crate) quote: QuoteTexts,
    pub(crate) no_quote: NoticeTexts,
    pub(crate) no_page: NoticeTexts,
    pub(crate) home: HomeTexts,
    pub(crate) privacy: PrivacyTexts,
}

/// A page that says one thing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NoticeTexts {
    pub(crate) title: String,
    pub(crate) heading: String,
    pub(crate) paragraphs: Vec<String>,
}

/// The front page.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct HomeTexts {
    pub(crate) title: String,
    pub(crate) heading: String,
    pub(crate) paragraphs: Vec<String>,
    pub(crate) curious: String,
    pub(crate) privacy: String,
    pub(crate) developers: String,
    pub(crate) api: String,
}

/// The page of an order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct QuoteTexts {
    pub(crate) title: String,
    pub(crate) heading: String,
    pub(crate) items: String,
    pub(crate) made_to_measure: String,
    pub(crate) size_made_to_measure: String,
    pub(crate) breakdown: String,
    pub(crate) priced_as: String,
    pub(crate) by_price_list: String,
    pub(crate) share_of: String,
    pub(crate) floor: String,
    pub(crate) one_piece: String,
    pub(crate) quantity: String,
    pub(crate) item_total: String,
    pub(crate) total: String,
    pub(crate) all_items: String,
    pub(crate) checkout: String,
    pub(crate) quoted: String,
    pub(crate) quoted_items: String,
    /// `{shop}` is a link there.
    pub(crate) ask: String,
    pub(crate) keep: String,
}

/// A heading and what is below it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) paragraphs: Vec<String>,
}

/// What is kept about whom, and how long.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PrivacyTexts {
    pub(crate) title: String,
    pub(crate) heading: String,
    pub(crate) intro: String,
    /// Who runs the server, within a sentence, where no name is set.
    pub(crate) operator: String,
    pub(crate) shoppers: Section,
    pub(crate) merchants: Section,
    pub(crate) others: Section,
    pub(crate) deletion: DeletionTexts,
    pub(crate) rights: Section,
    pub(crate) contact: ContactTexts,
    pub(crate) changed: String,
}

/// When what is deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct DeletionTexts {
    pub(crate) heading: String,
    pub(crate) shop: String,
    pub(crate) open_orders: String,
    pub(crate) customers: String,
    pub(crate) labels: String,
    pub(crate) deliveries: String,
    pub(crate) requests: String,
    pub(crate) jobs: String,
    pub(crate) receipts: String,
}

/// Whom to ask.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ContactTexts {
    pub(crate) heading: String,
    /// Who runs the server, at the beginning of a line, where no name is set.
    pub(crate) operator: String,
    pub(crate) shop: String,
}
