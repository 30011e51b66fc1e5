//! Pools of connections to the three kinds of address, which also see whether one that was made still answers.

use std::time::Duration;

use deadpool::managed::{self, Manager, PoolConfig, Timeouts};
use deadpool_redis::Runtime;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, RedisFuture,
    TlsCertificates, Value,
};
use secrecy::{ExposeSecret, SecretString};

use super::address::Kind;
use super::link::RedisSettings;
use super::managers::{ClusterManager, SentinelManager};

/// One that is held and one that is checked.
const CONNECTIONS: usize = 2;
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Why there is no connection. Without a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotConnect(pub(super) String);

pub(super) enum Connections {
    Single(deadpool_redis::Pool),
    Sentinel(managed::Pool<SentinelManager>),
    Cluster(managed::Pool<ClusterManager>),
}

/// One connection, used by many at a time.
#[derive(Clone)]
pub(super) enum Wire {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connections {
    /// Makes none yet.
    pub(super) fn try_new(settings: &RedisSettings) -> Result<Self, CannotConnect> {
        let wrong = |error: redis::RedisError| CannotConnect(reason(&error));
        let limits = PoolConfig { timeouts: timeouts(settings), ..PoolConfig::new(CONNECTIONS) };
        let ca = settings.tls_ca.as_deref().map(certificates).transpose()?;
        match &settings.address.0 {
            Kind::Single(node) => {
                let answers = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(settings.connect_timeout))
                    .set_response_timeout(Some(settings.connect_timeout));
                let node = with_ca(info(node)?, ca)?;
                let manager = deadpool_redis::Manager::new_with_config(node, answers).map_err(wrong)?;
                pool_of(manager, limits).map(Self::Single)
            }
            Kind::Sentinel { sentinels, service, node, tls } => {
                let sentinels = sentinels.iter().map(info).collect::<Result<Vec<_>, _>>()?;
                let manager = SentinelManager::try_new(&sentinels, service, &info(node)?, *tls, ca.as_ref());
                pool_of(manager.map_err(wrong)?, limits).map(Self::Sentinel)
            }
            Kind::Cluster(nodes) => {
                let nodes = nodes.iter().map(info).collect::<Result<Vec<_>, _>>()?;
                let manager = ClusterManager::try_new(nodes, ca.as_ref());
                pool_of(manager.map_err(wrong)?, limits).map(Self::Cluster)
            }
        }
    }

    /// A connection that answered just now.
    pub(super) async fn wire(&self) -> Result<Wire, CannotConnect> {
        match self {
            Self::Single(pool) => match pool.get().await {
                Ok(connection) => Ok(Wire::One(MultiplexedConnection::clone(&connection))),
                Err(error) => Err(CannotConnect(of_pool(&error))),
            },
            Self::Sentinel(pool) => match pool.get().await {
                Ok(connection) => Ok(Wire::One(MultiplexedConnection::clone(&connection))),
                Err(error) => Err(CannotConnect(of_pool(&error))),
            },
            Self::Cluster(pool) => match pool.get().await {
                Ok(connection) => Ok(Wire::Cluster(ClusterConnection::clone(&connection))),
                Err(error) => Err(CannotConnect(of_pool(&error))),
            },
        }
    }

    /// How many connections there are, and how many of them nobody holds.
    pub(super) fn counts(&self) -> (usize, usize) {
        let status = match self {
            Self::Single(pool) => pool.status(),
            Self::Sentinel(pool) => pool.status(),
            Self::Cluster(pool) => pool.status(),
        };
        (status.size, status.available)
    }

    /// Whether keys of one script may lie on several servers.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

fn timeouts(settings: &RedisSettings) -> Timeouts {
    let both = settings.connect_timeout;
    Timeouts { wait: Some(both), create: Some(both + Duration::from_millis(50)), recycle: Some(both) }
}

fn info(node: &SecretString) -> Result<ConnectionInfo, CannotConnect> {
    node.expose_secret().into_connection_info().map_err(|error| CannotConnect(reason(&error)))
}

fn pool_of<M: Manager, W: From<managed::Object<M>>>(
    manager: M,
    limits: PoolConfig,
) -> Result<managed::Pool<M, W>, CannotConnect> {
    let pool = managed::Pool::builder(manager).config(limits).runtime(Runtime::Tokio1).build();
    pool.map_err(|error| CannotConnect(error.to_string()))
}

/// A CA to trust instead of the system's.
fn certificates(ca: &[u8]) -> Result<TlsCertificates, CannotConnect> {
    if !ca.windows(PEM.len()).any(|window| window == PEM) {
        return Err(CannotConnect("the file of the CA has no certificate in it (PEM)".to_owned()));
    }
    Ok(TlsCertificates { client_tls: None, root_cert: Some(ca.to_vec()) })
}

fn with_ca(node: ConnectionInfo, ca: Option<TlsCertificates>) -> Result<ConnectionInfo, CannotConnect> {
    let Some(ca) = ca else { return Ok(node) };
    let client = Client::build_with_tls(node, ca);
    client.map(|client| client.get_connection_info().clone()).map_err(|error| CannotConnect(reason(&error)))
}

/// What went wrong, in words that have neither address nor credentials in them. The text of an answer is left out as
/// well: it may be anybody's.
pub(super) fn reason(error: &redis::RedisError) -> String {
    use redis::ErrorKind;
    if error.is_timeout() {
        return "it does not answer in time".to_owned();
    }
    if error.is_connection_refusal() {
        return "the connection is refused".to_owned();
    }
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) => "it does not take the credentials".to_owned(),
        (_, Some(code)) if code.len() <= 16 && code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            format!("it answers {code}")
        }
        (ErrorKind::Io, _) => "the connection broke or cannot be made".to_owned(),
        (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, _) => {
            "it answers what Redis would not".to_owned()
        }
        (kind, _) => format!("{kind:?}"),
    }
}

fn of_pool(error: &deadpool_redis::PoolError) -> String {
    match error {
        deadpool_redis::PoolError::Backend(error) => reason(error),
        deadpool_redis::PoolError::Timeout(_) => "it does not answer in time".to_owned(),
        _ => "there is no connection".to_owned(),
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(commands, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
