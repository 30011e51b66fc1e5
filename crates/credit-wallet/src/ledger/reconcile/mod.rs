//! Reconciliation: compares what is kept of a few wallets at a time with the journal, while the book is at work. What has
//! drifted is told, frozen and written anew from the journal.
//!
//! A wallet is played from its own records, which the view of its history names. If that does not end in what the views
//! show, twice with the views caught up in between, the journal itself is searched for the wallet, and then it is known.
//! Behind the wallets come the groups: whether they follow each other, and whether each has its rows.
//!
//! Whatever cannot be mended is told and keeps nothing else waiting. Only a store that does not answer ends a part early:
//! that says nothing about what it keeps.
//!
//! Not seen here are rows that no group ever made (an invented claim or reference): whoever looks for them reads whole
//! collections, and `ledger verify` does.

mod compare;
mod groups;
mod mend;
mod played;

use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Key, Position, Query};
use credit_core::{Code, JobError, JobRun, Problem, WalletId};

use super::book::Book;
use super::views;

/// How many rows are asked for at a time.
const ROUND: usize = 200;
/// How often something is tried that somebody else may be changing.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(50);

/// What a part of a reconciliation has found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// The wallets and groups that were looked at, by name.
    pub looked_at: Vec<String>,
    /// Wallets that had drifted. They are frozen, and what is shown of them is what the journal says again.
    pub drifted: Vec<WalletId>,
    /// Groups whose rows had drifted. They are written again.
    pub rewritten: Vec<u64>,
    /// What cannot be mended, by name, and why: the journal itself does not hold. The wallets of it are frozen, as far as
    /// they can be told.
    pub broken: Vec<(String, String)>,
    /// Where the next part begins; `None` behind the last one.
    pub next: Option<String>,
}

impl Reconciled {
    /// The names of all that is not as it should be.
    pub fn found(&self) -> Vec<String> {
        let drifted = self.drifted.iter().map(ToString::to_string);
        let rewritten = self.rewritten.iter().map(|sequence| group_name(*sequence));
        drifted.chain(rewritten).chain(self.broken.iter().map(|(name, _)| name.clone())).collect()
    }
}

fn group_name(sequence: u64) -> String {
    format!("group {sequence}")
}

/// Why something was not compared or mended.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// It says nothing about what is kept: the store does not answer, or the run is to stop. Nothing else will go better.
    Passing(JobError),
    /// With this one something is wrong; the others are another matter.
    Broken(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(why) => Self::Broken(why),
            error => Self::Passing(error.into()),
        }
    }
}

impl From<JobError> for Trouble {
    fn from(error: JobError) -> Self {
        Self::Passing(error)
    }
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        match problem.code() {
            Code::Unavailable | Code::OutcomeUnknown => Self::Passing(problem.into()),
            _ => Self::Broken(problem.to_string()),
        }
    }
}

impl Book {
    /// Compares the next few wallets, and then the next few groups, behind a cursor; `None` begins. Asks the run before
    /// every write. Fails if the store does not answer, or the run is to stop.
    pub async fn reconcile(
        self: &Arc<Self>,
        cursor: Option<&str>,
        limit: usize,
        run: &dyn JobRun,
    ) -> Result<Reconciled, JobError> {
        self.show_all().await?;
        if let Some(from) = cursor.and_then(|cursor| cursor.strip_prefix("groups/")) {
            return self.reconcile_groups(from.parse().unwrap_or(1), limit, run).await;
        }
        let after = cursor.and_then(|cursor| cursor.strip_prefix("wallets/"));
        self.reconcile_wallets(after, limit, run).await
    }

    /// Waits until the views show everything, also what other processes have just appended: a flush alone is for what is
    /// known here.
    async fn show_all(&self) -> Result<(), Problem> {
        self.refresh().await?;
        self.flush().await
    }

    async fn reconcile_wallets(
        self: &Arc<Self>,
        after: Option<&str>,
        limit: usize,
        run: &dyn JobRun,
    ) -> Result<Reconciled, JobError> {
        let mut query = Query::new(&views::WALLETS, None, Key::empty(), limit);
        query.after = after.map(|id| Position(id.as_bytes().to_vec()));
        let rows = self.parts.documents.query(self.id, query).await?;
        let mut found = Reconciled::default();
        for row in &rows {
            run.check()?;
            let Ok(id) = WalletId::parse(&row.document.id) else { continue };
            self.reconcile_wallet(id, run, &mut found).await?;
        }
        found.next = Some(match rows.last() {
            Some(last) if rows.len() == limit => format!("wallets/{}", last.document.id),
            _ => "groups/1".to_owned(),
        });
        Ok(found)
    }

    /// Compares one wallet, and mends it if need be.
    async fn reconcile_wallet(
        self: &Arc<Self>,
        id: WalletId,
        run: &dyn JobRun,
        found: &mut Reconciled,
    ) -> Result<(), JobError> {
        found.looked_at.push(id.to_string());
        let mended = match self.differs(id).await {
            Ok(false) => return Ok(()),
            Ok(true) => self.mend(id, run).await,
            Err(trouble) => Err(trouble),
        };
        match mended {
            Ok(()) => found.drifted.push(id),
            Err(Trouble::Passing(error)) => return Err(error),
            Err(Trouble::Broken(why)) => {
                tracing::error!(book = %self.id, wallet = %id, why, "a wallet has drifted and cannot be mended");
                found.broken.push((id.to_string(), why));
            }
        }
        Ok(())
    }
}
