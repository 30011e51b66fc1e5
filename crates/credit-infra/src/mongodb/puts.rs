//! Batches of views alone: large unordered bulks, the last view behind all others.
//!
//! `insert` and `update` as commands, which the driver does not repeat by itself; a view is the same however often it is
//! put, so that we do. A view that is mostly new is inserted, and only what is there already is updated; collections
//! whose views mostly change are updated at once. What is kept at the same sequence or a newer one stays.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, IndexKeys, Write};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use mongodb::bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, cstr, doc, rawdoc};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::documents::MongoDocuments;
use super::error::DUPLICATE_KEY;
use super::kept::{encode, place};
use super::layout::{integer, millis};
use super::pause::Backoff;
use super::schema::documents_name;

/// The most statements of one command (the server takes 100,000), and the most bytes (it takes 48 MB).
const STATEMENTS: usize = 5_000;
const BYTES: usize = 8 << 20;

/// How many commands are on their way at a time.
const AT_ONCE: usize = 3;

/// Which collections' views are mostly new, as far as has been seen.
#[derive(Debug, Default)]
pub(super) struct Habits(Mutex<HashMap<&'static str, Arc<AtomicBool>>>);

impl Habits {
    fn of(&self, collection: &Collection) -> Arc<AtomicBool> {
        Arc::clone(self.0.lock().entry(collection.name).or_insert_with(|| Arc::new(AtomicBool::new(true))))
    }
}

/// One view, ready to be written.
#[derive(Clone)]
struct View {
    place: Document,
    sequence: u64,
    document: RawDocumentBuf,
}

/// Views of one collection for one command.
struct Bulk {
    collection: &'static Collection,
    views: Arc<[View]>,
}

/// The update that keeps the newer one, also where nothing is kept yet.
pub(super) fn put_update(document: &RawDocumentBuf, sequence: u64) -> Vec<Document> {
    let document = Document::try_from(document.as_ref()).expect("made by us");
    vec![doc! {"$replaceWith": {"$cond": [
        {"$lt": ["$v", integer(sequence)]},
        {"$literal": document},
        "$$ROOT",
    ]}}]
}

impl MongoDocuments {
    /// Puts all. They may become visible in parts, but the last one not before all others.
    pub(super) async fn put_all(&self, app: AppId, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut puts = Puts::default();
        for write in writes {
            puts.add(write);
        }
        let Some(last) = puts.pop() else { return Ok(()) };
        stream::iter(puts.bulks(app))
            .map(|bulk| self.put_bulk(bulk))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        let mut puts = Puts::default();
        puts.add(last);
        for bulk in puts.bulks(app) {
            self.put_bulk(bulk).await?;
        }
        Ok(())
    }

    async fn put_bulk(&self, bulk: Bulk) -> Result<(), StoreError> {
        let mostly_new = self.habits.of(bulk.collection);
        let mut views: Vec<View> = bulk.views.to_vec();
        if mostly_new.load(Ordering::Relaxed) {
            let all = views.len();
            let there = self.insert(bulk.collection, &views).await?;
            views = there.into_iter().filter_map(|index| views.get(index).cloned()).collect();
            mostly_new.store(views.len() * 2 <= all, Ordering::Relaxed);
            if !views.is_empty() {
                self.update(bulk.collection, &views).await?;
            }
        } else {
            let fresh = self.update(bulk.collection, &views).await?;
            mostly_new.store(fresh * 2 > views.len(), Ordering::Relaxed);
        }
        Ok(())
    }

    /// Inserts. Answers which were there already.
    async fn insert(
        &self,
        collection: &'static Collection,
        views: &[View],
    ) -> Result<Vec<usize>, StoreError> {
        let mut documents = RawArrayBuf::new();
        for view in views {
            documents.push(view.document.clone());
        }
        let command = rawdoc! {
            "insert": documents_name(collection),
            "documents": documents,
            "ordered": false,
            "writeConcern": self.concern(),
        };
        let reply = self.bulk(command).await?;
        Ok(reply.duplicates)
    }

    /// Updates or makes. Answers how many were made.
    async fn update(&self, collection: &'static Collection, views: &[View]) -> Result<usize, StoreError> {
        let mut views: Vec<View> = views.to_vec();
        let mut made = 0;
        let mut backoff = Backoff::until(Instant::now() + self.link.deadline);
        loop {
            let statement = |view: &View| {
                let update = put_update(&view.document, view.sequence);
                doc! {"q": view.place.clone(), "u": update, "upsert": true}
            };
            let command = doc! {
                "update": documents_name(collection),
                "updates": views.iter().map(statement).collect::<Vec<_>>(),
                "ordered": false,
            };
            let mut command = RawDocumentBuf::try_from(&command)
                .map_err(|error| StoreError::Unavailable(format!("views cannot be written: {error}")))?;
            command.append(cstr!("writeConcern"), self.concern());
            let reply = self.bulk(command).await?;
            made += reply.made;
            if reply.duplicates.is_empty() {
                return Ok(made);
            }
            // Two made the same one in the same moment; there is one now to compare with.
            views = reply.duplicates.into_iter().filter_map(|index| views.get(index).cloned()).collect();
            if !backoff.pause().await {
                return Err(StoreError::OutcomeUnknown("views are made by others all the time".to_owned()));
            }
        }
    }

    fn concern(&self) -> RawDocumentBuf {
        rawdoc! {"w": "majority", "j": true, "wtimeout": millis(self.link.deadline)}
    }

    /// Runs a bulk until it is answered. Passing faults are met by the same command again.
    async fn bulk(&self, command: RawDocumentBuf) -> Result<Reply, StoreError> {
        let mut backoff = Backoff::until(Instant::now() + self.link.deadline);
        let mut doubt: Option<String> = None;
        loop {
            let (link, command) = (self.link.clone(), command.clone());
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

/// A view as the port names it.
struct Put {
    collection: &'static Collection,
    id: String,
    sequence: u64,
    write: Write,
}

/// Views of a batch, each once: of several of one document only what would be left of them is written.
#[derive(Default)]
struct Puts {
    puts: Vec<Option<Put>>,
    places: HashMap<(&'static str, String), usize>,
}

impl Puts {
    fn add(&mut self, write: Write) {
        let Write::Put { collection, ref id, sequence, .. } = write else { return };
        let put = Put { collection, id: id.clone(), sequence, write };
        let place = (collection.name, put.id.clone());
        if let Some(before) = self.places.get(&place).copied() {
            let kept = self.puts[before].take();
            let newest = match kept {
                Some(kept) if kept.sequence >= put.sequence => kept,
                _ => put,
            };
            self.puts.push(Some(newest));
        } else {
            self.puts.push(Some(put));
        }
        self.places.insert(place, self.puts.len() - 1);
    }

    /// The last one, which was the last of the batch.
    fn pop(&mut self) -> Option<Write> {
        self.puts.pop().flatten().map(|put| put.write)
    }

    fn bulks(self, app: AppId) -> Vec<Bulk> {
        let mut by_collection: Vec<(&'static Collection, Vec<View>, usize)> = Vec::new();
        let mut bulks = Vec::new();
        for put in self.puts.into_iter().flatten() {
            let Some(view) = View::of(app, &put) else { continue };
            let size = view.document.as_bytes().len();
            let at = by_collection.iter().position(|(collection, ..)| collection.name == put.collection.name);
            let at = at.unwrap_or_else(|| {
                by_collection.push((put.collection, Vec::new(), 0));
                by_collection.len() - 1
            });
            let (collection, views, bytes) = &mut by_collection[at];
            if views.len() >= STATEMENTS || (*bytes + size > BYTES && !views.is_empty()) {
                bulks.push(Bulk { collection, views: std::mem::take(views).into() });
                *bytes = 0;
            }
            *bytes += size;
            views.push(view);
        }
        let rest = by_collection.into_iter().filter(|(_, views, _)| !views.is_empty());
        bulks.extend(rest.map(|(collection, views, _)| Bulk { collection, views: views.into() }));
        bulks
    }
}

impl View {
    fn of(app: AppId, put: &Put) -> Option<Self> {
        let Write::Put { collection, id, sequence, body, keys } = &put.write else { return None };
        let keys: &IndexKeys = keys;
        Some(Self {
            place: place(app, collection, id),
            sequence: *sequence,
            document: encode(app, collection, (id, *sequence, body), keys, None),
        })
    }
}
