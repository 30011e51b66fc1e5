//! Processes that ask each other in memory, over lines that break.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::peers::{Answerer, Hear, PeerError, Peers, Reply};
use credit_core::testkit::Dice;
use credit_wallet::domain::{Unpack, commands};
use credit_wallet::ledger::Company;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::support::{Give, Take};

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is answered.
    Good,
    /// It is not sent.
    Down,
    /// It never arrives, and who sent it cannot know.
    LosesMessages,
    /// It is answered, and the answer never arrives.
    LosesAnswers,
    /// It arrives when whoever sent it has long given up.
    Late,
    /// Nothing is heard of it, nor that the line has broken.
    Silent,
}

/// All lines between the processes of a test.
pub(crate) struct Switchboard {
    answerers: Mutex<HashMap<String, Arc<dyn Answerer>>>,
    line: Mutex<Line>,
    /// So many of a hundred messages meet another fate than the line says.
    faults: Mutex<(Dice, u64)>,
    /// Messages that were answered, though the answer may have been lost.
    pub(crate) answered: AtomicUsize,
    lines: AtomicUsize,
}

impl Switchboard {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            answerers: Mutex::default(),
            line: Mutex::new(Line::Good),
            faults: Mutex::new((Dice::new(1), 0)),
            answered: AtomicUsize::new(0),
            lines: AtomicUsize::new(0),
        })
    }

    pub(crate) fn set(&self, line: Line) {
        *self.line.lock() = line;
    }

    pub(crate) fn shake(&self, seed: u64, percent: u64) {
        *self.faults.lock() = (Dice::new(seed), percent);
    }

    /// At one address there is another process from now on.
    pub(crate) fn divert(&self, from: &str, to: &str) {
        let answerer = self.answerers.lock().get(to).cloned().expect("it is there");
        self.answerers.lock().insert(from.to_owned(), answerer);
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// What a further process has.
    pub(crate) fn company(self: &Arc<Self>) -> Company {
        let own = [Unpack::of::<Give>(), Unpack::of::<Take>()];
        let number = self.lines.fetch_add(1, Ordering::Relaxed);
        Company {
            peers: Arc::new(Phone { board: self.clone(), address: format!("process-{number}") }),
            commands: own.iter().chain(commands::PORTABLE).copied().collect(),
        }
    }

    /// Asks as a process does that is none of these.
    pub(crate) async fn ask(&self, address: &str, message: Bytes) -> Result<Bytes, PeerError> {
        let not_there = || PeerError::NotSent("nobody is there".to_owned());
        let answerer = self.answerers.lock().get(address).cloned().ok_or_else(not_there)?;
        let line = {
            let (dice, percent) = &mut *self.faults.lock();
            let fates = [Line::Down, Line::LosesMessages, Line::LosesAnswers, Line::Late];
            if dice.percent(*percent) { *dice.pick(&fates) } else { *self.line.lock() }
        };
        let no_answer = || Err(PeerError::NoAnswer("the line broke".to_owned()));
        match line {
            Line::Down => Err(PeerError::NotSent("the line is down".to_owned())),
            Line::LosesMessages => no_answer(),
            Line::Silent => std::future::pending().await,
            Line::Late => {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    answer(&*answerer, message).await
                });
                no_answer()
            }
            Line::Good | Line::LosesAnswers => {
                // Whoever asks may give up waiting; the message has arrived all the same.
                let answer = tokio::spawn(async move { answer(&*answerer, message).await }).await;
                self.answered.fetch_add(1, Ordering::Relaxed);
                match answer {
                    Ok(Some(answer)) if line == Line::Good => Ok(answer),
                    _ => no_answer(),
                }
            }
        }
    }
}

/// `None` if there will be none.
async fn answer(answerer: &dyn Answerer, message: Bytes) -> Option<Bytes> {
    let (tell, told) = oneshot::channel();
    answerer.take(
        &message,
        Reply::new(|answer| {
            let _gone = tell.send(answer.concat().into());
        }),
    );
    told.await.ok()
}

/// One process's.
struct Phone {
    board: Arc<Switchboard>,
    address: String,
}

#[async_trait]
impl Peers for Phone {
    fn address(&self) -> &str {
        &self.address
    }

    fn ask(&self, address: &str, message: &[u8], hear: Hear) -> Result<(), PeerError> {
        assert_ne!(address, self.address, "nobody asks itself");
        let (board, address) = (self.board.clone(), address.to_owned());
        let message = Bytes::copy_from_slice(message);
        tokio::spawn(async move {
            hear.tell(board.ask(&address, message).await.as_deref().map_err(Clone::clone));
        });
        Ok(())
    }

    fn answer_with(&self, answerer: Arc<dyn Answerer>) {
        self.board.answerers.lock().insert(self.address.clone(), answerer);
    }

    async fn close(&self) {
        self.board.answerers.lock().remove(&self.address);
    }
}
