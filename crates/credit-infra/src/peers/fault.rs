//! What keeps a peer from being asked, in sentences without a secret.

use std::io::{Error, ErrorKind};

use rustls::AlertDescription;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("there is no connection to it yet")]
    NotYet,
    #[error("this process is stopping")]
    Stopping,
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("no connection to it came about in time")]
    Slow,
    #[error("it does not know the secret of this deployment")]
    Secret,
    #[error("it runs another version of the program")]
    Build,
    #[error("this process cannot read its own program: {0}")]
    Program(String),
    #[error("it does not speak as peers do")]
    Stranger,
    #[error("it is silent")]
    Silent,
    #[error("it closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl Fault {
    /// What an error on a connection means. TLS hides its own in those of the operating system.
    pub(super) fn of(error: &Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(
                rustls::Error::InvalidCertificate(_)
                | rustls::Error::AlertReceived(AlertDescription::AccessDenied),
            ) => Self::Secret,
            Some(_) => Self::Stranger,
            None => match error.kind() {
                ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe => Self::Closed,
                ErrorKind::InvalidData => Self::Stranger,
                ErrorKind::TimedOut => Self::Silent,
                _ => Self::Broken(error.to_string()),
            },
        }
    }
}
