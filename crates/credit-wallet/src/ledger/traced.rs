//! What traces show of the ledger: a command from its caller to its outcome, and the group that it went into.

use credit_core::Problem;
use tracing::{Instrument, Span};

use super::book::Book;
use super::draft::Verdict;
use super::job::{Ask, Job, Outcome};

/// A group of a thousand commands is not linked to a thousand traces.
const MOST_LINKS: usize = 32;

impl Book {
    /// [`submit`](Self::submit), as a span of its own.
    pub async fn ask(&self, ask: Ask) -> Result<Outcome, Problem> {
        let span = tracing::debug_span!(target: "credit_trace", "ledger.submit", book = %self.id());
        self.submit(ask).instrument(span).await
    }
}

/// The span of a group on its way to the journal: part of the trace of its first command, linked to those of others.
pub(super) fn of_group(decided: &[(Box<Job>, Verdict)], sequence: u64) -> Span {
    let Some((first, _)) = decided.first() else { return Span::none() };
    let span = tracing::debug_span!(target: "credit_trace", parent: &first.span, "ledger.append", sequence, commands = decided.len());
    for (job, _) in decided.iter().skip(1).take(MOST_LINKS) {
        span.follows_from(&job.span);
    }
    span
}
