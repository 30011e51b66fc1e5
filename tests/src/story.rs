//! What stories begin with: users with wallets and credits.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::client::{Answer, Client};

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A text that no other call in this process gets.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}{}", COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A user with a wallet in the default asset.
pub struct Owner {
    /// The user's id.
    pub user: String,
    /// The wallet's id.
    pub wallet: String,
    /// Calls as this user.
    pub client: Client,
}

/// Registers a user of the client's application; the registration opens the wallet.
///
/// # Panics
/// If the server does not do so.
#[track_caller]
pub fn register(app: &Client) -> Owner {
    let name = unique("user");
    let body = json!({"username": name, "email": format!("{name}@example.com"), "password": "correct horse battery"});
    let registered = app.post("/v1/auth/register", &body).expect(201).json();
    let user = registered["user"]["id"].as_str().expect("an id").to_owned();
    let wallets = app.get(&format!("/v1/wallets?user_id={user}")).expect(200).json();
    let wallet = wallets["data"][0]["id"].as_str().expect("a wallet").to_owned();
    let client = app.with_token(registered["access_token"].as_str().expect("a token"));
    Owner { user, wallet, client }
}

/// Posts a transaction under a key of its own.
#[track_caller]
pub fn transact(client: &Client, body: &Value) -> Answer {
    client.post_once("/v1/transactions", &unique("key-"), body)
}

/// Buys credits.
///
/// # Panics
/// If the server does not post it.
#[track_caller]
pub fn purchase(app: &Client, wallet: &str, amount: i64) -> Value {
    transact(app, &json!({"type": "purchase", "wallet_id": wallet, "amount": amount})).expect(201).json()
}

/// A wallet as it is.
///
/// # Panics
/// If it cannot be read.
#[track_caller]
pub fn wallet(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/wallets/{id}")).expect(200).json()
}

/// The ledger holds: every asset's debits and credits agree, and the replay finds no difference.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn audit(admin: &Client) {
    let balance = admin.get("/v1/ledger/trial-balance").expect(200).json();
    for asset in balance["assets"].as_array().expect("assets") {
        assert_eq!(asset["difference"], 0, "{balance}");
    }
    let report = admin.call("POST", "/v1/ledger/verify", &[], None).expect("an answer").expect(200).json();
    assert_eq!(report["ok"], true, "{report}");
}
