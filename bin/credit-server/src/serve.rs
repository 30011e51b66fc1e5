//! `serve`: from the first socket to the last answer.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use anyhow::{Context, Result, anyhow, bail};
use credit_api::ports::{Profiles, Traces};
use credit_infra::traces::{TraceSettings, Tracing};
use credit_infra::vault::Vault;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::address;
use crate::config::{Server, Settings, Sources, before_vault};
use crate::dev_credentials::DevCredentials;
use crate::exit::{Exit, Failure};
use crate::first_start::{self, Ahead};
use crate::key_watch::KeyWatch;
use crate::log::JoinedTraces;
use crate::metrics::{Known, Registry};
use crate::profiles::{self, ProcessProfiles};
use crate::street::Street;
use crate::tls::Certificate;
use crate::waiting_room::WaitingRoom;
use crate::web::{Waiting, Web, serve_metrics};
use crate::wiring::{Process, Service};

/// Between two attempts to make the first admin while the store is away.
const FIRST_START_PAUSE: Duration = Duration::from_secs(1);

/// How long draining the ledger and closing the store may take after a second signal.
const HURRY: Duration = Duration::from_secs(5);

/// Serves until a signal to stop.
pub(crate) fn run(sources: Sources) -> Result<(), Failure> {
    let before = before_vault(&sources)?;
    if before.profiling {
        profiles::let_allocator_know();
    }
    let tracing = tracing(&before)?;
    let log = crate::log::start(&before.log, tracing.as_ref());
    let traces = tracing.clone().map(|tracing| -> Arc<dyn Traces> { Arc::new(JoinedTraces(tracing)) });
    let profiles = before.profiling.then(|| -> Arc<dyn Profiles> { Arc::new(ProcessProfiles::default()) });
    let process = Process { vault: None, has_peers: true, lanes: None, log: Some(log), traces, profiles };
    let started = Instant::now();
    let system = actix_web::rt::System::new();
    let ended = system.block_on(serve(sources, before, process, started));
    if ended.is_err() {
        // Dropped, it would wait for its threads, and one of them may wait for a disk that does not answer.
        std::mem::forget(system);
    }
    // Here, where nobody waits for this thread any more: the last spans are sent before the program ends.
    if let Some(tracing) = tracing {
        tracing.shut_down();
    }
    ended
}

/// Sends traces to where the configuration says, if it does.
fn tracing(settings: &Settings) -> Result<Option<Tracing>, Failure> {
    let Some(otlp) = &settings.telemetry.otlp else { return Ok(None) };
    let settings = TraceSettings {
        endpoint: otlp.endpoint.clone(),
        headers: otlp.headers.clone(),
        timeout: otlp.timeout,
        sample_percent: otlp.sample_percent,
        service_name: settings.telemetry.service_name.clone(),
        service_version: env!("CARGO_PKG_VERSION"),
    };
    Tracing::start(&settings).map(Some).map_err(|error| Failure::new(Exit::Configuration, error))
}

async fn serve(
    sources: Sources,
    settings: Settings,
    mut process: Process,
    started: Instant,
) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    // Taken first: two services on one port are told apart before either touches a store.
    let api = listen("server", &settings.server.host, settings.server.port, settings.server.backlog)?;
    let scrapes = listen("metrics", &settings.metrics.host, settings.metrics.port, 64)?;
    let (api_address, metrics_address) = (local(&api)?, local(&scrapes)?);

    let certificate = settings.server.tls.as_ref().map(Certificate::read).transpose();
    let certificate = certificate.map_err(|error| Failure::new(Exit::Configuration, error))?;

    let registry = Registry::collect()?;
    let collected = registry.renderer();
    let vault = settings.vault.as_ref().map(|source| Vault::try_new(source.settings.clone())).transpose();
    let vault = vault.map_err(|error| Failure::new(Exit::Configuration, error))?.map(Arc::new);
    process.vault.clone_from(&vault);
    let settings = match (&vault, &settings.vault) {
        (Some(vault), Some(source)) => {
            let room = WaitingRoom {
                sources: &sources,
                before: &settings,
                api: &api,
                scrapes: &scrapes,
                certificate: certificate.as_ref(),
                metrics: &collected,
                process: &process,
            };
            tokio::select! {
                settings = room.wait_for(vault, source) => settings?,
                () = signals.next() => return Ok(()),
            }
        }
        _ => settings,
    };
    let waiting = Waiting::start(&settings.server, api, certificate.as_ref()).await?;
    process.lanes = waiting.lanes();
    let service = Arc::new(Service::over_store_in(&settings, &process)?);
    registry.begin(&Known { jobs: service.job_names() });
    let measured = service.clone();
    registry.observe(Box::new(move || measured.measure()));
    service.shared.start();
    let street =
        Arc::new(Street::new(&settings.allowed_origins, service.door.ids.clone(), certificate.is_some()));
    // From here on it answers, and says that it is not ready until the first admin and its key are there.
    service.manager.start_preparing();
    let api = waiting.serve(&service, &street);
    let scrapes = serve_metrics(scrapes, &service, &collected)?;

    let watch = KeyWatch::new(sources, &settings, service.clone(), vault);
    actix_web::rt::spawn(watch.keep_fresh(settings.secrets_refresh));
    let ended = tokio::select! {
        ready = get_ready(&settings, &service, api_address, metrics_address, started) => match ready {
            Ok(()) => {
                signals.next().await;
                Ok(())
            }
            refused => refused,
        },
        () = signals.next() => Ok(()),
    };
    tracing::info!("stopping");
    let stopped = stop(&api, &scrapes, &service, &mut signals, &settings.server).await;
    match &stopped {
        Ok(()) => tracing::info!("stopped"),
        Err(error) => tracing::error!(error = format!("{error:#}"), "it did not stop cleanly"),
    }
    ended?;
    stopped.map_err(|error| Failure::new(Exit::Store, error))
}

