//! Lets others in and answers them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use credit_core::ports::peers::{Answerer, Reply};
use parking_lot::{Mutex, RwLock};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::fault::Fault;
use super::frames::{FAILED, LONGEST, Outbox, PING, REFUSED, Reader, write};
use super::hello::{Build, exchange};
use super::near::{Near, Side};
use super::socket::{Incoming, Wire, socket};

/// So many connections at a time: one for each thread of each other process, and a deployment has far fewer.
const CONNECTIONS: usize = 256;
/// So many who have not shown yet that they know the secret. The next one takes the place of the one who has been at it
/// for the longest: a peer is through in milliseconds, and whoever says nothing keeps nobody out.
const ENTERING: usize = 32;
/// How long one may take to show it.
const ENTER_WITHIN: Duration = Duration::from_secs(5);
/// So many messages of one connection are worked on at once; beyond that nothing is read. Some more than a peer asks at a
/// time, so that whoever asks whether we live is answered also then.
const IN_WORK: u16 = 8_192 + 64;
/// A client says something more often, also if it has nothing to ask.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// How long the other side may take to hang up after us.
const LINGER: Duration = Duration::from_millis(250);
/// A handshake costs more than to ask for one does: strangers get so few of them that nobody else notices.
const BETWEEN: Duration = Duration::from_millis(5);
/// How long to wait when the operating system gives out no connections.
const PAUSE: Duration = Duration::from_millis(100);

/// Where others come in.
pub(super) struct Doors {
    pub(super) far: TcpListener,
    pub(super) near: Option<UnixListener>,
}

impl Doors {
    async fn accept(&self) -> std::io::Result<Arrival> {
        let near = async {
            match &self.near {
                Some(near) => near.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            near = near => near.map(|(stream, _)| Arrival::Near(stream)),
            far = self.far.accept() => far.map(|(stream, _)| Arrival::Far(stream)),
        }
    }
}

/// Somebody at the door, who has shown nothing yet.
enum Arrival {
    Far(TcpStream),
    Near(UnixStream),
}

pub(super) struct Server {
    tls: TlsAcceptor,
    near: Option<Arc<Near>>,
    build: Build,
    answerer: RwLock<Option<Arc<dyn Answerer>>>,
    connections: Arc<Semaphore>,
    /// Whether the last one was sent away, which is logged once.
    full: AtomicBool,
    entering: Mutex<VecDeque<(u64, AbortHandle)>>,
}

impl Server {
    pub(super) fn new(tls: TlsAcceptor, near: Option<Arc<Near>>, build: Build) -> Self {
        Self {
            tls,
            near,
            build,
            answerer: RwLock::default(),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            full: AtomicBool::new(false),
            entering: Mutex::default(),
        }
    }

    pub(super) fn answer_with(&self, answerer: Option<Arc<dyn Answerer>>) {
        *self.answerer.write() = answerer;
    }

    /// Accepts until it is told to stop, and then waits until all who are in have been answered. All that it has begun ends
    /// with it if it is aborted.
    pub(super) async fn run(self: Arc<Self>, doors: Doors, mut stop: watch::Receiver<bool>) {
        let mut visits = JoinSet::new();
        let mut failing = false;
        for number in 0_u64.. {
            let accepted = loop {
                tokio::select! {
                    biased;
                    () = told(&mut stop) => break None,
                    Some(_ended) = visits.join_next() => {}
                    accepted = doors.accept() => break Some(accepted),
                }
            };
            match accepted {
                None => break,
                Some(Ok(arrival)) => {
                    failing = false;
                    self.let_in(number, arrival, &mut visits, &stop);
                    sleep(BETWEEN).await;
                }
                Some(Err(error)) => {
                    if !failing {
                        tracing::warn!(%error, "no connections of peers are accepted; it is tried again");
                    }
                    failing = true;
                    sleep(PAUSE).await;
                }
            }
        }
        // While it is listened on, its socket is told from the one of whoever comes after us.
        if let Some(near) = &self.near {
            near.leave();
        }
        drop(doors);
        while visits.join_next().await.is_some() {}
    }

