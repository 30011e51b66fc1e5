//! Holds: set credits aside, and look at what is set aside.

use std::sync::Arc;

use credit_api::form::{Metadata, Text, Whole};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{Amount, Code, HoldId, Problem, Scope, WalletId};

use super::outcome::hold_reply;
use super::response::HoldResponse;
use super::{at, parameters};
use crate::domain::HoldState;
use crate::domain::commands::CreateHold;
use crate::service::Counter;

/// How long a hold lasts, in seconds: at most 31 days.
pub(super) type HoldSeconds = Whole<1, 2_678_400>;
/// 7 days.
const DEFAULT_SECONDS: i64 = 7 * 24 * 3600;

credit_api::form! {
    /// Credits to set aside.
    pub(super) struct CreateHoldBody {
        amount: req Amount,
        /// Seconds; 7 days if it is not said.
        expires_in: opt HoldSeconds,
        reference: opt Text<0, 255>,
        metadata: opt Metadata,
    }
}

/// Who sets aside and settles: the owner, and the application.
pub(super) const MOVERS: Access = Access::Only(&[Who::User, Who::Scope(Scope::TransactionsWrite)]);
/// Who may move them may look at them too.
const READERS: Access =
    Access::Only(&[Who::User, Who::Scope(Scope::TransactionsWrite), Who::Scope(Scope::WalletsRead)]);

pub(super) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    vec![
        Route::new(Method::Post, "/v1/wallets/{id}/holds", MOVERS, "Set credits aside", at(counter, create))
            .form::<CreateHoldBody>()
            .idempotent()
            .answers::<HoldResponse>(201, "The hold.")
            .refuses(&[
                Code::VersionMismatch,
                Code::InsufficientFunds,
                Code::WalletFrozen,
                Code::WalletClosed,
            ]),
        Route::new(Method::Get, "/v1/holds", READERS, "List holds", at(counter, list))
            .parameter("wallet_id", "Only those of this wallet.", parameters::id)
            .parameter("state", "Only those in this state now.", parameters::hold_state)
            .answers_page::<HoldResponse>("Holds, newest first."),
        Route::new(Method::Get, "/v1/holds/{id}", READERS, "Look at a hold", at(counter, look))
            .answers::<HoldResponse>(200, "The hold."),
    ]
}

async fn create(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let body: CreateHoldBody = request.form()?;
    let intent = request.intent()?;
    let id = request.path_id("id", WalletId::parse)?;
    let (book, wallet) = counter.wallet_to_move(request.principal()?, id).await?;
    let command = CreateHold {
        wallet: wallet.id,
        amount: body.amount,
        expires_in_seconds: body.expires_in.map_or(DEFAULT_SECONDS, Whole::get),
        reference: body.reference.map(Text::into_string),
        metadata: body.metadata.unwrap_or_default().0,
    };
    let outcome = counter.submit(&book, &request, Arc::new(command)).await?;
    hold_reply(201, &book, &outcome, intent.is_dry_run())
}

async fn list(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let expected = parameters::one_of(&HoldState::NAMES);
    let state = request.query_as("state", &expected, HoldState::parse)?;
    let wallet = match request.query("wallet_id").map(WalletId::parse) {
        None => None,
        Some(Ok(wallet)) => Some(wallet),
        Some(Err(_)) => return Ok(request.page_reply::<HoldResponse>(&[], None)),
    };
    let (holds, next) = counter.list_holds(request.principal()?, wallet, state, &page).await?;
    let rows: Vec<HoldResponse> =
        holds.iter().map(|(book, hold)| HoldResponse::new(book.id(), hold)).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}

async fn look(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let id = request.path_id("id", HoldId::parse)?;
    let (book, _, hold) = counter.hold(request.principal()?, id).await?;
    Ok(Reply::ok(&HoldResponse::new(book.id(), &hold)).with_version(hold.version))
}
