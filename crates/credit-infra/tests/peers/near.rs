//! Peers on one machine: by sockets in a directory that nobody else may enter.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use credit_core::ports::peers::{PeerError, Peers};
use credit_infra::peers::{PeersFault, PeersSettings, TcpPeers};
use tempfile::{Builder, TempDir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::raw::{frame, hello, prove, read_frame};
use crate::{
    BUILD, Echo, OTHER_SECRET, PATIENCE, SECRET, answered, answering, ask, asker, asking, each,
    not_sent_since, settings, until,
};

/// At this address there is nobody by TCP.
const NOWHERE: &str = "nowhere.invalid:7000";

fn house() -> TempDir {
    Builder::new().permissions(Permissions::from_mode(0o700)).tempdir().expect("a directory")
}

fn near(directory: &Path, secret: &str, address: &str) -> PeersSettings {
    PeersSettings { directory: Some(directory.to_owned()), advertise: address.to_owned(), ..settings(secret) }
}

fn started(settings: PeersSettings) -> Arc<TcpPeers> {
    TcpPeers::start(settings).expect("it starts")
}

/// One that is found in the directory alone.
fn answering_near(directory: &Path, echo: &Arc<Echo>) -> Arc<TcpPeers> {
    let peers = started(near(directory, SECRET, NOWHERE));
    peers.answer_with(each(echo.clone()));
    peers
}

fn asker_near(directory: &Path) -> Arc<TcpPeers> {
    started(near(directory, SECRET, "127.0.0.1:0"))
}

fn sockets(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
}

/// Everything until the end; that it ends is waited for.
async fn rest(stream: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    let _error = timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("it is closed");
    all
}

#[tokio::test]
async fn peers_that_share_a_directory_need_no_network() {
    let house = house();
    let (one, other) = (asker_near(house.path()), answering_near(house.path(), &Echo::new()));
    one.answer_with(each(Echo::new()));
    let first = ask(&one, NOWHERE, b"now").await;
    assert_eq!(first, Err(PeerError::NotSent("there is no connection to it yet".to_owned())));
    assert_eq!(answered(&one, NOWHERE, "there").await, "there");
    assert_eq!(answered(&other, one.address(), "back").await, "back");
    let long = vec![7; 3_000_000];
    assert!(ask(&one, NOWHERE, &long).await.expect("an answer") == long, "it came back otherwise");
}

#[tokio::test]
async fn who_is_not_in_the_directory_is_asked_by_tcp() {
    let (house, another) = (house(), house());
    let one = asker_near(house.path());
    let plain = answering(Echo::new());
    assert_eq!(answered(&one, plain.address(), "without").await, "without");
    let elsewhere = started(near(another.path(), SECRET, "127.0.0.1:0"));
    elsewhere.answer_with(each(Echo::new()));
    assert_eq!(answered(&one, elsewhere.address(), "elsewhere").await, "elsewhere");
    one.answer_with(each(Echo::new()));
    assert_eq!(answered(&asker(), one.address(), "from outside").await, "from outside");
}

/// The socket of a process that is reached at this address, as one that is killed leaves it: nobody listens there.
async fn left_by(directory: &Path, address: &str) -> PathBuf {
    let before = sockets(directory);
    let process = started(near(directory, SECRET, address));
    let socket = sockets(directory).into_iter().find(|path| !before.contains(path)).expect("its socket");
    drop(process);
    until("it takes its socket away", || !socket.exists()).await;
    drop(UnixListener::bind(&socket).expect("it is free"));
    assert!(socket.exists());
    socket
}

#[tokio::test]
async fn a_socket_that_a_killed_process_left_keeps_nobody_out() {
    let house = house();
    let plain = answering(Echo::new());
    left_by(house.path(), plain.address()).await;
    left_by(house.path(), NOWHERE).await;
    let one = asker_near(house.path());
    assert_eq!(answered(&one, plain.address(), "by TCP").await, "by TCP");
    let _next = answering_near(house.path(), &Echo::new());
    assert_eq!(answered(&one, NOWHERE, "the next").await, "the next");
}

#[tokio::test]
async fn who_has_been_replaced_takes_nobody_elses_socket_away() {
    let house = house();
    let first = answering_near(house.path(), &Echo::new());
    let next = answering_near(house.path(), &Echo::new());
    drop(first);
    assert_eq!(answered(&asker_near(house.path()), NOWHERE, "the next").await, "the next");
    drop(next);
    until("nothing is left", || sockets(house.path()).is_empty()).await;
}

#[tokio::test]
async fn what_is_in_flight_when_a_near_peer_dies_has_no_answer() {
    let house = house();
    let held = Echo::held(1);
    let (one, other) = (asker_near(house.path()), answering_near(house.path(), &held));
    answered(&one, NOWHERE, "ready").await;
    let waiting: Vec<_> = (0..10).map(|_| asking(&one, NOWHERE, "wait")).collect();
    held.asked_for(11).await;
    drop(other);
    for waiting in waiting {
        let lost = waiting.await.expect("it ends");
        assert_eq!(lost, Err(PeerError::NoAnswer("it closed the connection".to_owned())));
    }
    let _next = answering_near(house.path(), &Echo::new());
    assert_eq!(answered(&one, NOWHERE, "again").await, "again");
}

#[tokio::test]
async fn the_secret_is_asked_for_here_too() {
    let house = house();
    let echo = Echo::new();
    let other = answering_near(house.path(), &echo);
    let stranger = started(near(house.path(), OTHER_SECRET, "127.0.0.1:0"));
    stranger.answer_with(each(echo.clone()));
    // By another secret a socket has another name: nobody is found, and by TCP nobody is believed.
    not_sent_since(&stranger, NOWHERE, "it cannot be reached").await;
    not_sent_since(&other, stranger.address(), "it does not know the secret of this deployment").await;
    // Nor do two deployments take each other's sockets that have the same address.
    let same = started(near(house.path(), OTHER_SECRET, NOWHERE));
    assert_eq!(answered(&asker_near(house.path()), NOWHERE, "ours").await, "ours");
    drop(same);
    assert_eq!(echo.asked(), 1);
    let program =
        started(PeersSettings { build: Some([2; 32]), ..near(house.path(), SECRET, "127.0.0.1:0") });
    not_sent_since(&program, NOWHERE, "it runs another version of the program").await;
    assert_eq!(echo.asked(), 1);
}

#[tokio::test]
async fn the_near_wire_is_what_is_written_down() {
    let house = house();
    let _other = answering_near(house.path(), &Echo::new());
    let mut stream = UnixStream::connect(&sockets(house.path())[0]).await.expect("it listens");
    assert!(prove(&mut stream, SECRET, (b"asks", b"answers")).await, "it knows the secret");
    stream.write_all(&hello(BUILD)).await.expect("it reads");
    let mut said = [0; 37];
    stream.read_exact(&mut said).await.expect("it says who it is");
    assert_eq!(said, hello(BUILD));
    stream.write_all(&frame(7, b"seven")).await.expect("it reads");
    assert_eq!(read_frame(&mut stream).await.expect("an answer"), (7, b"seven".to_vec()));
}

#[tokio::test]
async fn strangers_in_the_directory_get_nothing_and_are_believed_nothing() {
    let house = house();
    let echo = Echo::new();
    let other = answering_near(house.path(), &echo);
    let socket = sockets(house.path())[0].clone();
    // Another secret; and the other side's part.
    for (secret, sides) in
        [(OTHER_SECRET, (&b"asks"[..], &b"answers"[..])), (SECRET, (&b"answers"[..], &b"asks"[..]))]
    {
        let mut stream = UnixStream::connect(&socket).await.expect("it listens");
        let _known = prove(&mut stream, secret, sides).await;
        let _refused = stream.write_all(&[&hello(BUILD)[..], &frame(1, b"stolen")].concat()).await;
        assert_eq!(rest(&mut stream).await, b"");
    }
    // What it says itself, said back.
    let mut stream = UnixStream::connect(&socket).await.expect("it listens");
    for _ in 0..2 {
        let mut said = [0; 32];
        stream.read_exact(&mut said).await.expect("it says something");
        stream.write_all(&said).await.expect("it reads");
    }
    let _refused = stream.write_all(&[&hello(BUILD)[..], &frame(1, b"stolen")].concat()).await;
    assert_eq!(rest(&mut stream).await, b"");
    assert_eq!(echo.asked(), 0);

    // Where a peer was there is somebody without the secret.
    drop(other);
    until("it is gone", || !socket.exists()).await;
    let listener = UnixListener::bind(&socket).expect("it is free");
    let stranger = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let _known = prove(&mut stream, OTHER_SECRET, (b"answers", b"asks")).await;
        rest(&mut stream).await
    });
    let one = asker_near(house.path());
    not_sent_since(&one, NOWHERE, "it does not know the secret of this deployment").await;
    assert_eq!(stranger.await.expect("it ends"), b"");
}

