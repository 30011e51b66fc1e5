//! Proofs that the primary is one: what a read has to be behind so that it sees every append that was answered before
//! it began, by whichever process.
//!
//! A primary that was deposed and does not know it yet still answers reads of what a majority had then. So whoever must
//! see the newest slot first lets a majority take a small write, the fence, and then reads no earlier than that: a
//! deposed primary gets no majority and never comes that far. (The server's own way, read concern `linearizable`, waits
//! for the next periodic flush of the journal, 100 ms on a set of one.) Readers that wait meanwhile share the next fence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::journal::BookId;
use mongodb::bson::{Timestamp, doc};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::layout::slot;
use super::link::Link;

/// How long a fence is waited for. Readers behind the guard of the service wait no longer, and those who come meanwhile
/// wait for the next one: a primary that hangs must not hold them up when another one is elected.
const PATIENCE: Duration = Duration::from_secs(3);

type Answer = Result<Timestamp, StoreError>;

/// The fences of all books.
pub(super) struct Fences {
    link: Link,
    /// Of each book whose fence is being written, those who wait for the next one.
    waiting: Mutex<HashMap<BookId, Vec<oneshot::Sender<Answer>>>>,
}

impl Fences {
    pub(super) fn new(link: Link) -> Arc<Self> {
        Arc::new(Self { link, waiting: Mutex::default() })
    }

    /// A time of the cluster before which every append to this book lies that was answered before this call.
    pub(super) async fn prove(self: &Arc<Self>, book: BookId) -> Answer {
        let (sender, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock();
            let is_first = !waiting.contains_key(&book);
            waiting.entry(book).or_default().push(sender);
            is_first
        };
        if is_first {
            let fences = Arc::clone(self);
            self.link.spawn(async move { fences.serve(book).await });
        }
        match tokio::time::timeout(self.link.deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(StoreError::Unavailable("no majority answered in time".to_owned())),
        }
    }

    /// Writes fences as long as somebody waits for one.
    async fn serve(&self, book: BookId) {
        loop {
            let served = {
                let mut waiting = self.waiting.lock();
                let served = waiting.get_mut(&book).map(std::mem::take).unwrap_or_default();
                if served.is_empty() {
                    waiting.remove(&book);
                    return;
                }
                served
            };
            let answer = self.write(book).await;
            for one in served {
                let _gone = one.send(answer.clone());
            }
        }
    }

    async fn write(&self, book: BookId) -> Answer {
        let link = self.link.clone();
        let call = async move {
            let mut session = link.session().await?;
            link.collection(super::JOURNAL)
                .update_one(doc! {"_id": slot(book, 0)}, doc! {"$inc": {"fence": 1_i64}})
                .upsert(true)
                .session(&mut session)
                .await?;
            link.note(&session);
            Ok(session.operation_time())
        };
        // A write that hangs is left behind: whoever waits next gets another, and it may meet another primary.
        let patience = PATIENCE.min(self.link.deadline);
        let time = self
            .link
            .call_within(patience, call)
            .await
            .map_err(|failed| StoreError::Unavailable(failed.why()))?;
        time.ok_or_else(|| StoreError::Unavailable("the server tells no time".to_owned()))
    }
}
