//! The only source of random bytes: ids, API keys, tokens. Passed in, so that a test can be repeated byte for byte.

use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of random bytes.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's generator: fit for keys.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsEntropy;

/// What is not longer comes from a [`Block`]: the random part of an id, of which every webhook needs two. Keys and tokens are longer, and
/// no byte of one is in memory before it is asked for.
const ID_BYTES_MAX: usize = 10;

/// Bytes asked for at once.
const BLOCK_BYTES: usize = 512;

/// Random bytes that a thread has in store, so that not each id takes a call of the system. A child of a fork would have the same
/// ones; this program's children become other programs at once.
struct Block {
    bytes: [u8; BLOCK_BYTES],
    given: usize,
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: [0; BLOCK_BYTES], given: BLOCK_BYTES }) };
}

impl Block {
    fn give(&mut self, wanted: &mut [u8]) {
        if self.bytes.len() - self.given < wanted.len() {
            getrandom::fill(&mut self.bytes).expect(NO_ENTROPY);
            self.given = 0;
        }
        let given = &mut self.bytes[self.given..self.given + wanted.len()];
        wanted.copy_from_slice(given);
        // Nothing is given twice, whatever becomes of the count.
        given.fill(0);
        self.given += wanted.len();
    }
}

const NO_ENTROPY: &str = "the operating system must have random bytes";

impl Entropy for OsEntropy {
    /// # Panics
    /// When the operating system has no random bytes to give. There is no safe way on from there: keys would be guessable.
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > ID_BYTES_MAX {
            return getrandom::fill(bytes).expect(NO_ENTROPY);
        }
        BLOCK.with_borrow_mut(|block| block.give(bytes));
    }
}

/// A repeatable sequence for tests. Never for anything that must not be guessed.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    counter: AtomicU64,
}

impl SeededEntropy {
    /// The sequence that belongs to `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: AtomicU64::new(0) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let counter = self.counter.fetch_add(1, Ordering::Relaxed);
            let block =
                Sha256::new().chain_update(self.seed.to_le_bytes()).chain_update(counter.to_le_bytes()).finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

impl dyn Entropy {
    /// `N` random bytes.
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn short_pieces_of_a_block_are_all_different_and_so_are_those_of_other_threads() {
        let ids = || (0..200).map(|_| <dyn Entropy>::array::<ID_BYTES_MAX>(&OsEntropy)).collect::<Vec<_>>();
        let others = std::thread::spawn(ids);
        let mut found: HashSet<[u8; ID_BYTES_MAX]> = ids().into_iter().collect();
        found.extend(others.join().expect("no panic"));
        assert_eq!(found.len(), 400);
        assert!(!found.contains(&[0; ID_BYTES_MAX]));
    }
}
