#![doc = include_str!("../README.md")]

mod amount;
mod id;
mod job;
mod module;
mod principal;
mod problem;
mod time;

pub mod memory;
pub mod ports;
pub mod testkit;

pub use amount::{Amount, AssetCode, InvalidAmount, InvalidAssetCode, MAX_AMOUNT, is_balance};
pub use id::{
    ApiKeyId, AppId, AuditId, DeliveryId, EntryId, EventId, GrantId, HoldId, IdSource, InvalidId, JobId,
    SessionId, TransactionId, UserId, WalletId, WebhookId, push_hex, uuid_v7, uuid_v7_millis,
};
pub use job::{Job, JobError, JobOutcome, JobReport, JobRun, JobStatus, Jobs, LastRun};
pub use module::{Health, HealthState, InitialiseError, Module};
pub use principal::{Actor, Principal, Role, Scope};
pub use problem::{Code, Fault, Problem};
pub use time::{Clock, InvalidTimestamp, Timestamp};
