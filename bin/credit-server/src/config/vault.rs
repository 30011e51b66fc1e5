//! Where Vault is and how to get in, and what it gave.

use std::time::Duration;

use credit_infra::vault::{Credential, KvVersion, VaultAuth, VaultSettings};
use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};
use secrecy::{ExposeSecret, SecretString};

use super::fault::Fault;
use super::settings::{JudgedKeys, Values, origin, text};

/// What `origin` begins with for values from Vault.
pub(super) const VAULT: &str = "vault";

/// What must be known before Vault is asked, or is in use by then: Vault cannot say it.
const BEFORE: [&str; 8] =
    ["secrets.", "profile", "data_dir", "server.", "metrics.", "log.", "telemetry.", "profiling."];

/// Which secret of which Vault, and how long it is good without being read.
#[derive(Debug, Clone)]
pub(crate) struct VaultSource {
    pub(crate) settings: VaultSettings,
    /// Keys that were read are worked with for so long while Vault cannot be asked.
    pub(crate) max_age: Duration,
}

/// What Vault gave: the values, and where they stand. Not printable.
pub(crate) struct VaultSecret {
    place: String,
    values: Dict,
}

impl VaultSecret {
    /// The members of a secret, as keys of the configuration: `auth.token_keys`, `AUTH__TOKEN_KEYS` or one object in
    /// another.
    pub(crate) fn new(place: String, members: serde_json::Map<String, serde_json::Value>) -> Self {
        let mut values = Dict::new();
        for (name, member) in members {
            let Ok(value) = Value::serialize(&member) else { continue };
            let path = name.replace("__", ".").to_lowercase();
            let nested = figment::util::nest(&path, value);
            values = super::layers::merge(values, nested.into_dict().unwrap_or_default());
        }
        Self { place, values }
    }
}

impl Provider for VaultSecret {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.place.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// Whether Vault cannot say this.
pub(super) fn is_needed_before(path: &str) -> bool {
    BEFORE.iter().any(|before| path == *before || (before.ends_with('.') && path.starts_with(before)))
}

const ADDRESS: &str = "secrets.vault.address";

/// Everything that a login needs is there.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    if text(judged, "secrets.backend") != Some("vault") {
        return;
    }
    let mut need = |path: &'static str, why: &str| {
        if origin(judged, path).is_none() {
            faults.push(Fault::new(path, None, format!("is needed; {why}")));
        }
    };
    need(ADDRESS, "secrets.backend vault takes the address of Vault, for example https://vault.example:8200");
    match text(judged, "secrets.vault.auth") {
        Some("approle") => {
            need("secrets.vault.role_id", "the login by AppRole takes who and a proof");
            need("secrets.vault.secret_id", "the login by AppRole takes who and a proof (or secret_id_file)");
        }
        Some("kubernetes") => need("secrets.vault.role", "the login by Kubernetes takes a role"),
        _ => need("secrets.vault.token", "the login by token takes one (or token_file)"),
    }
    if let Some(address) = text(judged, ADDRESS)
        && !credit_infra::vault::is_address(address)
    {
        let complaint = format!("{address:?} is no http:// or https:// address");
        faults.push(Fault::new(ADDRESS, origin(judged, ADDRESS), complaint));
    }
}

impl VaultSource {
    /// `None` where secrets do not come from Vault.
    pub(super) fn of(values: &mut Values) -> Option<Self> {
        let is_vault = values.text("secrets.backend").as_deref() == Some("vault");
        let method = values.text("secrets.vault.auth").unwrap_or_default();
        let mount = values.text("secrets.vault.auth_mount").unwrap_or_else(|| method.clone());
        let given = |secret: Option<SecretString>| Credential::Given(secret.unwrap_or_default());
        let (token, secret_id) =
            (values.secret("secrets.vault.token"), values.secret("secrets.vault.secret_id"));
        let (role, role_id) = (values.text("secrets.vault.role"), values.text("secrets.vault.role_id"));
        let jwt_file = values.text("secrets.vault.jwt_file").unwrap_or_default();
        let auth = match method.as_str() {
            "approle" => VaultAuth::AppRole {
                mount,
                role_id: role_id.unwrap_or_default(),
                secret_id: given(secret_id),
            },
            "kubernetes" => {
                VaultAuth::Kubernetes { mount, role: role.unwrap_or_default(), token_file: jwt_file.into() }
            }
            _ => VaultAuth::Token(given(token)),
        };
        let settings = VaultSettings {
            address: values.text(ADDRESS).unwrap_or_default(),
            auth,
            mount: values.text("secrets.vault.mount").unwrap_or_default(),
            path: values.text("secrets.vault.path").unwrap_or_default(),
            kv: if values.whole::<u8>("secrets.vault.kv") == 1 { KvVersion::One } else { KvVersion::Two },
            namespace: values.text("secrets.vault.namespace"),
            ca: values.text("secrets.vault.ca").map(Into::into),
            timeout: values.length("secrets.vault.timeout"),
        };
        let max_age = values.length("secrets.vault.max_age");
        is_vault.then_some(Self { settings, max_age })
    }

    /// Whether one gets to the same secret in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let proof = |source: &Self| match &source.settings.auth {
            VaultAuth::Token(Credential::Given(proof))
            | VaultAuth::AppRole { secret_id: Credential::Given(proof), .. } => {
                proof.expose_secret().to_owned()
            }
            _ => String::new(),
        };
        // Secrets print as nothing, so that they are compared by themselves.
        format!("{self:?}") == format!("{other:?}") && proof(self) == proof(other)
    }
}
