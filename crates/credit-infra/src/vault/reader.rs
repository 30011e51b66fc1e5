//! Reading the secret, staying logged in, and telling how that goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use vaultrs::{kv1, kv2, sys};

use super::session::{Session, is_address};
use super::settings::{KvVersion, VaultAuth, VaultSettings};
use super::trouble::{Failure, VaultTrouble, failure};

/// Tells the breaker's state, 0 closed and 2 open, and that it has turned if it has.
fn turn(was_open: bool, is_open: bool) {
    let (to, number) = if is_open { ("open", 2.0) } else { ("closed", 0.0) };
    metrics::gauge!("credit_breaker_state", "dependency" => "vault").set(number);
    if was_open != is_open {
        metrics::counter!("credit_breaker_transitions_total", "dependency" => "vault", "to" => to)
            .increment(1);
    }
}

/// One secret in one Vault. Share it.
pub struct Vault {
    settings: RwLock<Arc<VaultSettings>>,
    session: Mutex<Option<Session>>,
    standing: RwLock<Standing>,
}

/// How it goes.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// When the secret was read last.
    pub read_at: Option<Instant>,
    /// Why it could not be read since, if it could not.
    pub trouble: Option<VaultTrouble>,
    /// When it was read before that.
    before: Option<Instant>,
}

impl Vault {
    /// With these settings; nothing is called yet.
    pub fn try_new(settings: VaultSettings) -> Result<Self, VaultTrouble> {
        if !is_address(&settings.address) {
            let why = "secrets.vault.address is no http:// or https:// address";
            return Err(VaultTrouble::Setup(why.to_owned()));
        }
        let settings = RwLock::new(Arc::new(settings));
        Ok(Self { settings, session: Mutex::default(), standing: RwLock::default() })
    }

    /// Asks elsewhere, or in another way, from now on.
    pub async fn change(&self, settings: VaultSettings) -> Result<(), VaultTrouble> {
        let other = Self::try_new(settings)?;
        let mut session = self.session.lock().await;
        *self.settings.write() = other.settings();
        *session = None;
        Ok(())
    }

    fn settings(&self) -> Arc<VaultSettings> {
        self.settings.read().clone()
    }

    /// How it goes.
    pub fn standing(&self) -> Standing {
        self.standing.read().clone()
    }

    /// What is read, for people: `vault https://vault.example:8200 secret/credit`.
    pub fn place(&self) -> String {
        format!("vault {} {}", self.settings().address, self.secret())
    }

    /// The secret as it is now: an object. Logs in where nobody is logged in, renews what is due, and logs in once more
    /// if the token is not good any more.
    pub async fn read(&self) -> Result<Map<String, Value>, VaultTrouble> {
        let read = self.read_within().await;
        let mut standing = self.standing.write();
        let was_open = standing.trouble.is_some();
        match &read {
            Ok(_) => {
                *standing =
                    Standing { read_at: Some(Instant::now()), trouble: None, before: standing.read_at };
            }
            Err(trouble) => standing.trouble = Some(trouble.clone()),
        }
        let outcome = read.as_ref().err().map_or("read", VaultTrouble::name);
        metrics::counter!("credit_vault_reads_total", "outcome" => outcome).increment(1);
        metrics::gauge!("credit_vault_up").set(if read.is_ok() { 1.0 } else { 0.0 });
        metrics::gauge!("credit_vault_secrets_age_seconds")
            .set(standing.read_at.map_or(0.0, |at| at.elapsed().as_secs_f64()));
        turn(was_open, standing.trouble.is_some());
        read
    }

