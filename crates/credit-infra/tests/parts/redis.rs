use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use credit_infra::testkit::redis_server::{RedisOptions, RedisServer, shared_url};

fn ask(address: SocketAddr, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 200];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[test]
fn it_answers_hangs_dies_and_comes_back_empty_at_the_same_address() {
    let redis = RedisServer::start(RedisOptions::default());
    assert_eq!(ask(redis.address(), "SET k v").unwrap(), "+OK\r\n");
    redis.pause();
    assert!(ask(redis.address(), "GET k").is_err());
    redis.resume();
    assert_eq!(ask(redis.address(), "GET k").unwrap(), "$1\r\nv\r\n");
    redis.kill();
    assert!(ask(redis.address(), "GET k").is_err());
    redis.restart();
    assert_eq!(ask(redis.address(), "GET k").unwrap(), "$-1\r\n");
}

#[test]
fn passwords_and_users_are_asked_for() {
    let redis = RedisServer::start(RedisOptions {
        password: Some("correcthorse".to_owned()),
        users: vec!["user limited on >batterystaple ~rate:* +@read".to_owned()],
        ..RedisOptions::default()
    });
    assert!(redis.url().starts_with("redis://:correcthorse@127.0.0.1:"), "{}", redis.url());
    assert!(ask(redis.address(), "PING").unwrap().starts_with("-NOAUTH"));
    assert_eq!(ask(redis.address(), "AUTH correcthorse").unwrap(), "+OK\r\n");
    assert_eq!(ask(redis.address(), "AUTH limited batterystaple").unwrap(), "+OK\r\n");
}

#[test]
fn with_tls_nothing_is_said_in_the_open() {
    let redis = RedisServer::start(RedisOptions { tls: true, ..RedisOptions::default() });
    assert!(redis.url().starts_with("rediss://127.0.0.1:"), "{}", redis.url());
    let answer = ask(redis.address(), "PING");
    assert!(!answer.is_ok_and(|text| text.contains("PONG")));
    assert!(redis.certificates().ca.is_file());
}

#[test]
fn the_shared_one_is_the_same_for_all() {
    assert_eq!(shared_url(), shared_url());
}
