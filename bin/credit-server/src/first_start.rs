//! What a first start makes: the first admin and, in profile `dev`, an API key that may do everything.

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credit_api::NewKey;
use credit_api::front_door::Authenticator;
use credit_core::ports::keys::SecretSource;
use credit_core::{Code, Problem, Scope};
use credit_infra::randomness::OsSecrets;
use credit_users::PasswordAhead;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;

use crate::config::{Bootstrap, Profile, Settings};
use crate::dev_credentials::{DevAdmin, DevCredentials};
use crate::private_file;
use crate::wiring::Service;

const DEV_USERNAME: &str = "admin";
const DEV_EMAIL: &str = "admin@localhost.example";

/// The password of the first admin to be, which is being hashed while the store is opened.
pub(crate) struct Ahead {
    password: SecretString,
    hashing: JoinHandle<Result<PasswordAhead, Problem>>,
}

/// Begins with what a first start of profile `dev` needs no store for. `None` where it looks like no first start.
pub(crate) fn begin(settings: &Settings, service: &Service) -> Option<Ahead> {
    let is_first = settings.profile == Profile::Dev
        && service.has_users()
        && DevCredentials::kept(&settings.data_dir).is_none();
    if !is_first {
        return None;
    }
    let configured = settings.bootstrap.as_ref().map(|first| first.password.clone());
    let password = configured.unwrap_or_else(generated);
    let (users, wanted) = (service.users.clone(), password.clone());
    let hashing = actix_web::rt::spawn(async move { users.hash_ahead(&wanted).await });
    Some(Ahead { password, hashing })
}

/// Makes what is missing. In profile `dev` it answers how to get in, and has written it down.
pub(crate) async fn run(
    settings: &Settings,
    service: &Service,
    base_url: &str,
    ahead: Option<Ahead>,
) -> Result<Option<DevCredentials>> {
    if !service.has_users() {
        return Ok(None);
    }
    match settings.profile {
        Profile::Prod => {
            first_admin(settings, service).await?;
            Ok(None)
        }
        Profile::Dev => {
            private_file::create_directory(&settings.data_dir)?;
            let directory = settings.data_dir.clone();
            // Processes that share the directory and start at once: the first makes an admin and a key, the others find
            // them written down.
            let _one_at_a_time =
                tokio::task::spawn_blocking(move || private_file::lock_directory(&directory)).await??;
            let kept = DevCredentials::kept(&settings.data_dir);
            let (admin, api_key) = match kept {
                Some(kept) => (Some(kept.admin), Some(kept.api_key)),
                None => (None, None),
            };
            // At once: what both write may share a sync of the store.
            let (admin, api_key) =
                tokio::try_join!(dev_admin(settings, service, admin, ahead), dev_key(service, api_key))?;
            let credentials = DevCredentials { base_url: base_url.to_owned(), admin, api_key };
            credentials.keep(&settings.data_dir)?;
            Ok(Some(credentials))
        }
    }
}

/// Whether it may help to try again: the store went away meanwhile.
pub(crate) fn is_passing(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Problem>().map(Problem::code);
    matches!(code, Some(Code::Unavailable | Code::OutcomeUnknown))
}

/// The admin of the configuration, where there is none anywhere.
async fn first_admin(settings: &Settings, service: &Service) -> Result<()> {
    let Some(Bootstrap { username, email, password }) = &settings.bootstrap else {
        if !service.users.admin_exists().await? {
            tracing::warn!(
                "there is no admin yet: set bootstrap.admin_*, or stop and use `credit-server admin create`"
            );
        }
        return Ok(());
    };
    let made =
        service.users.ensure_first_admin(username, email, password).await.context("bootstrap.admin_*")?;
    if made.is_some() {
        tracing::info!(username, "made the first admin");
    }
    Ok(())
}

