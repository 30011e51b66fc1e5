//! A guard: breaker, bulkhead, deadline and retry budget of one dependency.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use credit_core::ports::StoreError;
use credit_core::ports::documents::CommitError;

use tokio::sync::SemaphorePermit;

use super::breaker::{Breaker, BreakerSettings, Rejected, Verdict};
use super::budget::RetryBudget;
use super::bulkhead::Bulkhead;

/// After so many milliseconds whoever would queue behind a write of unknown outcome is told to come again.
const UNKNOWN_FOR_LONG: u64 = 2000;

/// The bounds of one dependency.
#[derive(Debug, Clone)]
pub struct GuardSettings {
    /// When it is given up for a while.
    pub breaker: BreakerSettings,
    /// Calls at a time.
    pub places: usize,
    /// Calls that may wait for a place.
    pub queue: usize,
    /// How long a read may take, its wait for a place included.
    pub read_deadline: Duration,
    /// How long a write may take, its wait for a place included.
    pub write_deadline: Duration,
    /// Whether a write that is slow or late says that the dependency is broken. Where it does not, the dependency is busy:
    /// who waits is answered at the deadline, and everybody else is let through as ever.
    pub late_writes_count: bool,
    /// How often a read that found the dependency unavailable is made again, if the budget has it. Writes are not: who
    /// wrote knows what may be repeated.
    pub read_retries: u32,
}

impl GuardSettings {
    /// For the store in this process: it answers in milliseconds or has failed, and a busy disk is not a broken one. A
    /// retry would find what the first call found.
    pub fn embedded() -> Self {
        Self {
            breaker: BreakerSettings {
                minimum_calls: 3,
                slow_after: Duration::from_secs(5),
                slow_percent: 90,
                ..BreakerSettings::default()
            },
            places: 4096,
            queue: 4096,
            read_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(60),
            late_writes_count: false,
            read_retries: 0,
        }
    }

    /// For a store on the network. Deadlines are well below the ten seconds that a caller of the ledger waits.
    pub fn network() -> Self {
        Self {
            breaker: BreakerSettings { minimum_calls: 5, ..BreakerSettings::default() },
            places: 256,
            queue: 2048,
            read_deadline: Duration::from_secs(3),
            write_deadline: Duration::from_secs(5),
            late_writes_count: true,
            read_retries: 1,
        }
    }
}

/// Lets calls of one dependency through, or turns them away.
pub struct Guard {
    breaker: Arc<Breaker>,
    bulkhead: Bulkhead,
    budget: RetryBudget,
    settings: GuardSettings,
    born: Instant,
    /// Since when writes are made whose outcome nobody knows, in milliseconds of this guard's life; 0: none is.
    unknown_since: AtomicU64,
}

/// Whether what failed may have happened.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Read,
    Write,
}

/// What a guard must know of the answers that pass through it.
pub(super) trait Answer {
    /// The fault of the store, if this is one.
    fn fault(&self) -> Option<&StoreError>;

    /// The answer that is this fault.
    fn of(fault: StoreError) -> Self;
}

impl<T> Answer for Result<T, StoreError> {
    fn fault(&self) -> Option<&StoreError> {
        self.as_ref().err()
    }

    fn of(fault: StoreError) -> Self {
        Err(fault)
    }
}

impl<T> Answer for Result<T, CommitError> {
    fn fault(&self) -> Option<&StoreError> {
        match self {
            Err(CommitError::Store(fault)) => Some(fault),
            _ => None,
        }
    }

    fn of(fault: StoreError) -> Self {
        Err(fault.into())
    }
}

impl Guard {
    /// A guard of this dependency, whose name is also its label in metrics.
    pub fn new(dependency: &'static str, settings: GuardSettings) -> Arc<Self> {
        Arc::new(Self {
            breaker: Breaker::new(dependency, settings.breaker.clone()),
            bulkhead: Bulkhead::new(settings.places, settings.queue),
            budget: RetryBudget::new(10),
            settings,
            born: Instant::now(),
            unknown_since: AtomicU64::new(0),
        })
    }

    /// Its breaker, for the health report.
    pub fn breaker(&self) -> &Arc<Breaker> {
        &self.breaker
    }

    /// Sets the gauges of its bulkhead to what they are now.
    pub fn measure(&self) {
        let (dependency, bulkhead) = (self.breaker.name(), &self.bulkhead);
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        metrics::gauge!("credit_bulkhead_calls", "dependency" => dependency)
            .set(number(bulkhead.under_way()));
        metrics::gauge!("credit_bulkhead_waiting", "dependency" => dependency)
            .set(number(bulkhead.waiting()));
        metrics::gauge!("credit_bulkhead_places", "dependency" => dependency).set(number(bulkhead.size()));
    }

