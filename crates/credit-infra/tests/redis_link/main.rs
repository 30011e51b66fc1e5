//! Limits and cache on a real Redis: their contracts, and what they do while it is not there.

mod contract;
mod faults;
mod leases;
mod tiers;
mod tls;
mod topologies;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use credit_core::ports::limits::{Bucket, CallClass, Quota, RateLimiter, Subject, SubjectKind};
use credit_infra::limits::InProcessLimits;
use credit_infra::redis::{CannotConnect, RedisAddress, RedisLimits, RedisLink, RedisSettings};

/// Patient: that a machine is slow is not what is tested here.
fn settings(url: &str) -> RedisSettings {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
    RedisSettings {
        address: RedisAddress::try_new(&url.to_owned().into()).expect("an address"),
        tls_ca: None,
        connect_timeout: Duration::from_secs(5),
        command_timeout: Duration::from_secs(5),
        prefix: format!("test:{process}:{next}:"),
    }
}

/// As it is by default.
fn impatient(url: &str) -> RedisSettings {
    let quick = Duration::from_millis(250);
    RedisSettings { connect_timeout: quick, command_timeout: quick, ..settings(url) }
}

fn started(settings: RedisSettings) -> Result<Arc<RedisLink>, CannotConnect> {
    let link = RedisLink::try_new(settings)?;
    link.start();
    Ok(link)
}

async fn connected(settings: RedisSettings) -> Arc<RedisLink> {
    let link = started(settings).expect("settings that fit");
    assert!(link.ready_within(Duration::from_secs(10)).await, "{link:?}");
    link
}

fn limits(link: &Arc<RedisLink>) -> RedisLimits {
    RedisLimits::new(link.clone(), InProcessLimits::new(NonZeroU32::MIN))
}

fn bucket(id: u128, calls: u32, window_seconds: u32) -> Bucket {
    let quota = Quota::try_new(calls, window_seconds).expect("a quota");
    Bucket { subject: Subject { kind: SubjectKind::User, id }, class: CallClass::Write, quota }
}

async fn admitted(limits: &dyn RateLimiter, bucket: Bucket, calls: u32) -> u32 {
    let mut gone = 0;
    for _ in 0..calls {
        gone += u32::from(limits.check(&[bucket]).await.is_admitted());
    }
    gone
}

/// One command in words; the first line of the answer.
fn tell(server: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(server).expect("Redis listens");
    stream.write_all(format!("{command}\r\n").as_bytes()).expect("Redis reads");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("Redis answers");
    line.trim_end().to_owned()
}

/// How many commands of a name Redis has run.
fn runs(server: SocketAddr, command: &str) -> u64 {
    let mut stream = TcpStream::connect(server).expect("Redis listens");
    stream.write_all(b"INFO commandstats\r\nQUIT\r\n").expect("Redis reads");
    let start = format!("cmdstat_{command}:calls=");
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let found: Vec<u64> =
        lines.filter_map(|line| line.strip_prefix(&start)?.split(',').next()?.parse().ok()).collect();
    found.first().copied().unwrap_or(0)
}