    /// Whether anybody waits for it: `open` from a reading that failed until one that goes well. Nobody but whoever reads
    /// the secret again ever calls Vault, so there are no other calls to turn away.
    pub fn breaker(&self) -> &'static str {
        if self.standing.read().trouble.is_some() { "open" } else { "closed" }
    }

    /// What was read last is not what is needed: it counts as not read, and that is why.
    pub fn reject(&self, why: impl Into<String>) {
        let mut standing = self.standing.write();
        turn(standing.trouble.is_some(), true);
        standing.read_at = standing.before;
        standing.trouble = Some(VaultTrouble::Incomplete(why.into()));
        metrics::counter!("credit_vault_reads_total", "outcome" => "incomplete").increment(1);
        metrics::gauge!("credit_vault_up").set(0.0);
    }

    /// How long until the login must be renewed; `None` if nobody is logged in, or for ever.
    pub async fn due_in(&self) -> Option<Duration> {
        self.session.lock().await.as_ref().and_then(Session::due_in)
    }

    /// Renews the login if that is due; what fails is tried again with the next reading.
    pub async fn tend(&self) {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(Session::is_due) {
            self.refresh(&mut session).await;
        }
    }

    async fn read_within(&self) -> Result<Map<String, Value>, VaultTrouble> {
        let mut session = self.session.lock().await;
        if session.as_ref().is_some_and(Session::is_due) {
            self.refresh(&mut session).await;
        }
        let was_open = session.is_some();
        match self.attempt(&mut session).await {
            // The token was revoked, or has ended while nobody could renew it.
            Err(Failure::Status(403)) if was_open => {
                *session = None;
                let again = self.attempt(&mut session).await;
                self.settle(again, &mut session).await
            }
            outcome => self.settle(outcome, &mut session).await,
        }
    }

    async fn attempt(&self, session: &mut Option<Session>) -> Result<Value, Failure> {
        let open = match session {
            Some(open) => open,
            None => match Session::open(&self.settings()).await {
                Ok(opened) => session.insert(opened),
                Err(Failure::Status(400 | 401 | 403 | 404)) => {
                    return Err(Failure::Trouble(VaultTrouble::LoginRefused(self.method())));
                }
                Err(other) => return Err(other),
            },
        };
        let settings = self.settings();
        let VaultSettings { mount, path, address, .. } = &*settings;
        let read = match settings.kv {
            KvVersion::One => kv1::get::<Value>(&open.client, mount, path).await,
            KvVersion::Two => kv2::read::<Value>(&open.client, mount, path).await,
        };
        read.map_err(|error| failure(&error, address))
    }

    /// Says what a failure means, which of some only the health of Vault tells.
    async fn settle(
        &self,
        outcome: Result<Value, Failure>,
        session: &mut Option<Session>,
    ) -> Result<Map<String, Value>, VaultTrouble> {
        let status = match outcome {
            Ok(Value::Object(secret)) => return Ok(secret),
            Ok(_) => return Err(VaultTrouble::Garbage(self.settings().address.clone())),
            Err(Failure::Trouble(trouble)) => return Err(trouble),
            Err(Failure::Status(status)) => status,
        };
        if let Some(state) = self.health(session).await {
            return Err(state);
        }
        Err(match status {
            403 => VaultTrouble::Forbidden(self.secret()),
            404 => VaultTrouble::Missing(self.secret()),
            other => VaultTrouble::Failing(other),
        })
    }

    /// Why Vault as a whole gives nothing, if that is so. Asking needs no login.
    async fn health(&self, session: &mut Option<Session>) -> Option<VaultTrouble> {
        let asked = match session {
            Some(open) => sys::health(&open.client).await,
            None => sys::health(&super::session::client(&self.settings()).ok()?).await,
        };
        match failure(&asked.err()?, &self.settings().address) {
            Failure::Status(status) => VaultTrouble::of_health(status),
            Failure::Trouble(_) => None,
        }
    }

    async fn refresh(&self, session: &mut Option<Session>) {
        let Some(open) = session else { return };
        let renewed =
            if open.is_renewable() { open.renew(&self.settings().address).await.is_ok() } else { false };
        if renewed {
            tracing::debug!("the login at Vault was renewed");
        } else {
            // Logged in again by whoever reads next.
            *session = None;
        }
    }

    fn method(&self) -> &'static str {
        match self.settings().auth {
            VaultAuth::Token(_) => "token",
            VaultAuth::AppRole { .. } => "AppRole",
            VaultAuth::Kubernetes { .. } => "Kubernetes",
        }
    }

    fn secret(&self) -> String {
        let settings = self.settings();
        format!("{}/{}", settings.mount, settings.path)
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("address", &self.settings().address).finish_non_exhaustive()
    }
}