#[tokio::test]
async fn a_directory_that_is_not_ours_alone_is_refused_in_a_sentence() {
    let house = house();
    let why = |directory: &Path| {
        let fault = TcpPeers::start(near(directory, SECRET, NOWHERE)).expect_err("it cannot work");
        assert!(matches!(fault, PeersFault::Directory { .. }), "{fault:?}");
        let told = fault.to_string();
        let begin = format!("peers cannot be listened for in {}: ", directory.display());
        told.strip_prefix(&begin).expect("which directory").to_owned()
    };
    assert_eq!(why(&house.path().join("missing")), "it is missing: mkdir -m 700");
    let file = house.path().join("file");
    fs::write(&file, "").expect("a file");
    assert_eq!(why(&file), "it is no directory");
    for mode in [0o750, 0o701, 0o720, 0o777] {
        fs::set_permissions(house.path(), Permissions::from_mode(mode)).expect("it is ours");
        assert_eq!(why(house.path()), "others may enter it: chmod 700", "{mode:o}");
    }
    fs::set_permissions(house.path(), Permissions::from_mode(0o700)).expect("it is ours");
    let deep = house.path().join("d".repeat(120));
    fs::create_dir(&deep).expect("a directory");
    fs::set_permissions(&deep, Permissions::from_mode(0o700)).expect("it is ours");
    assert!(why(&deep).contains("SUN_LEN"), "{}", why(&deep));
    // Nothing of all that is left.
    assert_eq!(sockets(house.path()).len(), 2);
    drop(started(near(house.path(), SECRET, NOWHERE)));
}
