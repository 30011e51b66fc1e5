//! Who may call what, row by row, as the contract's column says.

use credit_core::{AssetCode, Scope};
use credit_wallet::testkit::{Caller, WalletHouse, nothing};
use serde_json::{Value, json};

use super::world::{admin, alice, hold, house, newest_lot, support};

/// A call and who gets through to it.
struct Row {
    method: &'static str,
    path: String,
    body: Option<Value>,
    users: bool,
    scopes: &'static [Scope],
    support: bool,
    admin: bool,
}

const READ: &[Scope] = &[Scope::WalletsRead];
const WRITE: &[Scope] = &[Scope::WalletsWrite];
const MOVE: &[Scope] = &[Scope::TransactionsWrite];
const LOOK_AT_HOLDS: &[Scope] = &[Scope::WalletsRead, Scope::TransactionsWrite];

async fn rows(house: &WalletHouse) -> Vec<Row> {
    let (_, wallet) = house.person("alice").await;
    house.ground.seed(wallet, 100).await;
    let newcomer = house.ground.user_of(house.ground.app, "newcomer", &[]);
    let grant = newest_lot(house, wallet).await;
    let holds: [_; 3] =
        [hold(house, wallet, 1).await, hold(house, wallet, 2).await, hold(house, wallet, 3).await];
    let empty = house.ground.user_of(house.ground.app, "empty", &[]);
    let empty = house.ground.wallet_of(house.ground.app, empty, AssetCode::CREDIT).await;
    let all = Scope::ALL.map(|(scope, _)| scope);
    let all: &'static [Scope] = Box::leak(Box::new(all));
    let row = |method, path: String, body, users, scopes, support, admin| Row {
        method,
        path,
        body,
        users,
        scopes,
        support,
        admin,
    };
    let at = |rest: &str| format!("/v1/wallets/{wallet}{rest}");
    let empty_object = || Some(nothing());
    vec![
        row(
            "POST",
            "/v1/assets".into(),
            Some(json!({ "code": "GOLD", "scale": 2 })),
            false,
            &[],
            false,
            true,
        ),
        row("GET", "/v1/assets".into(), None, true, all, true, true),
        row("POST", "/v1/wallets".into(), Some(json!({ "user_id": newcomer })), false, WRITE, false, true),
        row("GET", "/v1/wallets".into(), None, true, READ, true, true),
        row("GET", at(""), None, true, READ, true, true),
        row("GET", at("/balance"), None, true, READ, true, true),
        row("GET", at("/entries"), None, true, READ, true, true),
        row("GET", at("/grants"), None, true, READ, true, true),
        row("PATCH", at(""), empty_object(), false, WRITE, false, true),
        row("POST", at("/freeze"), None, false, WRITE, true, true),
        row("POST", at("/unfreeze"), None, false, WRITE, true, true),
        row("POST", format!("/v1/wallets/{empty}/close"), None, false, WRITE, true, true),
        row("POST", at("/holds"), Some(json!({ "amount": 1 })), true, MOVE, false, false),
        row("GET", "/v1/holds".into(), None, true, LOOK_AT_HOLDS, true, true),
        row("GET", format!("/v1/holds/{}", holds[0]), None, true, LOOK_AT_HOLDS, true, true),
        row(
            "POST",
            format!("/v1/holds/{}/extend", holds[0]),
            Some(json!({ "expires_in": 60 })),
            true,
            MOVE,
            false,
            false,
        ),
        row("POST", format!("/v1/holds/{}/capture", holds[0]), None, true, MOVE, false, false),
        row("POST", format!("/v1/holds/{}/release", holds[1]), None, true, MOVE, false, false),
        row("POST", format!("/v1/grants/{grant}/void"), None, false, MOVE, false, true),
    ]
}

async fn is_let_in(house: &WalletHouse, row: &Row, who: &Caller, key: usize) -> bool {
    let key = format!("access-{key}");
    let headers = [("idempotency-key", key.as_str())];
    let answer = house.ask(who, row.method, &row.path, &headers, row.body.clone()).await;
    assert_ne!(answer.status, 401, "{} {}", row.method, row.path);
    assert!(answer.status < 500, "{} {}: {:?}", row.method, row.path, answer.json());
    answer.status != 403
}

