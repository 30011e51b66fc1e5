//! A stand-in for Vault, where there is none: the part of `HashiCorp`'s documented HTTP API that is used here, with every
//! wrong state on demand (developer.hashicorp.com/vault/api-docs: system/health, auth/token, auth/approle,
//! auth/kubernetes, secret/kv). And the real thing, where there is one.

mod http;
mod real;
mod state;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

pub use real::{RealVault, real};
pub use state::Mood;
use state::State;

/// Who gets in by `AppRole`.
pub const ROLE_ID: &str = "role-of-the-tests";
/// The proof of it.
pub const SECRET_ID: &str = "proof-of-the-tests";
/// What a service account of Kubernetes may log in as.
pub const KUBERNETES_ROLE: &str = "credit";
/// The token of that account.
pub const KUBERNETES_JWT: &str = "account-of-the-tests";
/// A token that never ends.
pub const ROOT_TOKEN: &str = "root-of-the-tests";

/// A Vault on a port of loopback. It keeps its port and what it holds while it is down.
pub struct FakeVault {
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    state: Arc<State>,
    door: Mutex<Option<Door>>,
}

/// Open while it is up.
struct Door {
    is_closing: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    listening: Option<std::thread::JoinHandle<()>>,
}

impl FakeVault {
    /// A port is taken and let go again: nobody answers there until [`Self::start`].
    ///
    /// # Panics
    /// If no port is free.
    pub fn absent() -> Self {
        Self::speaking(None)
    }

    fn speaking(tls: Option<Arc<ServerConfig>>) -> Self {
        let address =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        Self { address, tls, state: Arc::default(), door: Mutex::default() }
    }

    /// One that is up.
    pub fn up() -> Self {
        let vault = Self::absent();
        vault.start();
        vault
    }

    /// One that is up and speaks TLS with this certificate, PEM texts.
    ///
    /// # Panics
    /// If they are no certificate with its key.
    pub fn over_tls(cert_pem: &str, key_pem: &str) -> Self {
        let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes());
        let chain = chain.collect::<Result<_, _>>().expect("a certificate");
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they belong together");
        let vault = Self::speaking(Some(Arc::new(config)));
        vault.start();
        vault
    }

    /// Where it answers, as `secrets.vault.address` takes it.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Puts a secret into the engine with versions at `secret/`; and, as it is, into the one without at `kv/`.
    pub fn put(&self, path: &str, secret: &Value) {
        self.state.put(path, secret.clone());
    }

    /// From now on it is so.
    pub fn set_mood(&self, mood: Mood) {
        self.state.set_mood(mood);
    }

    /// Logins hold so long from now on; 0 is for ever.
    pub fn set_lease(&self, seconds: u64) {
        self.state.set_lease(seconds);
    }

    /// No token but that of the root is good any more.
    pub fn revoke_all(&self) {
        self.state.revoke_all();
    }

    /// How often it was called so: a part of the path, for example `renew-self`.
    pub fn calls(&self, part: &str) -> usize {
        self.state.calls(part)
    }

    /// Answers from now on.
    ///
    /// # Panics
    /// If somebody else has taken its port meanwhile.
    pub fn start(&self) {
        let mut door = self.door.lock();
        if door.is_some() {
            return;
        }
        let listener = http::listen(self.address);
        let is_closing = Arc::new(AtomicBool::new(false));
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (closing, all, state, tls) =
            (is_closing.clone(), open.clone(), self.state.clone(), self.tls.clone());
        let listening = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if closing.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                if let Ok(same) = socket.try_clone() {
                    all.lock().push(same);
                }
                let (state, tls) = (state.clone(), tls.clone());
                std::thread::spawn(move || serve(socket, tls, &state));
            }
        });
        *door = Some(Door { is_closing, open, listening: Some(listening) });
    }

    /// Nobody answers from now on, and connections that are open break off.
    pub fn stop(&self) {
        let Some(mut door) = self.door.lock().take() else { return };
        door.is_closing.store(true, Ordering::SeqCst);
        // Wakes whoever waits for the next one.
        let _woken = TcpStream::connect(self.address);
        for socket in door.open.lock().drain(..) {
            let _already_closed = socket.shutdown(std::net::Shutdown::Both);
        }
        if let Some(listening) = door.listening.take() {
            let _ended = listening.join();
        }
    }
}

impl Drop for FakeVault {
    fn drop(&mut self) {
        self.state.set_mood(Mood::Well);
        self.stop();
    }
}

fn serve(socket: TcpStream, tls: Option<Arc<ServerConfig>>, state: &State) {
    let _set = socket.set_read_timeout(Some(Duration::from_secs(30)));
    // A caller that goes away is its own affair.
    let _gone = match tls {
        None => http::answer(socket, state),
        Some(config) => match ServerConnection::new(config) {
            Ok(connection) => http::answer(StreamOwned::new(connection, socket), state),
            Err(_) => Ok(()),
        },
    };
}

/// A number that no other has.
pub(super) fn next_number() -> usize {
    static NUMBERS: AtomicUsize = AtomicUsize::new(1);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}