    fn let_in(
        self: &Arc<Self>,
        number: u64,
        arrival: Arrival,
        visits: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) {
        // Nobody could answer it.
        if self.answerer.read().is_none() {
            return;
        }
        let mut entering = self.entering.lock();
        if entering.len() >= ENTERING
            && let Some((_, oldest)) = entering.pop_front()
        {
            oldest.abort();
        }
        // Locked until it is in the list, so that it is not taken out of it before.
        let entry = Entry { server: self.clone(), number };
        let visit = visits.spawn(self.clone().visit(arrival, entry, stop.clone()));
        entering.push_back((number, visit));
    }

    async fn visit(self: Arc<Self>, arrival: Arrival, entry: Entry, mut stop: watch::Receiver<bool>) {
        let entered = tokio::select! {
            biased;
            () = told(&mut stop) => return,
            entered = timeout(ENTER_WITHIN, self.enter(arrival)) => entered.unwrap_or(Err(Fault::Slow)),
        };
        drop(entry);
        match entered {
            Ok(wire) => {
                if let Ok(place) = self.connections.clone().try_acquire_owned() {
                    self.full.store(false, Ordering::Relaxed);
                    Visit::new(self).receive(wire, stop, place).await;
                } else if !self.full.swap(true, Ordering::Relaxed) {
                    tracing::warn!(CONNECTIONS, "peers are sent away: there are too many");
                }
            }
            Err(fault) => tracing::debug!(%fault, "somebody is not let in as a peer"),
        }
    }

    async fn enter(&self, arrival: Arrival) -> Result<Wire, Fault> {
        let build = self.build.identity().await?;
        match (arrival, &self.near) {
            (Arrival::Near(mut stream), Some(near)) if near.is_ours(&stream) => {
                near.prove(&mut stream, Side::Answers).await?;
                exchange(&mut stream, build).await?;
                Ok(Wire::near(stream))
            }
            (Arrival::Near(_), _) => Err(Fault::Stranger),
            (Arrival::Far(stream), _) => {
                let stream = socket(stream).map_err(|error| Fault::of(&error))?;
                let mut stream = self.tls.accept(stream).await.map_err(|error| Fault::of(&error))?;
                exchange(&mut stream, build).await?;
                Ok(Wire::far(stream))
            }
        }
    }
}

/// A place among those who are entering.
struct Entry {
    server: Arc<Server>,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.server.entering.lock().retain(|(number, _)| *number != self.number);
    }
}

/// Waits until it is told, also if whoever would tell is gone.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _gone = stop.wait_for(|told| *told).await;
}

/// One peer that is in.
struct Visit {
    server: Arc<Server>,
    desk: Arc<Desk>,
}

/// What answers go through, and how many messages are in work: each has a place until its answer is written, or cannot be.
struct Desk {
    outbox: Outbox,
    places: Semaphore,
}

impl Desk {
    /// `number` has a place.
    fn answer(&self, number: u64, parts: &[&[u8]]) {
        if !self.outbox.put(number, parts) {
            self.places.add_permits(1);
        }
    }

    /// Waits until all that has come is answered.
    async fn all_answered(&self) {
        // Never closed.
        let _all = self.places.acquire_many(IN_WORK.into()).await;
    }
}

/// However writing ends: what is not written then never will be.
struct Closes(Arc<Desk>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.places.add_permits(self.0.outbox.abandon().unwritten);
    }
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The other side is gone, or may as well be.
    Gone,
    /// We are stopping, and all that has come is answered.
    Answered,
}

impl Visit {
    fn new(server: Arc<Server>) -> Self {
        let desk = Desk { outbox: Outbox::default(), places: Semaphore::new(IN_WORK.into()) };
        Self { server, desk: Arc::new(desk) }
    }

