//! One key for a whole deployment, made of its secret: whoever has it asks and answers, and nobody else does.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_eddsa_type};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::socket::RECORD;

/// What the secret is used for here. Another purpose makes another key of the same secret.
const PURPOSE: &[u8] = b"credit-server peers identity v1";
/// How PKCS#8 (version 1) writes an Ed25519 key, up to its 32 bytes.
const PKCS8_BEGINS: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Both ends of a connection, for those who know the secret.
pub(super) struct Identity {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

impl Identity {
    /// TLS 1.3 and nothing older, with raw public keys (RFC 7250) in both directions: there is no authority and no name to
    /// believe, only the one key. Nothing is resumed, so every connection shows anew that it knows the secret.
    pub(super) fn try_new(secret: &[u8]) -> Result<Self, Error> {
        let key = key(secret)?;
        let spki = key.public_key().ok_or_else(|| Error::General("the key has no public part".to_owned()))?;
        let spki = spki.into_owned();
        let provider = Arc::new(default_provider());
        let only = Arc::new(OnlyOurs::new(spki.clone(), &provider));
        let shown = Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki.to_vec())], key));

        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(only.clone())
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown.clone())));
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.max_fragment_size = Some(RECORD);

        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(only)
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown)));
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        client.max_fragment_size = Some(RECORD);

        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

/// The key that the secret makes. The same in every process of a deployment.
fn key(secret: &[u8]) -> Result<Arc<dyn SigningKey>, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(PURPOSE);
    let seed = Zeroizing::new(<[u8; 32]>::from(mac.finalize().into_bytes()));
    let mut pkcs8 = Zeroizing::new([0; PKCS8_BEGINS.len() + 32]);
    let (begin, end) = pkcs8.split_at_mut(PKCS8_BEGINS.len());
    begin.copy_from_slice(&PKCS8_BEGINS);
    end.copy_from_slice(&*seed);
    any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))
}

/// Believes whoever proves that it has our own key.
#[derive(Debug)]
struct OnlyOurs {
    spki: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl OnlyOurs {
    fn new(spki: SubjectPublicKeyInfoDer<'static>, provider: &CryptoProvider) -> Self {
        Self { spki, algorithms: provider.signature_verification_algorithms }
    }

    /// Both are public: how long a comparison takes tells nobody anything.
    fn check(&self, shown: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        if shown.as_ref() == self.spki.as_ref() && more.is_empty() {
            Ok(())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    /// That it is ours has been checked before, and is not taken on trust here.
    fn check_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(shown, &[])?;
        verify_tls13_signature_with_raw_key(message, &self.spki, signature, &self.algorithms)
    }
}

/// Cannot happen, since TLS 1.2 is not offered; if it did it would end here.
fn too_old() -> Error {
    Error::General("peers speak TLS 1.3 only".to_owned())
}

impl ServerCertVerifier for OnlyOurs {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for OnlyOurs {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(too_old())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(secret: &[u8]) -> Vec<u8> {
        key(secret).expect("a key").public_key().expect("a public part").to_vec()
    }

    #[test]
    fn a_secret_always_makes_the_same_key_and_no_other_secret_makes_it() {
        assert_eq!(public(&[7; 32]), public(&[7; 32]));
        assert_ne!(public(&[7; 32]), public(&[8; 32]));
    }

    /// All processes of a deployment have to make this one, whichever release made them.
    #[test]
    fn the_key_of_a_known_secret_is_the_known_one() {
        let known =
            "302a300506032b6570032100f23b9a8a88667f9e1b900f4cade7c559d8be33957fc0ccc1e50eb8d381c55ce0";
        let made: Vec<u8> = (0..known.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&known[at..at + 2], 16).expect("hexadecimal"))
            .collect();
        assert_eq!(public(&[7; 32]), made);
    }
}