    /// Whether it is no use to begin a write now: calls are turned away, or one has been made again and again for a while
    /// and nobody knows what became of it.
    pub fn is_away(&self) -> bool {
        let since = self.unknown_since.load(Ordering::Relaxed);
        (since > 0 && self.age() >= since + UNKNOWN_FOR_LONG) || self.breaker.is_open()
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Remembers since when the outcome of writes is not known.
    fn note_write(&self, fault: Option<&StoreError>) {
        match fault {
            Some(StoreError::OutcomeUnknown(_)) => {
                let (none, now) = (0, self.age().max(1));
                let _since =
                    self.unknown_since.compare_exchange(none, now, Ordering::Relaxed, Ordering::Relaxed);
            }
            None if self.unknown_since.load(Ordering::Relaxed) > 0 => {
                self.unknown_since.store(0, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// Makes a call that changes nothing. The future of a try is dropped at the deadline: what must go on, goes on by
    /// itself. Turned away, not in time: [`StoreError::Unavailable`].
    pub async fn read<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let began = Instant::now();
        let deadline = self.settings.read_deadline;
        let mut retries = self.settings.read_retries;
        loop {
            let left = deadline.saturating_sub(began.elapsed());
            let answer = self.once(Kind::Read, left, call()).await;
            match &answer {
                Err(StoreError::Unavailable(_))
                    if retries > 0
                        && began.elapsed() < deadline / 2
                        && !self.breaker.is_open()
                        && self.budget.take() =>
                {
                    retries -= 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                _ => return answer,
            }
        }
    }

    /// Makes a call that changes something, once. Turned away: [`StoreError::Unavailable`], and the call was not made.
    /// Made and not answered in time: [`StoreError::OutcomeUnknown`].
    pub(super) async fn write<A: Answer>(&self, call: impl Future<Output = A>) -> A {
        let answer = self.once(Kind::Write, self.settings.write_deadline, call).await;
        self.note_write(answer.fault());
        answer
    }

    async fn once<A: Answer>(&self, kind: Kind, patience: Duration, call: impl Future<Output = A>) -> A {
        let began = Instant::now();
        let place = match self.place(patience).await {
            Ok(place) => place,
            Err(turned_away) => return A::of(turned_away),
        };
        // Behind the queue: the breaker may have opened while the call waited.
        let entered = Instant::now();
        let pass = match self.breaker.enter(entered) {
            Ok(pass) => match kind {
                Kind::Read => pass,
                Kind::Write if !self.settings.late_writes_count => pass.slow_after(Duration::MAX),
                // One write is large and another small: only half of what it may take is slow.
                Kind::Write => pass.slow_after(self.settings.write_deadline / 2),
            },
            Err(rejected) => return A::of(StoreError::Unavailable(rejected.to_string())),
        };
        let left = pass.patience(patience.saturating_sub(entered.saturating_duration_since(began)));
        let answer = tokio::time::timeout(left, call).await;
        let is_busy = answer.is_err() && matches!(kind, Kind::Write) && !self.settings.late_writes_count;
        let answer = answer.unwrap_or_else(|_| A::of(self.late(kind)));
        let fault =
            matches!(answer.fault(), Some(StoreError::Unavailable(_) | StoreError::OutcomeUnknown(_)));
        let failed = fault && !is_busy;
        if !failed {
            self.budget.pay_in();
        }
        pass.finish(if failed { Verdict::Failed } else { Verdict::Answered }, Instant::now());
        drop(place);
        answer
    }

    /// A place among the calls under way; nobody waits for one that would be turned away all the same.
    async fn place(&self, patience: Duration) -> Result<SemaphorePermit<'_>, StoreError> {
        if self.breaker.is_open() {
            self.breaker.count_rejection("open");
            return Err(StoreError::Unavailable(Rejected(self.breaker.name()).to_string()));
        }
        self.bulkhead.enter(patience).await.map_err(|full| {
            self.breaker.count_rejection("full");
            StoreError::Unavailable(full.to_string())
        })
    }

    fn late(&self, kind: Kind) -> StoreError {
        let why = format!("{} did not answer in time", self.breaker.name());
        match kind {
            Kind::Read => StoreError::Unavailable(why),
            Kind::Write => StoreError::OutcomeUnknown(why),
        }
    }
}
