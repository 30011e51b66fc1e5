//! What can be asked: a use case a file.

mod authenticate;
mod bootstrap;
mod change;
mod create;
mod delete;
mod import;
mod list;
mod login;
mod logout;
mod password;
mod read;
mod reencrypt;
mod refresh;
mod register;
mod roles;
mod sessions;
mod suspend;
mod tidy;

mod admins;
mod issue;
mod seen;
mod throttle;

use std::sync::Arc;

use credit_api::Apps;
use credit_core::ports::cache::Cache;
use credit_core::ports::documents::Documents;
use credit_core::ports::keys::{KeyedHash, Sealer, SecretSource};
use credit_core::ports::passwords::{Passwords, PasswordsBusy};
use credit_core::ports::tokens::TokenSigner;
use credit_core::{Clock, Code, IdSource, Problem, Timestamp};

use crate::ports::Wallets;
use crate::settings::UsersSettings;
use crate::store::users::UserStore;
pub use bootstrap::{PasswordAhead, first_admin_faults};
pub(crate) use change::Change;
pub use create::NewUser;
pub use import::{Import, ImportedUser};
pub(crate) use issue::Tokens;
pub(crate) use list::{Filter, Search};
pub use reencrypt::{KeyUse, ReencryptProgress};

/// The users of the house. Share it: it is also the [`Authenticator`](credit_api::front_door::Authenticator) of access
/// tokens.
pub struct Users {
    documents: Arc<dyn Documents>,
    pub(crate) apps: Arc<Apps>,
    wallets: Arc<dyn Wallets>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    secrets: Arc<dyn SecretSource>,
    passwords: Arc<dyn Passwords>,
    pub(crate) signer: Arc<dyn TokenSigner>,
    hash: Arc<dyn KeyedHash>,
    pub(crate) settings: UsersSettings,
    store: UserStore,
    throttle: throttle::Throttle,
    verified: authenticate::Verified,
    seen: seen::Seen,
}

/// What [`Users`] needs.
pub struct UsersParts {
    /// Where users and sessions are kept.
    pub documents: Arc<dyn Documents>,
    /// Which applications there are.
    pub apps: Arc<Apps>,
    /// Where their credits are.
    pub wallets: Arc<dyn Wallets>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// New ids.
    pub ids: Arc<dyn IdSource>,
    /// Randomness for refresh tokens.
    pub secrets: Arc<dyn SecretSource>,
    /// Hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Signs access tokens.
    pub signer: Arc<dyn TokenSigner>,
    /// Encrypts e-mail addresses and profiles.
    pub sealer: Arc<dyn Sealer>,
    /// Blind indexes and refresh tokens.
    pub hash: Arc<dyn KeyedHash>,
    /// Beside a store that is far away: what it said lately. `None`: it is asked each time.
    pub cache: Option<Arc<dyn Cache>>,
    /// What is configured.
    pub settings: UsersSettings,
}

impl Users {
    /// The users in this store.
    pub fn new(parts: UsersParts) -> Self {
        let store = UserStore::new(parts.documents.clone(), parts.sealer, parts.hash.clone());
        let seen = seen::Seen::new(parts.cache);
        Self {
            throttle: throttle::Throttle::new(parts.documents.clone(), seen.clone(), &parts.settings),
            seen,
            verified: authenticate::Verified::new(),
            documents: parts.documents,
            apps: parts.apps,
            wallets: parts.wallets,
            clock: parts.clock,
            ids: parts.ids,
            secrets: parts.secrets,
            passwords: parts.passwords,
            signer: parts.signer,
            hash: parts.hash,
            settings: parts.settings,
            store,
        }
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn busy(_: PasswordsBusy) -> Problem {
    Problem::because(Code::Unavailable, "Too many passwords are being checked.").retry_after(1)
}

/// How often a write is tried again when somebody else was faster. Whoever loses so often is told `409 conflict`.
const ATTEMPTS: usize = 64;
