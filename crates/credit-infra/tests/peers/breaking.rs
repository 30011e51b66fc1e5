//! Connections that break, peers that hang, and others that are not there.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use credit_core::ports::peers::{PeerError, Peers};
use credit_infra::peers::{PeersSettings, TcpPeers};
use credit_infra::testkit::proxy::{Mode, Proxy};
use tokio::time::{sleep, timeout};

use crate::{
    Echo, PATIENCE, SECRET, answered, answering, ask, asker, asking, each, not_sent_since, settings,
};

#[tokio::test]
async fn what_is_in_flight_when_a_peer_dies_has_no_answer_and_the_next_one_there_is_asked() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    let (address, listen) = (other.address().to_owned(), other.local_addr());
    answered(&one, &address, "ready").await;
    let waiting: Vec<_> = (0..10).map(|_| asking(&one, &address, "wait")).collect();
    held.asked_for(11).await;
    drop(other);
    for waiting in waiting {
        let lost = waiting.await.expect("it ends");
        assert_eq!(lost, Err(PeerError::NoAnswer("it closed the connection".to_owned())));
    }
    not_sent_since(&one, &address, "it cannot be reached").await;

    let next = TcpPeers::start(PeersSettings { listen, ..settings(SECRET) }).expect("the port is free again");
    next.answer_with(each(Echo::new()));
    assert_eq!(answered(&one, &address, "again").await, "again");
}

#[tokio::test]
async fn a_peer_that_hangs_is_given_up() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    let proxy = Proxy::to(other.local_addr());
    let address = proxy.address().to_string();
    answered(&one, &address, "ready").await;
    let waiting = asking(&one, &address, "wait");
    held.asked_for(2).await;
    proxy.set(Mode::Stall);
    let (begun, unheard) = (Instant::now(), asking(&one, &address, "unheard"));
    for lost in [waiting, unheard] {
        let lost = timeout(PATIENCE, lost).await.expect("it is given up").expect("it ends");
        assert_eq!(lost, Err(PeerError::NoAnswer("it is silent".to_owned())));
    }
    // Two seconds of silence and no less; what had come before may have come a while ago.
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
    // The wire is there and nobody at its end says anything.
    not_sent_since(&one, &address, "it is silent").await;
    not_sent_since(&one, &address, "in time").await;
    proxy.set(Mode::Pass);
    held.may.add_permits(100);
    assert_eq!(answered(&one, &address, "again").await, "again");
}

#[tokio::test]
async fn a_peer_that_only_takes_its_time_is_waited_for() {
    let held = Echo::held(1);
    let (one, other) = (asker(), answering(held.clone()));
    answered(&one, other.address(), "ready").await;
    let mut waiting = asking(&one, other.address(), "wait");
    held.asked_for(2).await;
    // Twice as long as a silent one is waited for.
    assert!(timeout(Duration::from_secs(5), &mut waiting).await.is_err(), "it was given up");
    held.may.add_permits(1);
    assert_eq!(waiting.await.expect("it ends"), Ok(Bytes::from_static(b"wait")));
}

#[tokio::test]
async fn garbage_in_the_middle_ends_the_connection_and_not_more() {
    let (one, other) = (asker(), answering(Echo::new()));
    let proxy = Proxy::to(other.local_addr());
    let address = proxy.address().to_string();
    answered(&one, &address, "ready").await;
    proxy.set(Mode::Garbage);
    let garbled = ask(&one, &address, b"garbled").await;
    assert_eq!(garbled, Err(PeerError::NoAnswer("it does not speak as peers do".to_owned())));
    proxy.set(Mode::Pass);
    assert_eq!(answered(&one, &address, "again").await, "again");
}

#[tokio::test]
async fn who_is_not_there_is_not_tried_at_every_message() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let counted = attempts.clone();
    // Closes whatever comes; ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (one, begun) = (asker(), Instant::now());
    while begun.elapsed() < Duration::from_millis(2500) {
        let refused = ask(&one, &address, b"never").await;
        assert!(matches!(refused, Err(PeerError::NotSent(_))), "{refused:?}");
        sleep(Duration::from_millis(1)).await;
    }
    let (elapsed, attempts) = (begun.elapsed(), attempts.load(Ordering::SeqCst));
    // One at once, and one in every second after it.
    let most = usize::try_from(elapsed.as_secs()).expect("not long") + 1;
    assert!((2..=most).contains(&attempts), "{attempts} in {elapsed:?}");
}

#[tokio::test]
async fn no_message_waits_for_a_connection() {
    // Takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let one = asker();
    for _ in 0..100 {
        let asked = ask(&one, &address, b"never");
        let refused = timeout(Duration::from_millis(500), asked).await.expect("it does not wait");
        assert_eq!(refused, Err(PeerError::NotSent("there is no connection to it yet".to_owned())));
    }
    not_sent_since(&one, &address, "no connection to it came about in time").await;
}

#[tokio::test]
async fn there_are_only_so_many_addresses() {
    let one = asker();
    for port in 1..=64 {
        let asked = ask(&one, &format!("127.0.0.1:{port}"), b"").await;
        assert_eq!(asked, Err(PeerError::NotSent("there is no connection to it yet".to_owned())));
    }
    let more = ask(&one, "127.0.0.1:65", b"").await;
    assert_eq!(more, Err(PeerError::NotSent("64 others are asked already".to_owned())));
}
