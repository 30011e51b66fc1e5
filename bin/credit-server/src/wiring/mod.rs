//! Puts the house together: adapters behind the ports, modules over them, one door in front.

mod adapters;
pub(crate) mod collections;
mod guards;
mod keys;
mod late;
mod measures;
pub(crate) mod mongodb;
mod process;
mod runtime;
mod shared;
mod store;
mod store_backup;
mod vault_probe;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use credit_api::front_door::{ActiveUsers, FrontDoor, TrustedProxies};
use credit_api::{
    ApiKeys, ApiKeysParts, Apps, ArrangeError, ConnectionApi, ConnectionApiParts, House, ModuleManager,
    WebModule,
};
use credit_core::Job;
use credit_infra::jobs::{JobRunner, JobRunnerParts, JobRunnerSettings};
use credit_infra::peers::{PeersSettings, TcpPeers};
use credit_infra::randomness::OsSecrets;
use credit_infra::vault::Vault;
use credit_transactions::{TransactionsModule, TransactionsParts};
use credit_users::{Registration, UserDirectory, Users, UsersModule, UsersParts, UsersSettings};
use credit_wallet::WalletModule;
use credit_wallet::ledger::{Company, Ledger, LedgerParts, LedgerSettings};
use credit_wallet::service::{Auditor, Counter, CounterParts, Figures};

use self::adapters::Adapters;
pub(crate) use self::late::Ports;
pub(crate) use self::process::Process;
use self::runtime::Runtimes;
use self::shared::Shared;
use self::store::Keeper;
pub(crate) use self::store::open_embedded;
use self::store_backup::StoreBackup;
use self::vault_probe::VaultProbe;
use crate::config::{Auth, Cache, Peers, Settings};
use crate::exit::{Exit, Failure};
use crate::secrets::Secrets;

/// What the product is called, on the wire as well.
const NAME: &str = "credit-server";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Beside the modules that can be left out.
const ALWAYS: &str = "connection_api";

/// The house, put together and not initialised.
pub(crate) struct Service {
    pub(crate) manager: ModuleManager,
    pub(crate) door: Arc<FrontDoor>,
    pub(crate) apps: Arc<Apps>,
    pub(crate) api_keys: Arc<ApiKeys>,
    pub(crate) users: Arc<Users>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) adapters: Adapters,
    pub(crate) jobs: Arc<JobRunner>,
    pub(crate) shared: Shared,
    ledger: Arc<Ledger>,
    counter: Arc<Counter>,
    figures: Figures,
    runtimes: Runtimes,
}

impl Service {
    /// Over the store of the configuration; one that is not in this process is there from [`Self::reach_store`] on.
    pub(crate) fn over_store(settings: &Settings) -> Result<Self, Failure> {
        Self::over_store_in(settings, &Process::default())
    }

    /// The same, in this process; with how Vault is in its health, if secrets come from there.
    pub(crate) fn over_store_in(settings: &Settings, process: &Process) -> Result<Self, Failure> {
        let store = Keeper::of(settings)?;
        let secrets = Secrets::complete(settings, &OsSecrets)?;
        let mut adapters = Adapters::over(store, secrets, settings)?;
        if let (Some(vault), Some(source)) = (&process.vault, &settings.vault) {
            adapters.probes.push(Arc::new(VaultProbe::new(vault.clone(), source.max_age)));
        }
        Self::over(adapters, settings, process)
    }

    /// Without anything in it, to say that Vault is waited for. Never initialised.
    pub(crate) fn waiting_for(
        settings: &Settings,
        vault: &Arc<Vault>,
        max_age: Duration,
        process: &Process,
    ) -> Result<Self, Failure> {
        let nothing = Settings { cache: Cache::Memory, peers: None, ..settings.clone() };
        let secrets = Secrets::fleeting(&OsSecrets);
        let mut adapters = Adapters::over(Keeper::in_memory(), secrets, &nothing)?;
        adapters.probes = vec![Arc::new(VaultProbe::new(vault.clone(), max_age))];
        Self::over(adapters, &nothing, process)
    }

