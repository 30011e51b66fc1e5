//! SIGTERM, slow callers, and what becomes of calls that are under way.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use credit_tests::server::Server;
use credit_tests::story::{audit, purchase, register, unique, wallet};
use serde_json::{Value, json};

const IN_FLIGHT: usize = 200;
const START: i64 = 10_000;
/// Who calls during a stop, and how long each waits after the one before.
const LATE: usize = 64;
const LATE_STEP: Duration = Duration::from_millis(10);
/// A process with one thread for calls has its lanes on it, one with more has them beside, and each ends in its own order.
const THREADS: [&str; 2] = ["1", "2"];

/// A spend in the middle of its body.
struct HalfSent {
    stream: TcpStream,
    key: String,
    rest: String,
}

fn start(threads: &str, drain_delay: &str) -> Server {
    let settings = [("CREDIT_SERVER__WORKERS", threads), ("CREDIT_SERVER__DRAIN_DELAY", drain_delay)];
    Server::start(&settings).expect("a server")
}

fn connect(server: &Server) -> TcpStream {
    let address = server.base().trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

fn half_sent(server: &Server, wallet: &str) -> HalfSent {
    let key = unique("half-");
    let body = spend(wallet).to_string();
    let head = head(server.api_key(), &key, &body);
    let (begin, rest) = body.split_at(10);
    let mut stream = connect(server);
    stream.write_all(format!("{head}{begin}").as_bytes()).expect("it is taken");
    HalfSent { stream, key, rest: rest.to_owned() }
}

fn head(api_key: &str, key: &str, body: &str) -> String {
    format!(
        "POST /v1/transactions HTTP/1.1\r\nhost: shop\r\nx-api-key: {api_key}\r\nidempotency-key: {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
}

fn spend(wallet: &str) -> Value {
    json!({"type": "spend", "wallet_id": wallet, "amount": 1})
}

/// Status and body; `None` if the connection was closed without an answer.
fn answer(mut stream: TcpStream) -> Option<(u16, String)> {
    let mut text = Vec::new();
    let mut piece = [0_u8; 4096];
    loop {
        if let Some(found) = whole(&text) {
            return Some(found);
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return whole(&text),
            Ok(length) => text.extend_from_slice(&piece[..length]),
        }
    }
}

fn whole(bytes: &[u8]) -> Option<(u16, String)> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    (body.len() >= length.unwrap_or(0)).then(|| (status, body.to_owned()))
}

#[test]
fn of_two_hundred_calls_in_flight_each_has_a_definite_answer_and_the_books_agree() {
    THREADS.into_iter().for_each(stop_with_calls_in_flight);
}

fn stop_with_calls_in_flight(threads: &str) {
    let mut server = Server::start(&[("CREDIT_SERVER__WORKERS", threads)]).expect("a server");
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, START);
    let begun: Vec<HalfSent> = (0..IN_FLIGHT).map(|_| half_sent(&server, &owner.wallet)).collect();
    std::thread::sleep(Duration::from_millis(300));

    let answers = Mutex::new(Vec::new());
    let together = Barrier::new(IN_FLIGHT + 1);
    let code = std::thread::scope(|scope| {
        for mut call in begun {
            let (answers, together) = (&answers, &together);
            scope.spawn(move || {
                together.wait();
                // The signal comes first, in the middle of every body.
                std::thread::sleep(Duration::from_millis(150));
                let sent = call.stream.write_all(call.rest.as_bytes());
                let got = if sent.is_ok() { answer(call.stream) } else { None };
                answers.lock().expect("no panic").push((call.key, got));
            });
        }
        together.wait();
        server.terminate().expect("it ends")
    });
    assert_eq!(code, Some(0), "{}", server.log());

    server.start_again().expect("it starts again");
    let app = server.app();
    let answers = answers.into_inner().expect("no panic");
    assert_eq!(answers.len(), IN_FLIGHT);
    let mut spent = 0;
    for (key, first) in answers {
        let (status, body) = first.unwrap_or_else(|| panic!("{key} got no answer\n{}", server.log()));
        assert_eq!(status, 201, "{key}: {body}");
        let again = app.post_once("/v1/transactions", &key, &spend(&owner.wallet)).expect(201);
        assert_eq!((again.header("idempotent-replayed"), again.body.as_str()), (Some("true"), body.as_str()));
        spent += 1;
    }
    assert_eq!(wallet(&app, &owner.wallet)["balance"], START - spent);
    audit(&server.admin());
}

