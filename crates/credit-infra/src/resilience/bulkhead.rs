//! A bulkhead: so many calls at a time, so many that wait, and no more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Nobody more may wait, or one has waited for too long: the call was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many calls are under way")]
pub struct Full;

/// Bounds what a dependency that hangs can hold of the house.
#[derive(Debug)]
pub struct Bulkhead {
    places: Semaphore,
    size: usize,
    queue: usize,
    waiting: AtomicUsize,
}

impl Bulkhead {
    /// `places` calls at a time; `queue` more may wait for one.
    pub fn new(places: usize, queue: usize) -> Self {
        Self { places: Semaphore::new(places), size: places, queue, waiting: AtomicUsize::new(0) }
    }

    /// How many places there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many calls are under way.
    pub fn under_way(&self) -> usize {
        self.size.saturating_sub(self.places.available_permits())
    }

    /// How many wait for a place.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A place, until it is dropped. Waits in the order of coming, at most for so long.
    pub async fn enter(&self, patience: Duration) -> Result<SemaphorePermit<'_>, Full> {
        if let Ok(place) = self.places.try_acquire() {
            return Ok(place);
        }
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            return Err(Full);
        }
        let place = tokio::time::timeout(patience, self.places.acquire()).await;
        drop(waiting);
        place.ok().and_then(Result::ok).ok_or(Full)
    }
}

/// Leaves the queue when it goes, also when its caller hangs up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn more_than_may_wait_are_refused_at_once() {
        let bulkhead = Bulkhead::new(1, 1);
        let place = bulkhead.enter(SOON).await.expect("the first place");
        let (second, third) = futures_util::future::join(bulkhead.enter(Duration::from_secs(5)), async {
            let third = bulkhead.enter(Duration::from_secs(5)).await.map(drop);
            drop(place);
            third
        })
        .await;
        assert!(second.is_ok(), "the one that waited gets the place");
        assert_eq!(third, Err(Full));
    }

    #[tokio::test]
    async fn one_that_waits_for_too_long_is_refused_and_leaves_the_queue() {
        let bulkhead = Bulkhead::new(1, 1);
        let place = bulkhead.enter(SOON).await.expect("the first place");
        assert!(bulkhead.enter(SOON).await.is_err());
        assert!(bulkhead.enter(SOON).await.is_err(), "and not because the queue was full");
        drop(place);
        assert!(bulkhead.enter(SOON).await.is_ok());
        assert_eq!(bulkhead.waiting(), 0);
    }

    #[tokio::test]
    async fn it_tells_how_many_are_under_way_and_how_many_wait() {
        let bulkhead = Bulkhead::new(2, 1);
        assert_eq!((bulkhead.size(), bulkhead.under_way(), bulkhead.waiting()), (2, 0, 0));
        let both = (bulkhead.enter(SOON).await, bulkhead.enter(SOON).await);
        assert_eq!((bulkhead.under_way(), bulkhead.waiting()), (2, 0));
        let waiting = bulkhead.enter(Duration::from_secs(5));
        futures_util::pin_mut!(waiting);
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        assert_eq!((bulkhead.under_way(), bulkhead.waiting()), (2, 1));
        drop(both);
        assert!(waiting.await.is_ok());
        assert_eq!(bulkhead.waiting(), 0);
    }
}
