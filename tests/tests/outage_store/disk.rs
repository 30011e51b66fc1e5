//! The disk of the embedded store.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use super::load::{Expected, World};
use super::program::{Program, exists};

#[test]
fn a_disk_that_is_full_turns_calls_away_and_heals_when_there_is_space() {
    let program = Program::start(&[]);
    program.wait_for("/health/ready", 200, Duration::from_secs(20));
    let mut world = World::new(&program);
    for round in ["the disk is full", "the disk is full again"] {
        world.outage(round, || program.limit_files("16384"), || program.limit_files("unlimited"), &|world| {
            world.is_turned_away(&Expected::soon());
        });
    }
    world.is_healthy();
    assert!(!exists(&program.data().join(".space")), "the trial file is gone");
}

#[test]
fn a_store_that_cannot_be_made_or_is_damaged_is_told_at_the_start_and_the_program_ends() {
    let folder = tempfile::TempDir::new().expect("a directory");
    std::fs::write(folder.path().join("data"), "a file where the directory should be").expect("written");
    let mut program = Program::start_in(folder, &[]);
    let ended = program.wait(Duration::from_secs(20));
    assert!(matches!(ended.code(), Some(1 | 4)), "{ended}\n{}", program.log());
    assert!(program.log().contains("credit-server: "), "{}", program.log());

    let program = Program::start(&[]);
    program.wait_for("/health/ready", 200, Duration::from_secs(20));
    let data = program.data();
    let folder = program.kill();
    let mut journal =
        std::fs::File::options().write(true).open(data.join("journal.redb")).expect("it is there");
    journal.seek(SeekFrom::Start(0)).expect("a place");
    journal.write_all(&[0xAB; 4096]).expect("written");
    drop(journal);
    let mut program = Program::start_in(folder, &[]);
    let ended = program.wait(Duration::from_secs(20));
    assert_eq!(ended.code(), Some(4), "{}", program.log());
    assert!(program.log().contains("is damaged"), "{}", program.log());
}
