//! Refunds.

use std::sync::Arc;

use credit_api::request::Request;
use credit_core::{Amount, Problem, TransactionId};
use credit_wallet::domain::Note;

use super::{Made, Transactions};
use crate::domain::Refund;

impl Transactions {
    /// Gives back what was spent, or takes back what was bought.
    pub(crate) async fn refund(
        &self,
        request: &Request,
        amount: Option<Amount>,
        note: Note,
    ) -> Result<Made, Problem> {
        let intent = request.intent()?;
        let id = request.path_id("id", TransactionId::parse)?;
        let (book, original) = self.counter.transaction(request.principal()?, id).await?;
        let original = Box::new(original.transaction().clone());
        let wallet = original.parties.first();
        let successor_seconds = self.counter.ledger().settings().successor_seconds;
        let command = Refund { original, amount, successor_seconds, note };
        self.ask(request, &intent, book, Arc::new(command), wallet).await
    }
}
