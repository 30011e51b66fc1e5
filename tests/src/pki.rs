//! Certificates for tests, by authorities that exist as long as the test.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Somebody who signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key on disk.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate in PEM.
    pub cert: PathBuf,
    /// Its private key in PEM.
    pub key: PathBuf,
}

impl Authority {
    /// A new one that nobody knows.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// What those who trust it know of it.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names and addresses, as `{stem}-cert.pem` and `{stem}-key.pem`. Files that are there are
    /// replaced, the key last.
    pub fn issue(&self, folder: &Path, stem: &str, names: &[&str]) -> Result<CertificateFiles> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&key, &self.issuer)?;
        let files = CertificateFiles {
            cert: folder.join(format!("{stem}-cert.pem")),
            key: folder.join(format!("{stem}-key.pem")),
        };
        std::fs::write(&files.cert, certificate.pem())?;
        std::fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}

/// Names the provider of cryptography of the test's own connections. Any number of times.
pub fn install_provider() {
    // It only fails where it was done before.
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
