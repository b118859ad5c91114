//! A server in process with a store to price, and a client that holds every answer against the document and the promises of CORS.

use super::spec;
use quotegrid::catalog::keys::{self, IssuedKey, NewKey};
use quotegrid::catalog::options::{NewChoice, NewGroup};
use quotegrid::catalog::stores::{self, Scope};
use quotegrid::catalog::{assignments, matrices, options};
use quotegrid::db::Tx;
use quotegrid::domain::ids::{ChoiceId, MatrixId, OptionGroupId, ProductId, ShopDomain};
use quotegrid::domain::length::{Length, Unit};
use quotegrid::domain::matrix::{OutOfRange, PriceMatrix, SizeLimits};
use quotegrid::domain::money::Minor;
use quotegrid::domain::options::{Modifier, Requirement};
use quotegrid::entropy::{Entropy, OsEntropy};
use quotegrid::error::Error;
use quotegrid::http::{AppState, Headers, Method, Reply, Request, Response, Router, Service};
use quotegrid::shopify::Secrets;
use quotegrid::testing::Fixture;
use serde_json::Value;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

pub(crate) const SHOP: &str = "fixture.myshopify.com";
pub(crate) const OTHER_SHOP: &str = "other.myshopify.com";

/// The product with the contract's grid and groups.
pub(crate) const PRODUCT: &str = "1001";

pub(crate) struct Server {
    pub(crate) fixture: Fixture,
    pub(crate) router: Router,
}

/// A store to ask for.
pub(crate) struct Shop {
    pub(crate) scope: Scope,
    pub(crate) key: IssuedKey,
}

/// The contract's example: product 1001 with its grid, a required group and an optional one.
pub(crate) struct Example {
    pub(crate) shop: Shop,
    pub(crate) matrix: MatrixId,
    pub(crate) required: OptionGroupId,
    pub(crate) free: ChoiceId,
    pub(crate) share: ChoiceId,
    pub(crate) optional: OptionGroupId,
    pub(crate) fixed: ChoiceId,
}

impl Server {
    /// A server without limits.
    pub(crate) fn new() -> Self {
        Self::with_rate_limit(0)
    }

    pub(crate) fn with_rate_limit(rate_limit: u32) -> Self {
        let fixture = Fixture::new();
        let state = AppState::new(fixture.app.clone(), Secrets::new(["hush"])).with_rate_limit(rate_limit);
        Self { router: Router::new(Arc::new(state)), fixture }
    }

    /// A change, made and committed.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> T {
        self.fixture.app.db.write(change).expect("written")
    }

    pub(crate) fn shop(&self, domain: &str) -> Shop {
        self.shop_in(domain, "USD", Unit::Mm)
    }

    pub(crate) fn shop_in(&self, domain: &str, currency: &str, unit: Unit) -> Shop {
        let (now, domain) = (self.fixture.now(), domain.parse::<ShopDomain>().expect("a shop"));
        let currency = currency.parse().expect("a currency");
        let scope = self.write(move |tx| Ok(stores::install(tx, now, entropy(), &domain, currency, unit)?.scope()));
        Shop { scope, key: self.key(scope, &[]) }
    }

    /// A key for pages of these origins; of any, where there are none.
    pub(crate) fn key(&self, scope: Scope, origins: &[&str]) -> IssuedKey {
        let origins = (!origins.is_empty()).then(|| origins.iter().map(ToString::to_string).collect());
        let (now, new) = (self.fixture.now(), NewKey::new(None, origins).expect("origins"));
        self.write(move |tx| keys::issue_new(tx, now, entropy(), scope.store, &new))
    }

    pub(crate) fn matrix(&self, scope: Scope, name: &str, matrix: PriceMatrix) -> MatrixId {
        let (now, name) = (self.fixture.now(), name.parse().expect("a name"));
        let id = MatrixId::new(now, entropy().array());
        self.write(move |tx| matrices::insert(tx, now, id, scope, &name, &matrix));
        id
    }

    pub(crate) fn assign(&self, scope: Scope, product: &str, matrix: MatrixId) {
        let (now, product) = (self.fixture.now(), product.parse::<ProductId>().expect("a product"));
        self.write(move |tx| {
            assignments::set_matrix(tx, now, scope, &product, &"a pane".parse().expect("a title"), matrix)
        });
    }

    /// A group that the product offers, and the ids of its choices.
    pub(crate) fn group(
        &self,
        scope: Scope,
        product: &str,
        name: &str,
        requirement: Requirement,
        modifiers: &[Modifier],
    ) -> (OptionGroupId, Vec<ChoiceId>) {
        let (now, product) = (self.fixture.now(), product.parse::<ProductId>().expect("a product"));
        let id = OptionGroupId::new(now, entropy().array());
        let choices: Vec<NewChoice> = modifiers
            .iter()
            .zip(1..)
            .map(|(&modifier, number)| NewChoice {
                id: ChoiceId::new(now, entropy().array()),
                label: format!("{name}: {number}").parse().expect("a name"),
                modifier,
                is_default: number == 1,
            })
            .collect();
        let ids = choices.iter().map(|choice| choice.id).collect();
        let group = NewGroup { name: name.parse().expect("a name"), requirement, choices };
        self.write(move |tx| {
            options::insert(tx, now, id, scope, &group)?;
            assignments::add_group(tx, now, scope, &product, id)
        });
        (id, ids)
    }

    pub(crate) fn example(&self) -> Example {
        let shop = self.shop(SHOP);
        let scope = shop.scope;
        let matrix = self.matrix(scope, "Glass", grid(OutOfRange::Reject));
        self.assign(scope, PRODUCT, matrix);
        let choices = [fixed(0), Modifier::from_parts("PERCENTAGE", 1_500).expect("a modifier")];
        let (required, of_required) = self.group(scope, PRODUCT, "Edge", Requirement::Required, &choices);
        let (optional, of_optional) = self.group(scope, PRODUCT, "Holes", Requirement::Optional, &[fixed(500)]);
        Example { shop, matrix, required, free: of_required[0], share: of_required[1], optional, fixed: of_optional[0] }
    }

    /// Asks as a browser with `key` does, and holds the answer against all that is promised for every answer.
    pub(crate) fn get(&self, key: &IssuedKey, target: &str) -> Response {
        self.ask(request("GET", target, &[("X-API-Key", &key.key)]))
    }

    /// The price of a size of the example product.
    pub(crate) fn price(&self, key: &IssuedKey, query: &str) -> Response {
        self.get(key, &format!("/api/v1/products/{PRODUCT}/price?{query}"))
    }

    pub(crate) fn ask(&self, request: Request) -> Response {
        let response = self.ask_unchecked(request.clone());
        spec::check(request.method.as_str(), &request.path, &response);
        if request.path.starts_with("/api/") {
            assert_cors(&request, &response);
        }
        response
    }

    pub(crate) fn ask_unchecked(&self, request: Request) -> Response {
        ask(&self.router, request)
    }
}

