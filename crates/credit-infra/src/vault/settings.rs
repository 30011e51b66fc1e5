//! Where Vault is, how to get in, and what to read.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// Which Vault and which secret in it.
#[derive(Debug, Clone)]
pub struct VaultSettings {
    /// `https://vault.example:8200`.
    pub address: String,
    /// How to get in.
    pub auth: VaultAuth,
    /// Where the key-value engine is mounted.
    pub mount: String,
    /// The secret in it.
    pub path: String,
    /// Which engine it is.
    pub kv: KvVersion,
    /// The namespace, where there are any.
    pub namespace: Option<String>,
    /// A PEM file with authorities to believe beside those of the system.
    pub ca: Option<PathBuf>,
    /// How long one call may take.
    pub timeout: Duration,
}

/// The version of a key-value engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvVersion {
    /// Without versions.
    One,
    /// With versions; the newest is read.
    Two,
}

/// How to get in.
#[derive(Debug, Clone)]
pub enum VaultAuth {
    /// With a token that somebody made.
    Token(Credential),
    /// As a machine (`AppRole`).
    AppRole {
        /// Where the method is mounted, usually `approle`.
        mount: String,
        /// Who.
        role_id: String,
        /// The proof.
        secret_id: Credential,
    },
    /// As a service account of Kubernetes.
    Kubernetes {
        /// Where the method is mounted, usually `kubernetes`.
        mount: String,
        /// As what.
        role: String,
        /// Where Kubernetes puts the account's token.
        token_file: PathBuf,
    },
}

/// A secret to get in with.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Itself.
    Given(SecretString),
    /// The file that holds it; read at every login, since somebody may renew it there.
    File(PathBuf),
}
