//! Those who do not know the secret, those who run something else, and those who do not keep to the rules.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use credit_core::ports::peers::{PeerError, Peers};
use credit_infra::peers::{PeersFault, PeersSettings, TcpPeers};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::raw::{self, frame, head, hello, peer_to, read_frame, tls_to};
use crate::{
    BUILD, Echo, OTHER_SECRET, PATIENCE, SECRET, answered, answering, ask, asker, each, not_sent_since,
    settings,
};

const TOO_LONG: u32 = 16 * 1024 * 1024 + 1;

/// Everything until the end; that it ends is waited for.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    // That it ends by an error is an end as well.
    let _error = timeout(PATIENCE, stream.read_to_end(&mut all)).await.expect("it is closed");
    all
}

#[tokio::test]
async fn without_the_secret_nobody_asks() {
    let echo = Echo::new();
    let (good, server) = (asker(), answering(echo.clone()));
    let stranger = TcpPeers::start(settings(OTHER_SECRET)).expect("a free port");
    not_sent_since(&stranger, server.address(), "it does not know the secret of this deployment").await;
    // It also does not if the stranger believes the server, and sends its message ahead.
    let shows = Some(raw::showing(raw::key(OTHER_SECRET)));
    let mut stream =
        tls_to(server.local_addr(), shows, true, &TLS13).await.expect("the server shows its key first");
    let _refused = stream.write_all(&[&hello(BUILD)[..], &frame(1, b"stolen")].concat()).await;
    assert_eq!(rest(&mut stream).await, b"");
    assert_eq!(echo.asked(), 0);
    assert_eq!(answered(&good, server.address(), "mine").await, "mine");
}

#[tokio::test]
async fn without_the_secret_nobody_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let stranger = tokio::spawn(async move {
        // It gets neither a connection nor a byte.
        let mut stream = match raw::accept(&listener, raw::key(OTHER_SECRET)).await {
            Ok(stream) => stream,
            Err(error) => return (error.to_string(), Vec::new()),
        };
        (String::new(), rest(&mut stream).await)
    });
    let one = asker();
    not_sent_since(&one, &address, "it does not know the secret of this deployment").await;
    let (error, heard) = stranger.await.expect("it ends");
    assert_eq!(heard, b"");
    assert!(error.contains("AccessDenied"), "{error}");
}

/// Anybody can learn the public part of our key from a server.
#[tokio::test]
async fn to_show_our_key_is_not_to_have_it() {
    let echo = Echo::new();
    let server = answering(echo.clone());
    let shows = Some(raw::showing(raw::stolen(SECRET, OTHER_SECRET)));
    let mut stream =
        tls_to(server.local_addr(), shows, true, &TLS13).await.expect("the server shows its key first");
    let _refused = stream.write_all(&[&hello(BUILD)[..], &frame(1, b"stolen")].concat()).await;
    assert_eq!(rest(&mut stream).await, b"");
    assert_eq!(echo.asked(), 0);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let stranger = tokio::spawn(async move {
        let key = raw::stolen(SECRET, OTHER_SECRET);
        raw::accept(&listener, key).await.err().map(|error| error.to_string())
    });
    not_sent_since(&asker(), &address, "it does not know the secret of this deployment").await;
    let error = stranger.await.expect("it ends").expect("it is refused");
    assert!(error.contains("received fatal alert"), "{error}");
}

#[tokio::test]
async fn the_wire_is_what_is_written_down() {
    let server = answering(Echo::new());
    let mut stream = peer_to(&server, SECRET, BUILD).await.expect("a peer");
    stream.write_all(&[frame(7, b"seven"), frame(0, b""), frame(8, b"")].concat()).await.expect("it reads");
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(timeout(PATIENCE, read_frame(&mut stream)).await.expect("soon").expect("a frame"));
    }
    heard.sort();
    assert_eq!(heard, [(0, vec![]), (7, b"seven".to_vec()), (8, vec![])]);
}

