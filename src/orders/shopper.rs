//! Who orders, as far as can be known.

use std::net::IpAddr;

/// Who orders. It is compared by hashes that end with the process, and never kept.
#[derive(Debug, Clone, Copy)]
pub struct Shopper<'a> {
    /// Where the request comes from. Many shoppers may come from one address.
    pub address: IpAddr,
    /// What else distinguishes one browser from another, in an order that does not change.
    pub traits: &'a [&'a str],
}
