//! The desk on which one command is decided: copies of the wallets it touches, and what it posts. If the command
//! refuses, the desk is thrown away and nothing happened.

use std::sync::Arc;

use credit_core::{Actor, Code, EntryId, GrantId, HoldId, Problem, Timestamp, TransactionId, WalletId};

use super::chain::chain_entry;
use super::hold::Hold;
use super::lot::Lot;
use super::portable::Pack;
use super::record::{Answer, Figures, Header, Level, Place, Record, WalletChange};
use super::transaction::{Account, Credited, Direction, Entry, Kind, Note, Parties, Taken, Transaction};
use super::wallet::{OpenWallet, Refunded, Wallet, WalletStatus};

/// What a command must find in memory when it is decided.
#[derive(Debug, Clone, Default)]
pub struct Needs {
    /// Wallets.
    pub wallets: Vec<WalletId>,
    /// Lots that may have nothing left.
    pub lots: Vec<(WalletId, GrantId)>,
    /// Holds that may be settled.
    pub holds: Vec<(WalletId, HoldId)>,
    /// Refund progress of transactions.
    pub refunds: Vec<(WalletId, TransactionId)>,
    /// Claims beside the idempotency key.
    pub claims: Vec<u128>,
}

/// A command on a book. Pure: decides from the desk alone, and the same desk gives the same decision.
pub trait Command: Send + Sync {
    /// What must be in memory.
    fn needs(&self) -> Needs;

    /// The wallet that `If-Match` speaks of: the debited, else the credited one.
    fn guarded(&self) -> Option<WalletId>;

    /// Decides: posts on the desk and answers, or refuses.
    fn decide(&self, desk: &mut Desk<'_>) -> Result<Answer, Problem>;

    /// The command in a form that another process can decide. `None` is decided where it was asked for.
    fn portable(&self) -> Option<&dyn Pack> {
        None
    }
}

/// The state before a command.
pub trait World {
    /// A wallet.
    fn wallet(&self, id: WalletId) -> Option<Arc<Wallet>>;
    /// Who claimed something, and the record that did it.
    fn claimed(&self, claim: u128) -> Option<(Place, Arc<Record>)>;
}

/// A wallet on the desk, with what changed of it.
struct Sheet {
    wallet: Wallet,
    is_new: bool,
    header: bool,
    /// Lots that changed, and whether the record must carry them whole.
    lots: Vec<(GrantId, bool)>,
    holds: Vec<HoldId>,
    refunds: Vec<TransactionId>,
}

/// The desk.
pub struct Desk<'a> {
    world: &'a dyn World,
    mint: &'a mut dyn FnMut() -> u128,
    now: Timestamp,
    sequence: u64,
    actor: Actor,
    sheets: Vec<Sheet>,
    posted: Vec<Transaction>,
    claims: Vec<u128>,
    /// The id that the next posting will have, once something has asked for it.
    next_transaction: Option<TransactionId>,
}

/// What a decided command leaves.
pub struct Decided {
    /// For the journal.
    pub record: Record,
    /// The wallets as they are now.
    pub wallets: Vec<Wallet>,
}

/// What to post; the desk adds ids, entries and time.
#[derive(Debug, Clone)]
pub struct Posting {
    /// What kind.
    pub kind: Kind,
    /// How much, positive.
    pub amount: i64,
    /// What it refunds.
    pub refund_of: Option<TransactionId>,
    /// The hold that it captures.
    pub hold: Option<HoldId>,
    /// What the caller wrote.
    pub note: Note,
    /// The lots it took from.
    pub taken: Vec<Taken>,
    /// The lots it went into.
    pub credited: Vec<Credited>,
    /// Beyond the lots.
    pub overdrawn: i64,
}

impl Posting {
    /// A posting without anything beside its kind, amount and note.
    pub fn new(kind: Kind, amount: i64, note: Note) -> Self {
        Self {
            kind,
            amount,
            refund_of: None,
            hold: None,
            note,
            taken: Vec::new(),
            credited: Vec::new(),
            overdrawn: 0,
        }
    }
}

