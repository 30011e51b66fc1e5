//! Starting, stopping, several at once, and a store that is not there or not fit.

use std::time::{Duration, Instant};

use credit_infra::testkit::mongod::{Mongo, Options};
use credit_infra::testkit::proxy::Mode;

use crate::place::{PATIENCE, Place};

#[test]
fn what_was_answered_is_there_after_a_kill_and_nothing_is_written_to_data_dir_after_the_start() {
    let place = Place::on_mongodb();
    let service = place.start();
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(place.data(""))
            .expect("a directory")
            .map(|entry| {
                let entry = entry.expect("readable");
                (entry.file_name(), entry.metadata().and_then(|found| found.modified()).expect("known"))
            })
            .collect();
        files.sort();
        files
    };
    let before = files();
    let wallet = service.wallet_of("ada", 100);
    let first = service.spend(&wallet, "spend-1", 30);
    assert_eq!(first.0, 201, "{}", first.1);
    assert_eq!(files(), before);
    assert_eq!(before.len(), 2, "{before:?}");
    drop(service);

    let service = place.start();
    assert_eq!(service.spend(&wallet, "spend-1", 30), first);
    assert_eq!(service.balance(&wallet), 70);
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn three_that_start_at_once_on_an_empty_database_make_one_admin_and_one_key_and_see_one_ledger() {
    let place = Place::on_mongodb();
    let mut services: Vec<_> = (0..3).map(|_| place.launch()).collect();
    for service in &mut services {
        service.wait_until_ready();
    }
    for service in &services {
        let (status, admins) = service.get_as_admin("/v1/users?role=admin");
        assert_eq!((status, admins["data"].as_array().map(Vec::len)), (200, Some(1)), "{admins}");
        let (status, keys) = service.get_as_admin("/v1/api-keys");
        assert_eq!((status, keys["data"].as_array().map(Vec::len)), (200, Some(1)), "{keys}");
        let (status, apps) = service.get_as_admin("/v1/apps");
        assert_eq!((status, apps["data"].as_array().map(Vec::len)), (200, Some(1)), "{apps}");
    }
    let wallet = services[0].wallet_of("ada", 100);
    for (number, service) in services.iter().enumerate() {
        let (status, spent) = service.spend(&wallet, &format!("spend-{number}"), 10);
        assert_eq!(status, 201, "{spent}");
    }
    for service in &services {
        assert_eq!(service.balance(&wallet), 70);
    }
}

#[test]
fn in_profile_prod_three_make_the_first_admin_of_the_configuration_once_and_write_nothing() {
    let secrets = [
        (1_u8, "AUTH__TOKEN_KEYS"),
        (2, "ENCRYPTION__KEYS"),
        (3, "ENCRYPTION__INDEX_KEYS"),
        (4, "ENCRYPTION__CURSOR_KEY"),
    ]
    .map(|(seed, name)| (format!("CREDIT_{name}"), random(seed)));
    let secrets: Vec<_> = secrets.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let place = Place::on_mongodb().with(&secrets).with(&[
        ("CREDIT_PROFILE", "prod"),
        ("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "root"),
        ("CREDIT_BOOTSTRAP__ADMIN_EMAIL", "root@shop.example"),
        ("CREDIT_BOOTSTRAP__ADMIN_PASSWORD", "a-Quite-l0ng-sentence"),
    ]);
    let mut services: Vec<_> = (0..3).map(|_| place.launch()).collect();
    for service in &mut services {
        service.wait_until_ready();
    }
    let (status, admins) = services[0].get_as("root", "a-Quite-l0ng-sentence", "/v1/users?role=admin");
    assert_eq!((status, admins["data"].as_array().map(Vec::len)), (200, Some(1)), "{admins}");
    assert!(!place.data("").exists());
}

#[test]
fn an_unreachable_store_is_alive_not_ready_and_heals_by_itself() {
    let mongo = Mongo::start(Options { proxied: true, ..Options::one() });
    let place = Place::at(mongo.uri());
    mongo.proxy(0).set(Mode::Refuse);
    let mut service = place.launch();
    let until = Instant::now() + PATIENCE;
    while service.get("/health/live").0 != 200 {
        assert!(Instant::now() < until, "it is not alive: {}", service.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let (status, ready) = service.get("/health/ready");
    assert_eq!(status, 503, "{ready}");
    let (status, refused) = service.get("/v1/wallets");
    assert_eq!((status, &refused["code"]), (503, &"module_unavailable".into()), "{refused}");
    while !service.log().contains("the store is not reached yet") {
        assert!(Instant::now() < until, "it does not say what it waits for: {}", service.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    mongo.proxy(0).set(Mode::Pass);
    service.wait_until_ready();
    let wallet = service.wallet_of("ada", 10);
    assert_eq!(service.balance(&wallet), 10);
}

#[test]
fn a_store_that_is_not_fit_ends_the_program_with_its_exit_code_and_a_sentence() {
    let mongo = Mongo::start(Options::standalone());
    let place = Place::at(mongo.uri());
    let mut service = place.launch();
    assert_eq!(service.wait_for_its_end(), Some(4), "{}", service.log());
    for told in [service.log(), place.refused(&["store", "check"], 4)] {
        assert!(told.contains("store.mongodb.uri") && told.contains("--replSet"), "{told}");
    }
}

/// 32 bytes that look random, in hexadecimal digits.
fn random(seed: u8) -> String {
    let byte = |index: u8| index.wrapping_mul(37).wrapping_add(seed.wrapping_mul(91));
    (0..32_u8).flat_map(|index| [byte(index) >> 4, byte(index) & 15]).map(hexadecimal).collect()
}

fn hexadecimal(digit: u8) -> char {
    char::from_digit(digit.into(), 16).expect("a digit")
}
