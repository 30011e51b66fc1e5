//! `{"type": "spend"}`.

use credit_api::form::{Metadata, NamedId, Text};
use credit_api::request::Request;
use credit_core::{Amount, Problem, WalletId};
use credit_wallet::domain::Note;

use crate::domain::Spend;
use crate::service::{Made, Transactions};

credit_api::form! {
    /// Credits used.
    pub(super) struct SpendBody: "type" = "spend" {
        wallet_id: req NamedId<WalletId>,
        amount: req Amount,
        at_most: opt bool,
        reference: opt Text<0, 255>,
        metadata: opt Metadata,
    }
}

pub(super) async fn post(transactions: &Transactions, request: &Request) -> Result<Made, Problem> {
    let body: SpendBody = request.form()?;
    let note = Note {
        reference: body.reference.map(Text::into_string),
        metadata: body.metadata.unwrap_or_default().0,
        ..Note::default()
    };
    let (amount, at_most) = (body.amount, body.at_most.unwrap_or(false));
    transactions.spend(request, body.wallet_id, |wallet| Spend { wallet, amount, at_most, note }).await
}
