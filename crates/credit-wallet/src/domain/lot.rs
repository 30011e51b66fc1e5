//! Lots: credits that came in together, with the same expiry and the same place in the draw order.

use std::cmp::Ordering;

use credit_api::form::{FormValue, NamedValue, Schema, Whole};
use credit_core::{GrantId, Timestamp, TransactionId};
use serde::{Deserialize, Serialize};

/// Whether credits were bought or given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Given: drawn before paid ones of the same priority and expiry.
    Promotional,
    /// Bought.
    Paid,
}

impl NamedValue for Category {
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::Paid, "paid"), (Self::Promotional, "promotional")];
}

/// The place in the draw order, 0 first to 100 last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Priority(u8);

impl Default for Priority {
    fn default() -> Self {
        Self(50)
    }
}

impl Priority {
    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl FormValue for Priority {
    fn read(value: &serde_json::Value, pointer: &str, faults: &mut credit_api::form::Faults) -> Option<Self> {
        let number = Whole::<0, 100>::read(value, pointer, faults)?;
        u8::try_from(number.get()).ok().map(Self)
    }
    fn schema() -> Schema {
        Whole::<0, 100>::schema()
    }
}

/// What a lot is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LotState {
    /// Not effective yet.
    Pending,
    /// Effective, with credits left.
    Active,
    /// Nothing left.
    Depleted,
    /// Its time is over.
    Expired,
    /// Taken back.
    Voided,
}

impl LotState {
    /// Each state with its text.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::Pending, "pending"),
        (Self::Active, "active"),
        (Self::Depleted, "depleted"),
        (Self::Expired, "expired"),
        (Self::Voided, "voided"),
    ];

    /// From the text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, name)| *name == text).map(|(state, _)| *state)
    }
}

/// A lot of credits. `0 <= held <= remaining <= amount`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// Its id.
    pub id: GrantId,
    /// How many credits came in.
    pub amount: i64,
    /// How many are left, held ones included.
    pub remaining: i64,
    /// How many of them are held.
    pub held: i64,
    /// Bought or given.
    pub category: Category,
    /// Place in the draw order.
    pub priority: Priority,
    /// From when on they can be used.
    pub effective_at: Timestamp,
    /// Until when, exclusive; `None` is for ever.
    pub expires_at: Option<Timestamp>,
    /// Its expiry has been posted: what is left is held, and expires when it is released.
    pub expired: bool,
    /// It has been voided: what is left is held, and is voided when it is released.
    pub voided: bool,
    /// The lot that could not take back a refund any more.
    pub successor_of: Option<GrantId>,
    /// The transaction that opened it.
    pub transaction: TransactionId,
    /// The journal group that changed it last.
    pub changed_in: u64,
}

impl Lot {
    /// What can be drawn or held of it, effective or not.
    pub fn free(&self) -> i64 {
        if self.expired || self.voided { 0 } else { self.remaining - self.held }
    }

    /// Whether it is usable at an instant.
    pub fn is_effective(&self, now: Timestamp) -> bool {
        self.effective_at <= now
    }

    /// Whether its expiry has come.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expiry| expiry <= now)
    }

    /// Whether it can still take back a refund.
    pub fn is_open(&self, now: Timestamp) -> bool {
        !self.expired && !self.voided && !self.is_due(now)
    }

    /// What it is at an instant.
    pub fn state(&self, now: Timestamp) -> LotState {
        if self.voided {
            LotState::Voided
        } else if self.expired || (self.remaining > 0 && self.is_due(now)) {
            LotState::Expired
        } else if self.remaining == 0 {
            LotState::Depleted
        } else if self.is_effective(now) {
            LotState::Active
        } else {
            LotState::Pending
        }
    }

    /// **The draw order**: lowest priority number, soonest expiry (never last), promotional before paid, oldest
    /// `effective_at`, oldest created (ids grow with time).
    pub fn draw_order(&self, other: &Self) -> Ordering {
        let key = |lot: &Self| {
            (lot.priority, lot.expires_at.unwrap_or(Timestamp::MAX), lot.category, lot.effective_at, lot.id)
        };
        key(self).cmp(&key(other))
    }
}
