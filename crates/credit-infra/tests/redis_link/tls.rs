//! TLS to Redis, by handshakes that happen and one that does not.

use std::time::Duration;

use credit_infra::redis::RedisSettings;
use credit_infra::testkit::redis_server::{RedisOptions, RedisServer};
use credit_infra::testkit::tls;

use crate::{admitted, bucket, connected, limits, settings, started};

#[tokio::test]
async fn a_ca_of_ones_own_is_trusted_and_nobody_elses() {
    let server = RedisServer::start(RedisOptions { tls: true, ..RedisOptions::default() });
    let with = |ca: Option<&str>| {
        let tls_ca = ca.map(|pem| pem.as_bytes().to_vec());
        RedisSettings { tls_ca, ..settings(&server.url()) }
    };
    let link = connected(with(Some(tls::CA))).await;
    assert_eq!(admitted(&limits(&link), bucket(1, 3, 300), 4).await, 3);
    for wrong in [None, Some(tls::STRANGER_CA)] {
        let link = started(with(wrong)).expect("settings that fit");
        assert!(!link.ready_within(Duration::from_millis(800)).await, "{wrong:?}");
    }
    assert!(started(with(Some("no certificate"))).is_err());
}

#[tokio::test]
async fn a_server_without_tls_is_not_spoken_to_in_plain() {
    let server = RedisServer::start(RedisOptions::default());
    let address = server.url().replace("redis://", "rediss://");
    let link = started(RedisSettings { tls_ca: Some(tls::CA.into()), ..settings(&address) });
    let link = link.expect("settings that fit");
    assert!(!link.ready_within(Duration::from_millis(800)).await);
}
