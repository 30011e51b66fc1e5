//! Asks others: one connection to each, made in the background while nobody waits for it.
//!
//! Each runtime that asks has connections of its own, that live in it: a thread that serves callers by itself writes what
//! it asks and reads the answers without waking another one.

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::peers::{Hear, PeerError};
use foldhash::HashMap;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::{self, Handle};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::fault::Fault;
use super::frames::LONGEST;
use super::hello::{Build, exchange};
use super::near::{Near, Side};
use super::socket::{Wire, socket};

/// So many addresses are known to a runtime at a time.
const ADDRESSES: usize = 64;
/// Not asked for so long, an address may be forgotten for another.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// How long connecting and all that is said first may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long there is at least between two attempts.
const ATTEMPT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Client {
    connector: Connector,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    closed: bool,
    /// Those of each runtime.
    links: HashMap<runtime::Id, Links>,
}

#[derive(Default)]
struct Links {
    all: HashMap<String, Arc<Link>>,
    /// End with this.
    tasks: JoinSet<()>,
}

impl Client {
    pub(super) fn new(tls: TlsConnector, near: Option<Arc<Near>>, build: Build) -> Self {
        Self { connector: Connector { tls, near, build }, known: Mutex::default() }
    }

    /// Gives the message to the connection there is. If there is none the next is under way from now on.
    pub(super) fn ask(&self, address: &str, message: &[u8], hear: Hear) -> Result<(), PeerError> {
        let not_sent = |why: String| Err(PeerError::NotSent(why));
        if message.len() > LONGEST {
            return not_sent(format!("a message has at most {LONGEST} bytes"));
        }
        let here = Handle::current();
        let link = {
            let mut known = self.known.lock();
            if known.closed {
                return not_sent(Fault::Stopping.to_string());
            }
            match known.links.entry(here.id()).or_default().to(address, Instant::now()) {
                Some(link) => link,
                None => return not_sent(format!("{ADDRESSES} others are asked already")),
            }
        };
        match link.connection() {
            Ok(connection) => connection.ask(message, hear),
            Err(fault) => {
                self.connect(&link, &here);
                not_sent(fault.to_string())
            }
        }
    }

    /// Begins to, unless somebody has or it is too early.
    fn connect(&self, link: &Arc<Link>, here: &Handle) {
        let mut known = self.known.lock();
        let mut state = link.state.lock();
        if known.closed || !state.may_connect() {
            return;
        }
        let links = known.links.entry(here.id()).or_default();
        while links.tasks.try_join_next().is_some() {}
        state.phase = Phase::Connecting;
        let task = keep(link.clone(), self.connector.clone());
        state.task = Some(links.tasks.spawn_on(task, here));
    }

    /// Asks nobody from now on.
    pub(super) fn refuse(&self) {
        self.known.lock().closed = true;
    }

    /// Closes all connections; whoever still waits waits in vain.
    pub(super) async fn hang_up(&self) {
        let links = {
            let mut known = self.known.lock();
            known.closed = true;
            std::mem::take(&mut known.links)
        };
        for mut links in links.into_values() {
            links.tasks.shutdown().await;
        }
    }
}

impl Links {
    /// The one to this address, used now; `None` if there are too many.
    fn to(&mut self, address: &str, now: Instant) -> Option<Arc<Link>> {
        if let Some(link) = self.all.get(address) {
            link.state.lock().used = now;
            return Some(link.clone());
        }
        if self.all.len() >= ADDRESSES {
            self.all.retain(|_, link| !link.is_forgotten(now));
        }
        if self.all.len() >= ADDRESSES {
            return None;
        }
        match self.all.entry(address.to_owned()) {
            Entry::Occupied(known) => Some(known.get().clone()),
            Entry::Vacant(place) => Some(place.insert(Arc::new(Link::new(address, now))).clone()),
        }
    }
}

/// What is known of one peer.
struct Link {
    address: String,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Why there is no connection.
    why: Fault,
    /// What was logged last, so that it is not logged again.
    logged: Option<Fault>,
    used: Instant,
    task: Option<AbortHandle>,
}

enum Phase {
    /// And not tried again before.
    Down(Instant),
    Connecting,
    Up(Arc<Connection>),
}

impl State {
    fn may_connect(&self) -> bool {
        matches!(self.phase, Phase::Down(until) if until <= Instant::now())
    }

    /// Whether to log it: not at every attempt that fails as the one before, and not because we stop.
    fn is_news(&mut self, fault: &Fault) -> bool {
        let news = *fault != Fault::Stopping && self.logged.as_ref() != Some(fault);
        if news {
            self.logged = Some(fault.clone());
        }
        news
    }
}

impl Link {
    fn new(address: &str, now: Instant) -> Self {
        let state =
            State { phase: Phase::Down(now), why: Fault::NotYet, logged: None, used: now, task: None };
        Self { address: address.to_owned(), state: Mutex::new(state) }
    }

