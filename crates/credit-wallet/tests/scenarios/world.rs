//! What the scenarios have in common.

use credit_api::testkit::TestAnswer;
use credit_core::{GrantId, HoldId, Scope, WalletId};
use credit_wallet::testkit::{Caller, Ground, WalletHouse};
use serde_json::{Value, json};

/// A house with a supporter and an admin.
pub(crate) async fn house() -> WalletHouse {
    WalletHouse::open(Ground::on(crate::stores().await).await).await
}

/// A house in which Alice has a wallet with so many credits.
pub(crate) async fn alice_with(credits: i64) -> (WalletHouse, WalletId) {
    let house = house().await;
    let (_, wallet) = house.person("alice").await;
    if credits > 0 {
        house.ground.seed(wallet, credits).await;
    }
    (house, wallet)
}

pub(crate) fn alice() -> Caller {
    Caller::user("alice")
}

pub(crate) fn admin() -> Caller {
    Caller::user("admin")
}

pub(crate) fn support() -> Caller {
    Caller::user("support")
}

/// The application's back end, with every scope that this module asks for.
pub(crate) fn till(house: &WalletHouse) -> Caller {
    house.key(&[Scope::WalletsRead, Scope::WalletsWrite, Scope::TransactionsWrite])
}

/// The members of a list's rows.
pub(crate) fn column(answer: &TestAnswer, member: &str) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    answer.json()["data"].as_array().expect("a list").iter().map(|row| row[member].clone()).collect()
}

/// The lots of a wallet, newest first.
pub(crate) async fn lots(house: &WalletHouse, wallet: WalletId) -> Vec<Value> {
    let answer = house.get(&till(house), &format!("/v1/wallets/{wallet}/grants")).await;
    answer.json()["data"].as_array().expect("a list").clone()
}

/// The newest lot of a wallet.
pub(crate) async fn newest_lot(house: &WalletHouse, wallet: WalletId) -> GrantId {
    id(&lots(house, wallet).await[0]["id"], GrantId::parse)
}

/// A hold on a wallet.
pub(crate) async fn hold(house: &WalletHouse, wallet: WalletId, amount: i64) -> HoldId {
    let key = format!("hold-{wallet}-{amount}");
    let path = format!("/v1/wallets/{wallet}/holds");
    let answer = house.once(&till(house), &key, &path, json!({ "amount": amount })).await;
    assert_eq!(answer.status, 201, "{:?}", answer.json());
    id(&answer.json()["id"], HoldId::parse)
}

pub(crate) fn id<T, E: std::fmt::Debug>(value: &Value, parse: impl Fn(&str) -> Result<T, E>) -> T {
    parse(value.as_str().expect("a text")).expect("an id")
}

/// Asserts that a call was refused with this status and code, and that the wallet is as it was before.
pub(crate) async fn assert_refused(
    house: &WalletHouse,
    wallet: WalletId,
    before: &Value,
    answer: &TestAnswer,
    (status, code): (u16, &str),
) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{:?}", answer.json());
    assert_eq!(&house.look(wallet).await, before);
}