/// Reaches the store, initialises the modules, makes who and what a first start needs, and says where to go. It fails if
/// the store is one that this program must not work on.
async fn get_ready(
    settings: &Settings,
    service: &Arc<Service>,
    api: SocketAddr,
    metrics: SocketAddr,
    started: Instant,
) -> Result<(), Failure> {
    let ahead = first_start::begin(settings, service);
    service.reach_store().await?;
    service.manager.initialise().await;
    let watched = service.clone();
    actix_web::rt::spawn(async move { watched.manager.watch().await });
    actix_web::rt::spawn(service.clone().count_figures());
    let base_url = address::base_url(api, settings.server.tls.is_some());
    let credentials = first_credentials(settings, service, &base_url, ahead).await;
    service.manager.finish_preparing();
    // Only now: all of them are due at a first start, and nobody should wait for them to be ready.
    service.start_jobs();
    tracing::info!(
        api = base_url,
        metrics = format!("{}/metrics", address::base_url(metrics, false)),
        milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        "serving"
    );
    if let Some(credentials) = credentials {
        crate::print::text(&first_start::welcome(
            &credentials,
            &settings.data_dir,
            &address::base_url(metrics, false),
            &service.manager.names(),
        ));
    }
    Ok(())
}

/// Makes who and what a first start needs, again while the store is away. Of any other fault the log tells, and everybody
/// who can get in is served.
async fn first_credentials(
    settings: &Settings,
    service: &Service,
    base_url: &str,
    ahead: Option<Ahead>,
) -> Option<DevCredentials> {
    let mut ahead = ahead;
    loop {
        match first_start::run(settings, service, base_url, ahead.take()).await {
            Ok(credentials) => return credentials,
            Err(error) if first_start::is_passing(&error) => {
                tracing::warn!(error = format!("{error:#}"), "the store went away during the first start");
                tokio::time::sleep(FIRST_START_PAUSE).await;
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the first admin or API key could not be made");
                return None;
            }
        }
    }
}

/// Not ready any more, and answering as ever while load balancers notice, each time the last on its connection; no new
/// connections, and idle ones are closed;
/// what is in flight finishes, unless a second signal or the timeout comes first; the modules stop, which drains the
/// ledger; the store is closed. That takes as long again at most, and with a second signal [`HURRY`]: a store that does not
/// answer keeps nobody for ever, and it fails then. The thread that lanes and calls share ends last, as does what is idle there.
async fn stop(
    api: &Web,
    scrapes: &ServerHandle,
    service: &Service,
    signals: &mut Signals,
    server: &Server,
) -> Result<()> {
    service.manager.start_draining();
    let is_hurried = tokio::select! {
        () = async { tokio::time::sleep(server.drain_delay).await; api.finish_calls(server.shutdown_timeout).await } => false,
        () = signals.next() => {
            tracing::warn!("in a hurry: calls in flight are left without an answer");
            true
        }
    };
    let rest = async {
        service.jobs.stop().await;
        // What calls in flight have handed to the ledger is kept all the same.
        service.manager.shut_down().await;
        service.close().await
    };
    let hurry = async {
        if !is_hurried {
            signals.next().await;
            tracing::warn!("in a hurry: what the ledger and the jobs have not finished is left");
        }
        tokio::time::sleep(HURRY).await;
    };
    let patience = server.shutdown_timeout.max(HURRY);
    let closed = tokio::select! {
        closed = rest => closed,
        () = hurry => Err(anyhow!("the ledger was not drained and the store not closed within {HURRY:?} of the second signal")),
        () = tokio::time::sleep(patience) => Err(anyhow!("the ledger was not drained and the store not closed within {patience:?}")),
    };
    if !is_hurried && closed.is_ok() {
        // What was answered is sent, unless somebody does not read it.
        let _ended = tokio::time::timeout(HURRY, api.end()).await;
    }
    // Nobody waits for it: the process ends now.
    drop(scrapes.stop(false));
    closed
}

/// The first address of the host that can be listened on.
fn listen(what: &str, host: &str, port: u16, backlog: u32) -> Result<TcpListener> {
    let addresses =
        (host, port).to_socket_addrs().with_context(|| format!("{what}.host {host} is not known"))?;
    let mut last = None;
    for address in addresses {
        match listen_on(address, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error).with_context(|| format!("{what}: {host}:{port} cannot be listened on")),
        None => bail!("{what}.host {host} has no address"),
    }
}

fn listen_on(address: SocketAddr, backlog: u32) -> std::io::Result<TcpListener> {
    let socket =
        if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)?.into_std()
}

fn local(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().context("a socket does not know its address")
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
