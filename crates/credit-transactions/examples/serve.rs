//! `transactions_module` beside `wallet_module`, on the in-memory ports: `cargo run -p credit-transactions --example
//! serve`.

use std::sync::Arc;

use credit_core::{AssetCode, Role, Scope};
use credit_transactions::{TransactionsModule, TransactionsParts};
use credit_wallet::testkit::Ground;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let ground = Ground::new().await;
    ground.user_of(ground.app, "admin", &[Role::Admin]);
    let ann = ground.user_of(ground.app, "ann", &[]);
    let scopes = [Scope::WalletsRead, Scope::TransactionsRead, Scope::TransactionsWrite];
    ground.api_keys.learn_key("ck_demo", ground.app, &scopes);
    let wallet = ground.wallet_of(ground.app, ann, AssetCode::CREDIT).await;
    let module = TransactionsModule::new(TransactionsParts { counter: ground.counter.clone() });
    ground
        .builder(vec![Arc::new(module)])
        .serve("127.0.0.1:8083", |address| {
            println!("Callers: `X-API-Key: ck_demo`, `Authorization: Bearer ann`, `Authorization: Bearer admin`.");
            for (key, kind, amount) in [("first", "purchase", 100), ("second", "spend", 30)] {
                println!(
                    "curl -s http://{address}/v1/transactions -H 'X-API-Key: ck_demo' -H 'Idempotency-Key: {key}' \
                     --json '{{\"type\":\"{kind}\",\"wallet_id\":\"{wallet}\",\"amount\":{amount}}}'"
                );
            }
            println!("curl -s http://{address}/v1/transactions -H 'Authorization: Bearer ann'");
        })
        .await
}
