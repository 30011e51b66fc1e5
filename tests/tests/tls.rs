//! HTTPS by real handshakes: who is believed, what is spoken, and what changes while it runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use credit_tests::client::Client;
use credit_tests::pki::{Authority, install_provider};
use credit_tests::server::{Server, binary};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

const OURSELVES: &[&str] = &["127.0.0.1", "localhost"];

/// A server over TLS with a certificate of this authority, which lies in its directory.
fn start(authority: &Authority) -> Server {
    let folder = TempDir::new().expect("a directory");
    std::fs::write(folder.path().join("authority.pem"), authority.pem()).expect("written");
    let files = authority.issue(folder.path(), "server", OURSELVES).expect("a certificate");
    let (cert, key) = (files.cert.display().to_string(), files.key.display().to_string());
    let settings = [
        ("CREDIT_SERVER__TLS__CERT", cert.as_str()),
        ("CREDIT_SERVER__TLS__KEY", key.as_str()),
        ("CREDIT_SERVER__TLS__RELOAD", "1s"),
        ("CREDIT_CORS__ALLOWED_ORIGINS", "https://shop.example"),
    ];
    Server::start_in(folder, &settings).expect("a server")
}

fn address(server: &Server) -> &str {
    server.base().strip_prefix("https://").expect("it serves HTTPS")
}

/// A handshake with what was agreed on; the error if there was none.
fn shake_hands(
    address: &str,
    authority: &str,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    install_provider();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("PEM")).expect("a root");
    let mut config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

#[test]
fn the_api_is_served_over_tls_1_2_and_1_3_and_says_to_stay_with_it() {
    let authority = Authority::new("ours").expect("an authority");
    let server = start(&authority);
    for (version, agreed) in
        [(&TLS12, rustls::ProtocolVersion::TLSv1_2), (&TLS13, rustls::ProtocolVersion::TLSv1_3)]
    {
        let mut stream = shake_hands(address(&server), &authority.pem(), &[version], &[]).expect("hands");
        assert_eq!(stream.conn.protocol_version(), Some(agreed));
        stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        // Whether the end is announced or not is not what is looked at here.
        let _end = stream.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let answer = server.app().get("/v1/wallets");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000"));
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let docs = server.nobody().get("/docs");
    assert!(
        docs.header("content-security-policy").is_some_and(|policy| policy.contains("script-src 'self'"))
    );
}

#[test]
fn http_2_is_agreed_on_by_alpn() {
    let authority = Authority::new("ours").expect("an authority");
    let server = start(&authority);
    let mut stream =
        shake_hands(address(&server), &authority.pem(), &[&TLS13], &[b"h2", b"http/1.1"]).expect("hands");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"h2"[..]));
    // The preface and an empty SETTINGS frame (RFC 9113 §3.4); the other side begins with its own SETTINGS.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("sent");
    let mut head = [0; 9];
    stream.read_exact(&mut head).expect("a frame");
    assert_eq!(head[3], 4, "a SETTINGS frame: {head:?}");
    let old = shake_hands(address(&server), &authority.pem(), &[&TLS13], &[b"http/1.1"]).expect("hands");
    assert_eq!(old.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[test]
fn a_certificate_of_somebody_else_is_refused() {
    let (ours, theirs) = (Authority::new("ours").expect("one"), Authority::new("theirs").expect("another"));
    let server = start(&ours);
    let refused = shake_hands(address(&server), &theirs.pem(), &[&TLS13, &TLS12], &[]).expect_err("refused");
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    let stranger = Client::nobody_trusting(server.base(), &theirs.pem());
    assert!(stranger.call("GET", "/health/live", &[], None).is_err());
}

/// The hello of a client that knows nothing newer than TLS 1.1 (RFC 4346 §7.4.1.2).
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut hello = vec![3, 2];
    hello.extend([7; 32]);
    hello.push(0);
    // ECDHE with AES-128-CBC and SHA-1, by ECDSA and by RSA, and plain RSA.
    hello.extend([0, 6, 0xC0, 0x09, 0xC0, 0x13, 0x00, 0x2F]);
    hello.extend([1, 0]);
    let length = |bytes: usize| u8::try_from(bytes).expect("small");
    let mut record = vec![22, 3, 1, 0, length(hello.len() + 4), 1, 0, 0, length(hello.len())];
    record.extend(hello);
    record
}