    /// Opens the store, unless it is open: once, or it fails.
    pub(crate) async fn open_store(&self) -> Result<(), Failure> {
        self.adapters.store.open(&self.runtimes.ledger.handle()).await
    }

    /// Opens the store, unless it is open: as often as it takes, as long as trying again may help.
    pub(crate) async fn reach_store(&self) -> Result<(), Failure> {
        self.adapters.store.reach(&self.runtimes.ledger.handle()).await
    }

    /// Over memory, with secrets of the moment: for what needs the modules and not what they keep.
    pub(crate) fn in_memory(settings: &Settings) -> Result<Self, Failure> {
        let secrets = Secrets::fleeting(&OsSecrets);
        Self::over(Adapters::over(Keeper::in_memory(), secrets, settings)?, settings, &Process::default())
    }

    fn over(adapters: Adapters, settings: &Settings, process: &Process) -> Result<Self, Failure> {
        let (clock, ids, documents) = (&adapters.clock, &adapters.ids, &adapters.documents);
        let runtimes = Runtimes::start(settings.server.threads(), process.lanes.clone())?;
        let shared = Shared::of(settings)?;
        let apps = Arc::new(Apps::new(documents.clone(), clock.clone(), ids.clone()));
        let api_keys = Arc::new(ApiKeys::new(ApiKeysParts {
            documents: documents.clone(),
            apps: apps.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            secrets: adapters.secrets.clone(),
            hash: adapters.index_hash.clone(),
            grace_seconds: seconds(settings.auth.api_key_grace),
        }));
        let ledger = ledger(&adapters, settings, &runtimes, process)?;
        let counter = Counter::new(CounterParts {
            ledger: ledger.clone(),
            apps: apps.clone(),
            users: Arc::new(UserDirectory::new(documents.clone())),
            documents: documents.clone(),
            clock: clock.clone(),
        });
        let auditor = Arc::new(Auditor::new(counter.clone(), adapters.journal.clone()));
        let users_module = UsersModule::new(UsersParts {
            documents: documents.clone(),
            apps: apps.clone(),
            wallets: counter.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            secrets: adapters.secrets.clone(),
            passwords: adapters.passwords.clone(),
            signer: adapters.signer.clone(),
            sealer: adapters.sealer.clone(),
            hash: adapters.index_hash.clone(),
            cache: shared.cache(settings),
            settings: users_settings(&settings.auth),
        });
        let users = users_module.users();
        let house = House::new();
        let jobs = JobRunner::new(JobRunnerParts {
            documents: documents.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            storage: shared.job_storage(settings),
            settings: JobRunnerSettings::default(),
        });
        let connection_api = ConnectionApi::new(ConnectionApiParts {
            name: NAME,
            version: VERSION,
            house: house.clone(),
            apps: apps.clone(),
            api_keys: api_keys.clone(),
            probes: adapters.probes.iter().cloned().chain(shared.probe()).collect(),
            ledger: Some(auditor.clone()),
            jobs: Some(jobs.clone()),
            log: process.log.clone(),
            profiles: process.profiles.clone(),
        });
        let discovered: Vec<Arc<dyn WebModule>> = vec![
            Arc::new(connection_api),
            Arc::new(users_module),
            Arc::new(WalletModule::new(counter.clone())),
            Arc::new(TransactionsModule::new(TransactionsParts { counter: counter.clone() })),
        ];
        let manager = arrange(discovered, settings, house)?;
        let backups = settings.backups.clone().map(|plan| -> Arc<dyn Job> {
            Arc::new(StoreBackup::new(adapters.store.clone(), clock.clone(), plan))
        });
        jobs.register(manager.jobs().into_iter().chain(backups).collect());
        let door = Arc::new(FrontDoor {
            tokens: users.clone(),
            api_keys: api_keys.clone(),
            ids: ids.clone(),
            cursor_key: adapters.cursor_hash.clone(),
            trusted_proxies: TrustedProxies::try_new(
                settings.server.trusted_proxies.iter().map(String::as_str),
            )
            .context("server.trusted_proxies")?,
            limits: shared.limits(settings.rate_limit),
            body_timeout: settings.server.body_timeout,
            traces: process.traces.clone(),
            active: ActiveUsers::default(),
        });
        Ok(Self {
            manager,
            door,
            apps,
            api_keys,
            users,
            auditor,
            adapters,
            jobs,
            shared,
            ledger,
            counter,
            figures: Figures::default(),
            runtimes,
        })
    }

