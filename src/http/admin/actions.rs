//! What each write of the admin API is called in the audit log.

use crate::access::audit::Entry;
use crate::domain::ids::ShopDomain;
use crate::erasure;
use crate::http::route::Params;
use crate::http::state::AppState;
use crate::http::{Method, Request};

/// Method, pattern below the admin API, and the action: an object and a verb.
const ACTIONS: &[(Method, &str, &str)] = &[
    (Method::Post, "/clock", "clock.advance"),
    (Method::Post, "/jobs", "job.enqueue"),
    (Method::Post, "/jobs/run", "jobs.run"),
    (Method::Post, "/jobs/retry", "jobs.retry"),
    (Method::Post, "/jobs/cancel", "jobs.cancel"),
    (Method::Post, "/jobs/types/{type}/pause", "jobs.pause"),
    (Method::Post, "/jobs/types/{type}/resume", "jobs.resume"),
    (Method::Post, "/jobs/{id}/retry", "job.retry"),
    (Method::Post, "/jobs/{id}/cancel", "job.cancel"),
    (Method::Post, "/stores", "store.add"),
    (Method::Patch, "/stores/{shop}", "store.update"),
    (Method::Delete, "/stores/{shop}", "store.erase"),
    (Method::Post, "/stores/{shop}/keys", "key.issue"),
    (Method::Delete, "/stores/{shop}/keys/{id}", "key.revoke"),
    (Method::Post, "/stores/{shop}/matrices", "matrix.create"),
    (Method::Post, "/stores/{shop}/matrices/import", "matrix.import"),
    (Method::Put, "/stores/{shop}/matrices/{id}", "matrix.update"),
    (Method::Patch, "/stores/{shop}/matrices/{id}", "matrix.update"),
    (Method::Put, "/stores/{shop}/matrices/{id}/import", "matrix.import"),
    (Method::Delete, "/stores/{shop}/matrices/{id}", "matrix.delete"),
    (Method::Post, "/stores/{shop}/matrices/{id}/duplicate", "matrix.duplicate"),
    (Method::Post, "/stores/{shop}/matrices/{id}/adjust", "matrix.adjust"),
    (Method::Post, "/stores/{shop}/option-groups/{id}/duplicate", "option_group.duplicate"),
    (Method::Post, "/gdpr/requests/{id}/confirm", "request.confirm"),
    (Method::Post, "/gdpr/requests/{id}/reject", "request.reject"),
    (Method::Post, "/stores/{shop}/option-groups", "option_group.create"),
    (Method::Put, "/stores/{shop}/option-groups/{id}", "option_group.update"),
    (Method::Delete, "/stores/{shop}/option-groups/{id}", "option_group.delete"),
    (Method::Post, "/stores/{shop}/draft-orders/{id}/cancel", "order.cancel"),
    (Method::Patch, "/stores/{shop}/products/{*productId}", "product.update"),
    (Method::Put, "/stores/{shop}/products/{*productId}/matrix", "product.assign"),
    (Method::Delete, "/stores/{shop}/products/{*productId}/matrix", "product.unassign"),
    (Method::Put, "/stores/{shop}/products/{*productId}/option-groups/{groupId}", "product.offer"),
    (Method::Delete, "/stores/{shop}/products/{*productId}/option-groups/{groupId}", "product.withdraw"),
];

/// The row of the audit log for a write; `None` for what only reads.
pub(super) fn entry(state: &AppState, request: &Request, pattern: &str, params: &Params) -> Option<Entry> {
    let (_, _, action) = ACTIONS
        .iter()
        .find(|(method, below, _)| *method == request.method && pattern.strip_prefix(super::ROOT) == Some(below))?;
    let mut entry = Entry::new(action);
    if let Ok(shop) = params.get("shop").parse::<ShopDomain>() {
        entry = entry.of_store(erasure::subject_hash(&state.app.hasher, &shop));
    }
    let ids = params.iter().filter(|(name, _)| *name != "shop");
    Some(ids.fold(entry, |entry, (_, id)| entry.object(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{console, router};

    #[test]
    fn every_write_of_the_admin_api_has_a_name_in_the_audit_log_and_no_name_is_left_over() {
        let writes = router::all().filter(|(method, pattern)| *method != "GET" && super::super::owns(pattern));
        let mut writes: Vec<_> =
            writes.map(|(method, pattern)| format!("{method} {}", &pattern[super::super::ROOT.len()..])).collect();
        let mut named: Vec<_> =
            ACTIONS.iter().map(|(method, pattern, _)| format!("{} {pattern}", method.as_str())).collect();
        writes.sort();
        named.sort();
        assert_eq!(writes, named);
    }

    /// What the console does and the admin API has no route for.
    const OF_THE_CONSOLE_ALONE: [&str; 3] = ["order.retry", "backup.create", "chain.verify"];

    #[test]
    fn a_write_of_the_console_is_called_as_the_same_write_of_the_admin_api() {
        for (pattern, action) in console::writes() {
            let is_known = ACTIONS.iter().any(|(.., named)| *named == action) || OF_THE_CONSOLE_ALONE.contains(&action);
            assert!(is_known, "{pattern}: {action}");
        }
    }
}
