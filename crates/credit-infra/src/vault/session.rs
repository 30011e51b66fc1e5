//! Being logged in: how, and until when.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use vaultrs::api::AuthInfo;
use vaultrs::auth::{approle, kubernetes};
use vaultrs::client::{Client, VaultClient, VaultClientSettingsBuilder};
use vaultrs::token;

use super::settings::{Credential, VaultAuth, VaultSettings};
use super::trouble::{Failure, VaultTrouble, failure};

/// A login that holds.
pub(super) struct Session {
    pub(super) client: VaultClient,
    lease: Option<Lease>,
}

/// A login that ends by itself.
#[derive(Debug, Clone, Copy)]
struct Lease {
    ends_at: Instant,
    renew_at: Instant,
    is_renewable: bool,
}

impl Lease {
    /// From now on for so long; `None` for ever, which a lease of nothing means. Renewed at two thirds.
    fn new(seconds: u64, is_renewable: bool) -> Option<Self> {
        let now = Instant::now();
        let length = Duration::from_secs(seconds);
        (seconds > 0).then(|| Self { ends_at: now + length, renew_at: now + length * 2 / 3, is_renewable })
    }
}

impl Session {
    /// Logs in.
    pub(super) async fn open(settings: &VaultSettings) -> Result<Self, Failure> {
        let mut client = client(settings)?;
        let lease = match &settings.auth {
            VaultAuth::Token(given) => {
                client.set_token(credential(given, "secrets.vault.token_file")?.expose_secret());
                let known = client.lookup().await;
                let known = known.map_err(|error| failure(&error, &settings.address))?;
                Lease::new(known.ttl, known.renewable.unwrap_or(false))
            }
            VaultAuth::AppRole { mount, role_id, secret_id } => {
                let proof = credential(secret_id, "secrets.vault.secret_id_file")?;
                let login = approle::login(&client, mount, role_id, proof.expose_secret()).await;
                enter(&mut client, &login.map_err(|error| failure(&error, &settings.address))?)
            }
            VaultAuth::Kubernetes { mount, role, token_file } => {
                let account = Credential::File(token_file.clone());
                let proof = credential(&account, "secrets.vault.jwt_file")?;
                let login = kubernetes::login(&client, mount, role, proof.expose_secret()).await;
                enter(&mut client, &login.map_err(|error| failure(&error, &settings.address))?)
            }
        };
        Ok(Self { client, lease })
    }

    /// Whether it is time to renew it.
    pub(super) fn is_due(&self) -> bool {
        self.lease.is_some_and(|lease| Instant::now() >= lease.renew_at)
    }

    /// How long until it is time to renew it; `None` if never.
    pub(super) fn due_in(&self) -> Option<Duration> {
        self.lease.map(|lease| lease.renew_at.saturating_duration_since(Instant::now()))
    }

    /// Whether it can be renewed. Else one logs in again.
    pub(super) fn is_renewable(&self) -> bool {
        self.lease.is_some_and(|lease| lease.is_renewable && Instant::now() < lease.ends_at)
    }

    /// Renews it: it holds as long again.
    pub(super) async fn renew(&mut self, address: &str) -> Result<(), Failure> {
        let renewed =
            token::renew_self(&self.client, None).await.map_err(|error| failure(&error, address))?;
        self.lease = Lease::new(renewed.lease_duration, renewed.renewable);
        Ok(())
    }
}

fn enter(client: &mut VaultClient, login: &AuthInfo) -> Option<Lease> {
    client.set_token(&login.client_token);
    Lease::new(login.lease_duration, login.renewable)
}

/// A client that takes nothing from the environment: what is not set here is not set.
pub(super) fn client(settings: &VaultSettings) -> Result<VaultClient, Failure> {
    let setup = |why: &str| Failure::Trouble(VaultTrouble::Setup(why.to_owned()));
    let ca: Vec<String> = settings.ca.iter().map(|path| path.display().to_string()).collect();
    if !is_address(&settings.address) {
        // The builder would panic.
        return Err(setup("secrets.vault.address is no http:// or https:// address"));
    }
    let built = VaultClientSettingsBuilder::default()
        .address(&settings.address)
        .token("")
        .ca_certs(ca)
        .identity(None)
        .verify(true)
        .version(1)
        .timeout(Some(settings.timeout))
        .namespace(settings.namespace.clone())
        .build()
        .map_err(|_| setup("secrets.vault.address is no http:// or https:// address"))?;
    VaultClient::new(built).map_err(|error| failure(&error, &settings.address))
}

/// Whether it can be called: a scheme, a host, perhaps a port, nothing behind.
pub fn is_address(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    let port = host.rsplit_once(':').filter(|_| !host.ends_with(']')).map(|(_, port)| port);
    matches!(scheme, "http" | "https")
        && !host.is_empty()
        && host.bytes().all(fits)
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn credential(credential: &Credential, key: &str) -> Result<SecretString, Failure> {
    match credential {
        Credential::Given(secret) => Ok(secret.clone()),
        Credential::File(path) => match std::fs::read_to_string(path).map(SecretString::from) {
            Ok(text) => Ok(text.expose_secret().trim().into()),
            Err(error) => {
                let why = format!("{key}: {} cannot be read: {error}", path.display());
                Err(Failure::Trouble(VaultTrouble::Setup(why)))
            }
        },
    }
}
