//! Draft orders: what a shopper was quoted, with a snapshot of everything the price came from.

pub mod deletion;
pub mod records;
