//! How the program ends.

use std::process::ExitCode;

use crate::config::Faults;

/// The exit codes, for scripts. They are part of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something failed.
    Failed,
    /// The configuration has faults.
    Configuration,
    /// The store cannot be opened.
    Store,
    /// The ledger is not as it should be.
    Ledger,
}

/// Why the program ends early, for people, with its code for scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    /// The same, and before it what follows from it.
    pub(crate) fn context(self, what: &'static str) -> Self {
        Self { error: self.error.context(what), ..self }
    }

    /// The error and its causes; a cause that was told already is not told again.
    fn sentence(&self) -> String {
        self.error.chain().fold(String::new(), |told, cause| match cause.to_string() {
            cause if told.is_empty() => cause,
            cause if told.ends_with(&cause) => told,
            cause => format!("{told}: {cause}"),
        })
    }

    /// Says so on the standard error and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("credit-server: {}", self.sentence());
        ExitCode::from(match self.exit {
            Exit::Failed => 1,
            Exit::Configuration => 3,
            Exit::Store => 4,
            Exit::Ledger => 5,
        })
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Failed, error)
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::new(Exit::Configuration, faults)
    }
}
