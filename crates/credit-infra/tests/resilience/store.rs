//! A journal in memory that misbehaves when told to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::memory::MemoryJournal;
use credit_core::ports::StoreError;
use credit_core::ports::journal::{Appended, BookId, Group, Journal, Sequence};
use credit_infra::resilience::{BreakerSettings, Guard, GuardSettings, GuardedJournal};
use parking_lot::Mutex;

/// What it does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Says that it cannot, having done nothing.
    Away,
    /// Does not answer.
    Silent,
    /// Does what was asked, and then does not answer.
    DoneAndSilent,
    /// What it keeps cannot be right.
    Damaged,
}

pub(crate) struct MoodyJournal {
    kept: MemoryJournal,
    mood: Mutex<Mood>,
    pub(crate) asked: AtomicUsize,
}

impl MoodyJournal {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            kept: MemoryJournal::new(),
            mood: Mutex::new(Mood::Well),
            asked: AtomicUsize::new(0),
        })
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn suffer(&self) -> Result<(), StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mood = *self.mood.lock();
        match mood {
            Mood::Well | Mood::DoneAndSilent => Ok(()),
            Mood::Away => Err(StoreError::Unavailable("it is away".to_owned())),
            Mood::Silent => std::future::pending().await,
            Mood::Damaged => Err(StoreError::Corrupt("it is damaged".to_owned())),
        }
    }
}

#[async_trait]
impl Journal for MoodyJournal {
    async fn append(&self, book: BookId, sequence: Sequence, group: Group) -> Result<Appended, StoreError> {
        self.suffer().await?;
        let appended = self.kept.append(book, sequence, group).await?;
        let is_silent = *self.mood.lock() == Mood::DoneAndSilent;
        if is_silent {
            std::future::pending::<()>().await;
        }
        Ok(appended)
    }

    async fn read(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.suffer().await?;
        self.kept.read(book, from, limit).await
    }

    async fn read_known(
        &self,
        book: BookId,
        from: Sequence,
        limit: usize,
    ) -> Result<Vec<(Sequence, Group)>, StoreError> {
        self.read(book, from, limit).await
    }

    async fn head(&self, book: BookId) -> Result<Sequence, StoreError> {
        self.suffer().await?;
        self.kept.head(book).await
    }

    async fn books(&self) -> Result<Vec<BookId>, StoreError> {
        self.suffer().await?;
        self.kept.books().await
    }

    fn is_shared(&self) -> bool {
        true
    }
}

pub(crate) const BOOK: BookId = BookId::from_u128(1);

pub(crate) fn group(id: u128) -> Group {
    Group { id, bytes: Bytes::from_static(b"spent") }
}

/// Quick to lose patience: tests do not wait for long.
pub(crate) fn settings() -> GuardSettings {
    GuardSettings {
        breaker: BreakerSettings {
            minimum_calls: 4,
            slow_after: Duration::from_secs(5),
            open_for: Duration::from_millis(40),
            longest_open: Duration::from_millis(80),
            ..BreakerSettings::default()
        },
        places: 2,
        queue: 2,
        read_deadline: Duration::from_millis(200),
        write_deadline: Duration::from_millis(200),
        late_writes_count: true,
        read_retries: 1,
    }
}

pub(crate) fn guarded(moody: &Arc<MoodyJournal>, settings: GuardSettings) -> (GuardedJournal, Arc<Guard>) {
    let guard = Guard::new("journal", settings);
    (GuardedJournal::new(moody.clone(), guard.clone()), guard)
}
