//! The element on a shop's page: how its script is served, and, in a real browser, everything that a shopper may meet with it.

mod accessibility;
mod browser;
mod proxied;
mod served;
mod site;
mod states;
