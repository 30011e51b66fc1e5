//! Why Vault gives no secrets: each state for itself, in a sentence that says what to do.

use rustify::errors::ClientError as HttpError;
use vaultrs::error::ClientError;

/// Why there are no secrets. Never carries anything that Vault answered, nor what it was asked with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultTrouble {
    /// Nobody listens, or the name is not known.
    #[error("Vault cannot be reached at {0}: nobody answers there")]
    Gone(String),
    /// It took longer than it may.
    #[error("Vault at {0} is too slow: it did not answer within secrets.vault.timeout")]
    Slow(String),
    /// Its certificate is not one that is believed.
    #[error("Vault at {0} shows a certificate that is not believed: give its authority as secrets.vault.ca")]
    Untrusted(String),
    /// It runs and cannot open its own storage.
    #[error("Vault is sealed: unseal it")]
    Sealed,
    /// It was never set up.
    #[error("Vault is not initialised: set it up")]
    Uninitialised,
    /// This node passes nothing on to the active one.
    #[error(
        "this node of Vault is a standby and passes nothing on: name the active node or a balancer before all"
    )]
    Standby,
    /// The way in is refused.
    #[error(
        "Vault refuses the login by {0}: the role, the token or the proof is not good, or not good any more"
    )]
    LoginRefused(&'static str),
    /// The token is good and may not read this.
    #[error("Vault forbids reading {0}: give the policy of this role read access to it")]
    Forbidden(String),
    /// There is nothing.
    #[error("Vault has nothing at {0}: write the secret there, or correct secrets.vault.mount, path and kv")]
    Missing(String),
    /// It answers what Vault does not answer.
    #[error("what answers at {0} does not speak like Vault")]
    Garbage(String),
    /// It fails by itself.
    #[error("Vault fails with status {0}")]
    Failing(u16),
    /// What it holds is not what is needed.
    #[error("what Vault holds cannot be used: {0}")]
    Incomplete(String),
    /// A file that is needed cannot be read, or the address is none.
    #[error("{0}")]
    Setup(String),
}

impl VaultTrouble {
    /// One word for metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gone(_) => "gone",
            Self::Slow(_) => "slow",
            Self::Untrusted(_) => "untrusted",
            Self::Sealed => "sealed",
            Self::Uninitialised => "uninitialised",
            Self::Standby => "standby",
            Self::LoginRefused(_) => "login_refused",
            Self::Forbidden(_) => "forbidden",
            Self::Missing(_) => "missing",
            Self::Garbage(_) => "garbage",
            Self::Failing(_) => "failing",
            Self::Incomplete(_) => "incomplete",
            Self::Setup(_) => "setup",
        }
    }

    /// The state that the health endpoint tells by its status, if it is one in which nothing can be read
    /// (developer.hashicorp.com/vault/api-docs/system/health).
    pub(super) fn of_health(status: u16) -> Option<Self> {
        match status {
            429 | 472 | 473 => Some(Self::Standby),
            501 => Some(Self::Uninitialised),
            503 => Some(Self::Sealed),
            _ => None,
        }
    }
}

/// How a call failed, before anybody knows why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// With an answer of this status.
    Status(u16),
    /// Without one, and that is why.
    Trouble(VaultTrouble),
}

/// Reads an error without showing it: its `Debug` form has the whole answer in it.
pub(super) fn failure(error: &ClientError, address: &str) -> Failure {
    let garbage = || Failure::Trouble(VaultTrouble::Garbage(address.to_owned()));
    match error {
        ClientError::APIError { code, .. } => Failure::Status(*code),
        ClientError::RestClientError { source } => match source {
            HttpError::ServerResponseError { code, .. } => Failure::Status(*code),
            HttpError::RequestError { source, .. } | HttpError::ResponseError { source } => {
                Failure::Trouble(of_transport(&format!("{source:#}"), address))
            }
            _ => garbage(),
        },
        ClientError::FileReadError { path, .. } | ClientError::FileNotFoundError { path } => {
            Failure::Trouble(VaultTrouble::Setup(format!("secrets.vault.ca: {path} cannot be read")))
        }
        ClientError::ParseCertificateError { path, .. } => Failure::Trouble(VaultTrouble::Setup(format!(
            "secrets.vault.ca: {path} holds no certificate in PEM"
        ))),
        ClientError::RestClientBuildError { .. } => Failure::Trouble(VaultTrouble::Setup(
            "no connection to Vault can be made with these settings".to_owned(),
        )),
        _ => garbage(),
    }
}

/// What is told of a connection that gave no answer is told in words only.
fn of_transport(words: &str, address: &str) -> VaultTrouble {
    let words = words.to_ascii_lowercase();
    let says = |any: &[&str]| any.iter().any(|word| words.contains(word));
    if says(&["timed out", "timeout"]) {
        VaultTrouble::Slow(address.to_owned())
    } else if says(&["certificate", "unknownissuer", "handshake"]) {
        VaultTrouble::Untrusted(address.to_owned())
    } else if says(&[
        "invalid http",
        "parse",
        "decoding",
        "message format",
        "invalidcontenttype",
        "corrupt message",
    ]) {
        VaultTrouble::Garbage(address.to_owned())
    } else {
        VaultTrouble::Gone(address.to_owned())
    }
}
