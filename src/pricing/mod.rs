//! From a key and a product to a price: loads what it takes, keeps it, and never answers from what is no longer true.
//!
//! A request costs a look at the database's generation (about 3 µs) and two look-ups in memory as long as nothing was committed
//! anything. After a commit of anybody, this process or another, the key is read again by its index: it is live and its store's
//! `catalog_version` is what it was, or what is kept is of no use. So the end of a key, an edit, an uninstall and an erasure all count
//! from the moment of their commit.

mod cache;

use crate::catalog::assignments::ProductSettings;
use crate::catalog::keys::{self, KeyDigest, LiveKey};
use crate::catalog::stores::Scope;
use crate::catalog::{assignments, matrices, options};
use crate::db::{self, DataVersion, Db};
use crate::domain::ids::{MatrixId, ProductId, ShopDomain, StoreId};
use crate::domain::length::Unit;
use crate::domain::matrix::{LookupError, PriceMatrix};
use crate::domain::money::Currency;
use crate::domain::name::Name;
use crate::domain::options::{OptionGroup, SelectionFault, SelectionFaults};
use crate::domain::quote::{self, Quote, QuoteError, QuoteRequest};
use crate::error::{Error, Kind, Result};
use cache::Cache;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of keys that are kept: thousands.
const KEYS_BYTES: usize = 1 << 20;

/// Bytes of priced products that are kept: a hundred with the largest matrix there is, two thousand with a usual one.
const PRODUCTS_BYTES: usize = 8 << 20;

/// What an entry takes alongside what is counted: the maps' own bookkeeping, ids, counters.
const ENTRY_BYTES: usize = 256;

/// The answers' codes for what a program can act on.
pub mod codes {
    /// Loading the options again will help.
    pub const STALE_OPTIONS: &str = "stale_options";
    /// A required group has no choice yet.
    pub const OPTIONS_MISSING: &str = "options_missing";
    /// The selected options are not allowed.
    pub const OPTIONS_NOT_ALLOWED: &str = "options_not_allowed";
    /// The size is outside the grid or its limits.
    pub const SIZE_OUTSIDE: &str = "size_outside";
    /// The size is not offered.
    pub const SIZE_NOT_OFFERED: &str = "size_not_offered";
    /// The product's matrix has no breakpoints yet.
    pub const NOT_PRICED_YET: &str = "not_priced_yet";
    /// The product has no matrix.
    pub const NO_MATRIX: &str = "no_matrix";
    /// An amount is larger than can be answered exactly.
    pub const PRICE_TOO_LARGE: &str = "price_too_large";
}

/// Prices, and what is kept to give them quickly.
pub struct Pricing {
    data_version: DataVersion,
    keys: Mutex<Cache<KeyDigest, (u64, Arc<AuthenticatedKey>)>>,
    products: Mutex<Cache<(StoreId, ProductId), Arc<ProductPricing>>>,
    /// The generation at the last sweep.
    swept: AtomicU64,
}

/// A client with a valid key, or with Shopify's signature for a shop.
#[derive(Debug)]
pub struct AuthenticatedKey {
    proof: Proof,
    /// The key and its store.
    pub key: LiveKey,
}

/// What is looked up again to see that a visitor still may come in.
#[derive(Debug)]
enum Proof {
    Key(KeyDigest),
    Shop,
}

/// All that the price of a product depends on, as it stood at one moment.
#[derive(Debug, Clone)]
pub struct ProductPricing {
    /// Which state of the store's catalog it is.
    pub catalog_version: i64,
    /// What its prices are in.
    pub currency: Currency,
    /// What its sizes are in.
    pub unit: Unit,
    /// What prices the product, where anything does.
    pub offer: Option<Offer>,
    /// What may be added, in the order of display.
    pub groups: Vec<OptionGroup>,
}

/// What the prices of several products of a store depend on, all as it stood at one moment.
#[derive(Debug, Clone)]
pub struct ProductPricings(HashMap<ProductId, Arc<ProductPricing>>);

/// The matrix of a product, and what the product is called.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The product's title: the one that was set for it, else as it was when the matrix was assigned.
    pub product_title: String,
    /// What the product's line at Shopify is to have.
    pub settings: ProductSettings,
    /// The matrix's id.
    pub id: MatrixId,
    /// Its name.
    pub name: Name,
    /// The matrix.
    pub matrix: PriceMatrix,
}

impl Pricing {
    /// Prices from `db`.
    ///
    /// # Errors
    /// When no connection can be had to watch it.
    pub fn new(db: &Db) -> std::result::Result<Self, db::OpenError> {
        Ok(Self {
            data_version: db.data_version()?,
            keys: Mutex::new(Cache::new(KEYS_BYTES)),
            products: Mutex::new(Cache::new(PRODUCTS_BYTES)),
            swept: AtomicU64::new(0),
        })
    }

