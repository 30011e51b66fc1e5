//! The threads that answer calls, and those that are scraped.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::middleware::{Next, from_fn};
use actix_web::rt::System;
use actix_web::{App, HttpServer};
use anyhow::{Context, Result};
use credit_api::RenderMetrics;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::Server;
use crate::street::Street;
use crate::tls::Certificate;
use crate::wiring::Service;

/// Threads that a worker may use for work that blocks: reading a request never does, packing a large answer does.
const BLOCKING_THREADS: usize = 4;

/// Between two looks whether the calls in flight are answered.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The threads of the API, waiting for what they serve. Who connects meanwhile is answered later.
///
/// They are there first because the lanes live on one of them if it is the only one: that saves each spend the ways to
/// another thread and back (`docs/benchmarks.md`).
pub(crate) struct Waiting {
    web: Web,
    first: Handle,
    given: Arc<OnceLock<Served>>,
}

/// What is served.
struct Served {
    service: Arc<Service>,
    street: Arc<Street>,
}

/// The API.
pub(crate) struct Web {
    server: ServerHandle,
    calls: Arc<Calls>,
    /// Its socket, if the lanes live here.
    socket: Option<TcpListener>,
}

impl Waiting {
    /// Starts the threads. They have lanes if there is one only.
    pub(crate) async fn start(
        settings: &Server,
        listener: TcpListener,
        certificate: Option<&Arc<Certificate>>,
    ) -> Result<Self> {
        let (given, calls) = (Arc::<OnceLock<Served>>::default(), Arc::<Calls>::default());
        let (tell, told) = oneshot::channel();
        let (tell, to_serve, counted) = (Arc::new(Mutex::new(Some(tell))), given.clone(), calls.clone());
        let http = HttpServer::new(move || {
            if let Some(tell) = tell.lock().take() {
                // Nobody listens where the program ends already.
                let _unheard = tell.send(Handle::current());
            }
            let Served { service, street } = to_serve.wait();
            let (street, house, calls) = (street.clone(), service.clone(), counted.clone());
            App::new()
                .wrap(from_fn(move |request, next| street.clone().pass(request, next)))
                .wrap(from_fn(move |request, next| attend(house.clone(), calls.clone(), request, next)))
                .configure(|config| service.manager.configure(config, &service.door))
        })
        .workers(settings.threads())
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.request_timeout)
        .tls_handshake_timeout(settings.request_timeout)
        .client_disconnect_timeout(Duration::from_secs(1))
        .max_connections(settings.max_connections)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals();
        let has_lanes = settings.threads() == 1;
        let socket = has_lanes.then(|| listener.try_clone()).transpose();
        let socket = socket.context("the API's socket cannot be shared")?;
        let http = match (certificate, &settings.tls) {
            (Some(certificate), Some(tls)) => {
                actix_web::rt::spawn(certificate.clone().keep_fresh(tls.reload));
                http.listen_rustls_0_23(listener, certificate.server_config())
            }
            _ if settings.h2c => http.listen_auto_h2c(listener),
            _ => http.listen(listener),
        };
        let running = http.context("the API cannot be served")?.run();
        let server = running.handle();
        // On a thread of its own, which it holds until there is something to serve, and which ends with it.
        let run = || {
            if let Err(error) = System::new().block_on(running) {
                tracing::error!(%error, "the API cannot be served");
            }
        };
        std::thread::Builder::new().name("api".into()).spawn(run).context("a thread cannot be started")?;
        let first = told.await.context("the API's threads cannot be started")?;
        let web = Web { server, calls, socket };
        Ok(Self { web, first, given })
    }

    /// Where lanes live, if it is here.
    pub(crate) fn lanes(&self) -> Option<Handle> {
        self.web.socket.as_ref().map(|_| self.first.clone())
    }

    /// Answers from now on.
    pub(crate) fn serve(self, service: &Arc<Service>, street: &Arc<Street>) -> Web {
        let Self { web, given, .. } = self;
        let now = Served { service: service.clone(), street: street.clone() };
        given.get_or_init(|| now);
        web
    }
}

impl Web {
    /// Takes no new connections; what is in flight finishes, within so long at most. Idle connections are closed; where the
    /// lanes live here, they and their thread go on until [`Self::end`], and who calls meanwhile is answered as far as it
    /// goes.
    pub(crate) async fn finish_calls(&self, patience: Duration) {
        let Some(socket) = &self.socket else { return self.server.stop(true).await };
        self.server.pause().await;
        if let Err(error) = refuse_connections(socket) {
            tracing::warn!(%error, "who connects now waits until the stop");
        }
        self.calls.are_waited_for.store(true, Ordering::Release);
        let answered = async {
            while self.calls.in_flight.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(patience, answered).await.is_err() {
            tracing::warn!("calls in flight are left without an answer");
        }
    }

    /// Ends the threads once nobody needs them any more, with what is being sent sent.
    pub(crate) async fn end(&self) {
        self.server.stop(true).await;
    }

    /// Ends them at once.
    pub(crate) async fn break_off(&self) {
        self.server.stop(false).await;
    }
}

/// A listening socket that is shut for reading listens no more, whoever else has it open (Linux, `inet_shutdown`).
fn refuse_connections(socket: &TcpListener) -> std::io::Result<()> {
    TcpStream::from(OwnedFd::from(socket.try_clone()?)).shutdown(Shutdown::Read)
}

/// How many calls are in flight. Once they are waited for no more are counted, or it might never end.
#[derive(Default)]
struct Calls {
    in_flight: AtomicUsize,
    are_waited_for: AtomicBool,
}

/// One of them. It ends when it is dropped, also if nobody waits for the answer any more.
struct InFlight(Arc<Calls>);

impl Calls {
    fn begin(self: Arc<Self>) -> Option<InFlight> {
        if self.are_waited_for.load(Ordering::Acquire) {
            return None;
        }
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        Some(InFlight(self))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts a call while it is answered. An answer of a process that stops is the last on its connection: who has kept one
/// open, past every load balancer, goes elsewhere with its next call instead of meeting a socket that closes.
async fn attend<B: MessageBody>(
    service: Arc<Service>,
    calls: Arc<Calls>,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let _in_flight = calls.begin();
    let mut response = next.call(request).await?;
    if service.manager.is_draining() {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

pub(crate) fn serve_metrics(
    listener: TcpListener,
    service: &Arc<Service>,
    render: &RenderMetrics,
) -> Result<ServerHandle> {
    let (service, render) = (service.clone(), render.clone());
    let http = HttpServer::new(move || {
        App::new().configure(|config| credit_api::configure_metrics(config, &service.door, &render))
    })
    .workers(1)
    .worker_max_blocking_threads(1)
    .shutdown_timeout(1)
    .disable_signals()
    .listen(listener)
    .context("the metrics cannot be served")?;
    let running = http.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    Ok(handle)
}