    async fn receive(self, wire: Wire, mut stop: watch::Receiver<bool>, place: OwnedSemaphorePermit) {
        let Wire { from, to, .. } = wire;
        let mut reader = Reader::new(from);
        // Ends with this, whatever ends this.
        let mut writing = JoinSet::new();
        let closes = Closes(self.desk.clone());
        writing.spawn(async move {
            let desk = &closes.0;
            write(&desk.outbox, to, |frames| desk.places.add_permits(frames)).await
        });
        let end = tokio::select! {
            end = self.read(&mut reader, &mut stop) => end,
            // It takes no more answers.
            _ = writing.join_next() => End::Gone,
        };
        if end == End::Answered {
            self.desk.outbox.close();
            let _written = writing.join_next().await;
            // To close with something unread would take from the other side what it has not read either.
            let hung_up = async { while let Ok(true) = reader.discard().await {} };
            let _hung_up = timeout(LINGER, hung_up).await;
        }
        drop((writing, reader, place));
        // What has come is done to its end, although nobody hears of it any more.
        self.desk.all_answered().await;
    }

    async fn read(&self, reader: &mut Reader<Incoming>, stop: &mut watch::Receiver<bool>) -> End {
        let mut stopping = false;
        loop {
            loop {
                match reader.next() {
                    Ok(Some((number, message))) => self.take(number, message, stopping).await,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "a peer is sent away");
                        return End::Gone;
                    }
                }
            }
            tokio::select! {
                biased;
                () = told(stop), if !stopping => stopping = true,
                () = self.desk.all_answered(), if stopping => return End::Answered,
                more = timeout(SILENT_FOR, reader.more()) => if !matches!(more, Ok(Ok(true))) {
                    return End::Gone;
                }
            }
        }
    }

    /// While we are stopping the other side still hears that we live and that we take nothing more; so it can wait for the
    /// answers that are to come, and needs to wait for nothing else.
    async fn take(&self, number: u64, message: &[u8], stopping: bool) {
        // Never closed. Also for "I live", so that there is an end to what is answered to those.
        if let Ok(place) = self.desk.places.acquire().await {
            place.forget();
        }
        if number == PING {
            return self.desk.answer(PING, &[]);
        }
        let answerer = self.server.answerer.read().clone().filter(|_| !stopping);
        let Some(answerer) = answerer else { return self.desk.answer(number | REFUSED, &[]) };
        let back = Back { number, desk: Some(self.desk.clone()) };
        answerer.take(message, Reply::new(|answer| back.bring(answer)));
    }
}

/// The answer that is to come to one message. If it does not come, because whoever makes it panics, that is said.
struct Back {
    number: u64,
    desk: Option<Arc<Desk>>,
}

impl Back {
    fn bring(mut self, answer: &[&[u8]]) {
        let length = answer.iter().map(|part| part.len()).sum::<usize>();
        if length > LONGEST {
            tracing::warn!(bytes = length, "an answer to a peer is too long");
        } else if let Some(desk) = self.desk.take() {
            desk.answer(self.number, answer);
        }
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        if let Some(desk) = self.desk.take() {
            desk.answer(self.number | FAILED, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_place_is_given_back_once_whatever_becomes_of_the_answer() {
        let desk = Arc::new(Desk { outbox: Outbox::default(), places: Semaphore::new(IN_WORK.into()) });
        let take = |number| {
            desk.places.try_acquire().expect("a place").forget();
            Back { number, desk: Some(desk.clone()) }
        };
        let free = || usize::from(IN_WORK) - desk.places.available_permits();
        let (written, failed, waits, late) = (take(1), take(2), take(3), take(4));
        assert_eq!(free(), 4);
        let (here, there) = tokio::io::duplex(1000);
        let closes = Closes(desk.clone());
        let writing = tokio::spawn(async move {
            let desk = &closes.0;
            write(&desk.outbox, here, |frames| desk.places.add_permits(frames)).await
        });
        written.bring(&[b"an", b"swer"]);
        drop(failed);
        let mut reader = Reader::new(there);
        let mut heard = Vec::new();
        while heard.len() < 2 {
            assert!(reader.more().await.expect("a stream"));
            while let Some((number, answer)) = reader.next().expect("frames") {
                heard.push((number, answer.to_vec()));
            }
        }
        assert_eq!(heard, [(1, b"answer".to_vec()), (2 | FAILED, Vec::new())]);
        assert_eq!(free(), 2, "what waits has its place");
        // Nobody writes any more, before and after the answer is there.
        waits.bring(&[b"in the outbox"]);
        writing.abort();
        assert!(writing.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(free(), 1);
        late.bring(&[b"too late"]);
        assert_eq!(free(), 0);
    }
}
