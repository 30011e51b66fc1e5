//! Catching up with the head for many readers at once: one look at the journal serves everybody who came before it began.

use std::sync::atomic::{AtomicU64, Ordering};

use credit_core::ports::StoreError;

/// The looks at the journal of one book, counted.
#[derive(Default)]
pub(crate) struct Refreshes {
    begun: AtomicU64,
    /// The number of the last look that has ended, and how.
    last: tokio::sync::Mutex<(u64, Option<StoreError>)>,
}

impl Refreshes {
    /// Looks, or waits for a look that began after this call: it saw all that was answered before. What went wrong with
    /// it went wrong for all of them, so that nobody waits for a store that is away one after another.
    pub(crate) async fn after_now<F>(&self, look: impl FnOnce() -> F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let came_after = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if last.0 <= came_after {
            let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
            *last = (number, look().await.err());
        }
        last.1.clone().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use super::*;

    const SLOW: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn whoever_comes_while_a_look_is_under_way_shares_the_next_one() {
        let (refreshes, looks) = (Arc::new(Refreshes::default()), Arc::new(AtomicUsize::new(0)));
        let mut readers = Vec::new();
        for _ in 0..10 {
            let (refreshes, looks) = (refreshes.clone(), looks.clone());
            readers.push(tokio::spawn(async move {
                let look = || async {
                    looks.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(SLOW).await;
                    Ok(())
                };
                refreshes.after_now(look).await
            }));
        }
        for reader in readers {
            assert_eq!(reader.await.expect("it ends"), Ok(()));
        }
        assert_eq!(looks.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn a_fault_is_everybodys_who_waited_and_the_next_looks_again() {
        let refreshes = Refreshes::default();
        let away = || StoreError::Unavailable("away".to_owned());
        assert_eq!(refreshes.after_now(|| async { Err(away()) }).await, Err(away()));
        assert_eq!(refreshes.after_now(|| async { Ok(()) }).await, Ok(()));
    }
}
