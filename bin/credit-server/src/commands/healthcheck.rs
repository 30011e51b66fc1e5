//! `healthcheck`

use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use crate::address;
use crate::config::Settings;
use crate::dev_credentials::DevCredentials;
use crate::exit::Failure;
use crate::print;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a running service. It fails unless the answer is `200` in time.
pub(crate) fn run(
    settings: &Settings,
    url: Option<String>,
    ca: Option<&Path>,
    ready: bool,
) -> Result<(), Failure> {
    let (base, is_own) = match url {
        Some(url) => (url, false),
        None => (configured(settings)?, true),
    };
    let url = format!("{}/health/{}", base.trim_end_matches('/'), if ready { "ready" } else { "live" });
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None);
    let agent: ureq::Agent = config.tls_config(tls(is_own, ca)?).build().into();
    match agent.get(&url).call() {
        Ok(answer) if answer.status() == 200 => {
            print::text(if ready { "ready\n" } else { "live\n" });
            Ok(())
        }
        Ok(answer) => Err(anyhow!("{url} answers {}", answer.status()).into()),
        Err(error) => Err(anyhow!("{url}: {error}").into()),
    }
}

/// Whom it believes over TLS. A service on this machine is reached by an address, which is not what its certificate is
/// for; nothing secret is sent, and the answer is yes or no. One that is named shows a certificate of `ca`, or else of an
/// authority that this system believes.
fn tls(is_own: bool, ca: Option<&Path>) -> anyhow::Result<TlsConfig> {
    let config = TlsConfig::builder().disable_verification(is_own);
    let Some(ca) = ca else { return Ok(config.root_certs(RootCerts::PlatformVerifier).build()) };
    let pem = std::fs::read(ca).with_context(|| format!("{} cannot be read", ca.display()))?;
    let known: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    Ok(config.root_certs(RootCerts::Specific(Arc::new(known))).build())
}

fn configured(settings: &Settings) -> anyhow::Result<String> {
    let server = &settings.server;
    if server.port == 0 {
        let kept = DevCredentials::kept(&settings.data_dir);
        return kept.map(|kept| kept.base_url).context("server.port is 0: say with --url where it serves");
    }
    let resolved = (server.host.as_str(), server.port).to_socket_addrs().ok().and_then(|mut all| all.next());
    let is_secure = server.tls.is_some();
    let url = resolved.map(|resolved| address::base_url(resolved, is_secure));
    url.with_context(|| format!("server.host {} is not known", server.host))
}
