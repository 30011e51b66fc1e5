//! A batch of several writes: one transaction, by the driver's core calls and a loop of our own.
//!
//! Snapshot reads, majority and journal on the commit. Labels say what to do: a transient fault runs the whole body
//! again, an unknown commit is asked for again as a commit only. A refusal ends the transaction: the server has aborted
//! it already where a key was there, and nothing is asked of it any more.

use std::collections::HashSet;

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{CommitError, Write};
use mongodb::ClientSession;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{ReadConcern, TransactionOptions};
use tokio::time::Instant;

use super::documents::MongoDocuments;
use super::error::{Failed, code, is_duplicate, sentence};
use super::kept::{encode, keep_newer};
use super::link::{Link, durable};
use super::pause::Backoff;
use super::refusal::{exists, index_of, place_of, version};
use super::schema::documents_name;

/// The code of a transaction that the server does not have.
const NO_SUCH_TRANSACTION: i32 = 251;

/// How a transaction ended without a commit.
enum Ended {
    /// The write at this place was refused, by this index if a key was there already.
    Refused(usize, Refusal),
    /// The deadline passed, or a fault that does not pass. Nothing happened.
    Nothing(String),
    /// It may have been committed, or may yet be.
    Unknown(String),
}

enum Refusal {
    Duplicate(Option<String>),
    NotThere,
}

/// One attempt at the body.
enum Body {
    Refused(usize, Refusal),
    /// One of several was refused.
    Unclear,
    Failed(Error),
}

impl MongoDocuments {
    pub(super) async fn transact(&self, app: AppId, writes: Vec<Write>) -> Result<(), CommitError> {
        let (link, nonce) = (self.link.clone(), self.nonce());
        let limit = Instant::now() + self.link.deadline;
        let call = async move {
            let ended = Transaction { link, app, nonce, limit, writes: &writes }.run().await;
            Ok(ended.map_err(|ended| (ended, writes)))
        };
        // What is late may be in its commit.
        let (ended, writes) = match self.link.call(call).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(ended)) => ended,
            Err(failed) => return Err(StoreError::OutcomeUnknown(failed.why()).into()),
        };
        Err(match ended {
            Ended::Refused(at, Refusal::NotThere) => {
                let (collection, id) = place_of(&writes[at]);
                version(collection, id)
            }
            Ended::Refused(at, Refusal::Duplicate(index)) => match &writes[at] {
                Write::Require { collection, id, .. } => version(collection, id),
                Write::Put { collection, id, .. } => exists(collection, id),
                write => self.refused(app, write, index.as_deref()).await,
            },
            Ended::Nothing(why) => StoreError::Unavailable(why).into(),
            Ended::Unknown(why) => StoreError::OutcomeUnknown(why).into(),
        })
    }
}

struct Transaction<'a> {
    link: Link,
    app: AppId,
    nonce: u128,
    limit: Instant,
    writes: &'a [Write],
}

