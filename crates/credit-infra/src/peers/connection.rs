//! One connection to a peer: what has been asked on it and waits for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use credit_core::ports::peers::PeerError;
use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::io::AsyncRead;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::fault::Fault;
use super::frames::{FAILED, Frame, PING, Queued, REFUSED, Reader};

/// So many messages wait for their answers at once. One that nobody waits for any more counts until its answer comes, since
/// the peer is still at it.
const IN_FLIGHT: usize = 8_192;
/// So many bytes wait to be written at once.
const QUEUED_BYTES: usize = 64 * 1024 * 1024;
/// How often it is looked whether the peer lives.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so many looks in a row at which nothing had come although something was waited for, it does not: two seconds. Looks
/// are counted, and not time, so that a pause of this process is not taken for one of the peer's.
const SILENT_LOOKS: u32 = 4;
/// After so many looks at which nothing was waited for it is asked all the same: ten seconds. Servers hang up on those who
/// say nothing for long, and a connection that has died quietly is found before somebody needs it.
const IDLE_LOOKS: u32 = 20;

/// The answer, or why there will be none.
pub(super) type Answered = oneshot::Receiver<Result<Bytes, PeerError>>;

pub(super) struct Connection {
    queue: UnboundedSender<Message>,
    flight: Arc<Flight>,
}

/// What has been asked.
#[derive(Default)]
struct Flight {
    waiting: Mutex<Waiting>,
    queued_bytes: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    ended: Option<Fault>,
    last: u64,
    all: HashMap<u64, oneshot::Sender<Result<Bytes, PeerError>>>,
}

impl Connection {
    /// One, and what is to be written on it.
    pub(super) fn new() -> (Self, UnboundedReceiver<Message>) {
        let (queue, queued) = unbounded_channel();
        (Self { queue, flight: Arc::default() }, queued)
    }

    /// Asks, and does not wait for anything.
    pub(super) fn ask(&self, payload: Bytes) -> Result<Answered, PeerError> {
        let (tell, answered) = oneshot::channel();
        let number = {
            let mut waiting = self.flight.waiting.lock();
            if let Some(fault) = &waiting.ended {
                return Err(PeerError::NotSent(fault.to_string()));
            }
            if waiting.all.len() >= IN_FLIGHT {
                return Err(PeerError::NotSent("too many messages wait for its answers".to_owned()));
            }
            if self.flight.queued_bytes.load(Ordering::Relaxed) > QUEUED_BYTES {
                return Err(PeerError::NotSent("too many messages wait to be written".to_owned()));
            }
            waiting.last += 1;
            let number = waiting.last;
            waiting.all.insert(number, tell);
            number
        };
        self.send(number, payload);
        Ok(answered)
    }

    fn send(&self, number: u64, payload: Bytes) {
        let length = payload.len();
        self.flight.queued_bytes.fetch_add(length, Ordering::Relaxed);
        let message = Message { number, payload, length, taken: false, flight: self.flight.clone() };
        // A queue that has ended gives it back, and that it is dropped then tells whoever waits.
        let _ended = self.queue.send(message);
    }

    /// Brings answers to those who wait, and looks whether the peer lives, until it does not or says what makes no sense.
    pub(super) async fn listen(&self, from: impl AsyncRead + Unpin) -> Fault {
        let mut reader = Reader::new(from);
        let mut life = Life::default();
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                more = reader.more() => match more {
                    Ok(true) => life.heard = true,
                    Ok(false) => return Fault::Closed,
                    Err(error) => return Fault::of(&error),
                },
                _ = looks.tick() => match life.look(self.flight.is_waiting()) {
                    Look::Well => {}
                    Look::Ask => self.send(PING, Bytes::new()),
                    Look::Dead => return Fault::Silent,
                },
            }
            loop {
                match reader.next() {
                    Ok(Some(frame)) => {
                        if !self.flight.answered(frame) {
                            return Fault::Stranger;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return Fault::of(&error),
                }
            }
        }
    }

    /// Nothing more is asked, and whoever waits waits in vain.
    pub(super) fn end(&self, fault: &Fault) {
        let all = {
            let mut waiting = self.flight.waiting.lock();
            waiting.ended = Some(fault.clone());
            std::mem::take(&mut waiting.all)
        };
        for tell in all.into_values() {
            // Whoever has given up waiting does not hear it.
            let _heard = tell.send(Err(PeerError::NoAnswer(fault.to_string())));
        }
    }
}

impl Flight {
    fn is_waiting(&self) -> bool {
        !self.waiting.lock().all.is_empty()
    }

    /// `false`: nobody has asked that.
    fn answered(&self, frame: Frame) -> bool {
        let Frame { number, payload } = frame;
        if number == PING {
            return true;
        }
        let answer = if number & FAILED != 0 {
            Err(PeerError::NoAnswer("it failed on this message".to_owned()))
        } else if number & REFUSED != 0 {
            Err(PeerError::NotSent("it takes no more messages".to_owned()))
        } else {
            Ok(payload)
        };
        self.tell(number & !(FAILED | REFUSED), answer)
    }

