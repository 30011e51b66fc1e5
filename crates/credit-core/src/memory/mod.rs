//! The stores in memory, a limiter and a cache: the references that all others are compared with. Nothing outlives the
//! process.

mod cache;
mod documents;
mod journal;
mod limits;

pub use cache::MemoryCache;
pub use documents::MemoryDocuments;
pub use journal::MemoryJournal;
pub use limits::MemoryLimits;
