//! The other processes of a deployment, by TCP and TLS 1.3; those on the same machine by a socket in a directory, if they
//! share one.
//!
//! One secret makes one key, and both ends of every connection have to show that they have it: whoever does not know the
//! secret neither asks nor answers. Both then say which program they run, and go on only if it is the same. After that there
//! are messages in both directions, many at a time and answered in any order. Nobody who asks waits for a connection.
//!
//! That the secret is known is all that is shown. Which of the processes it is that answers at an address is not: a message
//! that only one of them may act on has to say which.

mod client;
mod connection;
mod fault;
mod frames;
mod hello;
mod identity;
mod near;
mod server;
mod socket;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::ports::peers::{Answerer, Hear, PeerError, Peers};
use secrecy::{ExposeSecret, SecretSlice};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use client::Client;
use hello::Build;
use identity::Identity;
use near::Near;
use server::{Doors, Server};

/// Whoever connects sees what the secret makes and can try secrets on it at home. Too short ones are found that way.
const SHORTEST_SECRET: usize = 16;
/// How long stopping may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Where a process listens and what it knows.
#[derive(Debug)]
pub struct PeersSettings {
    /// Where others may connect.
    pub listen: SocketAddr,
    /// Where others find that, as `host:port`. Port 0 stands for the one that is listened on.
    pub advertise: String,
    /// Where processes of the same user on the same machine reach each other without TCP and TLS: a directory that nobody else
    /// may enter.
    pub directory: Option<PathBuf>,
    /// What all processes of the deployment know and nobody else does; random, and at least 16 bytes.
    pub secret: SecretSlice<u8>,
    /// Where others are answered. What is asked is asked from wherever somebody asks.
    pub runtime: Handle,
    /// Which program this is, if it is not to be the file that runs.
    pub build: Option<[u8; 32]>,
}

/// Why a process can have no peers.
#[derive(Debug, thiserror::Error)]
pub enum PeersFault {
    /// Somebody else may be listening there, or it is no address of this machine.
    #[error("peers cannot be listened for on {listen}: {error}")]
    Listen {
        /// Where it was tried.
        listen: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// Others may put something there, or nothing can be put there.
    #[error("peers cannot be listened for in {}: {why}", directory.display())]
    Directory {
        /// Where it was tried.
        directory: PathBuf,
        /// Why not.
        why: String,
    },
    /// It is no `host:port`.
    #[error("\"{0}\" does not tell peers where this process is: it has to be host:port")]
    Advertise(String),
    /// It could be guessed.
    #[error("the secret of the peers is too short: it has to have {SHORTEST_SECRET} bytes or more")]
    ShortSecret,
    /// It makes no key.
    #[error("the secret of the peers makes no key: {0}")]
    Key(String),
}

/// The other processes. Everything that it does in the background ends when it is dropped.
pub struct TcpPeers {
    address: String,
    local: SocketAddr,
    server: Arc<Server>,
    client: Client,
    stop: watch::Sender<bool>,
    accepting: Mutex<Option<JoinHandle<()>>>,
    end: AbortHandle,
}

impl TcpPeers {
    /// Listens from now on, and lets others in as soon as it knows who answers them.
    pub fn start(settings: PeersSettings) -> Result<Arc<Self>, PeersFault> {
        let PeersSettings { listen, advertise, directory, secret, runtime, build } = settings;
        let (host, port) =
            host_and_port(&advertise).ok_or_else(|| PeersFault::Advertise(advertise.clone()))?;
        if secret.expose_secret().len() < SHORTEST_SECRET {
            return Err(PeersFault::ShortSecret);
        }
        let identity =
            Identity::try_new(secret.expose_secret()).map_err(|error| PeersFault::Key(error.to_string()))?;
        let _inside = runtime.enter();
        let (far, local) = bound(listen).map_err(|error| PeersFault::Listen { listen, error })?;
        let address = format!("{host}:{}", if port == 0 { local.port() } else { port });
        let (near, near_door) = match directory {
            Some(directory) => Near::listen(&directory, &address, secret.expose_secret())
                .map(|(near, door)| (Some(Arc::new(near)), Some(door)))
                .map_err(|why| PeersFault::Directory { directory, why })?,
            None => (None, None),
        };
        let doors = Doors { far, near: near_door };
        let build = build.map_or(Build::Running, Build::Given);
        // Known before the first connection needs it.
        runtime.spawn(async move {
            if let Err(fault) = build.identity().await {
                tracing::warn!(%fault, "no peer can be asked or answered");
            }
        });
        let server = Arc::new(Server::new(identity.server.into(), near.clone(), build));
        let client = Client::new(identity.client.into(), near, build);
        let (stop, stopped) = watch::channel(false);
        let accepting = runtime.spawn(server.clone().run(doors, stopped));
        let end = accepting.abort_handle();
        let accepting = Mutex::new(Some(accepting));
        Ok(Arc::new(Self { address, local, server, client, stop, accepting, end }))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

#[async_trait]
impl Peers for TcpPeers {
    fn address(&self) -> &str {
        &self.address
    }

    fn ask(&self, address: &str, message: &[u8], hear: Hear) -> Result<(), PeerError> {
        self.client.ask(address, message, hear)
    }

    fn answer_with(&self, answerer: Arc<dyn Answerer>) {
        self.server.answer_with(Some(answerer));
    }

    /// Answers what has come, for at most five seconds; meanwhile others hear that no more is taken, and what this process
    /// has asked may still be answered.
    async fn close(&self) {
        self.client.refuse();
        self.stop.send_replace(true);
        let mut accepting = self.accepting.lock().await;
        if let Some(task) = accepting.as_mut()
            && timeout(CLOSE_WITHIN, task).await.is_err()
        {
            tracing::warn!("some messages of peers are not answered before the stop");
            self.end.abort();
        }
        *accepting = None;
        // Whoever answers may itself hold this.
        self.server.answer_with(None);
        // Connections end in the runtimes that asked, and one of those may not get on.
        let _hung_up = timeout(CLOSE_WITHIN, self.client.hang_up()).await;
    }
}

impl Drop for TcpPeers {
    fn drop(&mut self) {
        self.end.abort();
    }
}

impl std::fmt::Debug for TcpPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpPeers")
            .field("address", &self.address)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

fn bound(listen: SocketAddr) -> std::io::Result<(tokio::net::TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?;
    Ok((tokio::net::TcpListener::from_std(listener)?, local))
}

/// `None` if it is not both. An address of IPv6 stands in brackets, since it has colons of its own.
fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = match bare {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']', '/', ' ']),
    };
    sound.then_some(())?;
    Some((host, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(host_and_port("pod-1.credit:7000"), Some(("pod-1.credit", 7000)));
        assert_eq!(host_and_port("10.0.0.1:0"), Some(("10.0.0.1", 0)));
        assert_eq!(host_and_port("[::1]:7000"), Some(("[::1]", 7000)));
        for wrong in
            ["", "host", ":7000", "host:", "host:x", "host:70000", "::1:7000", "[x]:1", "http://host:1"]
        {
            assert_eq!(host_and_port(wrong), None, "{wrong}");
        }
    }
}
