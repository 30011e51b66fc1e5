//! `GET /v1/ledger/trial-balance` and `POST /v1/ledger/verify`.

use std::sync::Arc;

use credit_core::{AssetCode, Code, Problem};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::connection_api::Desk;
use crate::ports::{Difference, LedgerAudit};
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route, Who};

/// The sums of the whole ledger.
#[derive(Serialize, ToSchema)]
struct TrialBalance {
    assets: Vec<AssetBalance>,
}

/// The sums of one asset, in its smallest unit.
#[derive(Serialize, ToSchema)]
struct AssetBalance {
    #[schema(value_type = String)]
    asset: AssetCode,
    /// All debits ever.
    #[schema(value_type = i128)]
    debits: i128,
    /// All credits ever.
    #[schema(value_type = i128)]
    credits: i128,
    /// Debits less credits: 0.
    #[schema(value_type = i128)]
    difference: i128,
}

crate::form! {
    /// Nothing to say.
    struct VerifyBody {}
}

/// What a verification found.
#[derive(Serialize, ToSchema)]
struct Verification {
    /// Whether nothing differs.
    ok: bool,
    /// How much was looked at, by kind.
    #[schema(value_type = Object)]
    checked: Map<String, Value>,
    /// What differs.
    differences: Vec<Difference>,
}

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let (for_balance, for_verify) = (desk.clone(), desk.clone());
    let admins = Access::Only(&[Who::Admin]);
    vec![
        Route::new(Method::Get, "/v1/ledger/trial-balance", admins, "Sum the ledger per asset", move |_| {
            trial_balance(for_balance.clone())
        })
        .answers::<TrialBalance>(200, "Debits, credits and their difference, which is 0."),
        Route::new(
            Method::Post,
            "/v1/ledger/verify",
            admins,
            "Replay the ledger and compare what is kept",
            move |request| verify(for_verify.clone(), request),
        )
        .optional_form::<VerifyBody>()
        .answers::<Verification>(200, "What was checked and what differs."),
    ]
}

async fn trial_balance(desk: Arc<Desk>) -> Result<Reply, Problem> {
    let totals = ledger(&desk)?.trial_balance().await?;
    let assets = totals
        .into_iter()
        .map(|sums| AssetBalance {
            asset: sums.asset,
            debits: sums.debits,
            credits: sums.credits,
            difference: sums.debits - sums.credits,
        })
        .collect();
    Ok(Reply::ok(&TrialBalance { assets }))
}

async fn verify(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let VerifyBody {} = request.form()?;
    let report = ledger(&desk)?.verify().await?;
    let response = Verification { ok: report.ok, checked: report.checked, differences: report.differences };
    Ok(Reply::ok(&response))
}

fn ledger(desk: &Desk) -> Result<&Arc<dyn LedgerAudit>, Problem> {
    desk.ledger.as_ref().ok_or_else(|| Problem::new(Code::ModuleUnavailable))
}
