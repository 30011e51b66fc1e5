//! The connection that everybody shares, and who looks after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use redis::{RedisError, RedisResult, Script};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::address::RedisAddress;
use super::pool::{CannotConnect, Connections, Wire, reason};
use super::state::{NAME, RedisClock, State};

/// How often it is asked how it is while it is well.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it is left alone after the first failure; twice as long after each that follows, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Well for so long, the next failure counts as the first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(10);

const TOO_SLOW: &str = "it does not answer in time";

/// Where Redis is and how patient to be.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Where it is.
    pub address: RedisAddress,
    /// Certificates (PEM) to trust instead of the system's; for an address with TLS.
    pub tls_ca: Option<Vec<u8>>,
    /// How long making and checking a connection may take.
    pub connect_timeout: Duration,
    /// How long one command may take. A request waits for it at most once, and then Redis is left alone for a while.
    pub command_timeout: Duration,
    /// Before every key.
    pub prefix: String,
}

/// A connection that is used by all, watched in the background, and made again by itself. While it is not well nobody
/// asks, and nobody waits.
pub struct RedisLink {
    shared: Arc<Shared>,
    watch: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    settings: RwLock<RedisSettings>,
    connections: RwLock<Arc<Connections>>,
    state: State,
    disturbed: Notify,
    probe: Script,
}

impl RedisLink {
    /// Connects to nothing before [`Self::start`]. An error means that it never can: settings that do not fit together.
    pub fn try_new(settings: RedisSettings) -> Result<Arc<Self>, CannotConnect> {
        use_our_cryptography();
        let connections = Connections::try_new(&settings)?;
        let shared = Arc::new(Shared {
            settings: RwLock::new(settings),
            connections: RwLock::new(Arc::new(connections)),
            state: State::new(),
            disturbed: Notify::new(),
            probe: Script::new("redis.call('SET', KEYS[1], '1', 'PX', 1000) return redis.call('TIME')"),
        });
        Ok(Arc::new(Self { shared, watch: Mutex::default() }))
    }

    /// Begins to connect, in the background of the present runtime, for as long as the link lives. Twice is once.
    pub fn start(&self) {
        let mut watching = self.watch.lock();
        if watching.is_none() {
            *watching = Some(tokio::spawn(watch(self.shared.clone())));
        }
    }

    /// Goes over to other settings, for example other credentials, without a pause.
    pub fn reconnect(&self, settings: RedisSettings) -> Result<(), CannotConnect> {
        let connections = Arc::new(Connections::try_new(&settings)?);
        *self.shared.settings.write() = settings;
        *self.shared.connections.write() = connections;
        self.shared.disturbed.notify_one();
        Ok(())
    }

    /// Why nobody asks Redis at the moment, without a secret; `None` if all is well.
    pub fn failure(&self) -> Option<String> {
        self.shared.state.failure()
    }

    /// Sets the gauges of its pool to what they are now.
    pub fn measure(&self) {
        let (all, idle) = self.shared.connections.read().counts();
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        metrics::gauge!("credit_pool_connections", "pool" => "redis", "state" => "idle").set(number(idle));
        metrics::gauge!("credit_pool_connections", "pool" => "redis", "state" => "used")
            .set(number(all.saturating_sub(idle)));
    }

