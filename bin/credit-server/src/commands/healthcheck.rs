//! `healthcheck`

use std::net::ToSocketAddrs;
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
pub(crate) fn run(settings: &Settings, url: Option<String>, ready: bool) -> Result<(), Failure> {
    let (base, is_own) = match url {
        Some(url) => (url, false),
        None => (configured(settings)?, true),
    };
    let url = format!("{}/health/{}", base.trim_end_matches('/'), if ready { "ready" } else { "live" });
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None);
    let agent: ureq::Agent = config.tls_config(tls(settings, is_own)?).build().into();
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
/// for; nothing secret is sent, and the answer is yes or no. One that is named shows a certificate of `server.tls.cert`
/// or of one that it was issued by.
fn tls(settings: &Settings, is_own: bool) -> anyhow::Result<TlsConfig> {
    let config = TlsConfig::builder();
    let Some(tls) = settings.server.tls.as_ref().filter(|_| !is_own) else {
        return Ok(config.disable_verification(is_own).build());
    };
    let read = std::fs::read(&tls.cert);
    let chain = read.with_context(|| format!("server.tls.cert: {} cannot be read", tls.cert.display()))?;
    let known: Vec<_> = ureq::tls::parse_pem(&chain)
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
