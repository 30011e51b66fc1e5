//! `make demo`: a real story against the real program, over HTTP. Prints each call and its answer.

use anyhow::{Context, ensure};
use credit_tests::client::{Answer, Client};
use credit_tests::server::Server;
use serde_json::{Value, json};

/// Tells the story and counts its calls.
struct Teller {
    step: u32,
}

impl Teller {
    /// Calls, prints and checks the status.
    fn call(
        &mut self,
        client: &Client,
        method: &str,
        path: &str,
        body: Option<&Value>,
        status: u16,
    ) -> anyhow::Result<Answer> {
        self.step += 1;
        let key = format!("demo-{}", self.step);
        let headers = if method == "POST" { vec![("idempotency-key", key.as_str())] } else { Vec::new() };
        println!("→ {method} {path}{}", body.map(|body| format!("  {body}")).unwrap_or_default());
        let answer = client.call(method, path, &headers, body).map_err(anyhow::Error::msg)?;
        println!("← {} {}", answer.status, shortened(&answer.json()));
        ensure!(answer.status == status, "expected {status}, got {}: {}", answer.status, answer.body);
        Ok(answer)
    }
}

fn say(what: &str) {
    println!("\n\x1b[1m# {what}\x1b[0m");
}

/// What one wants to see of an answer: no secrets, no boilerplate.
fn shortened(body: &Value) -> String {
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        for boring in ["app_id", "metadata", "created_by", "version", "updated_at", "profile", "created_at"] {
            members.remove(boring);
        }
        for secret in ["access_token", "refresh_token", "secret"] {
            if let Some(value) = members.get_mut(secret) {
                *value = json!("…");
            }
        }
        members.retain(|_, value| !value.is_null());
    }
    serde_json::to_string(&body).unwrap_or_default()
}

fn text(answer: &Answer, pointer: &str) -> anyhow::Result<String> {
    let body = answer.json();
    body.pointer(pointer).and_then(Value::as_str).map(str::to_owned).with_context(|| format!("no {pointer}"))
}

fn main() -> anyhow::Result<()> {
    let mut server = Server::start(&[])?;
    let mut teller = Teller { step: 0 };
    println!("credit-server runs at {} on a fresh directory.", server.base());
    let admin = server.admin();

    say("A company gets an application and a key for its back end");
    let app = teller.call(&admin, "POST", "/v1/apps", Some(&json!({"name": "painter"})), 201)?;
    let scopes = json!([
        "users:read",
        "users:write",
        "wallets:read",
        "wallets:write",
        "transactions:read",
        "transactions:write"
    ]);
    let body = json!({"app_id": text(&app, "/id")?, "name": "back end", "scopes": scopes});
    let issued = teller.call(&admin, "POST", "/v1/api-keys", Some(&body), 201)?;
    let backend = server.nobody().with_key(&text(&issued, "/secret")?);

    say("Two users register; each has a wallet from then on");
    let mut wallets = Vec::new();
    let mut users = Vec::new();
    for name in ["ada", "grace"] {
        let body = json!({"username": name, "email": format!("{name}@example.com"), "password": "a long enough secret"});
        let user = teller.call(&backend, "POST", "/v1/auth/register", Some(&body), 201)?;
        let id = text(&user, "/user/id")?;
        let list = teller.call(&backend, "GET", &format!("/v1/wallets?user_id={id}"), None, 200)?;
        wallets.push(text(&list, "/data/0/id")?);
        users.push(backend.with_token(&text(&user, "/access_token")?));
    }
    let (ada, grace) = (&wallets[0], &wallets[1]);

    say("Ada buys 100 credits and is given 30 that expire at the end of 2037");
    let purchase =
        json!({"type": "purchase", "wallet_id": ada, "amount": 100, "external_id": "payment-4711"});
    teller.call(&backend, "POST", "/v1/transactions", Some(&purchase), 201)?;
    let grant =
        json!({"type": "grant", "wallet_id": ada, "amount": 30, "expires_at": "2037-12-31T23:59:59Z"});
    teller.call(&backend, "POST", "/v1/transactions", Some(&grant), 201)?;

    say("Ada spends 50: the promotional credits go first, and the answer tells the lots");
    let body = json!({"type": "spend", "wallet_id": ada, "amount": 50, "reference": "image-1"});
    let spent = teller.call(&users[0], "POST", "/v1/transactions", Some(&body), 201)?;

    say("A job of unknown cost: hold 40, capture 25, the rest comes back");
    let hold = teller.call(
        &backend,
        "POST",
        &format!("/v1/wallets/{ada}/holds"),
        Some(&json!({"amount": 40})),
        201,
    )?;
    let path = format!("/v1/holds/{}/capture", text(&hold, "/id")?);
    teller.call(&backend, "POST", &path, Some(&json!({"amount": 25})), 201)?;
    let hold = teller.call(
        &backend,
        "POST",
        &format!("/v1/wallets/{ada}/holds"),
        Some(&json!({"amount": 10})),
        201,
    )?;
    teller.call(
        &backend,
        "POST",
        &format!("/v1/holds/{}/release", text(&hold, "/id")?),
        Some(&json!({})),
        200,
    )?;

    say("Ada passes 20 on to Grace");
    let transfer =
        json!({"type": "transfer", "source_wallet_id": ada, "destination_wallet_id": grace, "amount": 20});
    teller.call(&users[0], "POST", "/v1/transactions", Some(&transfer), 201)?;

    say("The image was bad: the 50 go back to the lots they came from");
    let path = format!("/v1/transactions/{}/refund", text(&spent, "/id")?);
    teller.call(&backend, "POST", &path, Some(&json!({"reason": "bad image"})), 201)?;

    say("Ada's entries, and the books");
    teller.call(&users[0], "GET", &format!("/v1/wallets/{ada}/entries"), None, 200)?;
    let balance = teller.call(&admin, "GET", "/v1/ledger/trial-balance", None, 200)?;
    let even =
        balance.json()["assets"].as_array().is_some_and(|rows| rows.iter().all(|row| row["difference"] == 0));
    ensure!(even, "the books do not balance: {}", balance.body);

    say("kill -9, and start again: the same balances");
    let mut balances = |client: &Client| -> anyhow::Result<Vec<Value>> {
        let mut balances = Vec::new();
        for id in &wallets {
            let answer = teller.call(client, "GET", &format!("/v1/wallets/{id}/balance"), None, 200)?;
            balances.push(answer.json()["balance"].clone());
        }
        Ok(balances)
    };
    let before = balances(&backend)?;
    println!("  kill -9");
    server.kill_and_restart()?;
    println!("  it runs again at {}", server.base());
    let after = balances(&server.nobody().with_key(&text(&issued, "/secret")?))?;
    println!("before: {before:?}   after: {after:?}");
    ensure!(before == after && before.iter().all(Value::is_i64), "the balances differ");
    println!("\nThe story holds.");
    Ok(())
}
