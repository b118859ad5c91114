//! File descriptors: how many this process may have, and what fits into them.

use super::limits::FrontEndLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::path::Path;

/// Descriptors that the rest of the program needs: database, logs, outgoing calls.
const KEPT_FOR_OTHERS: usize = 64;
/// An upstream connection is one at the front end and two at tiny_http, which keeps one for reading and one for writing.
const PER_UPSTREAM: usize = 3;
/// With fewer, one slow response would hold up too many others.
const UPSTREAMS_MIN: usize = 4;

/// Makes room for what `limits` ask for, or lowers them to what fits: out of descriptors, no client is served well.
pub(crate) fn fit(limits: &mut FrontEndLimits) {
    let wanted = limits.connections + limits.extras() + limits.upstreams * PER_UPSTREAM + KEPT_FOR_OTHERS;
    let allowed = raise_to(wanted);
    if allowed >= wanted {
        return;
    }
    let ours = allowed.saturating_sub(KEPT_FOR_OTHERS);
    // A third for upstream connections, as long as that leaves more clients than upstream connections.
    limits.upstreams = limits.upstreams.min((ours / 3 / PER_UPSTREAM).max(UPSTREAMS_MIN));
    limits.critical_upstreams = limits.critical_upstreams.min(limits.upstreams / UPSTREAMS_MIN);
    // Of the rest a fifth for those beyond the limit, who are a quarter of the others at the most.
    let left = (ours.saturating_sub(limits.upstreams * PER_UPSTREAM) * 4 / 5).max(1);
    if left < limits.connections {
        log::warn!(
            "only {left} connections and not {} fit into the limit of {allowed} open files; raise it (ulimit -n, LimitNOFILE=)",
            limits.connections
        );
        limits.connections = left;
    }
}

/// Raises the soft limit towards `wanted` as far as the hard one lets it, and returns what it is then.
fn raise_to(wanted: usize) -> usize {
    let size = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let limit = getrlimit(Resource::Nofile);
    let (current, maximum) = (size(limit.current), size(limit.maximum));
    if current >= wanted || maximum <= current {
        return current;
    }
    let raised = wanted.min(maximum);
    match setrlimit(Resource::Nofile, Rlimit { current: Some(raised as u64), maximum: limit.maximum }) {
        Ok(()) => raised,
        Err(error) => {
            log::debug!("the limit of open files stays at {current}: {error}");
            current
        }
    }
}

/// Whether `count` more descriptors can be had right now. tiny_http does not survive an accept that fails for want of one, so
/// no process connects to it without having checked.
pub(crate) fn have_spare(count: usize) -> bool {
    let open = || File::open(Path::new("/dev/null"));
    (0..count).map(|_| open()).collect::<Result<Vec<File>, _>>().is_ok()
}
