//! What falls due by itself: holds and lots whose time is over.

use std::sync::Arc;

use credit_core::{Actor, Problem, Timestamp, WalletId};

use super::desk::{Desk, Posting, World};
use super::hold::HoldState;
use super::moves::release_parts;
use super::record::{Answer, Place, Record};
use super::transaction::{Account, Direction, Kind, Note, Taken};
use super::wallet::Wallet;

/// When the next thing of a wallet falls due.
pub fn next_due(wallet: &Wallet) -> Option<Timestamp> {
    let lots = wallet.lots.iter().filter(|lot| !lot.expired).filter_map(|lot| lot.expires_at);
    let holds = wallet.holds.values().filter(|hold| hold.is_active()).map(|hold| hold.expires_at);
    lots.chain(holds).min()
}

/// When the last thing of a wallet fell due that is due.
fn last_due(wallet: &Wallet, now: Timestamp) -> Option<Timestamp> {
    let lots = wallet.lots.iter().filter(|lot| !lot.expired).filter_map(|lot| lot.expires_at);
    let holds = wallet.holds.values().filter(|hold| hold.is_active()).map(|hold| hold.expires_at);
    lots.chain(holds).filter(|due| *due <= now).max()
}

/// Whether something of a wallet is due.
pub fn has_due(wallet: &Wallet, now: Timestamp) -> bool {
    next_due(wallet).is_some_and(|due| due <= now)
}

/// Posts everything of a wallet that is due, in the order in which it fell due; a hold before a lot of the same
/// instant. Each item counts one version, so that a read which shows it as done and the posting agree.
pub fn settle(desk: &mut Desk<'_>, id: WalletId) -> Result<(), Problem> {
    let now = desk.now();
    loop {
        let wallet = desk.wallet(id)?;
        let hold = wallet
            .holds
            .values()
            .filter(|hold| hold.is_active() && hold.expires_at <= now)
            .min_by_key(|hold| (hold.expires_at, hold.id))
            .cloned();
        let lot = wallet
            .lots
            .iter()
            .filter(|lot| !lot.expired && lot.is_due(now))
            .min_by_key(|lot| (lot.expires_at, lot.id))
            .cloned();
        let hold_first = match (&hold, &lot) {
            (None, None) => return Ok(()),
            (Some(hold), Some(lot)) => Some(hold.expires_at) <= lot.expires_at,
            (hold, _) => hold.is_some(),
        };
        desk.bump(id)?;
        match (hold, lot) {
            (Some(mut hold), _) if hold_first => {
                hold.state = HoldState::Expired;
                release_parts(desk, id, &mut hold)?;
                desk.put_hold(id, hold)?;
            }
            (_, Some(mut lot)) => {
                let amount = lot.free();
                lot.expired = true;
                lot.remaining = lot.held;
                let taken =
                    Taken { grant: lot.id, amount, expires_at: lot.expires_at, category: lot.category };
                desk.put_lot(id, lot)?;
                if amount > 0 {
                    let mut posting = Posting::new(Kind::Expiry, amount, Note::default());
                    posting.taken.push(taken);
                    desk.post(id, Direction::Debit, Account::Expired, posting)?;
                }
            }
            _ => return Ok(()),
        }
    }
}

/// A wallet as it is at an instant, with everything due shown as done, posted or not.
pub fn settled_view(wallet: &Arc<Wallet>, now: Timestamp) -> Arc<Wallet> {
    if !has_due(wallet, now) {
        return wallet.clone();
    }
    let world = One(wallet.clone());
    let mut counter = 0_u128;
    let mut mint = || {
        counter += 1;
        counter
    };
    // The sequence only marks the copy as changed; the copy is never kept.
    let mut desk = Desk::new(&world, &mut mint, now, u64::MAX, Actor::System);
    if settle(&mut desk, wallet.id).is_err() {
        return wallet.clone();
    }
    let mut settled = desk.finish(Answer::Done).wallets;
    let Some(mut settled) = settled.pop() else { return wallet.clone() };
    // Not when it is looked at: two reads show the same.
    settled.updated_at = last_due(wallet, now).unwrap_or(wallet.updated_at).max(wallet.updated_at);
    Arc::new(settled)
}

struct One(Arc<Wallet>);

impl World for One {
    fn wallet(&self, id: WalletId) -> Option<Arc<Wallet>> {
        (self.0.id == id).then(|| self.0.clone())
    }
    fn claimed(&self, _: u128) -> Option<(Place, Arc<Record>)> {
        None
    }
}