/// An admin that works: the one of the last start or of the configuration, if it still gets in; else the first one,
/// made now; else, where there is an admin whose password nobody wrote down, one more.
async fn dev_admin(
    settings: &Settings,
    service: &Service,
    kept: Option<DevAdmin>,
    ahead: Option<Ahead>,
) -> Result<DevAdmin> {
    if let Some(known) = known_admin(settings, service, kept.clone()).await? {
        return Ok(known);
    }
    let exists = service.users.admin_exists().await?;
    let (username, email, password) = match (&settings.bootstrap, kept, exists) {
        (Some(first), _, false) => (first.username.clone(), first.email.clone(), first.password.clone()),
        (None, Some(kept), false) => (kept.username, DEV_EMAIL.to_owned(), kept.password.into()),
        (None, None, false) => {
            let password = ahead.as_ref().map_or_else(generated, |ahead| ahead.password.clone());
            (DEV_USERNAME.to_owned(), DEV_EMAIL.to_owned(), password)
        }
        (_, _, true) => one_more(),
    };
    let admin = DevAdmin { username, password: password.expose_secret().to_owned() };
    let made = match create_admin(service, &admin, &email, ahead).await {
        // A process with another directory, on the same database, was faster.
        Err(problem) if is_name_taken(&problem) => {
            if let Some(known) = known_admin(settings, service, None).await? {
                return Ok(known);
            }
            let (username, email, password) = one_more();
            let admin = DevAdmin { username, password: password.expose_secret().to_owned() };
            create_admin(service, &admin, &email, None).await.map(|()| admin)
        }
        made => made.map(|()| admin),
    };
    made.context("the admin of profile dev")
}

/// With the password that was hashed ahead, if it is the one.
async fn create_admin(
    service: &Service,
    admin: &DevAdmin,
    email: &str,
    ahead: Option<Ahead>,
) -> Result<(), Problem> {
    let hashed = match ahead {
        Some(ahead) if ahead.password.expose_secret() == admin.password => ahead.hashing.await.ok(),
        _ => None,
    };
    let made = if let Some(hashed) = hashed {
        service.users.create_admin_ahead(&admin.username, email, hashed?).await
    } else {
        let password = admin.password.clone().into();
        service.users.create_admin(&admin.username, email, &password).await
    };
    made.map(|_| ())
}

/// The admin of the last start, or else of the configuration, if it gets in.
async fn known_admin(
    settings: &Settings,
    service: &Service,
    kept: Option<DevAdmin>,
) -> Result<Option<DevAdmin>> {
    let configured = settings.bootstrap.as_ref().map(|first| DevAdmin {
        username: first.username.clone(),
        password: first.password.expose_secret().to_owned(),
    });
    for known in [kept, configured].into_iter().flatten() {
        if service.users.is_admin_with(&known.username, &known.password.clone().into()).await? {
            return Ok(Some(known));
        }
    }
    Ok(None)
}

fn is_name_taken(problem: &Problem) -> bool {
    matches!(problem.code(), Code::UsernameTaken | Code::EmailTaken)
}

fn generated() -> SecretString {
    URL_SAFE_NO_PAD.encode(*OsSecrets.secret()).into()
}

/// The name, the e-mail and the password of an admin beside those that are there.
fn one_more() -> (String, String, SecretString) {
    let [a, b, c, d, ..] = *OsSecrets.secret();
    let suffix = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
    (format!("{DEV_USERNAME}-{suffix}"), format!("{DEV_USERNAME}-{suffix}@localhost.example"), generated())
}

/// The API key of the last start if it still opens the door, else a new one.
async fn dev_key(service: &Service, kept: Option<String>) -> Result<String> {
    if let Some(kept) = kept
        && service.api_keys.authenticate(&kept).await.is_ok()
    {
        return Ok(kept);
    }
    let app = service.apps.default_app().await?;
    let scopes = Scope::ALL.iter().map(|(scope, _)| *scope).collect();
    let new = NewKey { app, name: "dev".to_owned(), scopes, expires_at: None };
    let issued = service.api_keys.issue(new).await.context("the API key of profile dev")?;
    Ok(issued.secret.expose_secret().to_owned())
}

/// What profile `dev` says on start: where everything is, and a call that works as it stands.
pub(crate) fn welcome(
    credentials: &DevCredentials,
    data_dir: &Path,
    metrics: &str,
    modules: &[&'static str],
) -> String {
    let DevCredentials { base_url, admin, api_key } = credentials;
    let list = if modules.contains(&"wallet_module") { "/v1/wallets" } else { "/v1/users" };
    format!(
        "\ncredit-server {version}, profile dev\n\n  \
           API      {base_url}\n  \
           Docs     {base_url}/docs\n  \
           Metrics  {metrics}/metrics\n  \
           Admin    {username}, password and API key in {credentials}\n\n\
         Try it:\n\n  \
           curl {base_url}{list} -H 'X-API-Key: {api_key}'\n\n",
        version = env!("CARGO_PKG_VERSION"),
        username = admin.username,
        credentials = DevCredentials::place(data_dir).display(),
    )
}