impl<'a> Desk<'a> {
    /// A clean desk at an instant, for the group that will have this sequence.
    pub fn new(
        world: &'a dyn World,
        mint: &'a mut dyn FnMut() -> u128,
        now: Timestamp,
        sequence: u64,
        actor: Actor,
    ) -> Self {
        Self {
            world,
            mint,
            now,
            sequence,
            actor,
            sheets: Vec::new(),
            posted: Vec::new(),
            claims: Vec::new(),
            next_transaction: None,
        }
    }

    /// The id that the next posting will have.
    pub fn next_transaction(&mut self) -> TransactionId {
        if let Some(id) = self.next_transaction {
            return id;
        }
        let id = TransactionId::from_u128(self.mint());
        self.next_transaction = Some(id);
        id
    }

    fn take_transaction(&mut self) -> TransactionId {
        let id = self.next_transaction();
        self.next_transaction = None;
        id
    }

    /// The instant of the decision.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A fresh id; ids grow within a book.
    pub fn mint(&mut self) -> u128 {
        (self.mint)()
    }

    /// Who asks.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Reads a wallet: `404 not_found` if there is none.
    pub fn wallet(&mut self, id: WalletId) -> Result<&Wallet, Problem> {
        let place = self.place(id)?;
        Ok(&self.sheets[place].wallet)
    }

    /// Reads a wallet in which credits may move: `409` if it is frozen or closed.
    pub fn active_wallet(&mut self, id: WalletId) -> Result<&Wallet, Problem> {
        let wallet = self.wallet(id)?;
        match wallet.status {
            WalletStatus::Active => Ok(wallet),
            WalletStatus::Frozen => Err(Problem::new(Code::WalletFrozen)),
            WalletStatus::Closed => Err(Problem::new(Code::WalletClosed)),
        }
    }

    /// What claimed this before.
    pub fn claimed(&self, claim: u128) -> Option<(Place, Arc<Record>)> {
        self.world.claimed(claim)
    }

    /// Claims something for this command.
    pub fn claim(&mut self, claim: u128) {
        self.claims.push(claim);
    }

    /// Puts a new wallet on the desk.
    pub fn open_wallet(&mut self, open: OpenWallet) {
        let wallet = Wallet::new(open, self.now);
        self.sheets.push(Sheet {
            wallet,
            is_new: true,
            header: true,
            lots: Vec::new(),
            holds: Vec::new(),
            refunds: Vec::new(),
        });
    }

    /// Counts one more change of a wallet: the first of a command, and each item that falls due.
    pub fn bump(&mut self, id: WalletId) -> Result<u64, Problem> {
        let (now, sequence) = (self.now, self.sequence);
        let wallet = self.sheet(id)?;
        wallet.wallet.version += 1;
        wallet.wallet.updated_at = now;
        wallet.wallet.changed_in = sequence;
        Ok(wallet.wallet.version)
    }

    /// Changes the header of a wallet.
    pub fn edit(&mut self, id: WalletId, edit: impl FnOnce(&mut Wallet)) -> Result<(), Problem> {
        let sheet = self.sheet(id)?;
        sheet.header = true;
        edit(&mut sheet.wallet);
        Ok(())
    }

    /// Sets what is overdrawn.
    pub fn set_overdrawn(&mut self, id: WalletId, overdrawn: i64) -> Result<(), Problem> {
        self.sheet(id)?.wallet.overdrawn = overdrawn;
        Ok(())
    }

    /// A lot that is in memory: `404 not_found` otherwise.
    pub fn lot(&mut self, id: WalletId, grant: GrantId) -> Result<Lot, Problem> {
        self.wallet(id)?.lot(grant).cloned().ok_or_else(Problem::not_found)
    }