    /// The state of its circuit breaker: `closed` or `open`. What probes are elsewhere is done in the background here.
    pub fn breaker(&self) -> &'static str {
        if self.failure().is_none() { "closed" } else { "open" }
    }

    /// Waits until it is well, for at most so long; answers whether it is.
    pub async fn ready_within(&self, patience: Duration) -> bool {
        let begun = Instant::now();
        while self.failure().is_some() {
            if begun.elapsed() >= patience {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        true
    }

    /// Asks, if it is well; one round trip. `None`: it was not asked, or what became of it is not known.
    pub(super) async fn ask<T, F>(&self, purpose: &'static str, work: impl FnOnce(Wire) -> F) -> Option<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let Some((wire, generation)) = self.shared.state.wire() else {
            metrics::counter!("credit_breaker_rejections_total", "dependency" => NAME, "reason" => "open")
                .increment(1);
            return None;
        };
        metrics::counter!("credit_redis_round_trips_total", "purpose" => purpose).increment(1);
        let patience = self.shared.settings.read().command_timeout;
        let why = match timeout(patience, work(wire)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => reason(&error),
            Err(_) => TOO_SLOW.to_owned(),
        };
        if self.shared.state.open(why, Some(generation)) {
            self.shared.disturbed.notify_one();
        }
        None
    }

    /// Passes a command of somebody else's on, if it is well. That Redis refuses a command, or a script of theirs fails, is
    /// an answer.
    pub(super) async fn pass<T, F>(
        &self,
        purpose: &'static str,
        work: impl FnOnce(Wire) -> F,
    ) -> RedisResult<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let left_alone = || RedisError::from((redis::ErrorKind::Io, "Redis is left alone"));
        let (wire, generation) = self.shared.state.wire().ok_or_else(left_alone)?;
        metrics::counter!("credit_redis_round_trips_total", "purpose" => purpose).increment(1);
        let patience = self.shared.settings.read().command_timeout;
        let late = || RedisError::from((redis::ErrorKind::Io, TOO_SLOW));
        let outcome = timeout(patience, work(wire)).await.unwrap_or_else(|_| Err(late()));
        if let Err(error) = &outcome
            && error.code().is_none()
            && self.shared.state.open(reason(error), Some(generation))
        {
            self.shared.disturbed.notify_one();
        }
        outcome
    }

    /// What Redis said last of its time; `None` while it is not asked.
    pub(super) fn clock(&self) -> Option<RedisClock> {
        self.shared.state.clock()
    }

    pub(crate) fn key(&self, rest: std::fmt::Arguments<'_>) -> String {
        format!("{}{rest}", self.shared.settings.read().prefix)
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.shared.connections.read().is_cluster()
    }
}

impl Drop for RedisLink {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get_mut() {
            watch.abort();
        }
    }
}

impl std::fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisLink").field("failure", &self.failure()).finish_non_exhaustive()
    }
}

/// Looks after the connection as long as there is somebody who uses it.
async fn watch(shared: Arc<Shared>) {
    let mut wait = FIRST_WAIT;
    let mut well_since: Option<Instant> = None;
    loop {
        let pause = match shared.look().await {
            Ok((wire, clock)) => {
                shared.state.close(wire, clock);
                let since = *well_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= FORGIVEN_AFTER {
                    wait = FIRST_WAIT;
                }
                LOOK_EVERY
            }
            Err(why) => {
                shared.state.open(why, None);
                well_since = None;
                let pause = wait;
                wait = (wait * 2).min(LONGEST_WAIT);
                pause
            }
        };
        let disturbed = timeout(pause, shared.disturbed.notified()).await.is_ok();
        if disturbed && shared.state.failure().is_some() {
            well_since = None;
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

impl Shared {
    /// A connection that answers, writes and knows the time, all of it quickly.
    async fn look(&self) -> Result<(Wire, RedisClock), String> {
        let connections = self.connections.read().clone();
        let (connect_patience, patience, key) = {
            let settings = self.settings.read();
            (settings.connect_timeout, settings.command_timeout, format!("{}probe", settings.prefix))
        };
        // Making one and checking one, and for Sentinel asking where.
        let wire = timeout(connect_patience * 3, connections.wire()).await;
        let wire = wire.map_err(|_| TOO_SLOW.to_owned())?.map_err(|error| error.0)?;
        let mut asked = wire.clone();
        let invocation = self.probe.key(key);
        // A first time loads the script as well.
        let answer = timeout(patience * 2, invocation.invoke_async::<(u64, u64)>(&mut asked)).await;
        let (seconds, micros) = answer.map_err(|_| TOO_SLOW.to_owned())?.map_err(|error| reason(&error))?;
        let micros = seconds.saturating_mul(1_000_000).saturating_add(micros);
        Ok((wire, RedisClock { micros, at: Instant::now() }))
    }
}

/// TLS is done by aws-lc-rs, whatever other providers a build may bring along.
fn use_our_cryptography() {
    // Somebody may have said so before.
    let _said = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
