//! What all pages of one shop have in common: the way back to the list, and the tabs.

use crate::access::Role;
use crate::catalog::stores::Store;
use crate::domain::ids::ShopDomain;
use crate::error::Result;
use crate::http::console::Visit;
use crate::http::console::layout::{Frame, Section};

/// Which tab of a shop a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http::console) enum Tab {
    /// The shop itself.
    Shop,
    /// Its price lists.
    Prices,
    /// Its option groups.
    Options,
    /// Its products.
    Products,
    /// Its orders.
    Orders,
}

/// The tabs: what they are called, and where they lead below the shop.
const TABS: &[(Tab, &str, &str)] = &[
    (Tab::Shop, "", "Shop"),
    (Tab::Prices, "/prices", "Prices"),
    (Tab::Options, "/options", "Options"),
    (Tab::Products, "/products", "Products"),
    (Tab::Orders, "/orders", "Orders"),
];

/// A tab as a page shows it.
#[derive(Debug)]
pub(in crate::http::console) struct TabView {
    pub(in crate::http::console) path: String,
    pub(in crate::http::console) text: &'static str,
    pub(in crate::http::console) is_current: bool,
}

/// The shop that a page is about.
#[derive(Debug, Clone)]
pub(in crate::http::console) struct ShopArea {
    pub(in crate::http::console) shop: ShopDomain,
    /// Why nothing can be changed at present, where that is so.
    pub(in crate::http::console) notice: Option<&'static str>,
    /// Whether there is a list of shops for the person who is signed in.
    pub(in crate::http::console) has_list: bool,
    tab: Tab,
}

impl ShopArea {
    /// The area of the shop that `visit` names.
    ///
    /// # Errors
    /// `NotFound`.
    pub(in crate::http::console) fn of(visit: &Visit, tab: Tab) -> Result<Self> {
        let store = visit.store()?;
        let has_list = visit.session.role != Role::Merchant;
        Ok(Self { shop: store.shop.clone(), notice: notice(store), has_list, tab })
    }

    /// Where the shop's pages begin, without a slash in front.
    pub(in crate::http::console) fn path(&self) -> String {
        format!("admin/shops/{}", self.shop)
    }

    /// The tabs.
    pub(in crate::http::console) fn tabs(&self) -> Vec<TabView> {
        let path = self.path();
        let tab = |&(tab, below, text): &(Tab, &str, &'static str)| TabView {
            path: format!("{path}{below}"),
            text,
            is_current: tab == self.tab,
        };
        TABS.iter().map(tab).collect()
    }
}

fn notice(store: &Store) -> Option<&'static str> {
    if store.erasing_since.is_some() {
        return Some("This shop is being erased. Nothing of it can be changed any more.");
    }
    let uninstalled =
        "The app was uninstalled in this shop: its keys and pages are closed until it is installed again.";
    store.uninstalled_at.map(|_at| uninstalled)
}

/// The frame of a shop's page, saying what was done just now: see [`Visit::flash`].
pub(in crate::http::console) fn frame_of(visit: &Visit, flashes: &[(&str, &'static str)]) -> Frame {
    visit.frame(Section::Shops).with_flash(visit.flash(flashes))
}
