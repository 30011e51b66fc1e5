//! Credits given back to where they came from.

use credit_core::{Amount, Code, Problem, WalletId};
use credit_wallet::domain::moves::{self, Deposit, Posting};
use credit_wallet::domain::{
    Account, Answer, Category, Command, Desk, Direction, Kind, Needs, Note, Pack, Parties, Portable,
    Refunded, Transaction,
};
use serde::{Deserialize, Serialize};

/// `POST /v1/transactions/{id}/refund`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refund {
    /// What is refunded.
    pub original: Box<Transaction>,
    /// How much; `None` is all that can still be refunded.
    pub amount: Option<Amount>,
    /// How long the successor of an ended lot lives, in seconds.
    pub successor_seconds: i64,
    /// What the caller wrote.
    pub note: Note,
}

impl Refund {
    fn wallet(&self) -> WalletId {
        self.original.parties.first()
    }

    /// Gives back what was spent, last taken first: what was overdrawn repays the overdraft, and what is left of it opens
    /// a paid lot without expiry; the rest goes back to its lots.
    fn give_back(&self, desk: &mut Desk<'_>, mut progress: Refunded, amount: i64) -> Result<Answer, Problem> {
        let (wallet, original) = (self.wallet(), &self.original);
        if !credit_core::is_balance(desk.wallet(wallet)?.balance() + amount) {
            return Err(Problem::new(Code::BalanceOverflow));
        }
        desk.bump(wallet)?;
        let mut posting = self.posting(amount);
        let beyond = amount.min(original.overdrawn - progress.overdrawn);
        if beyond > 0 {
            let overdrawn = desk.wallet(wallet)?.overdrawn;
            posting.overdrawn = beyond.min(overdrawn);
            desk.set_overdrawn(wallet, overdrawn - posting.overdrawn)?;
            let rest = beyond - posting.overdrawn;
            if rest > 0 {
                posting.credited.push(moves::credit(desk, wallet, &Deposit::new(rest, Category::Paid))?);
            }
        }
        progress.parts.resize(original.taken.len(), 0);
        progress.overdrawn += beyond;
        progress.total += amount;
        let successor_expires_at = desk.now().plus_seconds(self.successor_seconds);
        let mut left = amount - beyond;
        for (taken, done) in original.taken.iter().zip(&mut progress.parts).rev() {
            let part = left.min(taken.amount - *done);
            if part > 0 {
                let back = moves::put_back(desk, wallet, taken.grant, part, successor_expires_at)?;
                posting.credited.push(back);
                *done += part;
                left -= part;
            }
        }
        desk.put_refunded(wallet, original.id, progress)?;
        desk.post(wallet, Direction::Credit, Account::Revenue, posting).map(Answer::Posted)
    }

    /// Takes back what is neither spent nor held of a purchase's lot.
    fn take_back(&self, desk: &mut Desk<'_>, mut progress: Refunded) -> Result<Answer, Problem> {
        let (wallet, now) = (self.wallet(), desk.now());
        let remains = self.refundable(&progress);
        let grant =
            self.original.credited.first().map(|credited| credited.grant).ok_or_else(Problem::not_found)?;
        let lot = desk.lot(wallet, grant)?;
        let free = lot.free();
        let amount = self.amount.map_or(free.min(remains), Amount::units);
        if amount > free || amount == 0 {
            return Err(Problem::because(
                Code::RefundExceedsRemaining,
                format!("{free} of the purchase are neither spent nor held."),
            )
            .with("remaining", free));
        }
        desk.bump(wallet)?;
        let taken = moves::take_from_lot(desk, wallet, grant, amount)?;
        if desk.wallet(wallet)?.available(now) < 0 {
            return Err(Problem::because(Code::RefundExceedsRemaining, "The credits cover an overdraft."));
        }
        progress.total += amount;
        desk.put_refunded(wallet, self.original.id, progress)?;
        let mut posting = self.posting(amount);
        posting.taken.push(taken);
        desk.post(wallet, Direction::Debit, Account::Issuance, posting).map(Answer::Posted)
    }

    fn posting(&self, amount: i64) -> Posting {
        let mut posting = Posting::new(Kind::Refund, amount, self.note.clone());
        posting.refund_of = Some(self.original.id);
        posting
    }

    /// Only what has one wallet: of a transfer, some of the lots are another's.
    fn is_refundable(&self) -> bool {
        matches!(self.original.kind, Kind::Purchase | Kind::Spend | Kind::Capture)
            && matches!(self.original.parties, Parties::One(_))
    }

    fn refundable(&self, progress: &Refunded) -> i64 {
        self.original.amount - progress.total
    }
}

impl Command for Refund {
    fn needs(&self) -> Needs {
        let wallet = self.wallet();
        if !self.is_refundable() {
            return Needs { wallets: vec![wallet], ..Needs::default() };
        }
        let taken = self.original.taken.iter().map(|taken| taken.grant);
        let credited = self.original.credited.iter().map(|credited| credited.grant);
        Needs {
            wallets: vec![wallet],
            lots: taken.chain(credited).map(|grant| (wallet, grant)).collect(),
            refunds: vec![(wallet, self.original.id)],
            ..Needs::default()
        }
    }
    fn guarded(&self) -> Option<WalletId> {
        Some(self.wallet())
    }
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem> {
        let wallet = self.wallet();
        desk.active_wallet(wallet)?;
        if !self.is_refundable() {
            return Err(Problem::new(Code::NotRefundable));
        }
        let progress = desk.refunded(wallet, self.original.id)?;
        let remains = self.refundable(&progress);
        let wanted = self.amount.map_or(remains, Amount::units);
        if wanted > remains || remains == 0 {
            return Err(Problem::because(
                Code::RefundExceedsOriginal,
                format!("{remains} can still be refunded."),
            )
            .with("refundable", remains));
        }
        if self.original.kind == Kind::Purchase {
            self.take_back(desk, progress)
        } else {
            self.give_back(desk, progress, wanted)
        }
    }
    fn portable(&self) -> Option<&dyn Pack> {
        Some(self)
    }
}

impl Portable for Refund {
    const NAME: &'static str = "refund";
}
