//! Asked and answered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::peers::{PeerError, Peers};
use credit_infra::peers::{PeersSettings, TcpPeers};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::{
    Answers, Echo, SECRET, answered, answering, ask, asker, asking, each, not_sent_since, settings, until,
};

const LONGEST: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn the_first_message_is_not_sent_and_soon_they_are_answered_in_both_directions() {
    let (one, other) = (answering(Echo::new()), answering(Echo::new()));
    assert_eq!(one.address(), one.local_addr().to_string());
    let first = ask(&one, other.address(), b"now").await;
    assert_eq!(first, Err(PeerError::NotSent("there is no connection to it yet".to_owned())));
    assert_eq!(answered(&one, other.address(), "soon").await, "soon");
    assert_eq!(answered(&other, one.address(), "back").await, "back");
    assert_eq!(answered(&one, one.address(), "to itself").await, "to itself");
}

#[tokio::test]
async fn the_program_that_runs_is_its_own_peer() {
    let running = || PeersSettings { build: None, ..settings(SECRET) };
    let (one, other) = (TcpPeers::start(running()), TcpPeers::start(running()));
    let (one, other) = (one.expect("a free port"), other.expect("a free port"));
    other.answer_with(each(Echo::new()));
    assert_eq!(answered(&one, other.address(), "same").await, "same");
    // And it is not any other.
    not_sent_since(&asker(), other.address(), "runs another version of the program").await;
}

/// Answers later, each message in its own time, and keeps the order in which it did.
struct Late {
    random: AtomicU64,
    order: Mutex<Vec<Bytes>>,
}

#[async_trait]
impl Answers for Late {
    async fn answer(&self, message: Bytes) -> Bytes {
        let random = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        sleep(Duration::from_millis((random >> 32) % 50)).await;
        self.order.lock().expect("not poisoned").push(message.clone());
        [b"re: ", &message[..]].concat().into()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_at_once_each_get_their_own_answer_in_any_order() {
    const COUNT: usize = 6_000;
    let late = Arc::new(Late { random: AtomicU64::new(42), order: Mutex::default() });
    let (one, other) = (asker(), answering(late.clone()));
    answered(&one, other.address(), "ready").await;
    late.order.lock().expect("not poisoned").clear();
    let message = |number: usize| Bytes::from(format!("{number} {}", "x".repeat(number % 700)));
    let asked: Vec<_> = (0..COUNT)
        .map(|number| {
            let (one, address, message) = (one.clone(), other.address().to_owned(), message(number));
            tokio::spawn(async move { ask(&one, &address, &message).await })
        })
        .collect();
    for (number, asked) in asked.into_iter().enumerate() {
        let answer = asked.await.expect("it ends").expect("an answer");
        assert_eq!(answer, [b"re: ", &message(number)[..]].concat());
    }
    let order = late.order.lock().expect("not poisoned").clone();
    assert_eq!(order.len(), COUNT);
    assert!((0..COUNT).any(|number| order[number] != message(number)), "they were answered in order");
}

#[tokio::test]
async fn a_message_is_as_long_as_it_may_be_and_not_longer() {
    let (one, other) = (asker(), answering(Echo::new()));
    answered(&one, other.address(), "ready").await;
    let longest =
        Bytes::from((0..LONGEST).map(|at| u8::try_from(at % 253).expect("small")).collect::<Vec<_>>());
    let answer = ask(&one, other.address(), &longest).await.expect("an answer");
    assert!(answer == longest, "it came back otherwise");
    let refused = ask(&one, other.address(), &vec![0; LONGEST + 1]).await;
    assert_eq!(refused, Err(PeerError::NotSent("a message has at most 16777216 bytes".to_owned())));
    assert_eq!(answered(&one, other.address(), "still").await, "still");
}

/// Does what it is told.
struct Obedient(Arc<Echo>);

#[async_trait]
impl Answers for Obedient {
    async fn answer(&self, message: Bytes) -> Bytes {
        assert_ne!(message, "panic", "as it was told");
        if message == "too long" {
            return vec![0; LONGEST + 1].into();
        }
        if message == "wait" {
            return self.0.answer(message).await;
        }
        message
    }
}

#[tokio::test]
async fn one_that_fails_gets_no_answer_and_the_others_theirs() {
    let held = Echo::held(0);
    let (one, other) = (asker(), answering(Arc::new(Obedient(held.clone()))));
    answered(&one, other.address(), "ready").await;
    let waiting = asking(&one, other.address(), "wait");
    held.asked_for(1).await;
    for fatal in ["panic", "too long"] {
        let failed = ask(&one, other.address(), fatal.as_bytes()).await;
        assert_eq!(failed, Err(PeerError::NoAnswer("it failed on this message".to_owned())));
    }
    // On the same connection, since what was asked on it before is still answered.
    held.may.add_permits(1);
    assert_eq!(waiting.await.expect("it ends"), Ok(Bytes::from_static(b"wait")));
}

#[tokio::test]
async fn no_more_wait_for_an_answer_than_may() {
    const IN_FLIGHT: usize = 8_192;
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    let waiting: Vec<_> = (0..IN_FLIGHT).map(|_| asking(&one, other.address(), "wait")).collect();
    held.asked_for(1 + IN_FLIGHT).await;
    let more = ask(&one, other.address(), b"more").await;
    assert_eq!(more, Err(PeerError::NotSent("too many messages wait for its answers".to_owned())));
    // Nor is it taken for dead, having so much to do: longer than a silent one is waited for.
    sleep(Duration::from_secs(3)).await;
    assert!(!waiting.iter().any(JoinHandle::is_finished), "it was given up");
    held.may.add_permits(IN_FLIGHT + 1);
    for waiting in waiting {
        assert_eq!(waiting.await.expect("it ends"), Ok(Bytes::from_static(b"wait")));
    }
    assert_eq!(answered(&one, other.address(), "more").await, "more");
}

#[tokio::test]
async fn nobody_is_asked_before_somebody_answers() {
    let (one, other) = (asker(), asker());
    not_sent_since(&one, other.address(), "closed the connection").await;
    other.answer_with(each(Echo::new()));
    assert_eq!(answered(&one, other.address(), "now").await, "now");
}

#[tokio::test]
async fn who_gives_up_waiting_gives_up_the_answer_and_not_the_message() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    let given_up = asking(&one, other.address(), "given up");
    held.asked_for(2).await;
    given_up.abort();
    assert!(given_up.await.expect_err("aborted").is_cancelled());
    held.may.add_permits(2);
    until("it is done all the same", || held.done() == 2).await;
    assert_eq!(answered(&one, other.address(), "next").await, "next");
}
