//! What stands behind the ports.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use credit_api::ports::HealthProbe;
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_core::ports::keys::{KeyedHash, Sealer, SecretSource};
use credit_core::ports::passwords::Passwords;
use credit_core::ports::tokens::TokenSigner;
use credit_core::{Clock, IdSource};
use credit_infra::clock::SystemClock;
use credit_infra::passwords::{ArgonPasswords, PasswordCost};
use credit_infra::randomness::{OsIds, OsSecrets};

use super::guards::Guards;
use super::keys::KeyRing;
use super::store::{Keeper, ReachedFirst, StoreProbe};
use crate::config::{Settings, Store};
use crate::secrets::Secrets;

/// How long it may take to read secrets again, at most.
const READING: Duration = Duration::from_secs(5);

/// Everything that modules are given.
pub(crate) struct Adapters {
    pub(crate) documents: Arc<dyn Documents>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) index_hash: Arc<dyn KeyedHash>,
    pub(super) cursor_hash: Arc<dyn KeyedHash>,
    pub(super) sealer: Arc<dyn Sealer>,
    pub(super) passwords: Arc<dyn Passwords>,
    pub(super) signer: Arc<dyn TokenSigner>,
    pub(crate) keys: KeyRing,
    pub(super) probes: Vec<Arc<dyn HealthProbe>>,
    pub(crate) store: Arc<Keeper>,
    pub(super) guards: Guards,
}

impl Adapters {
    /// Over this store.
    pub(super) fn over(store: Keeper, secrets: Secrets, settings: &Settings) -> Result<Self> {
        let store = Arc::new(store);
        // Nobody else works on an embedded store. Elsewhere two readings and what they may take lie between.
        let stage = match settings.store {
            Store::Embedded => Duration::ZERO,
            Store::Mongodb => settings.secrets_refresh * 2 + READING,
        };
        let keys = KeyRing::new(secrets, &settings.auth.issuer, stage)?;
        let work = settings.auth.password;
        let cost = PasswordCost {
            memory_kib: work.memory,
            iterations: work.iterations,
            parallelism: work.parallelism,
            ..PasswordCost::default()
        };
        let guards = Guards::new(settings.store != Store::Embedded);
        let guarded = guards.around(store.ports());
        Ok(Self {
            documents: guarded.documents,
            journal: guarded.journal,
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(OsIds::new()),
            secrets: Arc::new(OsSecrets),
            index_hash: keys.index.clone(),
            cursor_hash: keys.cursor.clone(),
            sealer: keys.sealer.clone(),
            passwords: Arc::new(ArgonPasswords::try_new(cost).context("auth.password")?),
            signer: keys.signer.clone(),
            keys,
            probes: vec![Arc::new(ReachedFirst {
                guarded: guards.probe(Arc::new(StoreProbe(store.clone()))),
                keeper: store.clone(),
            })],
            store,
            guards,
        })
    }
}
