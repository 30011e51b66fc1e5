//! What stands behind the ports.

use std::sync::Arc;

use anyhow::{Context, Result};
use credit_api::ports::HealthProbe;
use credit_core::memory::{MemoryDocuments, MemoryJournal};
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::Journal;
use credit_core::ports::keys::{KeyedHash, Sealer, SecretSource};
use credit_core::ports::passwords::Passwords;
use credit_core::ports::tokens::TokenSigner;
use credit_core::{Clock, IdSource};
use credit_infra::clock::SystemClock;
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};
use credit_infra::hashing::HmacKeyedHash;
use credit_infra::passwords::{ArgonPasswords, PasswordCost};
use credit_infra::randomness::{OsIds, OsSecrets};
use credit_infra::sealing::FernetSealer;
use credit_infra::tokens::JwtSigner;
use parking_lot::Mutex;

use super::probe::StoreProbe;
use crate::config::{KeyMaterial, Settings};
use crate::exit::{Exit, Failure};
use crate::private_file;
use crate::secrets::Secrets;

/// For whom access tokens are.
const AUDIENCE: &str = "credit-api";

/// The store, until it is closed.
pub(super) type SharedStore = Mutex<Option<EmbeddedStore>>;

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
    store: Arc<SharedStore>,
}

/// Opens the store in `data_dir`; nobody else has it then.
pub(crate) fn open_store(settings: &Settings) -> Result<EmbeddedStore, Failure> {
    private_file::create_directory(&settings.data_dir)?;
    let options = EmbeddedOptions::new(SystemClock::new().now(), OsIds::new().mint());
    EmbeddedStore::open(&settings.data_dir, options).map_err(|error| Failure::new(Exit::Store, error))
}

impl Adapters {
    /// Over this store.
    pub(super) fn on_store(store: EmbeddedStore, secrets: &Secrets, settings: &Settings) -> Result<Self> {
        let (documents, journal) = (store.documents(), store.journal());
        let store: Arc<SharedStore> = Arc::new(Mutex::new(Some(store)));
        let probe = Arc::new(StoreProbe(store.clone()));
        Ok(Self { store, probes: vec![probe], ..Self::over(documents, journal, secrets, settings)? })
    }

    /// Over memory; nothing outlives it.
    pub(super) fn in_memory(secrets: &Secrets, settings: &Settings) -> Result<Self> {
        Self::over(Arc::new(MemoryDocuments::new()), Arc::new(MemoryJournal::new()), secrets, settings)
    }

    fn over(
        documents: Arc<dyn Documents>,
        journal: Arc<dyn Journal>,
        secrets: &Secrets,
        settings: &Settings,
    ) -> Result<Self> {
        let sealer = FernetSealer::try_new(secrets.encryption_keys.iter().map(KeyMaterial::bytes));
        let token_keys = secrets.token_keys.iter().map(KeyMaterial::bytes);
        let signer = JwtSigner::try_new(token_keys, &settings.auth.issuer, AUDIENCE);
        Ok(Self {
            documents,
            journal,
            clock: Arc::new(SystemClock::new()),
            ids: Arc::new(OsIds::new()),
            secrets: Arc::new(OsSecrets),
            index_hash: Arc::new(HmacKeyedHash::new(secrets.index_key.bytes())),
            cursor_hash: Arc::new(HmacKeyedHash::new(secrets.cursor_key.bytes())),
            sealer: Arc::new(sealer.context("encryption.keys")?),
            passwords: Arc::new(ArgonPasswords::try_new(PasswordCost::default())?),
            signer: Arc::new(signer.context("auth.token_keys")?),
            probes: Vec::new(),
            store: Arc::default(),
        })
    }

    /// Writes what waits and closes the store, which blocks.
    pub(super) async fn close(&self) -> Result<()> {
        let Some(store) = self.store.lock().take() else { return Ok(()) };
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        closed.context("the store did not close")?.context("the store cannot be closed")
    }
}
