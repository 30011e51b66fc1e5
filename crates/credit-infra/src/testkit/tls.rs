//! Certificates for servers of tests. They are public: what they protect is nothing.
//!
//! `certs/` was made with `openssl`: a CA of its own (EC P-256, a hundred years), a certificate of it for `localhost` and
//! `127.0.0.1` that serves as a server's and as a client's, and another CA that signed nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// The CA, as PEM.
pub const CA: &str = include_str!("certs/ca.pem");
/// A CA that signed none of the certificates here, as PEM.
pub const STRANGER_CA: &str = include_str!("certs/stranger-ca.pem");
/// The certificate of `localhost` and `127.0.0.1`, as PEM.
pub const CERTIFICATE: &str = include_str!("certs/server.pem");
/// Its key (PKCS #8), as PEM.
pub const KEY: &str = include_str!("certs/server-key.pem");

/// The certificates as files, for programs that want paths.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// [`CA`].
    pub ca: PathBuf,
    /// [`STRANGER_CA`].
    pub stranger_ca: PathBuf,
    /// [`CERTIFICATE`].
    pub certificate: PathBuf,
    /// [`KEY`].
    pub key: PathBuf,
    /// Certificate and key in one file, as `mongod` wants it.
    pub certificate_and_key: PathBuf,
}

impl CertificateFiles {
    /// Writes them into the folder.
    pub fn write(folder: &Path) -> Self {
        let write = |name: &str, text: &str| {
            let file = folder.join(name);
            fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            file
        };
        Self {
            ca: write("ca.pem", CA),
            stranger_ca: write("stranger-ca.pem", STRANGER_CA),
            certificate: write("server.pem", CERTIFICATE),
            key: write("server-key.pem", KEY),
            certificate_and_key: write("server-with-key.pem", &format!("{CERTIFICATE}{KEY}")),
        }
    }
}
