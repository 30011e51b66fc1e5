//! The other processes of one deployment, as far as one may ask another to do something for it.
//!
//! A convenience and nothing else: whoever is not answered does it alone, or asks the store what became of it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

/// Why a peer did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It has not got the message and never will.
    #[error("the peer cannot be asked: {0}")]
    NotSent(String),
    /// It may have got the message, may be at it, and may yet do what it says.
    #[error("the peer did not answer: {0}")]
    NoAnswer(String),
}

/// Asks other processes and is asked by them. Only who knows the deployment's secret is either.
#[async_trait]
pub trait Peers: Send + Sync {
    /// Where the others reach this process.
    fn address(&self) -> &str;

    /// Asks the process at an address and brings its answer. Never waits for a connection: as long as there is none, the
    /// message is not sent, and one is made meanwhile. Dropping the future gives up the answer and not the message.
    async fn ask(&self, address: &str, message: Bytes) -> Result<Bytes, PeerError>;

    /// From now on others are answered by this. Before that they cannot ask.
    fn answer_with(&self, answerer: Arc<dyn Answerer>);

    /// Takes no more messages, and waits until those that have come are answered.
    async fn close(&self);
}

/// Answers what other processes ask.
pub trait Answerer: Send + Sync {
    /// Takes one message, and gives the answer now or later; several are answered in any order. Whoever calls this reads the
    /// next message after it: it waits for nothing.
    fn take(&self, message: Bytes, reply: Reply);
}

/// The way back to who has asked. If it is dropped unused, the other side is told that no answer will come.
pub struct Reply(Box<dyn FnOnce(Bytes) + Send + Sync>);

impl Reply {
    /// One that brings the answer somewhere. It waits for nothing either.
    pub fn new(bring: impl FnOnce(Bytes) + Send + Sync + 'static) -> Self {
        Self(Box::new(bring))
    }

    /// Gives the answer.
    pub fn give(self, answer: Bytes) {
        (self.0)(answer);
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}
