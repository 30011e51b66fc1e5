//! The operating system's randomness: ids and secrets.

use credit_core::ports::keys::SecretSource;
use credit_core::{Clock, IdSource, uuid_v7};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::clock::SystemClock;

/// `UUIDv7`s by the system clock, strictly increasing within this source: have one in a process.
pub struct OsIds<C = SystemClock> {
    clock: C,
    state: Mutex<IdState>,
}

/// The last id's place, and entropy not yet used: one call of the system gives for many ids.
struct IdState {
    millis: u64,
    counter: u16,
    entropy: Vec<u64>,
}

const ENTROPY_WORDS: usize = 128;
const COUNTER_END: u16 = 0x1000;

impl OsIds {
    /// By the system clock.
    pub fn new() -> Self {
        Self::with_clock(SystemClock::new())
    }
}

impl<C: Clock> OsIds<C> {
    fn with_clock(clock: C) -> Self {
        Self { clock, state: Mutex::new(IdState { millis: 0, counter: 0, entropy: Vec::new() }) }
    }
}

impl Default for OsIds {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock> IdSource for OsIds<C> {
    fn mint(&self) -> u128 {
        let now = self.clock.now().sortable();
        let mut state = self.state.lock();
        if now > state.millis {
            (state.millis, state.counter) = (now, 0);
        } else {
            state.counter += 1;
            if state.counter == COUNTER_END {
                // More than 4,096 in a millisecond: borrow the next one (RFC 9562 §6.2).
                (state.millis, state.counter) = (state.millis + 1, 0);
            }
        }
        let entropy = state.next_entropy();
        uuid_v7(state.millis, state.counter, entropy)
    }
}

impl IdState {
    fn next_entropy(&mut self) -> u64 {
        if let Some(word) = self.entropy.pop() {
            return word;
        }
        let mut bytes = [0; 8 * ENTROPY_WORDS];
        fill(&mut bytes);
        self.entropy.extend(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word)));
        self.entropy.pop().expect("just filled")
    }
}

/// Secrets from the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsSecrets;

impl SecretSource for OsSecrets {
    fn secret(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill(&mut *bytes);
        bytes
    }
}

/// # Panics
/// If the operating system has no randomness. Going on without would make guessable secrets.
fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use credit_core::testkit::TestClock;
    use credit_core::uuid_v7_millis;

    use super::*;

    #[test]
    fn ids_increase_strictly_even_while_the_clock_stands_still() {
        let ids = OsIds::with_clock(TestClock::new());
        let minted: Vec<u128> = (0..10_000).map(|_| ids.mint()).collect();
        assert!(minted.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(minted.iter().all(|id| (id >> 76) & 0xF == 7 && (id >> 62) & 0b11 == 0b10));
        assert_eq!(uuid_v7_millis(minted[0]), TestClock::START.sortable());
        assert_eq!(uuid_v7_millis(minted[9999]), TestClock::START.sortable() + 2);
    }

    #[test]
    fn ids_of_many_threads_never_meet() {
        let ids = OsIds::new();
        let mut all: Vec<u128> = std::thread::scope(|scope| {
            let mint = || (0..5000).map(|_| ids.mint()).collect::<Vec<_>>();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(mint)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
        });
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 20_000);
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(OsSecrets.secret(), OsSecrets.secret());
        assert_ne!(*OsSecrets.secret(), [0; 32]);
    }
}
