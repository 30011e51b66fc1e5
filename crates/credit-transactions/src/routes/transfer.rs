//! `{"type": "transfer"}`.

use credit_api::form::{Metadata, NamedId, Text};
use credit_api::request::Request;
use credit_core::{Amount, Problem, WalletId};
use credit_wallet::domain::Note;

use crate::domain::Transfer;
use crate::service::{Made, Transactions};

credit_api::form! {
    /// Credits passed on to another wallet of the same application and asset.
    pub(super) struct TransferBody: "type" = "transfer" {
        source_wallet_id: req NamedId<WalletId>,
        destination_wallet_id: req NamedId<WalletId>,
        amount: req Amount,
        reference: opt Text<0, 255>,
        metadata: opt Metadata,
    }
}

pub(super) async fn post(transactions: &Transactions, request: &Request) -> Result<Made, Problem> {
    let body: TransferBody = request.form()?;
    let note = Note {
        reference: body.reference.map(Text::into_string),
        metadata: body.metadata.unwrap_or_default().0,
        ..Note::default()
    };
    let amount = body.amount;
    let command = |source, destination| Transfer { source, destination, amount, note };
    transactions.transfer(request, body.source_wallet_id, body.destination_wallet_id, command).await
}
