//! Many callers at once, on the real program.

use std::sync::Barrier;

use credit_tests::server::Server;
use credit_tests::story::{audit, purchase, register, unique, wallet};
use serde_json::json;

const CALLERS: usize = 200;

/// Runs `call` from many threads at once and answers the statuses.
fn race<T: Send>(call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CALLERS)
            .map(|index| {
                let (start, call) = (&start, &call);
                scope.spawn(move || {
                    start.wait();
                    call(index)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("the caller did not panic")).collect()
    })
}

#[test]
fn two_hundred_spends_on_a_balance_of_a_hundred_overspend_nothing() {
    let server = Server::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 100);
    let prefix = unique("race-");

    let answers = race(|index| {
        let body = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
        app.post_once("/v1/transactions", &format!("{prefix}{index}"), &body)
    });

    let spent = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 402).count();
    assert_eq!((spent, refused), (100, 100));
    assert_eq!(wallet(&app, &owner.wallet)["balance"], 0);
    let mut after: Vec<i64> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.json()["entries"][0]["balance_after"].as_i64().expect("a balance"))
        .collect();
    after.sort_unstable();
    assert_eq!(after, (0..100).collect::<Vec<_>>());
    audit(&server.admin());
}

#[test]
fn one_key_from_two_hundred_callers_moves_once_and_answers_the_same() {
    let server = Server::start(&[]).expect("a server");
    let app = server.app();
    let owner = register(&app);
    purchase(&app, &owner.wallet, 1_000);
    let key = unique("same-");
    let body = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 7});

    let answers = race(|_| app.post_once("/v1/transactions", &key, &body));

    assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
    let first = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
    assert_eq!(first, 1);
    assert_eq!(wallet(&app, &owner.wallet)["balance"], 993);
    audit(&server.admin());
}

#[test]
fn holds_captures_releases_and_transfers_at_once_lose_nothing() {
    let server = Server::start(&[]).expect("a server");
    let app = server.app();
    let (left, right) = (register(&app), register(&app));
    purchase(&app, &left.wallet, 500);
    purchase(&app, &right.wallet, 500);
    let prefix = unique("mixed-");

    race(|index| {
        let (from, to) = if index % 2 == 0 { (&left, &right) } else { (&right, &left) };
        let key = |part: &str| format!("{prefix}{index}-{part}");
        if index % 3 == 0 {
            let body = json!({"type": "transfer", "source_wallet_id": from.wallet, "destination_wallet_id": to.wallet, "amount": 9});
            let status = app.post_once("/v1/transactions", &key("transfer"), &body).status;
            assert!(matches!(status, 201 | 402), "{status}");
            return;
        }
        let path = format!("/v1/wallets/{}/holds", from.wallet);
        let hold = app.post_once(&path, &key("hold"), &json!({"amount": 5}));
        if hold.status == 402 {
            return;
        }
        let hold = hold.expect(201).text("id");
        let end =
            if index % 3 == 1 { ("capture", json!({"amount": 2}), 201) } else { ("release", json!({}), 200) };
        let path = format!("/v1/holds/{hold}/{}", end.0);
        assert_eq!(app.post_once(&path, &key("end"), &end.1).status, end.2);
    });

    let (left, right) = (wallet(&app, &left.wallet), wallet(&app, &right.wallet));
    assert_eq!((&left["held"], &right["held"]), (&json!(0), &json!(0)));
    let spent: i64 = app.get("/v1/transactions?type=capture&limit=200").expect(200).json()["data"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["amount"].as_i64().expect("an amount"))
        .sum();
    let kept = left["balance"].as_i64().expect("a balance") + right["balance"].as_i64().expect("a balance");
    assert_eq!(kept + spent, 1_000);
    audit(&server.admin());
}
