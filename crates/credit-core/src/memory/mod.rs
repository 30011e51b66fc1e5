//! Both stores in memory: the reference that every other store is compared with. Nothing outlives the process.

mod documents;
mod journal;

pub use documents::MemoryDocuments;
pub use journal::MemoryJournal;
