//! Background jobs: who runs them and when, with `apalis` as the queue.
//!
//! Once a second the runner looks which jobs are due and free and queues them, in the process or in Redis. A worker takes
//! the lease of a job (`lease`), runs it, and writes down what became of it. Every process of a deployment does so; the
//! lease in the document store sees to it that a job runs once at a time.

mod here;
mod lease;
mod record;
mod runner;
mod shared;
mod storage;

pub use record::COLLECTIONS;
pub use runner::{JobRunner, JobRunnerParts, JobRunnerSettings};
pub use storage::JobStorage;
