//! A batch of one write: one ordinary write of the driver, which retries it once by itself; and again by us, as long as
//! the deadline allows and the fault is a passing one.

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{CommitError, Write};
use tokio::time::Instant;

use super::documents::MongoDocuments;
use super::error::{Failed, is_duplicate};
use super::kept::{decode, encode, is_of};
use super::pause::Backoff;
use super::refusal::{index_of, place_of, version};
use super::schema::documents_name;

/// What one attempt came to.
enum Attempt {
    Done,
    /// The server refused it, by this index if a key was there already.
    Duplicate(Option<String>),
    /// The document is not at the version.
    NotThere,
}

impl MongoDocuments {
    pub(super) async fn single(&self, app: AppId, write: Write) -> Result<(), CommitError> {
        if let Write::Require { collection, id, version: wanted } = &write {
            let found = self.raw(app, collection, id).await?;
            let kept = found.map(|document| decode(&document)).transpose()?;
            let at = kept.map_or(0, |kept| kept.version);
            return if at == *wanted { Ok(()) } else { Err(version(collection, id)) };
        }
        let nonce = self.nonce();
        let mut backoff = Backoff::until(Instant::now() + self.link.deadline);
        // Why an attempt of ours may have happened, or may yet.
        let mut doubt: Option<String> = None;
        loop {
            let failed = match self.attempt(app, &write, nonce).await {
                Ok(Attempt::Done) => return Ok(()),
                Ok(refused) => return self.judge(app, &write, nonce, refused, doubt).await,
                Err(failed) => failed,
            };
            let again = failed.is_passing();
            let error = failed.write();
            if let StoreError::OutcomeUnknown(why) = &error {
                doubt = Some(why.clone());
            }
            if !again || !backoff.pause().await {
                return Err(doubt.map_or(error, StoreError::OutcomeUnknown).into());
            }
        }
    }

    async fn attempt(&self, app: AppId, write: &Write, nonce: u128) -> Result<Attempt, Failed> {
        let link = self.link.clone();
        let documents = self.link.collection(&documents_name(place_of(write).0));
        let done = match write {
            Write::Insert { collection, id, body, keys } => {
                let document = encode(app, collection, (id, 1, body), keys, Some(nonce));
                let call = async move {
                    let mut session = link.session().await?;
                    let inserted = documents.insert_one(document).session(&mut session).await;
                    link.note(&session);
                    inserted.map(|_| true)
                };
                self.link.call(call).await
            }
            Write::Replace { collection, id, version, body, keys } => {
                let filter = self.link.place_at(app, collection, id, *version);
                let next = version.saturating_add(1);
                let document = encode(app, collection, (id, next, body), keys, Some(nonce));
                let call = async move {
                    let mut session = link.session().await?;
                    let replaced = documents.replace_one(filter, document).session(&mut session).await;
                    link.note(&session);
                    replaced.map(|replaced| replaced.matched_count == 1)
                };
                self.link.call(call).await
            }
            Write::Delete { collection, id, version } => {
                let filter = self.link.place_at(app, collection, id, *version);
                let call = async move {
                    let mut session = link.session().await?;
                    let deleted = documents.delete_one(filter).session(&mut session).await;
                    link.note(&session);
                    deleted.map(|deleted| deleted.deleted_count == 1)
                };
                self.link.call(call).await
            }
            Write::Require { .. } | Write::Put { .. } => Ok(true),
        };
        match done {
            Ok(true) => Ok(Attempt::Done),
            Ok(false) => Ok(Attempt::NotThere),
            Err(Failed::Driver(error)) if is_duplicate(&error) => Ok(Attempt::Duplicate(index_of(&error))),
            Err(failed) => Err(failed),
        }
    }

    /// A refusal: by what was there before, or by what an attempt of our own left there?
    async fn judge(
        &self,
        app: AppId,
        write: &Write,
        nonce: u128,
        refused: Attempt,
        doubt: Option<String>,
    ) -> Result<(), CommitError> {
        let (collection, id) = place_of(write);
        // After a doubt, what cannot be looked up stays in doubt.
        let found = match (self.raw(app, collection, id).await, &doubt) {
            (Err(_), Some(why)) => return Err(StoreError::OutcomeUnknown(why.clone()).into()),
            (found, _) => found?,
        };
        if found.is_some_and(|document| is_of(&document, nonce)) {
            return Ok(());
        }
        if let Some(why) = doubt {
            // Ours may have been there, and been changed since.
            return Err(StoreError::OutcomeUnknown(why).into());
        }
        Err(match refused {
            Attempt::Duplicate(index) => self.refused(app, write, index.as_deref()).await,
            Attempt::Done | Attempt::NotThere => version(collection, id),
        })
    }
}