pub(crate) fn ask(router: &Router, request: Request) -> Response {
    let (sender, receiver) = channel();
    router.call(request, Reply::new(move |response| drop(sender.send(response))));
    receiver.recv_timeout(Duration::from_secs(60)).expect("answered")
}

fn assert_cors(request: &Request, response: &Response) {
    let field = |name: &str| response.header(name).unwrap_or_else(|| panic!("no {name} in {response:?}"));
    assert_eq!(field("Access-Control-Allow-Headers"), "X-API-Key, Content-Type, Idempotency-Key");
    assert_eq!(
        field("Access-Control-Expose-Headers"),
        "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
    );
    assert!(field("Access-Control-Allow-Methods").ends_with("OPTIONS"));
    let kept = response.headers.iter().filter(|(name, _)| *name == "Cache-Control").collect::<Vec<_>>();
    assert!(request.method == Method::Options || kept == [&("Cache-Control", "no-store".to_owned())], "{response:?}");
    let origins = response.headers.iter().filter(|(name, _)| *name == "Access-Control-Allow-Origin").count();
    assert!(origins == 1 || origins == 0 && field("Vary") == "Origin", "{} {response:?}", request.path);
}

/// A request without a body; `target` is path and query as on the wire.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Request {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut fields = Headers::default();
    for (name, value) in headers {
        fields.push(name, *value);
    }
    Request {
        method: Method::from(method),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: fields,
        body: Vec::new(),
        client: [192, 0, 2, 1].into(),
        id: "request-1".to_owned(),
    }
}

pub(crate) fn body(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|fault| panic!("{fault}: {response:?}"))
}

/// The value of `options` for these groups and choices, percent-encoded.
pub(crate) fn selections(pairs: &[(impl ToString, impl ToString)]) -> String {
    let entry = |(group, choice): &(_, _)| {
        let (group, choice): (String, String) = (ToString::to_string(group), ToString::to_string(choice));
        serde_json::json!({ "optionGroupId": group, "choiceId": choice })
    };
    let entries: Vec<Value> = pairs.iter().map(entry).collect();
    encoded(&serde_json::json!({ "selections": entries }).to_string())
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

pub(crate) fn fixed(minor: i64) -> Modifier {
    Modifier::Fixed(Minor::new(minor))
}

/// The grid of the contract's vectors.
pub(crate) fn grid(outside: OutOfRange) -> PriceMatrix {
    let rows = [[1_000, 1_500, 2_000], [2_500, 3_000, 3_500], [4_000, 4_500, 5_000]];
    matrix(&[300, 600, 900], &[200, 400, 600], &rows.map(|row| row.map(Some).to_vec()), outside)
}

pub(crate) fn matrix(widths: &[i64], heights: &[i64], rows: &[Vec<Option<i64>>], outside: OutOfRange) -> PriceMatrix {
    let steps = |values: &[i64]| -> Vec<Length> {
        values.iter().map(|value| Length::from_thousandths(value * 1_000).expect("a length")).collect()
    };
    let prices: Vec<Vec<Option<Minor>>> =
        rows.iter().map(|row| row.iter().map(|price| price.map(Minor::new)).collect()).collect();
    PriceMatrix::new(&steps(widths), &steps(heights), &prices, outside, SizeLimits::default()).expect("a matrix")
}

pub(crate) fn entropy() -> &'static dyn Entropy {
    &OsEntropy
}
