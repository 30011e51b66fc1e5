//! What stands behind the ports.

use std::sync::Arc;

use anyhow::{Context, Result};
use credit_api::ports::HealthProbe;
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_core::ports::keys::{KeyedHash, Sealer, SecretSource};
use credit_core::ports::passwords::Passwords;
use credit_core::ports::tokens::TokenSigner;
use credit_core::{Clock, IdSource};
use credit_infra::clock::SystemClock;
use credit_infra::hashing::HmacKeyedHash;
use credit_infra::passwords::{ArgonPasswords, PasswordCost};
use credit_infra::randomness::{OsIds, OsSecrets};
use credit_infra::sealing::FernetSealer;
use credit_infra::tokens::JwtSigner;

use super::store::{Keeper, StoreProbe};
use crate::config::{KeyMaterial, Settings};
use crate::secrets::Secrets;

/// For whom access tokens are.
const AUDIENCE: &str = "credit-api";

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
    pub(super) probes: Vec<Arc<dyn HealthProbe>>,
    pub(crate) store: Arc<Keeper>,
}

impl Adapters {
    /// Over this store.
    pub(super) fn over(store: Keeper, secrets: &Secrets, settings: &Settings) -> Result<Self> {
        let store = Arc::new(store);
        let sealer = FernetSealer::try_new(secrets.encryption_keys.iter().map(KeyMaterial::bytes));
        let token_keys = secrets.token_keys.iter().map(KeyMaterial::bytes);
        let signer = JwtSigner::try_new(token_keys, &settings.auth.issuer, AUDIENCE);
        Ok(Self {
            documents: store.ports().documents.clone(),
            journal: store.ports().journal.clone(),
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(OsIds::new()),
            secrets: Arc::new(OsSecrets),
            index_hash: Arc::new(HmacKeyedHash::new(secrets.index_key.bytes())),
            cursor_hash: Arc::new(HmacKeyedHash::new(secrets.cursor_key.bytes())),
            sealer: Arc::new(sealer.context("encryption.keys")?),
            passwords: Arc::new(ArgonPasswords::try_new(PasswordCost::default())?),
            signer: Arc::new(signer.context("auth.token_keys")?),
            probes: vec![Arc::new(StoreProbe(store.clone()))],
            store,
        })
    }
}
