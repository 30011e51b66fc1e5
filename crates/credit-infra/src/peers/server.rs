//! Lets others in and answers them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use credit_core::ports::peers::{Answerer, Reply};
use parking_lot::{Mutex, RwLock};
use tokio::io::ReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::Fault;
use super::frames::{FAILED, Frame, PING, Queued, REFUSED, Reader, write};
use super::hello::{Build, exchange};
use super::socket::{Socket, socket};

/// So many connections at a time: one for each thread of each other process, and a deployment has far fewer.
const CONNECTIONS: usize = 256;
/// So many who have not shown yet that they know the secret. The next one takes the place of the one who has been at it
/// for the longest: a peer is through in milliseconds, and whoever says nothing keeps nobody out.
const ENTERING: usize = 32;
/// How long one may take to show it.
const ENTER_WITHIN: Duration = Duration::from_secs(5);
/// So many messages of one connection are worked on at once; beyond that nothing is read.
const IN_WORK: u16 = 8_192;
/// A client says something more often, also if it has nothing to ask.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// How long the other side may take to hang up after us.
const LINGER: Duration = Duration::from_millis(250);
/// A handshake costs more than to ask for one does: strangers get so few of them that nobody else notices.
const BETWEEN: Duration = Duration::from_millis(5);
/// How long to wait when the operating system gives out no connections.
const PAUSE: Duration = Duration::from_millis(100);

type Incoming = Reader<ReadHalf<TlsStream<Socket>>>;

pub(super) struct Server {
    tls: TlsAcceptor,
    build: Build,
    answerer: RwLock<Option<Arc<dyn Answerer>>>,
    connections: Arc<Semaphore>,
    /// Whether the last one was sent away, which is logged once.
    full: AtomicBool,
    entering: Mutex<VecDeque<(u64, AbortHandle)>>,
}

