//! The connection that both ports share: sessions that never read behind what this process has seen, and calls that
//! are never dropped half way.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mongodb::bson::{RawDocumentBuf, Timestamp};
use mongodb::options::{
    Acknowledgment, CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, ClientSession, Collection, Database};
use tokio::runtime::Handle;

use super::error::Failed;
use super::gate::Server;

/// A connected database.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) database: Database,
    /// How long a call may take in all.
    pub(super) deadline: Duration,
    /// Whether this is a sharded cluster, which sends a statement to the right shard by what it names.
    pub(super) is_sharded: bool,
    /// Where every call runs: connections belong to the runtime that opened them.
    runtime: Handle,
    seen: Arc<AtomicU64>,
}

impl Link {
    /// On the runtime that this is called on, which must live as long as the store.
    pub(super) fn new(client: Client, database: &str, deadline: Duration) -> Self {
        let database = client.database(database);
        let (runtime, seen) = (Handle::current(), Arc::default());
        Self { client, database, deadline, is_sharded: false, runtime, seen }
    }

    /// Never reads behind what another link to the same store has seen, nor that one behind this.
    #[must_use]
    pub(super) fn after(self, other: &Self) -> Self {
        Self { seen: other.seen.clone(), ..self }
    }

    /// The same to a sharded cluster, or to a replica set.
    #[must_use]
    pub(super) fn to(self, server: &Server) -> Self {
        Self { is_sharded: server.is_sharded, ..self }
    }

    /// A collection that is written by a majority, journalled, and read from the primary as a majority has it.
    pub(super) fn collection(&self, name: &str) -> Collection<RawDocumentBuf> {
        let options = CollectionOptions::builder()
            .write_concern(durable(self.deadline))
            .read_concern(ReadConcern::majority())
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        self.database.collection_with_options(name, options)
    }

    /// A session that reads at or after everything this process has read or written: also from a primary that was
    /// deposed and does not know it, which then does not answer.
    pub(super) async fn session(&self) -> mongodb::error::Result<ClientSession> {
        let mut session = self.client.start_session().causal_consistency(true).await?;
        if let Some(seen) = self.seen() {
            session.advance_operation_time(seen);
        }
        Ok(session)
    }

    /// What this process has seen, as the cluster's time.
    pub(super) fn seen(&self) -> Option<Timestamp> {
        match self.seen.load(Ordering::Acquire) {
            0 => None,
            packed => Some(unpack(packed)),
        }
    }

    /// Remembers how far a session has seen.
    pub(super) fn note(&self, session: &ClientSession) {
        if let Some(time) = session.operation_time() {
            self.seen.fetch_max(pack(time), Ordering::AcqRel);
        }
    }

    /// Ends the connections. What is still on its way is cut off.
    pub(super) async fn end(&self) {
        let client = self.client.clone();
        let end = async move {
            client.shutdown().immediate(true).await;
            Ok(())
        };
        // What is late ends with the runtime.
        let _late = self.call(end).await;
    }

    /// Runs something beside, to its end.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(work);
    }

    /// Runs a call as a task of its own and waits for it until the deadline: a driver's future that is dropped half
    /// way closes its connection, and tells nobody what became of the write.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T, Failed> {
        self.call_within(self.deadline, call).await
    }

    /// The same with a deadline of its own.
    pub(super) async fn call_within<T: Send + 'static>(
        &self,
        deadline: Duration,
        call: impl Future<Output = mongodb::error::Result<T>> + Send + 'static,
    ) -> Result<T, Failed> {
        match tokio::time::timeout(deadline, self.runtime.spawn(call)).await {
            Ok(Ok(answer)) => answer.map_err(Failed::Driver),
            Ok(Err(_)) | Err(_) => Err(Failed::Late),
        }
    }
}

/// By a majority, each with its journal on disk; beyond `within` the outcome is unknown.
pub(super) fn durable(within: Duration) -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).w_timeout(within).build()
}

fn pack(time: Timestamp) -> u64 {
    (u64::from(time.time) << 32) | u64::from(time.increment)
}

fn unpack(packed: u64) -> Timestamp {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).expect("32 bits");
    Timestamp { time: half(packed >> 32), increment: half(packed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_same_after_packing_and_later_times_are_larger() {
        let times = [(1, 9), (2, 0), (2, u32::MAX), (u32::MAX, 3)]
            .map(|(time, increment)| Timestamp { time, increment });
        for pair in times.windows(2) {
            assert!(pack(pair[0]) < pack(pair[1]));
        }
        for time in times {
            assert_eq!(unpack(pack(time)), time);
        }
    }
}