#[test]
fn while_load_balancers_notice_it_is_not_ready_and_answers_as_ever() {
    THREADS.into_iter().for_each(drain);
}

fn drain(threads: &str) {
    let mut server = start(threads, "2s");
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, START);
    let (nobody, app) = (server.nobody(), server.app());
    let began = Instant::now();
    let code = std::thread::scope(|scope| {
        let ending = scope.spawn(|| server.terminate().expect("it ends"));
        std::thread::sleep(Duration::from_millis(500));
        let ready = nobody.get("/health/ready");
        assert_eq!(ready.status, 503, "{}", ready.body);
        assert!(ready.body.contains("draining"), "{}", ready.body);
        assert_eq!(nobody.get("/health/live").status, 200);
        let spent = app.post_once("/v1/transactions", &unique("drain-"), &spend(&owner.wallet));
        assert_eq!(spent.status, 201, "{}", spent.body);
        ending.join().expect("no panic")
    });
    assert_eq!(code, Some(0), "{}", server.log());
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Sends one of many calls on a connection, and answers the head and the body.
fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: shop\r\n\r\n").as_bytes()).expect("it is taken");
    let mut text = Vec::new();
    let mut piece = [0_u8; 4096];
    while whole(&text).is_none() {
        let length = stream.read(&mut piece).expect("an answer");
        assert!(length > 0, "it was closed without an answer");
        text.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&text).to_lowercase()
}

#[test]
fn who_keeps_a_connection_open_is_told_to_come_back_over_another_one() {
    THREADS.into_iter().for_each(keep_a_connection);
}

fn keep_a_connection(threads: &str) {
    let mut server = start(threads, "3s");
    let mut kept = connect(&server);
    for _ in 0..2 {
        let answer = ask(&mut kept, "/health/live");
        assert!(answer.starts_with("http/1.1 200") && !answer.contains("connection: close"), "{answer}");
    }
    let code = std::thread::scope(|scope| {
        let ending = scope.spawn(|| server.terminate().expect("it ends"));
        std::thread::sleep(Duration::from_millis(500));
        let answer = ask(&mut kept, "/health/live");
        assert!(
            answer.starts_with("http/1.1 200") && answer.contains("\r\nconnection: close\r\n"),
            "{answer}"
        );
        assert_eq!(kept.read(&mut [0]).expect("the end"), 0, "nothing comes behind the last answer");
        ending.join().expect("no panic")
    });
    assert_eq!(code, Some(0), "{}", server.log());
}

#[test]
fn who_calls_on_a_kept_connection_during_the_stop_is_told_the_truth() {
    THREADS.into_iter().for_each(call_during_the_stop);
}

fn call_during_the_stop(threads: &str) {
    let mut server = Server::start(&[("CREDIT_SERVER__WORKERS", threads)]).expect("a server");
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, START);
    let kept: Vec<_> = (0..LATE).map(|_| connect(&server)).collect();
    let kept: Vec<_> = kept
        .into_iter()
        .map(|mut stream| {
            let answer = ask(&mut stream, "/health/live");
            assert!(answer.starts_with("http/1.1 200"), "{answer}");
            (stream, unique("late-"), spend(&owner.wallet).to_string())
        })
        .collect();
    let api_key = server.api_key().to_owned();
    let answers = Mutex::new(Vec::new());
    let together = Barrier::new(LATE + 1);
    let code = std::thread::scope(|scope| {
        for ((mut stream, key, body), after) in kept.into_iter().zip(0..) {
            let (answers, together, api_key) = (&answers, &together, &api_key);
            scope.spawn(move || {
                together.wait();
                std::thread::sleep(LATE_STEP * after);
                let call = head(api_key, &key, &body) + &body;
                let got = if stream.write_all(call.as_bytes()).is_ok() { answer(stream) } else { None };
                answers.lock().expect("no panic").push((key, got));
            });
        }
        together.wait();
        server.terminate().expect("it ends")
    });
    assert_eq!(code, Some(0), "{}", server.log());

    server.start_again().expect("it starts again");
    let app = server.app();
    let answers = answers.into_inner().expect("no panic");
    let with =
        |wanted| answers.iter().filter(|(_, got)| got.as_ref().map(|(status, _)| *status) == wanted).count();
    println!(
        "{threads} threads: {} made, {} refused, {} closed",
        with(Some(201)),
        with(Some(503)),
        with(None)
    );
    assert_eq!(with(Some(201)) + with(Some(503)) + with(None), LATE, "{answers:?}");
    assert!(with(Some(201)) < LATE, "nobody called during the stop");
    for (key, first) in answers {
        let again = app.post_once("/v1/transactions", &key, &spend(&owner.wallet)).expect(201);
        if let Some((201, body)) = first {
            assert_eq!((again.header("idempotent-replayed"), &again.body), (Some("true"), &body), "{key}");
        }
    }
    assert_eq!(wallet(&app, &owner.wallet)["balance"], START - i64::try_from(LATE).expect("few"));
    audit(&server.admin());
}

