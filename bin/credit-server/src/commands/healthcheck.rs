//! `healthcheck`

use std::net::ToSocketAddrs;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::address;
use crate::config::Settings;
use crate::dev_credentials::DevCredentials;
use crate::exit::Failure;
use crate::print;

const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a running service. It fails unless the answer is `200` in time.
pub(crate) fn run(settings: &Settings, url: Option<String>, ready: bool) -> Result<(), Failure> {
    let base = match url {
        Some(url) => url,
        None => configured(settings)?,
    };
    let url = format!("{}/health/{}", base.trim_end_matches('/'), if ready { "ready" } else { "live" });
    let agent: ureq::Agent =
        ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().into();
    match agent.get(&url).call() {
        Ok(answer) if answer.status() == 200 => {
            print::text(if ready { "ready\n" } else { "live\n" });
            Ok(())
        }
        Ok(answer) => Err(anyhow!("{url} answers {}", answer.status()).into()),
        Err(error) => Err(anyhow!("{url}: {error}").into()),
    }
}

fn configured(settings: &Settings) -> anyhow::Result<String> {
    let server = &settings.server;
    if server.port == 0 {
        let kept = DevCredentials::kept(&settings.data_dir);
        return kept.map(|kept| kept.base_url).context("server.port is 0: say with --url where it serves");
    }
    let resolved = (server.host.as_str(), server.port).to_socket_addrs().ok().and_then(|mut all| all.next());
    resolved.map(address::base_url).with_context(|| format!("server.host {} is not known", server.host))
}
