//! When each key was last used, noted at most once a minute and never while a caller waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use credit_core::ports::documents::Documents;
use credit_core::{ApiKeyId, AppId, Timestamp};
use parking_lot::Mutex;

use crate::store::api_keys;

const PAUSE_MILLIS: i64 = 60_000;

/// One key's last noted use, in Unix milliseconds.
pub(super) type Noted = Arc<AtomicI64>;

#[derive(Default)]
pub(super) struct LastUses(Mutex<HashMap<ApiKeyId, Noted>>);

impl LastUses {
    pub(super) fn of(&self, key: ApiKeyId) -> Noted {
        self.0.lock().entry(key).or_insert_with(|| Arc::new(AtomicI64::new(i64::MIN))).clone()
    }
}

/// Notes the use, unless one was noted within the last minute. Of those who ask at once, one writes.
pub(super) fn note(documents: &Arc<dyn Documents>, key: ApiKeyId, noted: &AtomicI64, now: Timestamp) {
    let before = noted.load(Ordering::Relaxed);
    let is_due = now.millis() >= before.saturating_add(PAUSE_MILLIS);
    if !is_due || noted.compare_exchange(before, now.millis(), Ordering::Relaxed, Ordering::Relaxed).is_err()
    {
        return;
    }
    let documents = documents.clone();
    tokio::spawn(async move {
        if let Err(error) = documents.commit(AppId::SYSTEM, api_keys::note_use(key, now)).await {
            tracing::warn!(%key, %error, "the use of an API key could not be noted");
        }
    });
}