#[test]
fn a_connection_that_asks_nothing_holds_no_stop_up() {
    THREADS.into_iter().for_each(stop_beside_an_idle_connection);
}

fn stop_beside_an_idle_connection(threads: &str) {
    let mut server = Server::start(&[("CREDIT_SERVER__WORKERS", threads)]).expect("a server");
    let mut kept = connect(&server);
    let answer = ask(&mut kept, "/health/live");
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    let began = Instant::now();
    assert_eq!(server.terminate().expect("it ends"), Some(0), "{}", server.log());
    assert!(began.elapsed() < Duration::from_secs(5), "{threads}: {:?}", began.elapsed());
    assert_eq!(kept.read(&mut [0]).expect("the end"), 0, "it is closed, not reset");
}

#[test]
fn a_second_signal_hurries() {
    THREADS.into_iter().for_each(hurry);
}

fn hurry(threads: &str) {
    let mut server = start(threads, "60s");
    let pid = server.pid().to_string();
    let began = Instant::now();
    let code = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status();
            assert!(sent.expect("kill is there").success());
        });
        server.terminate().expect("it ends")
    });
    assert_eq!(code, Some(0), "{}", server.log());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    server.start_again().expect("it starts again");
    audit(&server.admin());
}

#[test]
fn a_body_or_a_head_that_comes_drop_by_drop_is_cut_in_the_end() {
    let settings = [("CREDIT_SERVER__BODY_TIMEOUT", "1s"), ("CREDIT_SERVER__REQUEST_TIMEOUT", "1s")];
    let server = Server::start(&settings).expect("a server");
    let owner = register(&server.app());

    // A byte every now and then: each by itself is in time, all together are not.
    let mut slow = half_sent(&server, &owner.wallet);
    let began = Instant::now();
    let mut drops = slow.stream.try_clone().expect("a second handle");
    let dropping = std::thread::spawn(move || {
        for byte in slow.rest.bytes().take(15) {
            if drops.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let (status, body) = answer(slow.stream.try_clone().expect("a second handle")).expect("an answer");
    assert_eq!(status, 408, "{body}");
    assert!(body.contains("\"request_timeout\""), "{body}");
    assert!(began.elapsed() < Duration::from_millis(2900), "{:?}", began.elapsed());
    let mut rest = Vec::new();
    // Closed or reset: nobody waits for what is left.
    let _closed = slow.stream.read_to_end(&mut rest);
    dropping.join().expect("no panic");
    assert_eq!(wallet(&server.app(), &owner.wallet)["balance"], 0);

    let mut head = connect(&server);
    let began = Instant::now();
    for byte in b"GET /health/live HTTP/1.1\r\nhost: shop\r\nx-slow: 0123456789" {
        if head.write_all(&[*byte]).is_err() || began.elapsed() > Duration::from_secs(6) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let ended = answer(head);
    assert!(ended.as_ref().is_none_or(|(status, _)| *status == 408), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(server.nobody().get("/health/live").status, 200);
}