#[tokio::test]
async fn other_clients_get_nothing_and_keep_nobody_out() {
    let echo = Echo::new();
    let server = answering(echo.clone());
    let local = server.local_addr();
    for said in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xA5; 10_000], &hello(BUILD), b"\x16\x03\x01\xff\xff"]
    {
        let mut stream = TcpStream::connect(local).await.expect("it listens");
        let _refused = stream.write_all(said).await;
        let heard = rest(&mut stream).await;
        // An alert of TLS at most.
        assert!(heard.len() <= 7 && heard.first().is_none_or(|kind| *kind == 0x15), "{heard:?}");
    }
    // No key; a server's ordinary client; an old one.
    let shows = || Some(raw::showing(raw::key(SECRET)));
    for (shows, raw_keys, version) in [(None, true, &TLS13), (None, false, &TLS13), (shows(), true, &TLS12)] {
        if let Ok(mut stream) = tls_to(local, shows, raw_keys, version).await {
            let _refused = stream.write_all(&[&hello(BUILD)[..], &frame(1, b"stolen")].concat()).await;
            assert_eq!(rest(&mut stream).await, b"");
        }
    }
    assert_eq!(echo.asked(), 0);
    assert_eq!(answered(&asker(), server.address(), "mine").await, "mine");
}

#[tokio::test]
async fn who_says_nothing_keeps_nobody_out_and_is_sent_away() {
    let server = answering(Echo::new());
    let held = asker();
    answered(&held, server.address(), "before").await;
    // A machine that is busy may take so long that they are sent away before they are in anybody's way.
    for _ in 0..10 {
        let begun = Instant::now();
        let mut silent = Vec::new();
        for _ in 0..40 {
            silent.push(TcpStream::connect(server.local_addr()).await.expect("it listens"));
        }
        assert_eq!(answered(&held, server.address(), "known").await, "known");
        assert_eq!(answered(&asker(), server.address(), "new").await, "new");
        let quick = begun.elapsed() < Duration::from_secs(4);
        let mut open = 0;
        for stream in &mut silent {
            open += usize::from(timeout(Duration::from_millis(10), stream.read_u8()).await.is_err());
        }
        for stream in &mut silent {
            assert_eq!(rest(stream).await, b"");
        }
        if quick && begun.elapsed() >= Duration::from_secs(4) {
            assert!((20..=32).contains(&open), "{open} were open");
            return;
        }
    }
    panic!("nobody was let in beside those who say nothing, or they were given no time");
}

#[tokio::test]
async fn another_program_neither_asks_nor_answers() {
    let echo = Echo::new();
    let (one, server) = (asker(), answering(echo.clone()));
    let other = TcpPeers::start(PeersSettings { build: Some([2; 32]), ..settings(SECRET) }).expect("a port");
    other.answer_with(each(echo.clone()));
    not_sent_since(&one, other.address(), "it runs another version of the program").await;
    not_sent_since(&other, server.address(), "it runs another version of the program").await;
    // Nor does one that sends its message ahead.
    let mut stream = peer_to(&server, SECRET, [2; 32]).await.expect("it says who it is");
    let _refused = stream.write_all(&frame(1, b"new")).await;
    assert_eq!(rest(&mut stream).await, b"");
    assert_eq!(echo.asked(), 0);
    assert_eq!(answered(&one, server.address(), "same").await, "same");
}

#[tokio::test]
async fn a_server_sends_away_who_announces_too_much() {
    let echo = Echo::new();
    let server = answering(echo.clone());
    let mut stream = peer_to(&server, SECRET, BUILD).await.expect("a peer");
    stream.write_all(&frame(1, b"fine")).await.expect("it reads");
    assert_eq!(read_frame(&mut stream).await.expect("an answer"), (1, b"fine".to_vec()));
    stream.write_all(&head(TOO_LONG, 2)).await.expect("it reads");
    assert_eq!(rest(&mut stream).await, b"");
    assert_eq!(echo.asked(), 1);
    assert_eq!(answered(&asker(), server.address(), "still").await, "still");
}

