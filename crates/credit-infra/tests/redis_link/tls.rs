//! TLS to Redis, by handshakes that happen and others that do not.

use std::time::{Duration, Instant};

use credit_infra::redis::RedisSettings;
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_infra::testkit::tls;
use redis::{Client, RedisResult, TlsCertificates, cmd};

use crate::{admitted, bucket, connected, limits, settings, started};

fn secure() -> RedisOptions {
    RedisOptions { tls: true, ..RedisOptions::default() }
}

fn with(url: &str, ca: Option<&str>) -> RedisSettings {
    let tls_ca = ca.map(|pem| pem.as_bytes().to_vec());
    RedisSettings { tls_ca, ..settings(url) }
}

/// With the CA that has signed, Redis is used; with the system's or somebody else's there is no connection.
async fn only_our_ca_is_trusted(url: &str) {
    let link = connected(with(url, Some(tls::CA))).await;
    assert_eq!(admitted(&limits(&link), bucket(1, 3, 300), 4).await, 3);
    for wrong in [None, Some(tls::STRANGER_CA)] {
        let link = started(with(url, wrong)).expect("settings that fit");
        assert!(!link.ready_within(Duration::from_millis(800)).await, "{wrong:?}");
    }
    assert!(started(with(url, Some("no certificate"))).is_err());
}

#[tokio::test]
async fn a_ca_of_ones_own_is_trusted_and_nobody_elses() {
    only_our_ca_is_trusted(&RedisServer::start(secure()).url()).await;
}

#[tokio::test]
async fn behind_sentinels_it_is_trusted_for_the_sentinel_and_for_the_master() {
    let master = RedisServer::start(secure());
    let watched = RedisOptions { sentinel_of: Some(("main".to_owned(), master.address())), ..secure() };
    let sentinel = RedisServer::start(watched);
    only_our_ca_is_trusted(&format!("rediss-sentinel://{}/main", sentinel.address())).await;
    // A Sentinel that is trusted and names a master that is not spoken to with TLS.
    let plain = RedisServer::start(RedisOptions::default());
    let misled = RedisOptions { sentinel_of: Some(("main".to_owned(), plain.address())), ..secure() };
    let misled = RedisServer::start(misled);
    let url = format!("rediss-sentinel://{}/main", misled.address());
    let link = started(with(&url, Some(tls::CA))).expect("settings that fit");
    assert!(!link.ready_within(Duration::from_millis(800)).await);
}

#[tokio::test]
async fn in_a_cluster_it_is_trusted_for_every_node() {
    let arguments = vec!["--cluster-enabled yes".to_owned(), "--tls-cluster yes".to_owned()];
    let node = RedisServer::start(RedisOptions { arguments, ..secure() });
    let trusted = TlsCertificates { client_tls: None, root_cert: Some(tls::CA.into()) };
    let client = Client::build_with_tls(node.url(), trusted).expect("a client");
    let mut plain = client.get_multiplexed_async_connection().await.expect("a connection");
    let taken: RedisResult<()> =
        cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16383).query_async(&mut plain).await;
    assert_eq!(taken, Ok(()));
    let begun = Instant::now();
    while cmd("SET").arg("ready").arg(1).query_async::<()>(&mut plain).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the cluster does not come up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    only_our_ca_is_trusted(&format!("rediss-cluster://{}", node.address())).await;
}

#[tokio::test]
async fn a_ca_that_is_changed_is_taken_up_by_the_next_connection() {
    let server = RedisServer::start(secure());
    let link = started(with(&server.url(), Some(tls::STRANGER_CA))).expect("settings that fit");
    assert!(!link.ready_within(Duration::from_millis(800)).await);
    link.reconnect(with(&server.url(), Some(tls::CA))).expect("settings that fit");
    assert!(link.ready_within(Duration::from_secs(10)).await, "{link:?}");
    assert_eq!(admitted(&limits(&link), bucket(1, 3, 300), 4).await, 3);
    // And what is no CA changes nothing.
    assert!(link.reconnect(with(&server.url(), Some("no certificate"))).is_err());
    assert_eq!(admitted(&limits(&link), bucket(2, 3, 300), 4).await, 3);
    assert_eq!(link.failure(), None);
    link.reconnect(with(&server.url(), Some(tls::STRANGER_CA))).expect("settings that fit");
    let begun = Instant::now();
    while link.failure().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it is still trusted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_plain() {
    let server = RedisServer::start(RedisOptions::default());
    let address = server.url().replace("redis://", "rediss://");
    let link = started(RedisSettings { tls_ca: Some(tls::CA.into()), ..settings(&address) });
    let link = link.expect("settings that fit");
    assert!(!link.ready_within(Duration::from_millis(800)).await);
}
