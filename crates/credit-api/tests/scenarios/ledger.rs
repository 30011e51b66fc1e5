//! The audit of the ledger.

use std::sync::Arc;

use async_trait::async_trait;
use credit_api::ports::{AssetTotals, Difference, LedgerAudit, VerifyReport};
use credit_core::{AssetCode, Problem};
use serde_json::json;

use super::world::{ADMIN, Builder, SUPPORT, World};

struct Crooked;

#[async_trait]
impl LedgerAudit for Crooked {
    async fn trial_balance(&self) -> Result<Vec<AssetTotals>, Problem> {
        let large = i128::from(i64::MAX) * 2;
        Ok(vec![AssetTotals { asset: AssetCode::CREDIT, debits: large, credits: large - 3 }])
    }

    async fn verify(&self) -> Result<VerifyReport, Problem> {
        let difference =
            Difference { subject: "wal_1 balance".into(), expected: "5".into(), found: "6".into() };
        let checked = json!({ "wallets": 1 }).as_object().expect("an object").clone();
        Ok(VerifyReport { ok: false, checked, differences: vec![difference] })
    }
}

#[actix_web::test]
async fn an_admin_sees_the_sums_and_what_differs() {
    let world = Builder::default().ledger(Arc::new(Crooked)).open().await;
    let balance = world.house.get("/v1/ledger/trial-balance", ADMIN).await;
    let text = r#"{"assets":[{"asset":"CREDIT","debits":18446744073709551614,"credits":18446744073709551611,"difference":3}]}"#;
    assert_eq!((balance.status, String::from_utf8_lossy(&balance.body).as_ref()), (200, text));
    let report = world.house.post("/v1/ledger/verify", ADMIN, &json!({})).await;
    let expected = json!({
        "ok": false,
        "checked": { "wallets": 1 },
        "differences": [{ "subject": "wal_1 balance", "expected": "5", "found": "6" }],
    });
    assert_eq!(report.json(), expected);
    let typo = world.house.post("/v1/ledger/verify", ADMIN, &json!({ "book": "x" })).await;
    assert_eq!((typo.status, typo.json()["errors"][0]["pointer"].clone()), (422, json!("/book")));
    assert_eq!(world.house.get("/v1/ledger/trial-balance", SUPPORT).await.status, 403);
    assert_eq!(world.house.post("/v1/ledger/verify", SUPPORT, &json!({})).await.status, 403);
}

#[actix_web::test]
async fn without_a_ledger_in_the_house_its_audit_is_not_available() {
    let world = World::new().await;
    let answer = world.house.get("/v1/ledger/trial-balance", ADMIN).await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "module_unavailable"));
}
