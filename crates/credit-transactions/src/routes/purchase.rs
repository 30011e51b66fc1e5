//! `{"type": "purchase"}`.

use credit_api::form::{Metadata, NamedId, Text};
use credit_api::request::Request;
use credit_core::{Amount, Problem, Timestamp, WalletId};
use credit_wallet::domain::moves::Deposit;
use credit_wallet::domain::{Category, Note, Priority};

use super::post::deposit_form;
use crate::service::{Made, Transactions};

credit_api::form! {
    /// Credits bought.
    pub(super) struct PurchaseBody: "type" = "purchase" {
        wallet_id: req NamedId<WalletId>,
        amount: req Amount,
        external_id: opt Text<1, 255>,
        expires_at: opt Timestamp,
        priority: opt Priority,
        reference: opt Text<0, 255>,
        metadata: opt Metadata,
    }
}

pub(super) async fn post(transactions: &Transactions, request: &Request) -> Result<Made, Problem> {
    let body: PurchaseBody = deposit_form(request, transactions.now())?;
    let deposit = Deposit {
        priority: body.priority.unwrap_or_default(),
        expires_at: body.expires_at,
        ..Deposit::new(body.amount.units(), Category::Paid)
    };
    let note = Note {
        reference: body.reference.map(Text::into_string),
        metadata: body.metadata.unwrap_or_default().0,
        external_id: body.external_id.map(Text::into_string),
        reason: None,
    };
    transactions.purchase(request, body.wallet_id, deposit, note).await
}
