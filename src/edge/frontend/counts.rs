//! How many connections each address has, and each IPv6 site. Pure.

use super::client_address;
use super::limits::FrontEndLimits;
use std::collections::HashMap;
use std::net::IpAddr;

/// The connections that count for an address or a site.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    addresses: HashMap<IpAddr, usize>,
    sites: HashMap<IpAddr, usize>,
}

impl Counts {
    /// Whether `address`, or the site that it is part of, has as many as it may.
    pub(crate) fn are_full(&self, address: IpAddr, limits: &FrontEndLimits) -> bool {
        let is_full =
            |counts: &HashMap<IpAddr, usize>, name, most| counts.get(&name).is_some_and(|count| *count >= most);
        is_full(&self.addresses, address, limits.connections_per_address)
            || client_address::site_of(address)
                .is_some_and(|site| is_full(&self.sites, site, limits.connections_per_site()))
    }

    /// Counts one more of `address`.
    pub(crate) fn add(&mut self, address: IpAddr) {
        *self.addresses.entry(address).or_insert(0) += 1;
        if let Some(site) = client_address::site_of(address) {
            *self.sites.entry(site).or_insert(0) += 1;
        }
    }

    /// Counts one less of `address`.
    pub(crate) fn remove(&mut self, address: IpAddr) {
        take_one(&mut self.addresses, address);
        if let Some(site) = client_address::site_of(address) {
            take_one(&mut self.sites, site);
        }
    }
}

fn take_one(counts: &mut HashMap<IpAddr, usize>, name: IpAddr) {
    if let Some(count) = counts.get_mut(&name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_its_share_from_however_many_networks_and_others_have_theirs() {
        let limits = FrontEndLimits { connections_per_address: 2, ..FrontEndLimits::default() };
        let network = |site: usize, network: usize| -> IpAddr {
            client_address::counted_as(format!("2001:db8:{site}:{network:x}::1").parse().expect("an address"))
        };
        let mut counts = Counts::default();
        counts.add(network(1, 0));
        assert!(!counts.are_full(network(1, 0), &limits));
        counts.add(network(1, 0));
        assert!(counts.are_full(network(1, 0), &limits) && !counts.are_full(network(1, 1), &limits));
        for number in 2..limits.connections_per_site() {
            counts.add(network(1, number));
        }
        assert!(counts.are_full(network(1, 9_999), &limits), "a network that nobody has come from yet");
        assert!(!counts.are_full(network(2, 0), &limits));
        assert!(!counts.are_full(IpAddr::from([192, 0, 2, 1]), &limits));
        for number in 2..limits.connections_per_site() {
            counts.remove(network(1, number));
        }
        counts.remove(network(1, 0));
        counts.remove(network(1, 0));
        assert!(counts.addresses.is_empty() && counts.sites.is_empty());
    }
}
