//! The disk of the embedded store.

use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use tempfile::TempDir;

use super::load::{Expected, World};
use super::program::{Program, exists};
use super::tracer::{refusing, words};

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

/// The program on this directory ends by itself with the code for a store that cannot be opened; what it says.
fn refuses_to_start(starter: &[&str], folder: TempDir) -> (String, TempDir) {
    let mut program = Program::start_under(starter, folder, &[]);
    let ended = program.wait(Duration::from_secs(20));
    let log = program.log();
    assert_eq!(ended.code(), Some(4), "{log}");
    let mut said = log.lines().filter_map(|line| line.strip_prefix("credit-server: "));
    let sentence = said.next().unwrap_or_else(|| panic!("no sentence: {log}")).to_owned();
    assert_eq!(said.next(), None, "one sentence: {log}");
    (sentence, program.kill())
}

/// What is told of a disk is what to do about the disk. Nobody is sent for a backup for it.
fn tells_what_to_do(sentence: &str, reason: &str) {
    assert!(sentence.contains("data_dir has to be") && sentence.contains(reason), "{sentence}");
    assert!(sentence.contains("may write to"), "{sentence}");
    assert!(!sentence.contains("damaged") && !sentence.contains("backup"), "{sentence}");
    assert!(sentence.matches("os error").count() <= 1, "a cause is told once: {sentence}");
}

#[test]
fn a_directory_that_cannot_be_made_or_written_is_told_at_the_start_and_the_program_ends() {
    let folder = TempDir::new().expect("a directory");
    std::fs::write(folder.path().join("data"), "a file where the directory should be").expect("written");
    let (sentence, _folder) = refuses_to_start(&[], folder);
    tells_what_to_do(&sentence, "/data cannot be made");

    // Tests may run as root, to whom every directory can be written: the system says no in place of its modes.
    let folder = TempDir::new().expect("a directory");
    let made = refusing("?mkdir,mkdirat", "EACCES", None);
    let (sentence, folder) = refuses_to_start(&words(&made), folder);
    tells_what_to_do(&sentence, "/data cannot be made: Permission denied");

    // The same directory, on a file system that is mounted for reading.
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("made");
    let journal = data.join("journal.redb");
    let opened = refusing("openat", "EROFS", Some(&journal));
    let (sentence, folder) = refuses_to_start(&words(&opened), folder);
    tells_what_to_do(&sentence, "/data/journal.redb: Read-only file system");
    assert!(!journal.exists(), "nothing was made");

    // With nobody in its way it starts on what was left of all that.
    let program = Program::start_in(folder, &[]);
    program.wait_for("/health/ready", 200, Duration::from_secs(20));
}

#[test]
fn a_disk_that_has_no_space_or_fails_at_the_start_is_not_taken_for_a_damaged_store() {
    let space = ["prlimit", "--fsize=16384:unlimited"];
    let (sentence, folder) = refuses_to_start(&space, TempDir::new().expect("a directory"));
    tells_what_to_do(&sentence, "File too large");
    let (written, synced) = (refusing("pwrite64", "EIO", None), refusing("fdatasync,fsync", "EIO", None));
    let (sentence, folder) = refuses_to_start(&words(&written), folder);
    tells_what_to_do(&sentence, "Input/output error");
    let (sentence, folder) = refuses_to_start(&words(&synced), folder);
    tells_what_to_do(&sentence, "Input/output error");

    // A store that was in use, and was not stopped cleanly.
    let program = Program::start_in(folder, &[]);
    program.wait_for("/health/ready", 200, Duration::from_secs(20));
    let mut folder = program.kill();
    for starter in [&words(&written), &words(&synced)] {
        let (sentence, left) = refuses_to_start(starter, folder);
        tells_what_to_do(&sentence, "Input/output error");
        folder = left;
    }
    // It has its files, and wants for space as at any other time: that passes.
    let program = Program::start_under(&space, folder, &[]);
    program.wait_for("/health/live", 200, Duration::from_secs(20));
    for _ in 0..10 {
        assert_eq!(program.page("/health/ready").0, 503);
        std::thread::sleep(Duration::from_millis(200));
    }
    program.limit_files("unlimited");
    program.wait_for("/health/ready", 200, Duration::from_secs(20));
    World::new(&program).is_healthy();
}

#[test]
fn a_store_that_is_damaged_is_told_at_the_start_and_the_program_ends() {
    let program = Program::start(&[]);
    program.wait_for("/health/ready", 200, Duration::from_secs(20));
    let data = program.data();
    let folder = program.kill();
    let mut journal =
        std::fs::File::options().write(true).open(data.join("journal.redb")).expect("it is there");
    journal.seek(SeekFrom::Start(0)).expect("a place");
    journal.write_all(&[0xAB; 4096]).expect("written");
    drop(journal);
    let (sentence, _folder) = refuses_to_start(&[], folder);
    assert!(sentence.contains("is damaged") && sentence.contains("restore both files"), "{sentence}");
}