impl Transaction<'_> {
    async fn run(&self) -> Result<(), Ended> {
        let nothing = |error: &Error| Ended::Nothing(sentence(error));
        let mut session = self.link.session().await.map_err(|error| nothing(&error))?;
        let mut backoff = Backoff::until(self.limit);
        let mut one_by_one = false;
        loop {
            session
                .start_transaction()
                .with_options(self.options())
                .await
                .map_err(|error| nothing(&error))?;
            let error = match self.body(&mut session, one_by_one).await {
                Ok(()) => match self.commit(&mut session, &mut backoff).await? {
                    None => {
                        self.link.note(&session);
                        return Ok(());
                    }
                    Some(error) => error,
                },
                Err(Body::Refused(at, refusal)) => {
                    // What cannot be aborted ends with the session.
                    let _ended = session.abort_transaction().await;
                    return Err(Ended::Refused(at, refusal));
                }
                Err(Body::Unclear) => {
                    let _ended = session.abort_transaction().await;
                    one_by_one = true;
                    continue;
                }
                Err(Body::Failed(error)) => {
                    let _ended = session.abort_transaction().await;
                    error
                }
            };
            if !error.contains_label(TRANSIENT_TRANSACTION_ERROR) || !backoff.pause().await {
                return Err(nothing(&error));
            }
        }
    }

    fn options(&self) -> TransactionOptions {
        TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .write_concern(durable(self.link.deadline))
            .max_commit_time(self.link.deadline)
            .build()
    }

    /// Commits. `Some` if nothing was committed and the body may be run again.
    async fn commit(
        &self,
        session: &mut ClientSession,
        backoff: &mut Backoff,
    ) -> Result<Option<Error>, Ended> {
        if backoff.is_over() {
            let _ended = session.abort_transaction().await;
            return Err(Ended::Nothing("the deadline passed before the commit".to_owned()));
        }
        // Why an attempt may have committed: no later one's fault takes that back.
        let mut doubt: Option<String> = None;
        loop {
            let Err(error) = session.commit_transaction().await else { return Ok(None) };
            if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
                // A commit is idempotent: it may be asked for as often as it takes.
                let why = doubt.insert(sentence(&error));
                if !backoff.pause().await {
                    return Err(Ended::Unknown(why.clone()));
                }
                continue;
            }
            let may_run_again = error.contains_label(TRANSIENT_TRANSACTION_ERROR);
            return match doubt {
                None if may_run_again => Ok(Some(error)),
                // A majority knows nothing of it: what was in doubt was not committed, and never will be.
                Some(_) if may_run_again && code(&error) == Some(NO_SUCH_TRANSACTION) => Ok(Some(error)),
                Some(why) => Err(Ended::Unknown(why)),
                None => Err(match Failed::Driver(error).write() {
                    StoreError::Unavailable(why) => Ended::Nothing(why),
                    StoreError::OutcomeUnknown(why) | StoreError::Corrupt(why) => Ended::Unknown(why),
                }),
            };
        }
    }

    /// Each write in its order, and runs of deletions of one collection together.
    async fn body(&self, session: &mut ClientSession, one_by_one: bool) -> Result<(), Body> {
        let mut at = 0;
        while at < self.writes.len() {
            let run = if one_by_one { 1 } else { self.deletions_from(at) };
            if run > 1 {
                self.delete_run(session, at, run).await?;
                at += run;
                continue;
            }
            let applied = self.apply(session, &self.writes[at]).await;
            match applied {
                Ok(true) => at += 1,
                Ok(false) => return Err(Body::Refused(at, Refusal::NotThere)),
                Err(error) if is_duplicate(&error) => {
                    return Err(Body::Refused(at, Refusal::Duplicate(index_of(&error))));
                }
                Err(error) => return Err(Body::Failed(error)),
            }
        }
        Ok(())
    }

    /// False if the document is not at the version.
    async fn apply(&self, session: &mut ClientSession, write: &Write) -> Result<bool, Error> {
        let app = self.app;
        // The concerns are those of the transaction.
        let documents = self.link.database.collection::<RawDocumentBuf>(&documents_name(place_of(write).0));
        match write {
            Write::Insert { collection, id, body, keys } => {
                let document = encode(app, collection, (id, 1, body), keys, Some(self.nonce));
                documents.insert_one(document).session(session).await?;
                Ok(true)
            }
            Write::Replace { collection, id, version, body, keys } => {
                let next = version.saturating_add(1);
                let document = encode(app, collection, (id, next, body), keys, Some(self.nonce));
                let filter = self.link.place_at(app, collection, id, *version);
                Ok(documents.replace_one(filter, document).session(session).await?.matched_count == 1)
            }
            Write::Require { collection, id, version: 0 } => {
                // Put there and taken away: whoever puts one there meanwhile meets this transaction.
                let document = encode(app, collection, (id, 0, b""), &Vec::new(), None);
                documents.insert_one(document).session(&mut *session).await?;
                documents.delete_one(self.link.place(app, collection, id)).session(session).await?;
                Ok(true)
            }
            Write::Require { collection, id, version } => {
                // A write, so that whoever changes it meanwhile meets this transaction.
                let filter = self.link.place_at(app, collection, id, *version);
                let counted = doc! {"$inc": {"r": 1_i64}};
                Ok(documents.update_one(filter, counted).session(session).await?.matched_count == 1)
            }
            Write::Put { collection, id, sequence, body, keys } => {
                let document = encode(app, collection, (id, *sequence, body), keys, None);
                // A statement that meets a key that is there would end the transaction.
                let update = vec![Document::try_from(keep_newer(&document, *sequence))?];
                documents
                    .update_one(self.link.place(app, collection, id), update)
                    .upsert(true)
                    .session(session)
                    .await?;
                Ok(true)
            }
            Write::Delete { collection, id, version } => {
                let filter = self.link.place_at(app, collection, id, *version);
                Ok(documents.delete_one(filter).session(session).await?.deleted_count == 1)
            }
        }
    }

    /// How many deletions of different documents of one collection follow each other.
    fn deletions_from(&self, at: usize) -> usize {
        let Write::Delete { collection: first, .. } = &self.writes[at] else { return 0 };
        let mut seen = HashSet::new();
        for write in self.writes[at..].iter().take(RUN) {
            match write {
                Write::Delete { collection, id, .. } if collection == first && seen.insert(id) => {}
                _ => break,
            }
        }
        seen.len()
    }

    /// Deletes a run in one command. Which one is refused the server does not tell: then each is looked at by itself.
    async fn delete_run(&self, session: &mut ClientSession, at: usize, run: usize) -> Result<(), Body> {
        let writes = &self.writes[at..at + run];
        let statement = |write: &Write| match write {
            Write::Delete { collection, id, version } => {
                Some(doc! {"q": self.link.place_at(self.app, collection, id, *version), "limit": 1})
            }
            _ => None,
        };
        let deletes: Vec<Document> = writes.iter().filter_map(statement).collect();
        let command = doc! {"delete": documents_name(place_of(&writes[0]).0), "deletes": deletes};
        let reply = self.link.database.run_command(command).session(&mut *session).await;
        let reply = reply.map_err(Body::Failed)?;
        let count = usize::try_from(reply.get_i32("n").unwrap_or_default()).unwrap_or_default();
        if count == run { Ok(()) } else { Err(Body::Unclear) }
    }
}

/// The most statements in one command.
const RUN: usize = 5_000;
