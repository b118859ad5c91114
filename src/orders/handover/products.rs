//! The products of a shop as Shopify lists them: asked for by a person who waits, so no job and nothing that is kept.

use super::Handover;
use crate::domain::ids::ShopDomain;
use crate::shopify::admin::{self, ProductsPage, ShopifyError};
use std::time::Instant;

impl Handover {
    /// The products of this shop after the cursor `after` in which each word of `search` occurs; `None` without an app. Waits for
    /// Shopify's answer.
    ///
    /// # Errors
    /// A [`ShopifyError`] that says why there is no list.
    pub fn list_products(
        &self,
        shop: &ShopDomain,
        after: Option<&str>,
        search: &str,
    ) -> Option<Result<ProductsPage, ShopifyError>> {
        let sessions = self.0.sessions.as_ref()?;
        // The pause is for orders too, which are worth more than a list.
        if let Some(after) = sessions.pause_left(shop) {
            return Some(Err(ShopifyError::Throttled { after }));
        }
        let answer = sessions
            .ask(shop, &admin::products(after, search), Instant::now())
            .and_then(|reply| admin::read_products(reply.status, reply.retry_after.as_deref(), &reply.body));
        if let Err(ShopifyError::Throttled { after }) = &answer {
            sessions.pause(shop, *after);
        }
        Some(answer)
    }
}
