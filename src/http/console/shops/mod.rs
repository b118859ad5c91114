//! `/admin/shops`: the list of shops, and one shop.

pub(super) mod area;