    /// The one there is, or why there is none.
    fn connection(&self) -> Result<Arc<Connection>, Fault> {
        let state = self.state.lock();
        match &state.phase {
            Phase::Up(connection) => Ok(connection.clone()),
            Phase::Down(_) | Phase::Connecting => Err(state.why.clone()),
        }
    }

    /// Whether it has not been asked for long; then it ends.
    fn is_forgotten(&self, now: Instant) -> bool {
        let state = self.state.lock();
        let forgotten = now.saturating_duration_since(state.used) >= FORGOTTEN_AFTER;
        if forgotten && let Some(task) = &state.task {
            task.abort();
        }
        forgotten
    }

    fn up(&self, connection: Arc<Connection>, is_near: bool) {
        let mut state = self.state.lock();
        state.phase = Phase::Up(connection);
        state.logged = None;
        let by = if is_near { "peers.directory" } else { "TCP" };
        tracing::info!(peer = self.address, by, "a peer can be asked");
    }

    fn down(&self, fault: &Fault, until: Instant) {
        let before = {
            let mut state = self.state.lock();
            if state.is_news(fault) {
                tracing::warn!(peer = self.address, %fault, "a peer cannot be asked; what it would do is done here");
            }
            state.why = fault.clone();
            std::mem::replace(&mut state.phase, Phase::Down(until))
        };
        if let Phase::Up(connection) = before {
            connection.end(fault);
        }
    }
}

/// Connects once, and keeps the connection until it ends.
async fn keep(link: Arc<Link>, connector: Connector) {
    let mut attempt = Attempt { link, fault: Fault::Stopping, begun: Instant::now() };
    let stream = timeout(CONNECT_WITHIN, connector.connect(&attempt.link.address)).await;
    attempt.fault = match stream.unwrap_or(Err(Fault::Slow)) {
        Ok(wire) => talk(&attempt.link, wire).await,
        Err(fault) => {
            attempt.begun = Instant::now();
            fault
        }
    };
}

/// However it ends, also if it is aborted: nobody is left waiting.
struct Attempt {
    link: Arc<Link>,
    fault: Fault,
    begun: Instant,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // One that ends as soon as it has begun is not made again and again either.
        self.link.down(&self.fault, self.begun + ATTEMPT_EVERY);
    }
}

async fn talk(link: &Link, wire: Wire) -> Fault {
    let connection = Arc::new(Connection::new());
    let mut writing = connection.write(wire.to);
    link.up(connection.clone(), wire.is_near);
    let fault = tokio::select! {
        fault = connection.listen(wire.from) => fault,
        written = writing.join_next() => match written {
            Some(Ok(Err(error))) => Fault::of(&error),
            _ => Fault::Closed,
        },
    };
    // From now on nothing more is taken out of the outbox, so that what is in it was not sent.
    writing.shutdown().await;
    fault
}

#[derive(Clone)]
struct Connector {
    tls: TlsConnector,
    near: Option<Arc<Near>>,
    build: Build,
}

impl Connector {
    async fn connect(&self, address: &str) -> Result<Wire, Fault> {
        let build = self.build.identity().await?;
        if let Some(near) = &self.near
            && let Some(mut stream) = near.connect(address).await
        {
            near.prove(&mut stream, Side::Asks).await?;
            exchange(&mut stream, build).await?;
            return Ok(Wire::near(stream));
        }
        let unreachable = |error: std::io::Error| Fault::Unreachable(error.to_string());
        let stream = socket(TcpStream::connect(address).await.map_err(unreachable)?).map_err(unreachable)?;
        // Whom one speaks to is told by the key. A name is asked for and not used.
        let name = ServerName::try_from("peer").map_err(|_| Fault::Stranger)?;
        let mut stream = self.tls.connect(name, stream).await.map_err(|error| Fault::of(&error))?;
        exchange(&mut stream, build).await?;
        Ok(Wire::far(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_forgotten_only_for_another_and_only_after_long() {
        let (mut links, now) = (Links::default(), Instant::now());
        for number in 0..ADDRESSES {
            assert!(links.to(&format!("peer-{number}:1"), now).is_some());
        }
        assert!(links.to("one-more:1", now).is_none());
        let later = now + FORGOTTEN_AFTER;
        assert!(links.to("peer-7:1", later).is_some());
        assert_eq!(links.all.len(), ADDRESSES);
        assert!(links.to("one-more:1", later).is_some());
        let mut left: Vec<&str> = links.all.keys().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["one-more:1", "peer-7:1"]);
    }

    #[test]
    fn what_keeps_a_peer_from_being_asked_is_logged_once() {
        let link = Link::new("peer:1", Instant::now());
        let news = |fault: Fault| link.state.lock().is_news(&fault);
        assert!(news(Fault::Build) && !news(Fault::Build) && !news(Fault::Stopping));
        assert!(news(Fault::Slow) && news(Fault::Build));
        link.up(Arc::new(Connection::new()), false);
        assert!(news(Fault::Build));
    }
}
