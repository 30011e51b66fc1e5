//! One connection to a peer: what has been asked on it and waits for its answer.

use std::sync::Arc;
use std::time::Duration;

use credit_core::ports::peers::{Hear, PeerError};
use foldhash::HashMap;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::fault::Fault;
use super::frames::{FAILED, Outbox, PING, REFUSED, Reader, write};

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

pub(super) struct Connection {
    outbox: Arc<Outbox>,
    waiting: Mutex<Waiting>,
}

/// What has been asked.
#[derive(Default)]
struct Waiting {
    ended: Option<Fault>,
    last: u64,
    all: HashMap<u64, Hear>,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self { outbox: Arc::default(), waiting: Mutex::default() }
    }

    /// Asks, and does not wait for anything.
    pub(super) fn ask(&self, message: &[u8], hear: Hear) -> Result<(), PeerError> {
        let not_sent = |why: &str| Err(PeerError::NotSent(why.to_owned()));
        let mut waiting = self.waiting.lock();
        if let Some(fault) = &waiting.ended {
            return not_sent(&fault.to_string());
        }
        if waiting.all.len() >= IN_FLIGHT {
            return not_sent("too many messages wait for its answers");
        }
        if self.outbox.len() > QUEUED_BYTES {
            return not_sent("too many messages wait to be written");
        }
        waiting.last += 1;
        let number = waiting.last;
        // Known before it can be answered, and put in in the order of numbers: that tells in the end which were taken.
        waiting.all.insert(number, hear);
        if !self.outbox.put(number, &[message]) {
            waiting.all.remove(&number);
            return not_sent(&Fault::Closed.to_string());
        }
        Ok(())
    }

    /// Writes what is asked, until `to` is gone.
    pub(super) fn write(&self, to: impl AsyncWrite + Send + Unpin + 'static) -> JoinSet<std::io::Result<()>> {
        let (outbox, mut writing) = (self.outbox.clone(), JoinSet::new());
        writing.spawn(async move { write(&outbox, to, |_| ()).await });
        writing
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
                _ = looks.tick() => match life.look(!self.waiting.lock().all.is_empty()) {
                    Look::Well => {}
                    // One that is not written is not answered either, and that is death.
                    Look::Ask => _ = self.outbox.put(PING, &[]),
                    Look::Dead => return Fault::Silent,
                },
            }
            loop {
                match reader.next() {
                    Ok(Some((number, payload))) => {
                        if !self.answered(number, payload) {
                            return Fault::Stranger;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return Fault::of(&error),
                }
            }
        }
    }

    /// `false`: nobody has asked that.
    fn answered(&self, number: u64, payload: &[u8]) -> bool {
        if number == PING {
            return true;
        }
        let hear = self.waiting.lock().all.remove(&(number & !(FAILED | REFUSED)));
        let Some(hear) = hear else { return false };
        hear.tell(if number & FAILED != 0 {
            Err(PeerError::NoAnswer("it failed on this message".to_owned()))
        } else if number & REFUSED != 0 {
            Err(PeerError::NotSent("it takes no more messages".to_owned()))
        } else {
            Ok(payload)
        });
        true
    }

    /// Nothing more is asked, and whoever waits waits in vain: for what was not taken out of the outbox, because it was not
    /// sent.
    pub(super) fn end(&self, fault: &Fault) {
        let (all, taken) = {
            let mut waiting = self.waiting.lock();
            waiting.ended = Some(fault.clone());
            (std::mem::take(&mut waiting.all), self.outbox.abandon().taken)
        };
        for (number, hear) in all {
            hear.tell(Err(if number > taken {
                PeerError::NotSent(Fault::Closed.to_string())
            } else {
                PeerError::NoAnswer(fault.to_string())
            }));
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
    use tokio::sync::oneshot;

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

    type Heard = oneshot::Receiver<Result<Vec<u8>, PeerError>>;

    fn hear() -> (Hear, Heard) {
        let (tell, heard) = oneshot::channel();
        let hear = Hear::new(move |answer| tell.send(answer.map(<[u8]>::to_vec)).expect("somebody waits"));
        (hear, heard)
    }

    fn asked(connection: &Connection, message: &[u8]) -> Heard {
        let (hear, heard) = hear();
        connection.ask(message, hear).expect("room");
        heard
    }

    #[tokio::test]
    async fn what_was_not_taken_when_it_ends_was_not_sent() {
        let connection = Connection::new();
        let (here, there) = tokio::io::duplex(1000);
        let mut writing = connection.write(here);
        let first = asked(&connection, b"first");
        let mut reader = Reader::new(there);
        assert!(reader.more().await.expect("the first"));
        assert_eq!(reader.next().expect("a frame"), Some((1, &b"first"[..])));
        writing.shutdown().await;
        let second = asked(&connection, b"second");
        connection.end(&Fault::Silent);
        assert_eq!(first.await.expect("told"), Err(PeerError::NoAnswer("it is silent".to_owned())));
        assert_eq!(
            second.await.expect("told"),
            Err(PeerError::NotSent("it closed the connection".to_owned()))
        );
        let late = connection.ask(b"late", hear().0);
        assert_eq!(late, Err(PeerError::NotSent("it is silent".to_owned())));
    }

    #[tokio::test]
    async fn more_bytes_than_may_wait_are_not_sent() {
        let connection = Connection::new();
        let large = vec![0; QUEUED_BYTES / 4];
        let _waiting: Vec<Heard> = (0..4).map(|_| asked(&connection, &large)).collect();
        let refused = connection.ask(b"small", hear().0);
        assert_eq!(refused, Err(PeerError::NotSent("too many messages wait to be written".to_owned())));
        let (here, there) = tokio::io::duplex(1000);
        let _writing = connection.write(here);
        let mut reader = Reader::new(there);
        let mut read = 0;
        while read < 4 {
            assert!(reader.more().await.expect("more of them"));
            while read < 4
                && let Some((number, message)) = reader.next().expect("frames")
            {
                assert_eq!((number, message.len()), (read + 1, large.len()));
                read = number;
            }
            // Until all of it is written, all of it waits.
            assert!(read >= 3 || connection.ask(b"small", hear().0).is_err(), "{read}");
        }
        let mut room = connection.ask(b"small", hear().0);
        while room.is_err() {
            tokio::task::yield_now().await;
            room = connection.ask(b"small", hear().0);
        }
    }
}
