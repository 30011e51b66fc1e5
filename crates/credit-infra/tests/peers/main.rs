//! Processes that ask each other over real connections, and whoever else is on the network.

mod asking;
mod breaking;
mod closing;
mod near;
mod raw;
mod strangers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::peers::{Answerer, Hear, PeerError, Peers, Reply};
use credit_infra::peers::{PeersSettings, TcpPeers};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

const SECRET: &str = "a secret that only the tests know";
const OTHER_SECRET: &str = "a secret that somebody else made up";
const BUILD: [u8; 32] = [1; 32];
/// Patient: that a machine is slow is not what is tested here.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings(secret: &str) -> PeersSettings {
    PeersSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        advertise: "127.0.0.1:0".to_owned(),
        directory: None,
        secret: secret.as_bytes().to_vec().into(),
        runtime: Handle::current(),
        build: Some(BUILD),
    }
}

/// One that asks, and is not asked.
fn asker() -> Arc<TcpPeers> {
    TcpPeers::start(settings(SECRET)).expect("a free port")
}

fn answering(answers: Arc<dyn Answers>) -> Arc<TcpPeers> {
    let peers = asker();
    peers.answer_with(each(answers));
    peers
}

/// Answers in its own time.
#[async_trait]
trait Answers: Send + Sync + 'static {
    async fn answer(&self, message: Bytes) -> Bytes;
}

/// Answers each message in a task of its own.
struct Each(Arc<dyn Answers>);

impl Answerer for Each {
    fn take(&self, message: &[u8], reply: Reply) {
        let (answers, message) = (self.0.clone(), Bytes::copy_from_slice(message));
        tokio::spawn(async move { reply.give(&[&answers.answer(message).await]) });
    }
}

fn each(answers: Arc<dyn Answers>) -> Arc<dyn Answerer> {
    Arc::new(Each(answers))
}

/// Answers with what it is asked, when it may.
struct Echo {
    asked: AtomicUsize,
    done: AtomicUsize,
    may: Semaphore,
}

impl Echo {
    /// At once.
    fn new() -> Arc<Self> {
        Self::held(usize::MAX >> 4)
    }

    /// So many, and the others when permits are added.
    fn held(at_once: usize) -> Arc<Self> {
        Arc::new(Self { asked: AtomicUsize::new(0), done: AtomicUsize::new(0), may: Semaphore::new(at_once) })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }

    async fn asked_for(&self, count: usize) {
        until("it is asked", || self.asked() >= count).await;
    }
}

#[async_trait]
impl Answers for Echo {
    async fn answer(&self, message: Bytes) -> Bytes {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.may.acquire().await.expect("never closed").forget();
        self.done.fetch_add(1, Ordering::SeqCst);
        message
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Asks, and waits for the answer.
async fn ask(peers: &TcpPeers, address: &str, message: &[u8]) -> Result<Bytes, PeerError> {
    let (tell, told) = oneshot::channel();
    let hear = Hear::new(|answer| {
        let _gone = tell.send(answer.map(Bytes::copy_from_slice));
    });
    peers.ask(address, message, hear)?;
    told.await.expect("whoever hears is told")
}

/// Asks until there is a connection and it is answered.
async fn answered(peers: &TcpPeers, address: &str, message: &'static str) -> Bytes {
    let begun = Instant::now();
    loop {
        match ask(peers, address, message.as_bytes()).await {
            Ok(answer) => return answer,
            Err(PeerError::NotSent(why)) => assert!(begun.elapsed() < PATIENCE, "never sent: {why}"),
            Err(error) => panic!("{error}"),
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Asks again and again until it is not sent for this reason. It is sent never.
async fn not_sent_since(peers: &TcpPeers, address: &str, reason: &str) {
    let begun = Instant::now();
    loop {
        match ask(peers, address, b"never").await {
            Err(PeerError::NotSent(why)) if why.contains(reason) => return,
            Err(PeerError::NotSent(why)) => {
                assert!(begun.elapsed() < PATIENCE, "{why:?} in place of {reason:?}");
            }
            other => panic!("{other:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Asks in the background; there has to be a connection.
fn asking(
    peers: &Arc<TcpPeers>,
    address: &str,
    message: &'static str,
) -> tokio::task::JoinHandle<Result<Bytes, PeerError>> {
    let (peers, address) = (peers.clone(), address.to_owned());
    tokio::spawn(async move { ask(&peers, &address, message.as_bytes()).await })
}