#[actix_web::test]
async fn every_row_lets_in_whom_the_contract_names_and_nobody_else() {
    let house = house().await;
    let rows = rows(&house).await;
    let mut calls = 0;
    for row in &rows {
        let what = format!("{} {}", row.method, row.path);
        let nobody = house.ask(&Caller::Nobody, row.method, &row.path, &[], row.body.clone()).await;
        assert_eq!((nobody.status, nobody.code().as_str()), (401, "unauthenticated"), "{what}");
        for (scope, name) in Scope::ALL {
            calls += 1;
            let let_in = is_let_in(&house, row, &house.key(&[scope]), calls).await;
            assert_eq!(let_in, row.scopes.contains(&scope), "{what} with {name}");
        }
        for (who, expected) in [(alice(), row.users), (support(), row.support), (admin(), row.admin)] {
            calls += 1;
            assert_eq!(is_let_in(&house, row, &who, calls).await, expected, "{what} by {who:?}");
        }
    }
}

#[actix_web::test]
async fn what_belongs_to_others_is_as_unknown_as_what_does_not_exist() {
    let house = house().await;
    let (_, wallet) = house.person("alice").await;
    house.ground.seed(wallet, 100).await;
    let grant = newest_lot(&house, wallet).await;
    let hold = hold(&house, wallet, 5).await;
    house.person("bob").await;
    let before = house.look(wallet).await;
    let stranger = house
        .key_of(house.ground.other_app, &[Scope::WalletsRead, Scope::WalletsWrite, Scope::TransactionsWrite]);
    let wallet_calls = [
        ("GET", "", None),
        ("GET", "/balance", None),
        ("GET", "/entries", None),
        ("GET", "/grants", None),
        ("POST", "/holds", Some(json!({ "amount": 1 }))),
    ];
    let mut calls: Vec<(&str, String, Option<Value>)> = Vec::new();
    for place in [wallet.to_string(), "wal_0".to_owned(), format!("wal_{}", "7".repeat(32))] {
        for (method, rest, body) in &wallet_calls {
            calls.push((method, format!("/v1/wallets/{place}{rest}"), body.clone()));
        }
    }
    calls.push(("GET", format!("/v1/holds/{hold}"), None));
    calls.push(("POST", format!("/v1/holds/{hold}/capture"), None));
    calls.push(("POST", format!("/v1/holds/{hold}/release"), None));
    calls.push(("POST", format!("/v1/holds/{hold}/extend"), Some(json!({ "expires_in": 9 }))));
    for who in [Caller::user("bob"), stranger.clone()] {
        for (method, path, body) in &calls {
            let answer = house.ask(&who, method, path, &[("idempotency-key", "k")], body.clone()).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (404, "not_found"),
                "{who:?} {method} {path}"
            );
        }
    }
    for (method, path) in [
        ("PATCH", format!("/v1/wallets/{wallet}")),
        ("POST", format!("/v1/wallets/{wallet}/freeze")),
        ("POST", format!("/v1/wallets/{wallet}/unfreeze")),
        ("POST", format!("/v1/wallets/{wallet}/close")),
        ("POST", format!("/v1/grants/{grant}/void")),
    ] {
        let answer = house.ask(&stranger, method, &path, &[("idempotency-key", "k")], Some(nothing())).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{method} {path}");
    }
    assert_eq!(house.look(wallet).await, before);
}

#[actix_web::test]
async fn an_operator_reads_everything_and_moves_nothing_that_is_not_its_own() {
    let house = house().await;
    let (_, wallet) = house.person("alice").await;
    house.ground.seed(wallet, 100).await;
    let hold = hold(&house, wallet, 5).await;
    let (_, elsewhere) = house.person_of(house.ground.other_app, "carol").await;
    let before = house.look(wallet).await;
    for who in [support(), admin()] {
        for wallet in [wallet, elsewhere] {
            assert_eq!(house.get(&who, &format!("/v1/wallets/{wallet}")).await.status, 200);
        }
        for path in [format!("/v1/wallets/{wallet}/holds"), format!("/v1/holds/{hold}/extend")] {
            let body =
                if path.ends_with("holds") { json!({ "amount": 1 }) } else { json!({ "expires_in": 9 }) };
            let answer = house.once(&who, "k", &path, body).await;
            assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{path}");
        }
    }
    assert_eq!(house.look(wallet).await, before);
}