    /// Whose key this is, if it opens anything.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find_key(&self, db: &Db, key: &str) -> db::Result<Option<Arc<AuthenticatedKey>>> {
        let digest = KeyDigest::of(key);
        // Before anything is read, so that a commit meanwhile is seen by the next request.
        let data_version = self.data_version.current()?;
        match lock(&self.keys).get(&digest) {
            Some((seen, authenticated)) if seen == data_version => return Ok(Some(authenticated)),
            _ => {}
        }
        let found = db.read(|connection| keys::find_live(connection, digest))?;
        let Some(key) = found else {
            self.forget(&digest);
            return Ok(None);
        };
        let bytes = ENTRY_BYTES + key.origins.listed().map_or(0, |origins| origins.iter().map(String::len).sum());
        let authenticated = Arc::new(AuthenticatedKey { proof: Proof::Key(digest), key });
        lock(&self.keys).insert(digest, (data_version, authenticated.clone()), bytes);
        Ok(Some(authenticated))
    }

    /// A visitor of the shop that Shopify has signed for, if its store is live.
    ///
    /// # Errors
    /// When the database fails.
    pub fn find_shop(&self, db: &Db, shop: &ShopDomain) -> db::Result<Option<Arc<AuthenticatedKey>>> {
        let key = db.read(|connection| keys::find_live_shop(connection, shop))?;
        Ok(key.map(|key| Arc::new(AuthenticatedKey { proof: Proof::Shop, key })))
    }

    /// What the price of a product depends on, as of now.
    ///
    /// # Errors
    /// `Unauthorized` when the key has ended in this moment, and when the database fails.
    pub fn load(&self, db: &Db, authenticated: &AuthenticatedKey, product: &ProductId) -> Result<Arc<ProductPricing>> {
        let name = (authenticated.key.store, product.clone());
        match lock(&self.products).get(&name) {
            Some(pricing) if pricing.catalog_version == authenticated.key.catalog_version => return Ok(pricing),
            _ => {}
        }
        // One snapshot for the version and all that belongs to it.
        let pricing = db.read(|connection| read_as(connection, &authenticated.live_key(connection)?, product))?;
        let pricing = Arc::new(pricing);
        lock(&self.products).insert(name, pricing.clone(), ENTRY_BYTES + product.as_str().len() + pricing.bytes());
        Ok(pricing)
    }

    /// What the prices of these products depend on, as of now and all of one moment.
    ///
    /// # Errors
    /// As [`Pricing::load`].
    pub fn load_all(
        &self,
        db: &Db,
        authenticated: &AuthenticatedKey,
        products: &[&ProductId],
    ) -> Result<ProductPricings> {
        let LiveKey { store, catalog_version, .. } = authenticated.key;
        let kept =
            products.iter().map(|product| Some(((*product).clone(), self.kept_at(store, product, catalog_version)?)));
        match kept.collect::<Option<HashMap<_, _>>>() {
            Some(kept) => Ok(ProductPricings(kept)),
            None => self.reload_all(db, authenticated, products),
        }
    }

    /// The same for a caller that has found that what was loaded is no longer true.
    ///
    /// # Errors
    /// As [`Pricing::load`].
    pub fn reload_all(
        &self,
        db: &Db,
        authenticated: &AuthenticatedKey,
        products: &[&ProductId],
    ) -> Result<ProductPricings> {
        let store = authenticated.key.store;
        let pricings = db.read(|connection| -> Result<_> {
            let key = authenticated.live_key(connection)?;
            let pricing = |product: &ProductId| -> Result<_> {
                match self.kept_at(store, product, key.catalog_version) {
                    Some(pricing) => Ok(pricing),
                    None => Ok(Arc::new(read_as(connection, &key, product)?)),
                }
            };
            products
                .iter()
                .map(|product| Ok(((*product).clone(), pricing(product)?)))
                .collect::<Result<HashMap<_, _>>>()
        })?;
        let mut cache = lock(&self.products);
        for (product, pricing) in &pricings {
            let bytes = ENTRY_BYTES + product.as_str().len() + pricing.bytes();
            cache.insert((store, product.clone()), pricing.clone(), bytes);
        }
        drop(cache);
        Ok(ProductPricings(pricings))
    }

    /// What is in memory of a product, if it is as this version of the store's catalog has it.
    fn kept_at(&self, store: StoreId, product: &ProductId, version: i64) -> Option<Arc<ProductPricing>> {
        let kept = lock(&self.products).get(&(store, product.clone()));
        kept.filter(|pricing| pricing.catalog_version == version)
    }

    /// Forgets what belongs to keys and stores that are gone, and to earlier versions: a store that is erased is soon gone from
    /// memory too, even if it is not asked for again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn sweep(&self, db: &Db) -> db::Result<()> {
        let data_version = self.data_version.current()?;
        if self.swept.load(Ordering::Relaxed) == data_version {
            return Ok(());
        }
        let digests = lock(&self.keys).keys();
        if digests.is_empty() && lock(&self.products).len() == 0 {
            return Ok(());
        }
        let live = db.read(|connection| -> db::Result<Vec<(KeyDigest, LiveKey)>> {
            let mut live = Vec::with_capacity(digests.len());
            for digest in digests {
                live.extend(keys::find_live(connection, digest)?.map(|key| (digest, key)));
            }
            Ok(live)
        })?;
        let digests: HashSet<KeyDigest> = live.iter().map(|(digest, _)| *digest).collect();
        let versions: HashSet<(StoreId, i64)> = live.iter().map(|(_, key)| (key.store, key.catalog_version)).collect();
        lock(&self.keys).retain(|digest, _| digests.contains(digest));
        lock(&self.products).retain(|(store, _), pricing| versions.contains(&(*store, pricing.catalog_version)));
        self.swept.store(data_version, Ordering::Relaxed);
        Ok(())
    }

    /// How many keys and products are kept in memory.
    pub fn kept(&self) -> (usize, usize) {
        (lock(&self.keys).len(), lock(&self.products).len())
    }

    /// Forgets a store that is gone, at once.
    pub fn forget_store(&self, gone: StoreId) {
        lock(&self.keys).retain(|_, (_, authenticated)| authenticated.key.store != gone);
        lock(&self.products).retain(|(store, _), _| *store != gone);
    }

    fn forget(&self, digest: &KeyDigest) {
        let mut keys = lock(&self.keys);
        let Some((_, authenticated)) = keys.get(digest) else { return };
        keys.remove(digest);
        drop(keys);
        lock(&self.products).retain(|(store, _), _| *store != authenticated.key.store);
    }
}

