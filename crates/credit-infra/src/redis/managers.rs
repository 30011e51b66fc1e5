//! Who makes connections through Sentinels and to Clusters. Those of `deadpool-redis` make their clients by themselves and
//! hand no certificates on; these do, and are the same otherwise.

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{ConnectionInfo, RedisError, RedisResult, TlsCertificates, TlsMode, cmd};
use tokio::sync::Mutex;

/// Asks the Sentinels who the master is, and connects to that one.
pub(super) struct SentinelManager(Mutex<SentinelClient>);

impl SentinelManager {
    /// Credentials for the Sentinels are those of their first address; `node` has those of the master, and its database.
    pub(super) fn try_new(
        sentinels: &[ConnectionInfo],
        service: &str,
        node: &ConnectionInfo,
        tls: bool,
        ca: Option<&TlsCertificates>,
    ) -> RedisResult<Self> {
        let addresses = sentinels.iter().map(|sentinel| sentinel.addr().clone());
        let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?;
        if let Some(sentinel) = sentinels.first().map(ConnectionInfo::redis_settings) {
            if let Some(user) = sentinel.username() {
                builder = builder.set_client_to_sentinel_username(user);
            }
            if let Some(password) = sentinel.password() {
                builder = builder.set_client_to_sentinel_password(password);
            }
        }
        let settings = node.redis_settings();
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(user) = settings.username() {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        if let Some(ca) = ca {
            builder = builder
                .set_client_to_sentinel_certificates(ca.clone())
                .set_client_to_redis_certificates(ca.clone());
        }
        Ok(Self(Mutex::new(builder.build()?)))
    }
}

impl Manager for SentinelManager {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<MultiplexedConnection> {
        self.0.lock().await.get_async_connection().await
    }

    async fn recycle(
        &self,
        connection: &mut MultiplexedConnection,
        _: &Metrics,
    ) -> RecycleResult<RedisError> {
        answers(connection).await
    }
}

/// Learns from one node where the others are.
pub(super) struct ClusterManager(ClusterClient);

impl ClusterManager {
    pub(super) fn try_new(nodes: Vec<ConnectionInfo>, ca: Option<&TlsCertificates>) -> RedisResult<Self> {
        let mut builder = ClusterClientBuilder::new(nodes);
        if let Some(ca) = ca {
            builder = builder.certs(ca.clone());
        }
        Ok(Self(builder.build()?))
    }
}

impl Manager for ClusterManager {
    type Type = ClusterConnection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<ClusterConnection> {
        self.0.get_async_connection().await
    }

    async fn recycle(&self, connection: &mut ClusterConnection, _: &Metrics) -> RecycleResult<RedisError> {
        answers(connection).await
    }
}

/// Whether it still answers, and to what it was asked.
async fn answers(connection: &mut impl ConnectionLike) -> RecycleResult<RedisError> {
    let said: String = cmd("PING").arg("still there").query_async(connection).await?;
    if said == "still there" { Ok(()) } else { Err(RecycleError::message("it answers something else")) }
}
