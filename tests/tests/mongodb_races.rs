//! Three processes on one database: what holds in one holds over all.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{fresh_database, shared};
use credit_tests::client::Client;
use credit_tests::server::{HANDING, Server, on_mongodb};
use credit_tests::story::{audit, purchase, register, unique, wallet};
use serde_json::json;

const PROCESSES: usize = 3;
const CALLERS: usize = 200;

/// What holds for processes that each write for themselves, and for those that hand each other commands.
fn both_ways(holds: impl Fn(&[Server], &[Client])) {
    for settings in [&[][..], &HANDING] {
        println!("{settings:?}");
        let (servers, apps) = house(settings);
        holds(&servers, &apps);
        audit_everywhere(&servers);
    }
}

/// Three processes on a database of their own, and the same application's client for each.
fn house(settings: &[(&str, &str)]) -> (Vec<Server>, Vec<Client>) {
    let first = Server::start(&on_mongodb(&shared().uri(), &fresh_database(), settings)).expect("a server");
    let more = (1..PROCESSES).map(|_| first.start_another().expect("another"));
    let mut servers: Vec<_> = more.collect();
    servers.insert(0, first);
    let key = servers[0].api_key().to_owned();
    let apps = servers.iter().map(|server| server.nobody().with_key(&key)).collect();
    (servers, apps)
}

/// The ledger holds, whichever process is asked.
fn audit_everywhere(servers: &[Server]) {
    for server in servers {
        audit(&server.admin());
    }
}

#[test]
fn two_hundred_spends_over_three_processes_on_a_balance_of_a_hundred_overspend_nothing() {
    both_ways(|_, apps| {
        let owner = register(&apps[0]);
        purchase(&apps[0], &owner.wallet, 100);
        let prefix = unique("race-");
        let start = Barrier::new(CALLERS);

        let answers: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|index| {
                    let (app, owner, start, prefix) = (&apps[index % PROCESSES], &owner, &start, &prefix);
                    scope.spawn(move || {
                        let body = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
                        start.wait();
                        app.post_once("/v1/transactions", &format!("{prefix}{index}"), &body)
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().expect("the caller did not panic")).collect()
        });

        let with = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((with(201), with(402)), (100, 100));
        let mut after: Vec<i64> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .map(|answer| answer.json()["entries"][0]["balance_after"].as_i64().expect("a balance"))
            .collect();
        after.sort_unstable();
        assert_eq!(after, (0..100).collect::<Vec<_>>());
        // Whoever is asked answers each of them as the first did.
        for (index, answer) in answers.iter().enumerate() {
            let other = &apps[(index + 1) % PROCESSES];
            let body = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
            let again = other.post_once("/v1/transactions", &format!("{prefix}{index}"), &body);
            assert_eq!((again.status, &again.body), (answer.status, &answer.body));
            assert_eq!(again.header("idempotent-replayed"), Some("true"));
        }
        for app in apps {
            assert_eq!(wallet(app, &owner.wallet)["balance"], 0);
        }
    });
}

#[test]
fn one_key_over_three_processes_moves_once_and_answers_the_same() {
    both_ways(|_, apps| {
        let owner = register(&apps[0]);
        purchase(&apps[0], &owner.wallet, 1_000);
        let body = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 7});
        let key = unique("same-");
        let start = Barrier::new(60);

        let answers: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..60)
                .map(|index| {
                    let (app, start, key, body) = (&apps[index % PROCESSES], &start, &key, &body);
                    scope.spawn(move || {
                        start.wait();
                        app.post_once("/v1/transactions", key, body)
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().expect("the caller did not panic")).collect()
        });

        assert!(answers.iter().all(|answer| answer.status == 201 && answer.body == answers[0].body));
        let first = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
        assert_eq!(first, 1);
        assert_eq!(wallet(&apps[1], &owner.wallet)["balance"], 993);
    });
}

#[test]
fn what_one_process_answered_every_other_one_shows_at_once() {
    both_ways(|_, apps| {
        let owner = register(&apps[0]);
        purchase(&apps[0], &owner.wallet, 1_000);
        for round in 0..30 {
            let writer = &apps[round % PROCESSES];
            let body =
                json!({"type": "spend", "wallet_id": owner.wallet, "amount": 3, "reference": unique("r-")});
            let made = writer.post_once("/v1/transactions", &unique("read-"), &body).expect(201).json();
            let left = made["entries"][0]["balance_after"].as_i64().expect("a balance");
            let (id, reference) =
                (made["id"].as_str().expect("an id"), made["reference"].as_str().expect("it"));
            for reader in apps {
                assert_eq!(wallet(reader, &owner.wallet)["balance"], left);
                assert_eq!(reader.get(&format!("/v1/transactions/{id}")).expect(200).json(), made);
                let found = reader.get(&format!("/v1/transactions?reference={reference}")).expect(200).json();
                assert_eq!(found["data"][0]["id"], id);
            }
        }
    });
}

#[test]
fn no_process_starves_on_one_book() {
    const TOGETHER: usize = 8;
    both_ways(|_, apps| {
        let owner = register(&apps[0]);
        purchase(&apps[0], &owner.wallet, 1_000_000);
        let accepted: Vec<_> = (0..PROCESSES).map(|_| AtomicUsize::new(0)).collect();
        let limit = Instant::now() + Duration::from_secs(4);

        std::thread::scope(|scope| {
            for index in 0..PROCESSES * TOGETHER {
                let (app, accepted, owner) = (&apps[index % PROCESSES], &accepted[index % PROCESSES], &owner);
                scope.spawn(move || {
                    let body = json!({"type": "spend", "wallet_id": owner.wallet, "amount": 1});
                    while Instant::now() < limit {
                        let answer = app.post_once("/v1/transactions", &unique("fair-"), &body);
                        assert_eq!(answer.status, 201, "{}", answer.body);
                        accepted.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });

        let shares: Vec<_> = accepted.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let all: usize = shares.iter().sum();
        println!("accepted by each process in 4 s: {shares:?}");
        // An even share is a third; a sixth of that is far from starving, whoever else uses this machine.
        assert!(shares.iter().all(|share| share * PROCESSES * 6 >= all), "{shares:?}");
        let spent = i64::try_from(all).expect("not so many");
        for app in apps {
            assert_eq!(wallet(app, &owner.wallet)["balance"], 1_000_000 - spent);
        }
    });
}
