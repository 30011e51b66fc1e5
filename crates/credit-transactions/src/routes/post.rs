//! `POST /v1/transactions`: the body says which type, and the type who may.

use std::sync::Arc;

use credit_api::form::{Faults, FormValue, Members, Metadata, NamedValue, Schema, Text};
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, AnswerSchema, BODY_LIMIT, Method, Route, Who};
use credit_core::{Amount, Code, Principal, Problem, Scope, Timestamp};
use credit_wallet::routes::response::TransactionResponse;
use serde_json::Value;
use utoipa::openapi::schema::{Discriminator, OneOfBuilder};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::adjustment::{self, AdjustmentBody};
use super::grant::{self, GrantBody};
use super::purchase::{self, PurchaseBody};
use super::render;
use super::spend::{self, SpendBody};
use super::transfer::{self, TransferBody};
use crate::domain::PAST_EXPIRY;
use crate::service::Transactions;

pub(super) fn row(transactions: Arc<Transactions>) -> Route {
    let access = Access::Only(&[Who::User, Who::Scope(Scope::TransactionsWrite), Who::Admin]);
    Route::new(Method::Post, "/v1/transactions", access, "Move credits", move |request| {
        post(transactions.clone(), request)
    })
    .json(BODY_LIMIT, body_schema)
    .idempotent()
    .answers_schema(201, "The transaction, posted.", answer_schema())
    .answers::<TransactionResponse>(200, "The purchase that this `external_id` has made before.")
    .refuses(&[
        Code::InsufficientFunds,
        Code::WalletFrozen,
        Code::WalletClosed,
        Code::ExternalIdReused,
        Code::AssetMismatch,
        Code::SameWallet,
        Code::BalanceOverflow,
    ])
}

/// The members that one type or another takes.
const KNOWN: &[&str] = &[
    "type",
    "wallet_id",
    "source_wallet_id",
    "destination_wallet_id",
    "amount",
    "external_id",
    "effective_at",
    "expires_at",
    "priority",
    "at_most",
    "direction",
    "reason",
    "reference",
    "metadata",
];

/// What can be posted. The other types come about by themselves or by calls of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Purchase,
    Grant,
    Spend,
    Transfer,
    Adjustment,
}

impl NamedValue for Type {
    const NAMES: &'static [(Self, &'static str)] = &[
        (Self::Purchase, "purchase"),
        (Self::Grant, "grant"),
        (Self::Spend, "spend"),
        (Self::Transfer, "transfer"),
        (Self::Adjustment, "adjustment"),
    ];
}
credit_api::named_value!(Type);

impl Type {
    /// The type of a body. If it names none, `422 validation_failed` with every fault that there is whatever the type.
    fn of(body: &Value) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let Some(members) = Members::of(body, "", &mut faults) else { return faults.into_result(None) };
        let named = members.required("type", &mut faults);
        if named.is_none() {
            members.refuse_unknown(KNOWN, &mut faults);
            members.required::<Amount>("amount", &mut faults);
            members.optional::<Text<0, 255>>("reference", &mut faults);
            members.optional::<Metadata>("metadata", &mut faults);
        }
        faults.into_result(named)
    }

    /// Whether this caller may post it: of those whom the row lets in, users use what is their own and nothing else.
    fn admits(self, principal: &Principal) -> bool {
        match self {
            Self::Spend | Self::Transfer => true,
            Self::Purchase | Self::Grant => {
                principal.is_admin() || principal.has_scope(Scope::TransactionsWrite)
            }
            Self::Adjustment => principal.is_admin(),
        }
    }
}

async fn post(transactions: Arc<Transactions>, request: Request) -> Result<Reply, Problem> {
    let kind = Type::of(request.body())?;
    if !kind.admits(request.principal()?) {
        return Err(Problem::forbidden());
    }
    let made = match kind {
        Type::Purchase => purchase::post(&transactions, &request).await,
        Type::Grant => grant::post(&transactions, &request).await,
        Type::Spend => spend::post(&transactions, &request).await,
        Type::Transfer => transfer::post(&transactions, &request).await,
        Type::Adjustment => adjustment::post(&transactions, &request).await,
    };
    render::made(made?).await
}

/// Reads a form that opens a lot, with every fault at once.
///
/// An expiry that has passed is told only beside other faults: alone it may belong to a call that was made in time and
/// is repeated, which the ledger knows.
pub(super) fn deposit_form<T: FormValue>(request: &Request, now: Timestamp) -> Result<T, Problem> {
    let body = request.body();
    let time = |name: &str| body.get(name)?.as_str().and_then(|text| Timestamp::parse(text).ok());
    let mut faults = Faults::default();
    let form = T::read(body, "", &mut faults);
    if let Some(expires_at) = time("expires_at") {
        if time("effective_at").is_some_and(|effective_at| expires_at <= effective_at) {
            faults.add("/expires_at", "out_of_range", "must be after effective_at");
        } else if !faults.is_empty() && expires_at <= now {
            faults.add("/expires_at", "out_of_range", PAST_EXPIRY);
        }
    }
    faults.into_result(form)
}

fn forms() -> [(&'static str, &'static str, Schema); 5] {
    [
        ("purchase", "PurchaseBody", PurchaseBody::schema()),
        ("grant", "GrantBody", GrantBody::schema()),
        ("spend", "SpendBody", SpendBody::schema()),
        ("transfer", "TransferBody", TransferBody::schema()),
        ("adjustment", "AdjustmentBody", AdjustmentBody::schema()),
    ]
}

fn body_schema() -> Schema {
    let mut discriminator = Discriminator::new("type");
    let mut schema = OneOfBuilder::new();
    for (kind, name, _) in forms() {
        let form = Ref::from_schema_name(name);
        discriminator.mapping.insert(kind.to_owned(), form.ref_location.clone());
        schema = schema.item(form);
    }
    schema.discriminator(Some(discriminator)).into()
}

/// The transaction; the forms go along, since a discriminator only knows schemas by name.
fn answer_schema() -> AnswerSchema {
    let mut components = Vec::new();
    TransactionResponse::schemas(&mut components);
    components.push((TransactionResponse::name().into_owned(), TransactionResponse::schema()));
    components.extend(forms().map(|(_, name, schema)| (name.to_owned(), RefOr::T(schema))));
    let body = RefOr::Ref(Ref::from_schema_name(TransactionResponse::name()));
    AnswerSchema { content_type: "application/json", body, components }
}