    /// Goes over to an address or credentials of the store that were changed where they come from.
    pub(crate) async fn renew_store(&self, settings: &Settings) -> Result<bool> {
        self.adapters.store.renew(settings, &self.runtimes.ledger.handle()).await
    }

    /// Begins to run the background jobs, away from whoever answers calls and from the ledger.
    pub(crate) fn start_jobs(&self) {
        let is_alone = !self.adapters.journal.is_shared();
        let _here = self.runtimes.jobs.handle().enter();
        self.jobs.start(is_alone);
    }

    /// The names of the background jobs.
    pub(crate) fn job_names(&self) -> Vec<&'static str> {
        self.jobs.names()
    }

    /// Whether `user_management` is in the house.
    pub(crate) fn has_users(&self) -> bool {
        self.manager.names().contains(&"user_management")
    }

    /// Writes what waits and closes the store. Nothing is answered from then on.
    pub(crate) async fn close(&self) -> Result<()> {
        // Also where `wallet_module`, which does this too, is left out: users have wallets all the same.
        self.ledger.shut_down().await;
        let closed = self.adapters.store.close().await;
        self.runtimes.stop();
        closed
    }
}

/// The books, on threads of their own; in company, if the configuration and the process say so.
fn ledger(
    adapters: &Adapters,
    settings: &Settings,
    runtimes: &Runtimes,
    process: &Process,
) -> Result<Arc<Ledger>, Failure> {
    let peers = settings.peers.as_ref().filter(|_| process.has_peers);
    let company = peers.map(|peers| company(peers, runtimes)).transpose()?;
    Ok(Ledger::new(LedgerParts {
        journal: adapters.journal.clone(),
        documents: adapters.documents.clone(),
        clock: adapters.clock.clone(),
        ids: adapters.ids.clone(),
        settings: LedgerSettings {
            sweep_every: settings.ledger.sweep_interval,
            successor_seconds: seconds(settings.ledger.refund_successor_ttl),
            ..LedgerSettings::default()
        },
        runtime: runtimes.ledger.handle(),
        views: runtimes.views.handle(),
        company,
    }))
}

/// The other processes, on the threads of the books: what they ask is work for a lane.
fn company(peers: &Peers, runtimes: &Runtimes) -> Result<Company, Failure> {
    let settings = PeersSettings {
        listen: peers.listen,
        advertise: peers.advertise.clone(),
        directory: peers.directory.clone(),
        secret: peers.secret.bytes().to_vec().into(),
        runtime: runtimes.ledger.handle(),
        build: None,
    };
    let peers = TcpPeers::start(settings).map_err(|error| Failure::new(Exit::Configuration, error))?;
    let commands =
        credit_wallet::domain::commands::PORTABLE.iter().chain(credit_transactions::domain::PORTABLE);
    Ok(Company { peers, commands: commands.copied().collect() })
}

/// The modules in their order, those of `modules.enabled` only.
fn arrange(
    discovered: Vec<Arc<dyn WebModule>>,
    settings: &Settings,
    house: Arc<House>,
) -> Result<ModuleManager, Failure> {
    let enabled: Vec<String> =
        [ALWAYS.to_owned()].into_iter().chain(settings.modules.iter().cloned()).collect();
    ModuleManager::try_new(discovered, Some(&enabled), house).map_err(|error: ArrangeError| {
        Failure::new(Exit::Configuration, anyhow::anyhow!("modules.enabled: {error}"))
    })
}

fn users_settings(auth: &Auth) -> UsersSettings {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    UsersSettings {
        access_ttl_seconds: seconds(auth.access_ttl),
        refresh_ttl_seconds: seconds(auth.refresh_ttl),
        registration: if auth.registration_open { Registration::Open } else { Registration::Closed },
        login_failures_per_account: count(auth.login_failures_per_account),
        login_failures_per_address: count(auth.login_failures_per_address),
        login_window_seconds: seconds(auth.login_failures_window),
    }
}

fn seconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
