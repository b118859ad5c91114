//! Places for calls that may take long and run on threads of their own. There are few, and merchants, who share the server with others,
//! have one each and never all of them.

use crate::domain::ids::StoreId;
use crate::error::{Error, Kind, Result};
use parking_lot::Mutex;
use std::sync::Arc;

/// Calls that may run at once: each can take minutes, and one is all that an operator needs.
const PLACES: usize = 4;

/// Of these, places that merchants never take.
const KEPT_FREE: usize = 1;

/// Who has a place now: the store of a merchant, or somebody who may see all of them.
#[derive(Debug, Default)]
pub(super) struct LongCalls(Mutex<Vec<Option<StoreId>>>);

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    calls: Arc<LongCalls>,
    of: Option<StoreId>,
}

impl LongCalls {
    /// A place for somebody who may see `of` only, or everything.
    ///
    /// # Errors
    /// `Overloaded`.
    pub(super) fn take(self: &Arc<Self>, of: Option<StoreId>) -> Result<Place> {
        let mut taken = self.0.lock();
        if of.is_some() && taken.contains(&of) {
            let message = "another file or change of this shop is being worked on, try again when that is done";
            return Err(Error::new(Kind::Overloaded, message));
        }
        let merchants = taken.iter().flatten().count();
        if taken.len() >= PLACES || of.is_some() && merchants >= PLACES - KEPT_FREE {
            return Err(Error::new(
                Kind::Overloaded,
                format!("{} long calls are running, try again later", taken.len()),
            ));
        }
        taken.push(of);
        Ok(Place { calls: self.clone(), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.calls.0.lock();
        if let Some(at) = taken.iter().position(|of| *of == self.of) {
            taken.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::{Entropy, SeededEntropy};

    #[test]
    fn a_merchant_has_one_place_and_all_merchants_together_leave_one_free() {
        let entropy: &dyn Entropy = &SeededEntropy::new(1);
        let stores: Vec<StoreId> =
            (0..4).map(|_| StoreId::new(chrono::DateTime::UNIX_EPOCH, entropy.array())).collect();
        let calls = Arc::new(LongCalls::default());
        let mut places = vec![calls.take(Some(stores[0])).expect("a place")];
        assert!(calls.take(Some(stores[0])).is_err(), "one has a place already");
        places.extend([calls.take(Some(stores[1])), calls.take(Some(stores[2]))].map(|place| place.expect("a place")));
        assert!(calls.take(Some(stores[3])).is_err(), "the last one is kept for an operator");
        places.push(calls.take(None).expect("the last one"));
        assert!(calls.take(None).is_err(), "there are no more");
        places.remove(0);
        places.push(calls.take(Some(stores[3])).expect("the place that was given back"));
        drop(places);
        let operators: Vec<_> = (0..PLACES).map(|_| calls.take(None)).collect();
        assert!(operators.iter().all(Result::is_ok), "an operator may have all of them");
    }
}