#[test]
fn tls_1_1_is_refused() {
    let authority = Authority::new("ours").expect("an authority");
    let server = start(&authority);
    let mut socket = TcpStream::connect(address(&server)).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    socket.write_all(&hello_of_tls_1_1()).expect("sent");
    let mut answer = Vec::new();
    let _end = socket.read_to_end(&mut answer);
    // An alert, fatal: protocol_version (70) or handshake_failure (40).
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    assert_eq!(answer[5], 2, "{answer:?}");
    assert!(matches!(answer[6], 40 | 70), "{answer:?}");
}

#[test]
fn the_plain_port_is_dead() {
    let authority = Authority::new("ours").expect("an authority");
    let server = start(&authority);
    let mut socket = TcpStream::connect(address(&server)).expect("a connection");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    socket.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _end = socket.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));
    assert!(!String::from_utf8_lossy(&answer).contains("live"));
}

/// The certificate that a new connection is shown.
fn shown(server: &Server, authority: &str) -> Option<Vec<u8>> {
    let stream = shake_hands(address(server), authority, &[&TLS13], &[]).ok()?;
    Some(stream.conn.peer_certificates()?.first()?.to_vec())
}

#[test]
fn a_changed_certificate_is_shown_to_new_connections_and_a_bad_one_never() {
    let authority = Authority::new("ours").expect("an authority");
    let server = start(&authority);
    let pem = authority.pem();
    let first = shown(&server, &pem).expect("one");
    authority.issue(server.folder(), "server", OURSELVES).expect("another certificate");
    let limit = Instant::now() + Duration::from_secs(10);
    let second = loop {
        let now = shown(&server, &pem).expect("one");
        if now != first {
            break now;
        }
        assert!(Instant::now() < limit, "the new certificate is not shown: {}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    };

    std::fs::write(server.folder().join("server-cert.pem"), "garbage").expect("written");
    let limit = Instant::now() + Duration::from_secs(10);
    while !server.log().contains("the new certificate is not usable") {
        assert!(Instant::now() < limit, "nobody complains: {}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(shown(&server, &pem), Some(second), "the last good one stays");
    assert_eq!(server.app().get("/v1/wallets").status, 200);
}

fn healthcheck(folder: &Path, settings: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(binary().expect("the program"))
        .arg("healthcheck")
        .args(arguments)
        .current_dir(folder)
        .env("CREDIT_DATA_DIR", folder)
        .envs(settings.iter().copied())
        .output()
        .expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_health_check_understands_tls() {
    let authority = Authority::new("ours").expect("an authority");
    let server = start(&authority);
    let cert = server.folder().join("server-cert.pem").display().to_string();
    let key = server.folder().join("server-key.pem").display().to_string();
    let own = [
        ("CREDIT_SERVER__PORT", "0"),
        ("CREDIT_SERVER__TLS__CERT", cert.as_str()),
        ("CREDIT_SERVER__TLS__KEY", key.as_str()),
    ];
    assert_eq!(healthcheck(server.folder(), &own, &["--ready"]).0, Some(0));
    // Elsewhere, with nothing that says whom to believe.
    let (code, error) = healthcheck(server.folder(), &own[..1], &["--url", server.base()]);
    assert_eq!(code, Some(1), "{error}");
    let ca = server.folder().join("authority.pem").display().to_string();
    let named = ["--url", server.base(), "--ca", &ca];
    assert_eq!(healthcheck(server.folder(), &own[..1], &named), (Some(0), String::new()));
}

#[test]
fn links_never_follow_the_host_or_what_proxies_say() {
    let server = Server::start(&[]).expect("a server");
    for _ in 0..3 {
        credit_tests::story::register(&server.app());
    }
    let lies = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "host=evil.example;proto=https"),
    ];
    for path in ["/v1/users?limit=1", "/", "/openapi.json", "/problems/not_found", "/docs", "/nowhere"] {
        let answer = server.app().call("GET", path, &lies, None).expect("an answer");
        assert!(!answer.body.contains("evil.example"), "{path}");
        for (name, value) in &answer.headers {
            assert!(!value.contains("evil.example"), "{path} {name}: {value}");
        }
    }
    let link = server.app().call("GET", "/v1/users?limit=1", &lies, None).expect("an answer");
    assert!(link.header("link").is_some_and(|link| link.starts_with("</v1/users?")), "{link:?}");
}
