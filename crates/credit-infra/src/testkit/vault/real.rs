//! A real Vault for the contract, where there is one: the one that `$VAULT_ADDR` names, or a development server of a
//! `vault` or `bao` on `PATH`.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

use super::ROOT_TOKEN;

/// A real one with a token that may do everything. A server that was started here ends when this is dropped.
pub struct RealVault {
    address: String,
    token: String,
    server: Option<Child>,
}

impl RealVault {
    /// Where it answers.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A token that may write and read.
    pub fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for RealVault {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // It may have ended already.
            let _ended = server.kill();
            let _ended = server.wait();
        }
    }
}

/// The real one, if there is one here; else the fake is all there is.
///
/// # Panics
/// If there is one and it does not answer within half a minute.
pub async fn real() -> Option<RealVault> {
    let variable = |name: &str| std::env::var_os(name).and_then(|text| text.into_string().ok());
    if let Some(address) = variable("VAULT_ADDR") {
        let token = variable("VAULT_TOKEN").unwrap_or_else(|| ROOT_TOKEN.to_owned());
        return Some(RealVault { address, token, server: None });
    }
    let program = ["vault", "bao"].into_iter().find_map(on_path)?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let server = Command::new(program)
        .args(["server", "-dev", "-dev-no-store-token"])
        .arg(format!("-dev-root-token-id={ROOT_TOKEN}"))
        .arg(format!("-dev-listen-address={free}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the development server starts");
    let vault =
        RealVault { address: format!("http://{free}"), token: ROOT_TOKEN.to_owned(), server: Some(server) };
    let until = Instant::now() + Duration::from_secs(30);
    while vaultrs::sys::health(&vault.client()).await.is_err() {
        assert!(Instant::now() < until, "the development server does not answer");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Some(vault)
}

impl RealVault {
    fn client(&self) -> VaultClient {
        let settings = VaultClientSettingsBuilder::default()
            .address(&self.address)
            .token(&self.token)
            .identity(None)
            .build()
            .expect("an address");
        VaultClient::new(settings).expect("a client")
    }

    /// Writes a secret into the engine with versions that a development server has at `secret/`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub async fn put(&self, path: &str, secret: &serde_json::Value) {
        vaultrs::kv2::set(&self.client(), "secret", path, secret).await.expect("written");
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}