    /// Puts a new or changed lot into its wallet.
    pub fn put_lot(&mut self, id: WalletId, mut lot: Lot) -> Result<(), Problem> {
        lot.changed_in = self.sequence;
        let sheet = self.sheet(id)?;
        let whole = sheet.wallet.lots.iter().all(|other| other.id != lot.id);
        match sheet.lots.iter_mut().find(|(grant, _)| *grant == lot.id) {
            Some((_, kept)) => *kept |= whole,
            None => sheet.lots.push((lot.id, whole)),
        }
        sheet.wallet.put_lot(lot);
        Ok(())
    }

    /// A hold that is in memory: `404 not_found` otherwise.
    pub fn hold(&mut self, id: WalletId, hold: HoldId) -> Result<Hold, Problem> {
        self.wallet(id)?.holds.get(&hold).cloned().ok_or_else(Problem::not_found)
    }

    /// Puts a new or changed hold into its wallet.
    pub fn put_hold(&mut self, id: WalletId, mut hold: Hold) -> Result<(), Problem> {
        hold.changed_in = self.sequence;
        hold.version += 1;
        let sheet = self.sheet(id)?;
        hold.wallet_version = sheet.wallet.version;
        if !sheet.holds.contains(&hold.id) {
            sheet.holds.push(hold.id);
        }
        sheet.wallet.holds.insert(hold.id, hold);
        Ok(())
    }

    /// How much of a transaction was refunded.
    pub fn refunded(&mut self, id: WalletId, transaction: TransactionId) -> Result<Refunded, Problem> {
        Ok(self.wallet(id)?.refunds.get(&transaction).cloned().unwrap_or_default())
    }

    /// Sets how much of a transaction was refunded.
    pub fn put_refunded(
        &mut self,
        id: WalletId,
        transaction: TransactionId,
        mut refunded: Refunded,
    ) -> Result<(), Problem> {
        refunded.changed_in = self.sequence;
        let sheet = self.sheet(id)?;
        if !sheet.refunds.contains(&transaction) {
            sheet.refunds.push(transaction);
        }
        sheet.wallet.refunds.insert(transaction, refunded);
        Ok(())
    }

    /// Posts a movement between a wallet and a system account, after the wallet has moved. Answers its index.
    pub fn post(
        &mut self,
        id: WalletId,
        direction: Direction,
        against: Account,
        posting: Posting,
    ) -> Result<u32, Problem> {
        let transaction = self.take_transaction();
        let opposite = match direction {
            Direction::Debit => Direction::Credit,
            Direction::Credit => Direction::Debit,
        };
        let own = self.entry(transaction, 0, id, direction, posting.amount)?;
        let other = system_entry(transaction, 1, against, opposite, posting.amount);
        self.finish_post(transaction, Parties::One(id), posting, vec![own, other])
    }

    /// Posts a movement from a wallet to another, after both have moved.
    pub fn post_between(
        &mut self,
        source: WalletId,
        destination: WalletId,
        posting: Posting,
    ) -> Result<u32, Problem> {
        let transaction = self.take_transaction();
        let debit = self.entry(transaction, 0, source, Direction::Debit, posting.amount)?;
        let credit = self.entry(transaction, 1, destination, Direction::Credit, posting.amount)?;
        self.finish_post(transaction, Parties::Between { source, destination }, posting, vec![debit, credit])
    }

    /// Clears the desk: the record for the journal and the wallets as they are now.
    pub fn finish(self, answer: Answer) -> Decided {
        let mut changes = Vec::with_capacity(self.sheets.len());
        let mut wallets = Vec::with_capacity(self.sheets.len());
        for sheet in self.sheets {
            if sheet.wallet.changed_in != self.sequence {
                continue; // only looked at
            }
            changes.push(sheet.change(self.now));
            wallets.push(sheet.wallet);
        }
        let record = Record { key: None, claims: self.claims, answer, posted: self.posted, changes };
        Decided { record, wallets }
    }

    /// What has been posted so far.
    pub fn posted(&self) -> &[Transaction] {
        &self.posted
    }