impl AuthenticatedKey {
    /// The key as the transaction of `connection` has it: one look by an index. A caller that writes down a price in that transaction at
    /// this key's `catalog_version` writes no old one.
    ///
    /// # Errors
    /// `Unauthorized` when the key has ended, and when the database fails.
    pub fn live_key(&self, connection: &Connection) -> Result<LiveKey> {
        let key = match &self.proof {
            Proof::Key(digest) => keys::find_live(connection, *digest)?,
            Proof::Shop => keys::find_live_shop(connection, &self.key.shop)?,
        };
        key.ok_or_else(|| {
            Error::new(Kind::Unauthorized, "prices cannot be shown here, for the page's key is no longer valid")
        })
    }
}

impl ProductPricings {
    /// Reads them all in the snapshot of `connection`, in which `key` was found.
    ///
    /// # Errors
    /// When the database fails.
    pub fn read(connection: &Connection, key: &LiveKey, products: &[&ProductId]) -> Result<Self> {
        let read = |product: &&ProductId| Ok(((*product).clone(), Arc::new(read_as(connection, key, product)?)));
        products.iter().map(read).collect::<Result<_>>().map(Self)
    }

    /// Whether they are what the store's catalog says where `key` was found.
    pub fn are_of(&self, key: &LiveKey) -> bool {
        self.0.values().all(|pricing| pricing.catalog_version == key.catalog_version)
    }

    /// What the price of this product depends on.
    ///
    /// # Errors
    /// When it is none of those that were read.
    pub fn of(&self, product: &ProductId) -> Result<&ProductPricing> {
        let found = self.0.get(product).map(AsRef::as_ref);
        found.ok_or_else(|| Error::new(Kind::Internal, format!("the prices of {product} were not read")))
    }
}

fn read_as(connection: &Connection, key: &LiveKey, product: &ProductId) -> Result<ProductPricing> {
    let scope = Scope { store: key.store, currency: key.currency, unit: key.unit };
    read_product_pricing(connection, scope, key.catalog_version, product)
}

impl std::fmt::Debug for Pricing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (keys, products) = self.kept();
        f.debug_struct("Pricing").field("keys", &keys).field("products", &products).finish_non_exhaustive()
    }
}

/// Reads all that the price of a product depends on, in the snapshot of `connection`.
///
/// # Errors
/// When the database fails.
pub fn read_product_pricing(
    connection: &Connection,
    scope: Scope,
    catalog_version: i64,
    product: &ProductId,
) -> Result<ProductPricing> {
    let offer = match assignments::find_matrix(connection, scope.store, product)? {
        Some(assigned) => {
            let settings = assignments::find_settings(connection, scope.store, product)?.unwrap_or_default();
            let (product_title, id) = (settings.title.clone().unwrap_or(assigned.title), assigned.matrix);
            let stored = matrices::find(connection, scope.store, id)?;
            stored.map(|stored| Offer { product_title, settings, id, name: stored.name, matrix: stored.matrix })
        }
        None => None,
    };
    let groups = options::list_of_product(connection, scope.store, product)?;
    Ok(ProductPricing { catalog_version, currency: scope.currency, unit: scope.unit, offer, groups })
}

