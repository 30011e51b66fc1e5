//! `kill -9` at any moment loses no answered call and invents none; the same key never moves twice.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use credit_tests::client::{Answer, Client};
use credit_tests::server::Server;
use credit_tests::story::{audit, purchase, register, wallet};
use serde_json::{Value, json};

const CALLERS: usize = 16;
const KILLS: u64 = 6;
const START: i64 = 3_000;

/// One call that was made: its key, its body, and its answer if one came.
struct Made {
    key: String,
    body: Value,
    answer: Option<Answer>,
}

/// Spends and grants as fast as they are answered, until told to stop or the server is gone.
fn load(app: &Client, wallet: &str, prefix: &str, made: &Mutex<Vec<Made>>, stop: &AtomicBool) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{prefix}-{number}");
        // Some are refused for lack of funds: a refusal sticks to its key as well.
        let amount = if number % 5 == 0 { START * 2 } else { 1 };
        let body = json!({"type": "spend", "wallet_id": wallet, "amount": amount, "reference": key});
        let answer = app.call("POST", "/v1/transactions", &[("idempotency-key", &key)], Some(&body)).ok();
        let gone = answer.is_none();
        made.lock().expect("no panic").push(Made { key, body, answer });
        if gone {
            return;
        }
    }
}

#[test]
fn kill_minus_nine_loses_no_answered_call_and_invents_none() {
    let mut server = Server::start(&[]).expect("a server");
    let owner = register(&server.app());
    purchase(&server.app(), &owner.wallet, START);
    let made = Mutex::new(Vec::new());

    for round in 0..KILLS {
        let stop = AtomicBool::new(false);
        let app = server.app();
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (app, made, stop, wallet) = (&app, &made, &stop, &owner.wallet);
                scope.spawn(move || load(app, wallet, &format!("r{round}-c{caller}"), made, stop));
            }
            // Another moment each time: before the first view is written, in the middle of one, long after.
            std::thread::sleep(Duration::from_millis(40 + round * 70));
            server.kill_and_restart().expect("it starts again");
            stop.store(true, Ordering::Relaxed);
        });
    }

    let made = made.into_inner().expect("no panic");
    let app = server.app();
    let mut spent = 0;
    let (mut answered, mut unknown) = (0, 0);
    for call in &made {
        let now = app.post_once("/v1/transactions", &call.key, &call.body);
        match &call.answer {
            Some(first) if first.status < 500 => {
                answered += 1;
                assert_eq!((now.status, &now.body), (first.status, &first.body), "{}", call.key);
                assert_eq!(now.header("idempotent-replayed"), Some("true"), "{}", call.key);
            }
            _ => unknown += 1,
        }
        assert!(matches!(now.status, 201 | 402), "{}", now.body);
        if now.status == 201 {
            spent += now.number("amount");
        }
        let again = app.post_once("/v1/transactions", &call.key, &call.body);
        assert_eq!((again.status, again.body), (now.status, now.body), "{}", call.key);
    }
    assert!(answered > 100, "the load was too small to tell: {answered} answered");
    let kept = wallet(&app, &owner.wallet)["balance"].as_i64().expect("a balance");
    assert_eq!(kept, START - spent, "{answered} answered, {unknown} unknown");
    audit(&server.admin());
}

#[test]
fn a_terminated_server_answers_what_it_took_and_exits_with_zero() {
    let mut server = Server::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, START);
    let made = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);

    let code = std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (app, made, stop, wallet) = (&app, &made, &stop, &owner.wallet);
            scope.spawn(move || load(app, wallet, &format!("t{caller}"), made, stop));
        }
        std::thread::sleep(Duration::from_millis(200));
        let code = server.terminate().expect("it ends");
        stop.store(true, Ordering::Relaxed);
        code
    });

    assert_eq!(code, Some(0), "{}", server.log());
    server.start_again().expect("it starts again");
    let spent: i64 = made
        .into_inner()
        .expect("no panic")
        .iter()
        .map(|call| server.app().post_once("/v1/transactions", &call.key, &call.body))
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.number("amount"))
        .sum();
    assert_eq!(wallet(&server.app(), &owner.wallet)["balance"], START - spent);
    audit(&server.admin());
}