impl Server {
    pub(super) fn new(tls: TlsAcceptor, build: Build) -> Self {
        Self {
            tls,
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
    pub(super) async fn run(self: Arc<Self>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
        let mut visits = JoinSet::new();
        let mut failing = false;
        for number in 0_u64.. {
            let accepted = loop {
                tokio::select! {
                    biased;
                    () = told(&mut stop) => break None,
                    Some(_ended) = visits.join_next() => {}
                    accepted = listener.accept() => break Some(accepted),
                }
            };
            match accepted {
                None => break,
                Some(Ok((stream, _))) => {
                    failing = false;
                    self.let_in(number, stream, &mut visits, &stop);
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
        drop(listener);
        while visits.join_next().await.is_some() {}
    }

    fn let_in(
        self: &Arc<Self>,
        number: u64,
        stream: TcpStream,
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
        let visit = visits.spawn(self.clone().visit(stream, entry, stop.clone()));
        entering.push_back((number, visit));
    }

    async fn visit(self: Arc<Self>, stream: TcpStream, entry: Entry, mut stop: watch::Receiver<bool>) {
        let entered = tokio::select! {
            biased;
            () = told(&mut stop) => return,
            entered = timeout(ENTER_WITHIN, self.enter(stream)) => entered.unwrap_or(Err(Fault::Slow)),
        };
        drop(entry);
        match entered {
            Ok(stream) => {
                if let Ok(place) = self.connections.clone().try_acquire_owned() {
                    self.full.store(false, Ordering::Relaxed);
                    Visit::new(self).receive(stream, stop, place).await;
                } else if !self.full.swap(true, Ordering::Relaxed) {
                    tracing::warn!(CONNECTIONS, "peers are sent away: there are too many");
                }
            }
            Err(fault) => tracing::debug!(%fault, "somebody is not let in as a peer"),
        }
    }

    async fn enter(&self, stream: TcpStream) -> Result<TlsStream<Socket>, Fault> {
        let stream = socket(stream).map_err(|error| Fault::of(&error))?;
        let mut stream = self.tls.accept(stream).await.map_err(|error| Fault::of(&error))?;
        exchange(&mut stream, self.build.identity().await?).await?;
        Ok(stream)
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
    /// Each message holds one until its answer is written, or dropped.
    places: Arc<Semaphore>,
    pinged: Arc<AtomicBool>,
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
        let places = Arc::new(Semaphore::new(IN_WORK.into()));
        Self { server, places, pinged: Arc::default() }
    }

    async fn receive(
        self,
        stream: TlsStream<Socket>,
        mut stop: watch::Receiver<bool>,
        place: OwnedSemaphorePermit,
    ) {
        let (from, to) = tokio::io::split(stream);
        let mut reader = Reader::new(from);
        let (answers, queue) = unbounded_channel();
        // Ends with this, whatever ends this.
        let mut writing = JoinSet::new();
        writing.spawn(write(queue, to));
        let end = tokio::select! {
            end = self.read(&mut reader, &answers, &mut stop) => end,
            // It takes no more answers.
            _ = writing.join_next() => End::Gone,
        };
        drop(answers);
        if end == End::Answered {
            // The queue ends here, since nobody is left to answer. To close with something unread would take from the other
            // side what it has not read either.
            let _written = writing.join_next().await;
            let hung_up = async { while let Ok(true) = reader.discard().await {} };
            let _hung_up = timeout(LINGER, hung_up).await;
        }
        drop((writing, reader, place));
        // What has come is done to its end, although nobody hears of it any more.
        self.all_answered().await;
    }

    async fn all_answered(&self) {
        // Never closed.
        let _all = self.places.acquire_many(IN_WORK.into()).await;
    }

    async fn read(
        &self,
        reader: &mut Incoming,
        answers: &UnboundedSender<Answer>,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        let mut stopping = false;
        loop {
            loop {
                match reader.next() {
                    Ok(Some(message)) => self.take(message, answers, stopping).await,
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
                () = self.all_answered(), if stopping => return End::Answered,
                more = timeout(SILENT_FOR, reader.more()) => if !matches!(more, Ok(Ok(true))) {
                    return End::Gone;
                }
            }
        }
    }

    /// While we are stopping the other side still hears that we live and that we take nothing more; so it can wait for the
    /// answers that are to come, and needs to wait for nothing else.
    async fn take(&self, message: Frame, answers: &UnboundedSender<Answer>, stopping: bool) {
        let Frame { number, payload } = message;
        // That the queue is gone is told where it was.
        if number == PING {
            // However many there are, one answer at a time is enough.
            if !self.pinged.swap(true, Ordering::AcqRel) {
                let _gone = answers.send(Answer::life(self.pinged.clone()));
            }
            return;
        }
        let answerer = self.server.answerer.read().clone().filter(|_| !stopping);
        let Some(answerer) = answerer else {
            let _gone = answers.send(Answer::nothing(number | REFUSED));
            return;
        };
        let place = self.places.clone().acquire_owned().await.ok();
        let back = Back { number, place, answers: answers.clone() };
        answerer.take(payload, Reply::new(|answer| back.bring(answer)));
    }
}

/// The answer that is to come to one message. If it does not come, because whoever makes it panics, that is said.
struct Back {
    number: u64,
    place: Option<OwnedSemaphorePermit>,
    answers: UnboundedSender<Answer>,
}

impl Back {
    fn bring(mut self, payload: Bytes) {
        // Said to have failed otherwise.
        if payload.len() <= super::frames::LONGEST {
            let place = self.place.take();
            let _gone =
                self.answers.send(Answer { number: self.number, payload, _place: place, pinged: None });
        } else {
            tracing::warn!(bytes = payload.len(), "an answer to a peer is too long");
        }
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            let number = self.number | FAILED;
            let answer = Answer { number, payload: Bytes::new(), _place: Some(place), pinged: None };
            let _gone = self.answers.send(answer);
        }
    }
}

/// Holds its place among the messages in work until it is written.
struct Answer {
    number: u64,
    payload: Bytes,
    _place: Option<OwnedSemaphorePermit>,
    pinged: Option<Arc<AtomicBool>>,
}

impl Answer {
    fn nothing(number: u64) -> Self {
        Self { number, payload: Bytes::new(), _place: None, pinged: None }
    }

    fn life(pinged: Arc<AtomicBool>) -> Self {
        Self { pinged: Some(pinged), ..Self::nothing(PING) }
    }
}

impl Queued for Answer {
    fn take(&mut self) -> Frame {
        if let Some(pinged) = &self.pinged {
            pinged.store(false, Ordering::Release);
        }
        Frame { number: self.number, payload: std::mem::take(&mut self.payload) }
    }
}
