//! `wallet_module` alone, on the in-memory ports: `cargo run -p credit-wallet --example serve`.

use credit_core::{AssetCode, Role, Scope};
use credit_wallet::testkit::Ground;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let ground = Ground::new().await;
    ground.user_of(ground.app, "admin", &[Role::Admin]);
    let alice = ground.user_of(ground.app, "alice", &[]);
    ground.api_keys.learn_key(
        "ck_demo",
        ground.app,
        &[Scope::WalletsRead, Scope::WalletsWrite, Scope::TransactionsWrite],
    );
    let wallet = ground.wallet_of(ground.app, alice, AssetCode::CREDIT).await;
    ground.seed(wallet, 100).await;
    ground
        .builder(Vec::new())
        .serve("127.0.0.1:8082", |address| {
            println!(
                "Callers: `X-API-Key: ck_demo`, `Authorization: Bearer alice`, `Authorization: Bearer admin`."
            );
            println!("curl -s http://{address}/v1/wallets/{wallet} -H 'X-API-Key: ck_demo'");
            println!(
                "curl -s http://{address}/v1/wallets/{wallet}/holds -H 'X-API-Key: ck_demo' \
                 -H 'Idempotency-Key: first' --json '{{\"amount\":30}}'"
            );
        })
        .await
}
