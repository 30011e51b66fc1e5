//! Bringing what is kept of users under the newest keys.

use std::collections::BTreeMap;

use credit_core::ports::documents::{Batch, CommitError, Document, Key, Position, Query};
use credit_core::{AppId, Problem};

use super::{ATTEMPTS, Users};
use crate::store::users::USERS;

const CHUNK: usize = 100;

/// How far the work is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReencryptProgress {
    /// Users that were looked at.
    pub looked_at: u64,
    /// Users that were written again.
    pub rewritten: u64,
    /// Users of whom something cannot be opened: its key is not known any more, or it was changed. Left as they are.
    pub unreadable: u64,
}

/// How many fields are under which key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// The ids of the keys that seal, the newest first.
    pub sealing: Vec<String>,
    /// The ids of the keys that find, the newest first.
    pub finding: Vec<String>,
    /// By application, field and key.
    pub fields: BTreeMap<(AppId, &'static str, String), u64>,
    /// Users of whom something is not as the newest keys would have it.
    pub stale: u64,
}

enum Outcome {
    Fresh,
    Rewritten,
    Unreadable,
}

impl Users {
    /// Seals everything that is sealed under an earlier key again, and finds addresses under the keys that are known
    /// now. Nobody notices: each user is written by itself, only if nobody else has changed it, and reads as before.
    ///
    /// Broken off at any moment, it goes on where it was when it is called again: what was written is fresh. Several
    /// processes may do it at once. `go_on` is told how far it is after each hundred; if it says no, the work ends there.
    pub async fn reencrypt(
        &self,
        mut go_on: impl FnMut(ReencryptProgress) -> bool + Send,
    ) -> Result<ReencryptProgress, Problem> {
        let mut progress = ReencryptProgress::default();
        for app in self.documents.apps(&USERS).await? {
            let mut after = None;
            loop {
                let rows = self.users_behind(app, after).await?;
                for (_, document) in &rows {
                    progress.looked_at += 1;
                    match self.refresh_keys_of(app, document).await? {
                        Outcome::Fresh => {}
                        Outcome::Rewritten => progress.rewritten += 1,
                        Outcome::Unreadable => progress.unreadable += 1,
                    }
                }
                if !go_on(progress) {
                    return Ok(progress);
                }
                after = rows.last().map(|(position, _)| position.clone());
                if rows.len() < CHUNK {
                    break;
                }
            }
        }
        Ok(progress)
    }

    /// Counts, and changes nothing.
    pub async fn key_use(&self) -> Result<KeyUse, Problem> {
        let (sealing, finding) = self.store.key_ids();
        let mut found = KeyUse { sealing, finding, ..KeyUse::default() };
        for app in self.documents.apps(&USERS).await? {
            let mut after = None;
            loop {
                let rows = self.users_behind(app, after).await?;
                for (_, document) in &rows {
                    let keys = self.store.keys_of(document)?;
                    found.stale += u64::from(self.store.is_stale(&keys));
                    for (field, key) in keys.sealed {
                        *found.fields.entry((app, field, key)).or_default() += 1;
                    }
                    for key in keys.found_under {
                        *found.fields.entry((app, "email index", key)).or_default() += 1;
                    }
                }
                after = rows.last().map(|(position, _)| position.clone());
                if rows.len() < CHUNK {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn users_behind(
        &self,
        app: AppId,
        after: Option<Position>,
    ) -> Result<Vec<(Position, Document)>, Problem> {
        let query = Query { after, ..Query::new(&USERS, None, Key::empty(), CHUNK) };
        let rows = self.documents.query(app, query).await?;
        Ok(rows.into_iter().map(|row| (row.position, row.document)).collect())
    }

    async fn refresh_keys_of(&self, app: AppId, read: &Document) -> Result<Outcome, Problem> {
        let mut document = Some(read.clone());
        for _ in 0..ATTEMPTS {
            // Whoever was deleted has nothing left to seal.
            let Some(kept) = document else { return Ok(Outcome::Fresh) };
            if !self.store.is_stale(&self.store.keys_of(&kept)?) {
                return Ok(Outcome::Fresh);
            }
            let Ok(user) = self.store.open(app, &kept) else {
                tracing::error!(
                    user = kept.id,
                    "a user cannot be read: the key of a sealed field is not known"
                );
                return Ok(Outcome::Unreadable);
            };
            match self.documents.commit(app, Batch::of(self.store.replace(&user))).await {
                Ok(()) => return Ok(Outcome::Rewritten),
                Err(CommitError::Version { .. }) => {}
                Err(other) => return Err(other.into()),
            }
            document = self.documents.get(app, &USERS, &kept.id).await?;
        }
        // Changed again and again: each change wrote it under the newest keys.
        Ok(Outcome::Fresh)
    }
}
