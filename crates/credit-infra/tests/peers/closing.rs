//! Stopping, well and otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use credit_core::ports::peers::{PeerError, Peers};
use credit_infra::peers::TcpPeers;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::{Answers, Echo, PATIENCE, answered, answering, ask, asker, asking, each, not_sent_since, until};

async fn begun_to_close(peers: &Arc<TcpPeers>) -> JoinHandle<()> {
    let (closing, address) = (peers.clone(), peers.address());
    let closing = tokio::spawn(async move { closing.close().await });
    let stopping = Err(PeerError::NotSent("this process is stopping".to_owned()));
    while ask(peers, address, b"").await != stopping {
        sleep(Duration::from_millis(1)).await;
    }
    closing
}

#[tokio::test]
async fn what_has_come_is_answered_before_the_end_and_nothing_more_is_taken() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    let address = other.address().to_owned();
    answered(&one, &address, "ready").await;
    let waiting: Vec<_> = (0..10).map(|_| asking(&one, &address, "wait")).collect();
    held.asked_for(11).await;
    let closing = begun_to_close(&other).await;
    // Still heard, so that nobody waits for what will not be done, and nobody takes it for dead: longer than a silent one is
    // waited for.
    let more = ask(&one, &address, b"more").await;
    assert_eq!(more, Err(PeerError::NotSent("it takes no more messages".to_owned())));
    sleep(Duration::from_secs(3)).await;
    assert!(!closing.is_finished() && waiting.iter().all(|waiting| !waiting.is_finished()));
    held.may.add_permits(100);
    for waiting in waiting {
        assert_eq!(waiting.await.expect("it ends"), Ok(Bytes::from_static(b"wait")));
    }
    closing.await.expect("it closes");
    assert_eq!((held.asked(), held.done()), (11, 11));
    not_sent_since(&one, &address, "it cannot be reached").await;
}

#[tokio::test]
async fn who_is_stopping_may_still_hear_what_it_has_asked() {
    let (held, theirs) = (Echo::held(1), Echo::held(1));
    let (one, other) = (answering(theirs.clone()), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    answered(&other, one.address(), "ready").await;
    let waiting = asking(&one, other.address(), "wait");
    let asked = asking(&other, one.address(), "wait");
    held.asked_for(2).await;
    theirs.asked_for(2).await;
    let closing = begun_to_close(&one).await;
    held.may.add_permits(1);
    assert_eq!(waiting.await.expect("it ends"), Ok(Bytes::from_static(b"wait")));
    theirs.may.add_permits(1);
    assert_eq!(asked.await.expect("it ends"), Ok(Bytes::from_static(b"wait")));
    closing.await.expect("it closes");
}

#[tokio::test]
async fn who_has_stopped_waits_for_nothing_and_what_it_asked_is_done_to_its_end() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    let waiting = asking(&one, other.address(), "wait");
    held.asked_for(2).await;
    one.close().await;
    let stopping = "this process is stopping".to_owned();
    assert_eq!(waiting.await.expect("it ends"), Err(PeerError::NoAnswer(stopping.clone())));
    let more = ask(&one, other.address(), b"").await;
    assert_eq!(more, Err(PeerError::NotSent(stopping)));
    // Twice is once.
    one.close().await;
    held.may.add_permits(1);
    until("it is done all the same", || held.done() == 2).await;
}

#[tokio::test]
async fn an_answer_that_never_comes_does_not_hold_up_the_end_for_ever() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    let waiting = asking(&one, other.address(), "wait");
    held.asked_for(2).await;
    let begun = Instant::now();
    timeout(PATIENCE, other.close()).await.expect("it closes");
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    let lost = waiting.await.expect("it ends");
    assert_eq!(lost, Err(PeerError::NoAnswer("it closed the connection".to_owned())));
    assert_eq!(held.done(), 1);
}

#[tokio::test]
async fn who_has_hung_up_is_not_waited_for() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    let waiting: Vec<_> = (0..10).map(|_| asking(&one, other.address(), "wait")).collect();
    held.asked_for(11).await;
    one.close().await;
    for waiting in waiting {
        assert!(waiting.await.expect("it ends").is_err());
    }
    held.may.add_permits(100);
    until("they are done", || held.done() == 11).await;
    let begun = Instant::now();
    other.close().await;
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "it waited for what nobody hears: {:?}",
        begun.elapsed()
    );
}

/// Holds what it answers for, as a service does that asks others too.
struct Holding {
    _peers: Arc<TcpPeers>,
    echo: Arc<Echo>,
}

#[async_trait]
impl Answers for Holding {
    async fn answer(&self, message: Bytes) -> Bytes {
        self.echo.answer(message).await
    }
}

#[tokio::test]
async fn nothing_is_left_of_one_that_has_closed() {
    let (one, other, echo) = (asker(), asker(), Echo::new());
    let holding = Arc::new(Holding { _peers: other.clone(), echo });
    let left = Arc::downgrade(&holding);
    other.answer_with(each(holding));
    answered(&one, other.address(), "ready").await;
    let (local, peers) = (other.local_addr(), Arc::downgrade(&other));
    other.close().await;
    drop(other);
    until("it is gone", || left.upgrade().is_none() && peers.upgrade().is_none()).await;
    assert!(TcpStream::connect(local).await.is_err(), "it still listens");
}

#[tokio::test]
async fn nothing_is_left_of_one_that_is_dropped() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    let waiting = asking(&one, other.address(), "wait");
    held.asked_for(2).await;
    let local = other.local_addr();
    drop(other);
    assert!(waiting.await.expect("it ends").is_err());
    assert!(TcpStream::connect(local).await.is_err(), "it still listens");
    // What has come is done all the same, and then nobody holds the answerer.
    held.may.add_permits(1);
    until("nobody holds the answerer", || Arc::strong_count(&held) == 1).await;
    assert_eq!(held.done(), 2);
}