    fn finish_post(
        &mut self,
        id: TransactionId,
        parties: Parties,
        posting: Posting,
        entries: Vec<Entry>,
    ) -> Result<u32, Problem> {
        let wallet = self.wallet(parties.first())?;
        let (asset, wallet_version) = (wallet.asset, wallet.version);
        let index = u32::try_from(self.posted.len()).map_err(|_| Problem::new(Code::Internal))?;
        self.posted.push(Transaction {
            id,
            kind: posting.kind,
            amount: posting.amount,
            asset,
            parties,
            wallet_version,
            refund_of: posting.refund_of,
            hold: posting.hold,
            note: posting.note,
            taken: posting.taken,
            credited: posting.credited,
            overdrawn: posting.overdrawn,
            created_by: self.actor,
            created_at: self.now,
            entries,
        });
        Ok(index)
    }

    fn entry(
        &mut self,
        transaction: TransactionId,
        index: u8,
        id: WalletId,
        direction: Direction,
        amount: i64,
    ) -> Result<Entry, Problem> {
        let now = self.now;
        let wallet = &mut self.sheet(id)?.wallet;
        wallet.entries += 1;
        let entry = Entry {
            id: entry_id(transaction, index),
            account: Account::Wallet(id),
            direction,
            amount,
            balance_after: Some(wallet.balance()),
            sequence: Some(wallet.entries),
        };
        wallet.chain = chain_entry(wallet.chain, transaction, now, &entry);
        Ok(entry)
    }

    fn sheet(&mut self, id: WalletId) -> Result<&mut Sheet, Problem> {
        let place = self.place(id)?;
        Ok(&mut self.sheets[place])
    }

    fn place(&mut self, id: WalletId) -> Result<usize, Problem> {
        if let Some(place) = self.sheets.iter().position(|sheet| sheet.wallet.id == id) {
            return Ok(place);
        }
        let wallet = self.world.wallet(id).ok_or_else(Problem::not_found)?;
        self.sheets.push(Sheet {
            wallet: Wallet::clone(&wallet),
            is_new: false,
            header: false,
            lots: Vec::new(),
            holds: Vec::new(),
            refunds: Vec::new(),
        });
        Ok(self.sheets.len() - 1)
    }
}

impl Sheet {
    fn change(&self, now: Timestamp) -> WalletChange {
        let wallet = &self.wallet;
        let (mut lots, mut levels) = (Vec::new(), Vec::new());
        for (grant, whole) in &self.lots {
            let Some(lot) = wallet.lot(*grant) else { continue };
            if *whole {
                lots.push(lot.clone());
            } else {
                levels.push(Level {
                    grant: lot.id,
                    remaining: lot.remaining,
                    held: lot.held,
                    expired: lot.expired,
                    voided: lot.voided,
                });
            }
        }
        let header = self.header.then(|| Header {
            status: wallet.status,
            overdraft_limit: wallet.overdraft_limit,
            low_balance_threshold: wallet.low_balance_threshold,
            metadata: wallet.metadata.as_ref().clone(),
        });
        WalletChange {
            wallet: wallet.id,
            opened: self.is_new.then_some((wallet.user, wallet.asset)),
            header,
            version: wallet.version,
            overdrawn: wallet.overdrawn,
            lots,
            levels,
            holds: self.holds.iter().filter_map(|id| wallet.holds.get(id).cloned()).collect(),
            refunds: self
                .refunds
                .iter()
                .filter_map(|id| wallet.refunds.get(id).map(|refunded| (*id, refunded.clone())))
                .collect(),
            figures: Figures::of(wallet, now),
        }
    }
}

/// The id of an entry: its transaction's, with the index in place of the last byte of its randomness.
fn entry_id(transaction: TransactionId, index: u8) -> EntryId {
    EntryId::from_u128((transaction.as_u128() & !0xFF) | u128::from(index))
}

fn system_entry(
    transaction: TransactionId,
    index: u8,
    account: Account,
    direction: Direction,
    amount: i64,
) -> Entry {
    Entry {
        id: entry_id(transaction, index),
        account,
        direction,
        amount,
        balance_after: None,
        sequence: None,
    }
}
