//! What is wrong with a configuration: all of it at once.

use std::fmt;

/// One fault. It never carries the value of a secret key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The key, or the file.
    pub(crate) subject: String,
    /// Where the value came from; `None` if there is none.
    pub(crate) origin: Option<String>,
    /// What is wrong, and what would be right.
    pub(crate) complaint: String,
}

impl Fault {
    pub(crate) fn new(
        subject: impl Into<String>,
        origin: Option<String>,
        complaint: impl Into<String>,
    ) -> Self {
        Self { subject: subject.into(), origin, complaint: complaint.into() }
    }

    /// Whether a key is missed that is nowhere given.
    pub(super) fn is_of_something_missing(&self) -> bool {
        self.origin.is_none() && self.complaint.starts_with("is missing")
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin}): {}", self.subject, self.complaint),
            None => write!(f, "{}: {}", self.subject, self.complaint),
        }
    }
}

/// Every fault of a configuration; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults(pub(crate) Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has a fault:")?,
            count => write!(f, "the configuration has {count} faults:")?,
        }
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