    fn tell(&self, number: u64, answer: Result<Bytes, PeerError>) -> bool {
        let tell = self.waiting.lock().all.remove(&number);
        let known = tell.is_some();
        if let Some(tell) = tell {
            let _heard = tell.send(answer);
        }
        known
    }
}

/// A message in the queue. Dropped before it is taken, it has not been sent.
pub(super) struct Message {
    number: u64,
    payload: Bytes,
    length: usize,
    taken: bool,
    flight: Arc<Flight>,
}

impl Queued for Message {
    fn take(&mut self) -> Frame {
        self.taken = true;
        Frame { number: self.number, payload: std::mem::take(&mut self.payload) }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        self.flight.queued_bytes.fetch_sub(self.length, Ordering::Relaxed);
        if !self.taken {
            self.flight.tell(self.number, Err(PeerError::NotSent(Fault::Closed.to_string())));
        }
    }
}

/// Whether a peer lives, by what is heard of it.
#[derive(Default)]
struct Life {
    heard: bool,
    asked: bool,
    silent: u32,
    idle: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Look {
    Well,
    Ask,
    Dead,
}

impl Life {
    fn look(&mut self, waiting: bool) -> Look {
        let heard = std::mem::take(&mut self.heard);
        if heard {
            self.asked = false;
        }
        if !waiting && !self.asked {
            self.silent = 0;
            self.idle += 1;
            if self.idle < IDLE_LOOKS {
                return Look::Well;
            }
        } else if heard {
            self.silent = 0;
        } else {
            self.silent += 1;
        }
        // The first of them may have come right after the message.
        if self.silent > SILENT_LOOKS {
            return Look::Dead;
        }
        self.idle = 0;
        self.asked = true;
        Look::Ask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(life: &mut Life, waiting: bool, count: u32) -> Vec<Look> {
        (0..count).map(|_| life.look(waiting)).collect()
    }

    #[test]
    fn silence_is_death_only_if_something_is_waited_for() {
        let mut life = Life::default();
        assert_eq!(looks(&mut life, false, 19), [(); 19].map(|()| Look::Well));
        assert_eq!(looks(&mut life, true, 5), [Look::Ask, Look::Ask, Look::Ask, Look::Ask, Look::Dead]);
    }

    #[test]
    fn any_byte_is_life() {
        let mut life = Life::default();
        for _ in 0..100 {
            assert_eq!(looks(&mut life, true, 4), [(); 4].map(|()| Look::Ask));
            life.heard = true;
            assert_eq!(life.look(true), Look::Ask);
        }
    }

    #[test]
    fn who_is_not_needed_is_asked_now_and_then_and_has_to_answer_too() {
        let mut life = Life::default();
        for _ in 0..3 {
            assert_eq!(looks(&mut life, false, 19), [(); 19].map(|()| Look::Well));
            assert_eq!(life.look(false), Look::Ask);
            life.heard = true;
        }
        let mut last = looks(&mut life, false, 25);
        assert_eq!(last.pop(), Some(Look::Dead));
        assert!(!last.contains(&Look::Dead), "{last:?}");
    }

    #[tokio::test]
    async fn what_is_still_in_the_queue_when_it_ends_was_not_sent() {
        let (connection, mut queued) = Connection::new();
        let first = connection.ask(Bytes::from_static(b"first")).expect("room");
        let second = connection.ask(Bytes::from_static(b"second")).expect("room");
        let mut taken = queued.recv().await.expect("the first");
        assert_eq!(taken.take().payload, "first");
        drop((taken, queued));
        connection.end(&Fault::Silent);
        assert_eq!(first.await.expect("told"), Err(PeerError::NoAnswer("it is silent".to_owned())));
        assert_eq!(
            second.await.expect("told"),
            Err(PeerError::NotSent("it closed the connection".to_owned()))
        );
        assert!(matches!(connection.ask(Bytes::new()), Err(PeerError::NotSent(_))));
    }

    #[tokio::test]
    async fn more_bytes_than_may_wait_are_not_sent() {
        let (connection, mut queued) = Connection::new();
        let large = Bytes::from(vec![0; QUEUED_BYTES / 4]);
        let waiting: Vec<Answered> = (0..5).map(|_| connection.ask(large.clone()).expect("room")).collect();
        let refused = connection.ask(Bytes::from_static(b"small")).expect_err("no room");
        assert_eq!(refused, PeerError::NotSent("too many messages wait to be written".to_owned()));
        drop(queued.recv().await);
        connection.ask(Bytes::from_static(b"small")).expect("room again");
        drop((waiting, queued));
    }
}
