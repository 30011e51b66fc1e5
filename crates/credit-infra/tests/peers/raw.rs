//! What goes over the wire, written a second time: keys, TLS, what is said first, and frames.

use std::net::SocketAddr;
use std::sync::Arc;

use credit_infra::peers::TcpPeers;
use hmac::{Hmac, KeyInit, Mac};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::AlwaysResolvesServerRawPublicKeys;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// The key that a secret makes.
pub(crate) fn key(secret: &str) -> Arc<CertifiedKey> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(b"credit-server peers identity v1");
    let mut pkcs8 = vec![48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    pkcs8.extend_from_slice(&mac.finalize().into_bytes());
    let key = default_provider().key_provider.load_private_key(PrivatePkcs8KeyDer::from(pkcs8).into());
    let key = key.expect("a key");
    let public = key.public_key().expect("a public part").to_vec();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key))
}

/// The public part of one secret's key, and the private part of another's.
pub(crate) fn stolen(shown: &str, had: &str) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey::new(key(shown).cert.clone(), key(had).key.clone()))
}

/// Shows a key as peers do.
pub(crate) fn showing(key: Arc<CertifiedKey>) -> Arc<dyn ResolvesClientCert> {
    Arc::new(AlwaysResolvesClientRawPublicKeys::new(key))
}

/// Connects as TLS only, believing anybody.
pub(crate) async fn tls_to(
    address: SocketAddr,
    shows: Option<Arc<dyn ResolvesClientCert>>,
    raw_keys: bool,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody { raw_keys }));
    let config = match shows {
        Some(shows) => config.with_client_cert_resolver(shows),
        None => config.with_no_client_auth(),
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("anybody").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Connects as a peer that knows this secret and runs this program, up to what is said first.
pub(crate) async fn peer_to(
    peers: &TcpPeers,
    secret: &str,
    build: [u8; 32],
) -> std::io::Result<client::TlsStream<TcpStream>> {
    let shows = Some(showing(key(secret)));
    let mut stream = tls_to(peers.local_addr(), shows, true, &rustls::version::TLS13).await?;
    stream.write_all(&hello(build)).await?;
    let mut said = [0; 37];
    stream.read_exact(&mut said).await?;
    assert_eq!(said, hello(crate::BUILD), "what the server says first");
    Ok(stream)
}

/// Accepts one connection as a peer would that has this key, believing anybody.
pub(crate) async fn accept(
    listener: &TcpListener,
    key: Arc<CertifiedKey>,
) -> std::io::Result<server::TlsStream<TcpStream>> {
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_client_cert_verifier(Arc::new(Anybody { raw_keys: true }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key)));
    let (stream, _) = listener.accept().await?;
    TlsAcceptor::from(Arc::new(config)).accept(stream).await
}

/// Shows on a socket of one machine that it knows this secret, as `sides` says: its own side, and the other. Answers whether
/// the other side does.
pub(crate) async fn prove(stream: &mut UnixStream, secret: &str, sides: (&[u8], &[u8])) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(b"credit-server peers near v1");
    let key = mac.finalize().into_bytes();
    let signed = |own: &[u8], other: &[u8], side: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        mac.update(&[own, other, side].concat());
        mac.finalize().into_bytes()
    };
    let (ours, mut theirs, mut shown) = ([9; 32], [0; 32], [0; 32]);
    stream.write_all(&ours).await.expect("it reads");
    stream.read_exact(&mut theirs).await.expect("it asks");
    stream.write_all(&signed(&ours, &theirs, sides.0)).await.expect("it reads");
    stream.read_exact(&mut shown).await.expect("it shows something");
    shown[..] == signed(&theirs, &ours, sides.1)[..]
}

/// What is said first.
pub(crate) fn hello(build: [u8; 32]) -> [u8; 37] {
    let mut said = [0; 37];
    said[..5].copy_from_slice(b"CrPe\x01");
    said[5..].copy_from_slice(&build);
    said
}

pub(crate) fn frame(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(u32::try_from(payload.len()).expect("a length"), number);
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn head(length: u32, number: u64) -> Vec<u8> {
    [&length.to_be_bytes()[..], &number.to_be_bytes()].concat()
}

pub(crate) async fn read_frame<S>(stream: &mut S) -> std::io::Result<(u64, Vec<u8>)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let length = stream.read_u32().await?;
    let number = stream.read_u64().await?;
    let mut payload = vec![0; usize::try_from(length).expect("a length")];
    stream.read_exact(&mut payload).await?;
    Ok((number, payload))
}

#[derive(Debug)]
struct Anybody {
    raw_keys: bool,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw_keys
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw_keys
    }
}