/// Answers the first message that comes after this with something else.
async fn answering_wrongly(wrong: fn(u64) -> Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let mut stream = raw::accept(&listener, raw::key(SECRET)).await.expect("a peer");
        stream.write_all(&hello(BUILD)).await.expect("it reads");
        stream.flush().await.expect("it reads");
        let mut said = [0; 37];
        stream.read_exact(&mut said).await.expect("it says who it is");
        assert_eq!(said, hello(BUILD), "what the client says first");
        let number = loop {
            let (number, message) = read_frame(&mut stream).await.expect("a message");
            if message == b"wrong" {
                break number;
            }
            stream.write_all(&frame(number, &message)).await.expect("it reads");
            stream.flush().await.expect("it reads");
        };
        stream.write_all(&wrong(number)).await.expect("it reads");
        stream.flush().await.expect("it reads");
        rest(&mut stream).await;
    });
    address
}

#[tokio::test]
async fn a_client_gives_up_who_answers_what_makes_no_sense() {
    let too_long: fn(u64) -> Vec<u8> = |number| head(TOO_LONG, number);
    for wrong in [too_long, |number| frame(number + 1, b"to nothing")] {
        let address = answering_wrongly(wrong).await.to_string();
        let one = asker();
        assert_eq!(answered(&one, &address, "right").await, "right");
        let lost = ask(&one, &address, b"wrong").await;
        assert_eq!(lost, Err(PeerError::NoAnswer("it does not speak as peers do".to_owned())));
        let next = ask(&one, &address, b"next").await;
        assert!(matches!(next, Err(PeerError::NotSent(_))), "{next:?}");
    }
}

#[tokio::test]
async fn there_is_an_end_to_peers_and_to_what_they_are_asked() {
    let server = answering(Echo::new());
    let mut inside = Vec::new();
    for _ in 0..256 {
        inside.push(peer_to(&server, SECRET, BUILD).await.expect("a peer"));
    }
    let mut one_more = peer_to(&server, SECRET, BUILD).await.expect("it says who it is");
    assert_eq!(rest(&mut one_more).await, b"");
    let last = inside.last_mut().expect("a peer");
    last.write_all(&frame(1, b"inside")).await.expect("it reads");
    assert_eq!(read_frame(last).await.expect("an answer"), (1, b"inside".to_vec()));
    // And whoever leaves makes room.
    inside.truncate(10);
    assert_eq!(answered(&asker(), server.address(), "next").await, "next");
}

#[tokio::test]
async fn nothing_tells_the_secret() {
    let bytes = format!("{:?}", SECRET.as_bytes());
    let hides = |text: String| {
        assert!(!text.contains(SECRET) && !text.contains(bytes.trim_matches(['[', ']'])), "{text}");
        assert!(!text.is_empty());
    };
    hides(format!("{:?}", settings(SECRET)));
    let one = asker();
    hides(format!("{one:?}"));
    assert!(format!("{one:?}").contains(one.address()), "{one:?}");
    let other = TcpPeers::start(settings(OTHER_SECRET)).expect("a free port");
    other.answer_with(each(Echo::new()));
    not_sent_since(&one, other.address(), "it does not know the secret of this deployment").await;
    hides(format!("{:?}", ask(&one, other.address(), b"").await));
}

#[tokio::test]
async fn what_cannot_work_is_said_in_a_sentence() {
    let one = asker();
    let fault = |change: fn(&mut PeersSettings, SocketAddr)| {
        let mut settings = settings(SECRET);
        change(&mut settings, one.local_addr());
        TcpPeers::start(settings).expect_err("it cannot work")
    };
    let taken = fault(|settings, taken| settings.listen = taken);
    assert!(matches!(&taken, PeersFault::Listen { listen, .. } if *listen == one.local_addr()), "{taken:?}");
    let sentence = format!("peers cannot be listened for on {}: ", one.local_addr());
    assert!(taken.to_string().starts_with(&sentence), "{taken}");
    assert_eq!(
        fault(|settings, _| settings.advertise = "here".to_owned()).to_string(),
        "\"here\" does not tell peers where this process is: it has to be host:port"
    );
    assert_eq!(
        fault(|settings, _| settings.secret = b"short".to_vec().into()).to_string(),
        "the secret of the peers is too short: it has to have 16 bytes or more"
    );
    let mut named = settings(SECRET);
    named.advertise = "pod-1.credit:7000".to_owned();
    assert_eq!(TcpPeers::start(named).expect("a free port").address(), "pod-1.credit:7000");
}