impl ProductPricing {
    /// Prices `request`.
    ///
    /// # Errors
    /// `NotFound` without a matrix, `Conflict` while that has no prices yet, `Malformed` for options that cannot be selected so,
    /// `Invalid` for a size that has no price. Each has one of the [`codes`], and a sentence for shoppers.
    pub fn quote(&self, request: &QuoteRequest<'_>) -> Result<Quote> {
        let matrix = &self.offer()?.matrix;
        quote::quote(matrix, &self.groups, request).map_err(|error| match error {
            QuoteError::Selections(faults) => self.selections(&faults),
            QuoteError::Lookup(error) => self.lookup(error),
            QuoteError::TooLarge => {
                Error::new(Kind::Invalid, "this costs more than can be priced here, please ask the shop")
                    .with_member("code", codes::PRICE_TOO_LARGE)
            }
        })
    }

    /// What prices the product.
    ///
    /// # Errors
    /// `NotFound` where nothing does.
    pub fn offer(&self) -> Result<&Offer> {
        self.offer.as_ref().ok_or_else(|| {
            Error::new(Kind::NotFound, "there are no prices for this product").with_member("code", codes::NO_MATRIX)
        })
    }

    fn lookup(&self, error: LookupError) -> Error {
        let unit = self.unit;
        match error {
            LookupError::NotPricedYet => {
                Error::new(Kind::Conflict, "this product is not priced yet").with_member("code", codes::NOT_PRICED_YET)
            }
            LookupError::OutsideTheGrid { axis, asked, min, max } => {
                let text = match min <= max {
                    true => {
                        format!("a {axis} of {asked} {unit} is not available: it must be from {min} to {max} {unit}")
                    }
                    // Limits of a matrix that are alongside its grid leave nothing of it.
                    false => format!("a {axis} of {asked} {unit} is not available, and no other is at present"),
                };
                let error = Error::new(Kind::Invalid, text).with_member("code", codes::SIZE_OUTSIDE);
                let limits = json!({
                    "axis": axis.as_str(), "min": min.to_number(), "max": max.to_number(), "unit": unit.as_str(),
                });
                if min <= max { error.with_member("limits", limits) } else { error }
            }
            LookupError::NotOffered { width, height } => {
                Error::new(Kind::Invalid, format!("the size {width} x {height} {unit} is not offered"))
                    .with_member("code", codes::SIZE_NOT_OFFERED)
            }
        }
    }

    /// All faults: for shoppers by the groups' names, for programs by their ids.
    fn selections(&self, faults: &SelectionFaults) -> Error {
        let name = |id: &str| {
            let group = self.groups.iter().find(|group| group.id.to_string() == id)?;
            Some(group.name.as_str())
        };
        let sentences: Vec<String> = faults
            .iter()
            .map(|(group, fault)| match name(group) {
                Some(name) => format!("{name}: {fault}"),
                None => fault.to_string(),
            })
            .collect();
        let code = if faults.is_stale() {
            codes::STALE_OPTIONS
        } else if faults.iter().all(|(_, fault)| fault == SelectionFault::MissingRequired) {
            codes::OPTIONS_MISSING
        } else {
            codes::OPTIONS_NOT_ALLOWED
        };
        let message = format!("please check the options ({})", sentences.join("; "));
        let names: Vec<&str> = faults.iter().filter_map(|(group, _)| name(group)).collect();
        let error = Error::new(Kind::Malformed, message).with_member("code", code);
        let error = if names.is_empty() { error } else { error.with_member("groups", names) };
        faults.iter().fold(error, |error, (group, fault)| error.with_fault(group, fault.to_string()))
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let offer = self.offer.as_ref().map_or(0, |Offer { product_title, settings, id: _, name, matrix }| {
            let (width, height) = (matrix.widths().len(), matrix.heights().len());
            let ProductSettings { title, sku, variant_id, .. } = settings;
            let texts = [title, sku, variant_id].into_iter().flatten().map(String::len).sum::<usize>();
            texts + product_title.len() + name.as_str().len() + (width + height) * 8 + width * height * 16
        });
        let choices =
            |group: &OptionGroup| group.choices.iter().map(|choice| choice.label.as_str().len() + 72).sum::<usize>();
        offer + self.groups.iter().map(|group| group.name.as_str().len() + 80 + choices(group)).sum::<usize>()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}
