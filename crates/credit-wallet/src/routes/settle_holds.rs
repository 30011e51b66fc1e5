//! What becomes of a hold: captured, released, extended.

use std::sync::Arc;

use credit_api::form::{Faults, FormValue, Members, Schema, Whole, nullable, object_schema};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Method, Route};
use credit_core::{Amount, Code, HoldId, Problem, WalletId};
use serde_json::Value;

use super::holds::{HoldSeconds, MOVERS};
use super::outcome::{hold_reply, transaction_reply};
use super::response::{HoldResponse, TransactionResponse, Viewer};
use super::{EmptyBody, at};
use crate::domain::Command;
use crate::domain::commands::{CaptureHold, ExtendHold, ReleaseHold};
use crate::ledger::{Book, Outcome};
use crate::service::Counter;

/// How much to capture. By hand, since `final` is a word of the language.
struct CaptureHoldBody {
    amount: Option<Amount>,
    last: bool,
}

impl FormValue for CaptureHoldBody {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let members = Members::of(value, pointer, faults)?;
        members.refuse_unknown(&["amount", "final"], faults);
        let amount = members.optional("amount", faults);
        let last: Option<Option<bool>> = members.optional("final", faults);
        Some(Self { amount: amount?, last: last?.unwrap_or(true) })
    }
    fn schema() -> Schema {
        object_schema(vec![
            ("amount", false, nullable(Amount::schema())),
            ("final", false, nullable(bool::schema())),
        ])
    }
}

credit_api::form! {
    /// How long a hold goes on from now.
    struct ExtendHoldBody { expires_in: req HoldSeconds }
}

const REFUSALS: [Code; 4] =
    [Code::VersionMismatch, Code::HoldNotActive, Code::WalletFrozen, Code::WalletClosed];

pub(super) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    vec![
        Route::new(
            Method::Post,
            "/v1/holds/{id}/capture",
            MOVERS,
            "Spend what is held",
            at(counter, capture),
        )
        .optional_form::<CaptureHoldBody>()
        .idempotent()
        .answers::<TransactionResponse>(201, "The transaction.")
        .refuses(&REFUSALS)
        .refuses(&[Code::CaptureExceedsHold]),
        Route::new(
            Method::Post,
            "/v1/holds/{id}/release",
            MOVERS,
            "Give back what is held",
            at(counter, release),
        )
        .optional_form::<EmptyBody>()
        .idempotent()
        .answers::<HoldResponse>(200, "The hold.")
        .refuses(&REFUSALS),
        Route::new(Method::Post, "/v1/holds/{id}/extend", MOVERS, "Hold for longer", at(counter, extend))
            .form::<ExtendHoldBody>()
            .idempotent()
            .answers::<HoldResponse>(200, "The hold.")
            .refuses(&REFUSALS),
    ]
}

async fn capture(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let CaptureHoldBody { amount, last } = request.form()?;
    let settled =
        settle(&counter, &request, |wallet, hold| CaptureHold { wallet, hold, amount, last }).await?;
    transaction_reply(201, &settled.book, &settled.outcome, &Viewer::All, settled.dry_run).await
}

async fn release(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let EmptyBody {} = request.form()?;
    let settled = settle(&counter, &request, |wallet, hold| ReleaseHold { wallet, hold }).await?;
    hold_reply(200, &settled.book, &settled.outcome, settled.dry_run)
}

async fn extend(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let body: ExtendHoldBody = request.form()?;
    let expires_in_seconds = Whole::get(body.expires_in);
    let settled =
        settle(&counter, &request, |wallet, hold| ExtendHold { wallet, hold, expires_in_seconds }).await?;
    hold_reply(200, &settled.book, &settled.outcome, settled.dry_run)
}

struct Settled {
    book: Arc<Book>,
    outcome: Outcome,
    dry_run: bool,
}

/// Behind the form: the key, then the hold, then the ledger.
async fn settle<C: Command + 'static>(
    counter: &Counter,
    request: &Request,
    command: impl FnOnce(WalletId, HoldId) -> C,
) -> Result<Settled, Problem> {
    let dry_run = request.intent()?.is_dry_run();
    let id = request.path_id("id", HoldId::parse)?;
    let (book, wallet, _) = counter.hold(request.principal()?, id).await?;
    Counter::may_move(request.principal()?, &wallet)?;
    let outcome = counter.submit(&book, request, Arc::new(command(wallet.id, id))).await?;
    Ok(Settled { book, outcome, dry_run })
}
