//! The walls of the house. What each rule looks for is written in `credit_tests::architecture`, and there it
//! is shown to fail.

use credit_tests::architecture::{self as rules, House};

#[track_caller]
fn holds(rule: fn(&House) -> Vec<String>) {
    let house = House::read().expect("the house can be read");
    assert!(house.crates.len() >= 8 && house.files.contains_key("Cargo.toml"), "the whole house was read");
    let broken = rule(&house);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn crates_name_only_those_below_them() {
    holds(rules::forbidden_edges);
}

#[test]
fn only_infra_names_what_answers_behind_a_port() {
    holds(rules::drivers_outside_infra);
}

#[test]
fn modules_take_of_the_web_framework_only_what_handlers_need() {
    holds(rules::too_much_web);
}

#[test]
fn every_module_has_the_same_rooms() {
    holds(rules::missing_rooms);
}

#[test]
fn no_file_is_a_novel() {
    holds(rules::novels);
}

#[test]
fn nothing_is_left_unfinished_and_no_test_sleeps() {
    holds(rules::unfinished_code);
}

#[test]
fn every_collection_is_listed_by_its_module() {
    holds(rules::unlisted_collections);
}

#[test]
fn every_metric_and_every_label_is_told() {
    holds(rules::untold_metrics);
}

#[test]
fn the_domain_never_waits() {
    holds(rules::waiting_domains);
}

#[test]
fn nothing_names_somebodys_machine() {
    holds(rules::machine_paths);
}

#[test]
fn every_guest_says_what_it_is_for() {
    holds(rules::guests_without_a_reason);
}

#[test]
fn every_crate_takes_its_lints_and_versions_from_the_house() {
    holds(rules::crates_with_their_own_rules);
}
