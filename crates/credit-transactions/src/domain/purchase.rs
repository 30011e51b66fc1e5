//! Credits bought.

use credit_core::{Code, Problem, TransactionId, WalletId};
use credit_wallet::domain::moves::{self, Deposit, Posting};
use credit_wallet::domain::{
    Account, Answer, Command, Desk, Direction, Kind, Needs, Note, Pack, Parties, Portable, claim,
};
use serde::{Deserialize, Serialize};

use super::past_expiry;

/// `{"type": "purchase"}`: a paid lot. The payment's `external_id` buys once, for ever.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Purchase {
    /// The wallet.
    pub wallet: WalletId,
    /// The lot.
    pub deposit: Deposit,
    /// What the caller wrote, the payment's id included.
    pub note: Note,
    /// The purchase that the payment has made before, if the service knows one: its refund progress is loaded.
    pub earlier: Option<TransactionId>,
}

impl Purchase {
    /// The claim of the payment's id.
    pub fn claim(&self) -> Option<u128> {
        self.note.external_id.as_deref().map(|id| claim("external", &[id]))
    }

    /// The purchase that this payment has made before: the first one if it is the same, else `409
    /// external_id_reused`.
    fn earlier(&self, desk: &mut Desk<'_>) -> Result<Option<Answer>, Problem> {
        let Some((place, record)) = self.claim().and_then(|claim| desk.claimed(claim)) else {
            return Ok(None);
        };
        let first = record.posted.iter().find(|posted| posted.kind == Kind::Purchase);
        let same = first.filter(|first| {
            first.parties == Parties::One(self.wallet) && first.amount == self.deposit.amount
        });
        let Some(first) = same else { return Err(Problem::new(Code::ExternalIdReused)) };
        let refunded = desk.refunded(self.wallet, first.id)?.total;
        Ok(Some(Answer::Earlier { place, refunded }))
    }
}

impl Command for Purchase {
    fn needs(&self) -> Needs {
        let refunds = self.earlier.map(|earlier| (self.wallet, earlier)).into_iter().collect();
        let claims = self.claim().into_iter().collect();
        Needs { wallets: vec![self.wallet], claims, refunds, ..Needs::default() }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet)
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        if let Some(earlier) = self.earlier(desk)? {
            return Ok(earlier);
        }
        if let Some(past) = past_expiry(self.deposit.expires_at, desk.now()) {
            return Err(past);
        }
        desk.active_wallet(self.wallet)?;
        desk.bump(self.wallet)?;
        let credited = moves::credit(desk, self.wallet, &self.deposit)?;
        let mut posting = Posting::new(Kind::Purchase, self.deposit.amount, self.note.clone());
        posting.credited.push(credited);
        let index = desk.post(self.wallet, Direction::Credit, Account::Issuance, posting)?;
        if let Some(claim) = self.claim() {
            desk.claim(claim);
        }
        Ok(Answer::Posted(index))
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for Purchase {
    const NAME: &'static str = "purchase";
}
