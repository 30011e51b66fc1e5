//! The other processes of one deployment, as far as one may ask another to do something for it.
//!
//! A convenience and nothing else: whoever is not answered does it alone, or asks the store what became of it.

use std::sync::Arc;

use async_trait::async_trait;

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

    /// Asks the process at an address; from within a runtime, in which the answer is heard. Never waits, not even for a
    /// connection: as long as there is none the message is not sent, and one is made meanwhile. Otherwise whoever hears is
    /// told once, by the answer or by why there is none.
    fn ask(&self, address: &str, message: &[u8], hear: Hear) -> Result<(), PeerError>;

    /// From now on others are answered by this. Before that they cannot ask.
    fn answer_with(&self, answerer: Arc<dyn Answerer>);

    /// Takes no more messages, and waits until those that have come are answered.
    async fn close(&self);
}

/// An answer, or why there is none.
pub type Heard<'a> = Result<&'a [u8], PeerError>;

/// Whoever hears the answer to a message. It is told where answers are read: it waits for nothing, and does little.
pub struct Hear(Box<dyn FnOnce(Heard<'_>) + Send>);

impl Hear {
    /// One that does this with it.
    pub fn new(hear: impl FnOnce(Heard<'_>) + Send + 'static) -> Self {
        Self(Box::new(hear))
    }

    /// Tells it.
    pub fn tell(self, answer: Heard<'_>) {
        (self.0)(answer);
    }
}

impl std::fmt::Debug for Hear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hear")
    }
}

/// Answers what other processes ask.
pub trait Answerer: Send + Sync {
    /// Takes one message, and gives the answer now or later; several are answered in any order. Whoever calls this reads the
    /// next message after it: it waits for nothing.
    fn take(&self, message: &[u8], reply: Reply);
}

/// An answer in parts, one behind the other.
pub type Parts<'a> = [&'a [u8]];

/// The way back to who has asked. If it is dropped unused, the other side is told that no answer will come.
pub struct Reply(Box<dyn FnOnce(&Parts<'_>) + Send + Sync>);

impl Reply {
    /// One that brings the answer somewhere. It waits for nothing either.
    pub fn new(bring: impl FnOnce(&Parts<'_>) + Send + Sync + 'static) -> Self {
        Self(Box::new(bring))
    }

    /// Gives the answer.
    pub fn give(self, answer: &Parts<'_>) {
        (self.0)(answer);
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}
