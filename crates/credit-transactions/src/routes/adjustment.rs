//! `{"type": "adjustment"}`.

use credit_api::form::{Metadata, NamedId, NamedValue, Text};
use credit_api::request::Request;
use credit_core::{Amount, Problem, WalletId};
use credit_wallet::domain::{Direction, Note};

use crate::domain::Adjust;
use crate::service::{Made, Transactions};

/// Which way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side(Direction);

impl NamedValue for Side {
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self(Direction::Credit), "credit"), (Self(Direction::Debit), "debit")];
}
credit_api::named_value!(Side);

credit_api::form! {
    /// Credits put right.
    pub(super) struct AdjustmentBody: "type" = "adjustment" {
        wallet_id: req NamedId<WalletId>,
        direction: req Side,
        amount: req Amount,
        reason: req Text<1, 500>,
        reference: opt Text<0, 255>,
        metadata: opt Metadata,
    }
}

pub(super) async fn post(transactions: &Transactions, request: &Request) -> Result<Made, Problem> {
    let body: AdjustmentBody = request.form()?;
    let note = Note {
        reference: body.reference.map(Text::into_string),
        metadata: body.metadata.unwrap_or_default().0,
        reason: Some(body.reason.into_string()),
        external_id: None,
    };
    let (Side(direction), amount) = (body.direction, body.amount);
    transactions.adjust(request, body.wallet_id, |wallet| Adjust { wallet, direction, amount, note }).await
}
