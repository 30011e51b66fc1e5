//! Batches of views alone: large unordered bulks, the last view behind all others.
//!
//! `insert` and `update` as commands, which the driver does not repeat by itself; a view is the same however often it is
//! put, so that we do. A view that is mostly new is inserted, and only what is there already is updated; collections
//! whose views mostly change are updated at once, which makes what is not there. What is kept at the same sequence or a
//! newer one stays.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Write};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, rawdoc};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::documents::MongoDocuments;
use super::error::DUPLICATE_KEY;
use super::kept;
use super::layout::{damaged, millis};
use super::pause::Backoff;
use super::schema::documents_name;

/// The most statements of one command (the server takes 100,000), and the most bytes (it takes 48 MB). Each command is
/// written at one go on the thread of the driver, which is that of the lanes: with 5,000 three processes spent 0.95 times as much a second.
const STATEMENTS: usize = 1_000;
const BYTES: usize = 8 << 20;

/// How many commands are on their way at a time.
const AT_ONCE: usize = 3;

/// After so many views others have their turn on this thread: the views of another book must not wait for tens of thousands of
/// them, nor a lane that shares it.
const IN_A_ROW: usize = 256;

/// Which collections' views are mostly new, as far as has been seen.
#[derive(Debug, Default)]
pub(super) struct Habits(Mutex<HashMap<&'static str, Arc<AtomicBool>>>);

impl Habits {
    fn of(&self, collection: &Collection) -> Arc<AtomicBool> {
        Arc::clone(self.0.lock().entry(collection.name).or_insert_with(|| Arc::new(AtomicBool::new(true))))
    }
}

/// One view, ready to be written.
struct View {
    id: String,
    sequence: u64,
    document: RawDocumentBuf,
}

/// Views of one collection for one command.
struct Bulk {
    app: AppId,
    collection: &'static Collection,
    views: Vec<View>,
}

impl MongoDocuments {
    /// Puts all. They may become visible in parts, but the last one not before all others.
    pub(super) async fn put_all(&self, app: AppId, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut puts = Puts::default();
        for (index, write) in writes.into_iter().enumerate() {
            puts.add(write);
            rest_behind(index).await;
        }
        let Some(last) = puts.pop() else { return Ok(()) };
        stream::iter(puts.bulks(app).await)
            .map(|bulk| self.put_bulk(bulk))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        let mut puts = Puts::default();
        puts.add(last);
        for bulk in puts.bulks(app).await {
            self.put_bulk(bulk).await?;
        }
        Ok(())
    }

    async fn put_bulk(&self, bulk: Bulk) -> Result<(), StoreError> {
        let mostly_new = self.habits.of(bulk.collection);
        let all: Vec<usize> = (0..bulk.views.len()).collect();
        if mostly_new.load(Ordering::Relaxed) {
            let there = self.insert(&bulk).await?;
            mostly_new.store(there.len() * 2 <= all.len(), Ordering::Relaxed);
            if !there.is_empty() {
                self.update(&bulk, there).await?;
            }
        } else {
            let fresh = self.update(&bulk, all).await?;
            mostly_new.store(fresh * 2 > bulk.views.len(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Inserts. Answers which were there already.
    async fn insert(&self, bulk: &Bulk) -> Result<Vec<usize>, StoreError> {
        let command = || {
            let mut documents = RawArrayBuf::new();
            for view in &bulk.views {
                documents.push(&*view.document);
            }
            Ok(rawdoc! {
                "insert": documents_name(bulk.collection),
                "documents": documents,
                "ordered": false,
                "writeConcern": self.concern(),
            })
        };
        let reply = self.run(command).await?;
        Ok(reply.duplicates)
    }

    /// Puts the views of these indexes in the place of older ones, or where there are none. Answers how many were made.
    async fn update(&self, bulk: &Bulk, wanted: Vec<usize>) -> Result<usize, StoreError> {
        let reply = self.keep_newer(bulk, &wanted).await?;
        // What could not be made another has made in the same moment, and it may be older.
        let there: Vec<usize> =
            reply.duplicates.into_iter().filter_map(|index| wanted.get(index).copied()).collect();
        if !there.is_empty() {
            let again = self.keep_newer(bulk, &there).await?;
            if !again.duplicates.is_empty() {
                let why = format!("{}: a key of a view is another one's", bulk.collection.name);
                return Err(StoreError::OutcomeUnknown(why));
            }
        }
        Ok(reply.made)
    }

    async fn keep_newer(&self, bulk: &Bulk, wanted: &[usize]) -> Result<Reply, StoreError> {
        let command = || {
            let mut updates = RawArrayBuf::new();
            for view in wanted.iter().filter_map(|index| bulk.views.get(*index)) {
                let mut stages = RawArrayBuf::new();
                stages.push(kept::keep_newer(&view.document, view.sequence));
                let place = self.link.place(bulk.app, bulk.collection, &view.id);
                let place = RawDocumentBuf::try_from(&place).map_err(|error| damaged(&error))?;
                updates.push(rawdoc! {"q": place, "u": stages, "upsert": true});
            }
            Ok(rawdoc! {
                "update": documents_name(bulk.collection),
                "updates": updates,
                "ordered": false,
                "writeConcern": self.concern(),
            })
        };
        self.run(command).await
    }

    fn concern(&self) -> RawDocumentBuf {
        rawdoc! {"w": "majority", "j": true, "wtimeout": millis(self.link.deadline)}
    }

    /// Runs a bulk until it is answered. Passing faults are met by the same command again, which is made anew: a copy for
    /// that case would cost every bulk as much.
    async fn run(
        &self,
        command: impl Fn() -> Result<RawDocumentBuf, StoreError>,
    ) -> Result<Reply, StoreError> {
        let mut backoff = Backoff::until(Instant::now() + self.link.deadline);
        let mut doubt: Option<String> = None;
        loop {
            let (link, command) = (self.link.clone(), command()?);
            let call = async move {
                let mut session = link.session().await?;
                let reply = link.database.run_raw_command(command).session(&mut session).await;
                link.note(&session);
                reply
            };
            let (why, passes) = match self.link.call(call).await {
                Ok(reply) => match Reply::read(&reply) {
                    Ok(reply) => return Ok(reply),
                    Err(refused) => refused,
                },
                Err(failed) => {
                    let passes = failed.is_passing();
                    match failed.write_once() {
                        StoreError::Unavailable(why) if doubt.is_none() => {
                            if passes && backoff.pause().await {
                                continue;
                            }
                            return Err(StoreError::Unavailable(why));
                        }
                        StoreError::Unavailable(why)
                        | StoreError::OutcomeUnknown(why)
                        | StoreError::Corrupt(why) => (why, passes),
                    }
                }
            };
            if !passes || !backoff.pause().await {
                return Err(StoreError::OutcomeUnknown(why));
            }
            doubt = Some(why);
        }
    }
}

/// What a bulk came to.
struct Reply {
    /// Statements whose document was there already.
    duplicates: Vec<usize>,
    /// How many documents were made.
    made: usize,
}

impl Reply {
    /// Reads it; the fault, and whether it passes, if a statement was refused for anything but a document that is there,
    /// or if no majority was reached.
    fn read(reply: &Document) -> Result<Self, (String, bool)> {
        let mut duplicates = Vec::new();
        for error in reply.get_array("writeErrors").into_iter().flatten().filter_map(Bson::as_document) {
            let index = error.get_i32("index").ok().and_then(|index| usize::try_from(index).ok());
            match (error.get_i32("code"), index) {
                (Ok(DUPLICATE_KEY), Some(index)) => duplicates.push(index),
                _ => return Err((error.get_str("errmsg").unwrap_or("a view was refused").to_owned(), false)),
            }
        }
        if let Ok(concern) = reply.get_document("writeConcernError") {
            return Err((concern.get_str("errmsg").unwrap_or("no majority").to_owned(), true));
        }
        let made = reply.get_array("upserted").map_or(0, Vec::len);
        Ok(Self { duplicates, made })
    }
}

/// Lets others have their turn now and then.
async fn rest_behind(index: usize) {
    if index % IN_A_ROW == IN_A_ROW - 1 {
        tokio::task::yield_now().await;
    }
}

/// A view as the port names it.
struct Put {
    collection: &'static Collection,
    sequence: u64,
    write: Write,
}

/// Views of a batch, each once: of several of one document only what would be left of them is written.
#[derive(Default)]
struct Puts {
    puts: Vec<Option<Put>>,
    places: foldhash::HashMap<(&'static str, String), usize>,
}

impl Puts {
    fn add(&mut self, write: Write) {
        let Write::Put { collection, ref id, sequence, .. } = write else { return };
        let place = (collection.name, id.clone());
        let put = Put { collection, sequence, write };
        let newest = match self.places.insert(place, self.puts.len()) {
            None => put,
            Some(before) => match self.puts[before].take() {
                Some(kept) if kept.sequence >= put.sequence => kept,
                _ => put,
            },
        };
        self.puts.push(Some(newest));
    }

    /// The last one, which was the last of the batch.
    fn pop(&mut self) -> Option<Write> {
        self.puts.pop().flatten().map(|put| put.write)
    }

    async fn bulks(self, app: AppId) -> Vec<Bulk> {
        let mut by_collection: Vec<(&'static Collection, Vec<View>, usize)> = Vec::new();
        let mut bulks = Vec::new();
        for (index, put) in self.puts.into_iter().flatten().enumerate() {
            rest_behind(index).await;
            let put_into = put.collection;
            let Some(view) = View::of(app, put) else { continue };
            let size = view.document.as_bytes().len();
            let at = by_collection.iter().position(|(collection, ..)| collection.name == put_into.name);
            let at = at.unwrap_or_else(|| {
                by_collection.push((put_into, Vec::new(), 0));
                by_collection.len() - 1
            });
            let (collection, views, bytes) = &mut by_collection[at];
            if views.len() >= STATEMENTS || (*bytes + size > BYTES && !views.is_empty()) {
                bulks.push(Bulk { app, collection, views: std::mem::take(views) });
                *bytes = 0;
            }
            *bytes += size;
            views.push(view);
        }
        let rest = by_collection.into_iter().filter(|(_, views, _)| !views.is_empty());
        bulks.extend(rest.map(|(collection, views, _)| Bulk { app, collection, views }));
        bulks
    }
}

impl View {
    fn of(app: AppId, put: Put) -> Option<Self> {
        let Write::Put { collection, id, sequence, body, keys } = put.write else { return None };
        let document = kept::encode(app, collection, (&id, sequence, &body), &keys, None);
        Some(Self { id, sequence, document })
    }
}
