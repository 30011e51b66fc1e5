//! HTTPS: the certificate, and reading it again when its files change.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use parking_lot::{Mutex, RwLock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, crypto};
use zeroize::Zeroizing;

use crate::config::Tls;

/// Names the one provider of cryptography that everything in this process uses. Once, before anything else.
pub(crate) fn install_provider() {
    // It only fails where one was installed before, and there is no other.
    let _already = crypto::aws_lc_rs::default_provider().install_default();
}

/// The certificate that new connections are shown.
pub(crate) struct Certificate {
    files: Tls,
    shown: RwLock<Arc<CertifiedKey>>,
    /// Of what the files held when they were read last, whether it was good or not.
    seen: Mutex<u64>,
}

impl Certificate {
    /// From its files; the complaint names the file and quotes nothing of it.
    pub(crate) fn read(files: &Tls) -> Result<Arc<Self>> {
        let held = Held::read(files)?;
        let shown = RwLock::new(Arc::new(held.certified(files)?));
        Ok(Arc::new(Self { files: files.clone(), shown, seen: Mutex::new(held.mark()) }))
    }

    /// What the server speaks: TLS 1.2 and 1.3. HTTP/2 and HTTP/1.1 are offered by whoever listens.
    pub(crate) fn server_config(self: &Arc<Self>) -> ServerConfig {
        ServerConfig::builder_with_protocol_versions(&[&TLS13, &TLS12])
            .with_no_client_auth()
            .with_cert_resolver(self.clone())
    }

    /// Reads the files again and again, for ever. What is not good is told once, and the last good one stays.
    pub(crate) async fn keep_fresh(self: Arc<Self>, pause: Duration) {
        loop {
            tokio::time::sleep(pause).await;
            match self.refresh() {
                Ok(true) => tracing::info!("the certificate was read again: its files have changed"),
                Ok(false) => {}
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::error!(error, "the new certificate is not usable; the last good one stays");
                }
            }
        }
    }

    /// Whether there was a new one. An error is told at the first sight of what is wrong and not again.
    fn refresh(&self) -> Result<bool> {
        let held = Held::read(&self.files);
        let mark = held.as_ref().map_or(0, Held::mark);
        if std::mem::replace(&mut *self.seen.lock(), mark) == mark {
            return Ok(false);
        }
        let certified = held?.certified(&self.files)?;
        *self.shown.write() = Arc::new(certified);
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.read().clone())
    }
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What the two files hold.
struct Held {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Held {
    fn read(files: &Tls) -> Result<Self> {
        let read = |what: &str, path: &Path| {
            std::fs::read(path).with_context(|| format!("{what}: {} cannot be read", path.display()))
        };
        let chain = read("server.tls.cert", &files.cert)?;
        Ok(Self { chain, key: Zeroizing::new(read("server.tls.key", &files.key)?) })
    }

    /// Tells one content from another; 0 is kept for files that cannot be read.
    fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.chain, &*self.key).hash(&mut hasher);
        hasher.finish().max(1)
    }

    fn certified(&self, files: &Tls) -> Result<CertifiedKey> {
        let (cert, key) = (files.cert.display(), files.key.display());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<_, _>>()
            .with_context(|| format!("server.tls.cert: {cert} is not PEM"))?;
        ensure!(!chain.is_empty(), "server.tls.cert: {cert} holds no certificate");
        let private = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| anyhow::anyhow!("server.tls.key: {key} holds no private key in PEM"))?;
        CertifiedKey::from_der(chain, private, &crypto::aws_lc_rs::default_provider()).map_err(|_| {
            anyhow::anyhow!("server.tls.key: {key} does not belong to the certificate in {cert}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &Tls, name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        std::fs::write(&files.cert, &cert).expect("written");
        std::fs::write(&files.key, &key).expect("written");
        (cert, key)
    }

    fn files(home: &Path) -> Tls {
        Tls { cert: home.join("cert.pem"), key: home.join("key.pem"), reload: Duration::from_secs(1) }
    }

    #[test]
    fn a_changed_certificate_is_read_again_and_a_bad_one_is_not_taken() {
        let home = tempfile::tempdir().expect("a directory");
        let files = files(home.path());
        write(&files, "one.example");
        let certificate = Certificate::read(&files).expect("good");
        let shown = || certificate.shown.read().cert.clone();
        let first = shown();
        assert!(!certificate.refresh().expect("unchanged"));

        let (_, key) = write(&files, "two.example");
        assert!(certificate.refresh().expect("good"));
        let second = shown();
        assert_ne!(first, second);

        write(&files, "three.example");
        std::fs::write(&files.key, &key).expect("written");
        assert!(certificate.refresh().is_err(), "the key belongs to another");
        assert_eq!(shown(), second);
        assert!(!certificate.refresh().expect("told once"));
        std::fs::remove_file(&files.cert).expect("removed");
        assert!(certificate.refresh().is_err());
        assert_eq!(shown(), second);

        write(&files, "four.example");
        assert!(certificate.refresh().expect("good again"));
        assert_ne!(shown(), second);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_its_content() {
        let home = tempfile::tempdir().expect("a directory");
        let files = files(home.path());
        let complaint = || format!("{:#}", Certificate::read(&files).expect_err("not usable"));
        assert!(complaint().contains("server.tls.cert") && complaint().contains("cannot be read"));
        let (cert, key) = write(&files, "one.example");
        std::fs::write(&files.cert, "hunter2").expect("written");
        assert!(complaint().contains("holds no certificate") && !complaint().contains("hunter2"));
        std::fs::write(&files.cert, &cert).expect("written");
        std::fs::write(&files.key, &cert).expect("written");
        assert!(complaint().contains("holds no private key"), "{}", complaint());
        write(&files, "two.example");
        std::fs::write(&files.key, key).expect("written");
        assert!(complaint().contains("does not belong to"), "{}", complaint());
    }
}
