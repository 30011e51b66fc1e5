//! Files that only their owner reads.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};

/// Makes a directory, and those above it, that only its owner enters. One that is there stays as it is.
pub(crate) fn create_directory(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the directory {} cannot be made", path.display()))
}

/// Replaces a file in one step: readers see the old text or the new one, with mode 0600 from the first byte on.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Makes a file in one step where there is none: of several processes that do it at once, one does. Answers whether it
/// was this one.
pub(crate) fn create(path: &Path, text: &str) -> Result<bool> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    replace(&beside, text)?;
    // A link never replaces what is there, as a rename would.
    let linked = std::fs::hard_link(&beside, path);
    // What it leaves behind is harmless, and is written over by the next process of this number.
    let _ = std::fs::remove_file(&beside);
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("{} cannot be written", path.display())),
    }
}

/// Waits until no other process has this directory for itself, and has it until the answer is dropped.
pub(crate) fn lock_directory(path: &Path) -> Result<File> {
    let locked = File::open(path).and_then(|directory| directory.lock().map(|()| directory));
    locked.with_context(|| format!("the directory {} cannot be locked", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_alone_also_when_it_is_replaced() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("deep").join("secret.json");
        create_directory(path.parent().expect("it has one")).expect("made");
        for text in ["one", "two"] {
            replace(&path, text).expect("written");
            assert_eq!(std::fs::read_to_string(&path).expect("readable"), text);
            assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(path.parent().expect("it has one")).expect("readable").count(), 1);
    }

    #[test]
    fn of_several_that_make_a_file_at_once_one_does_and_nothing_else_is_left() {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("secret.json");
        assert!(create(&path, "first").expect("made"));
        assert!(!create(&path, "second").expect("there already"));
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "first");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(home.path()).expect("readable").count(), 1);
    }

    #[test]
    fn a_directory_is_one_holders_at_a_time() {
        let home = tempfile::tempdir().expect("a directory");
        let first = lock_directory(home.path()).expect("locked");
        let again = File::open(home.path()).expect("opened");
        assert!(again.try_lock().is_err());
        drop(first);
        again.try_lock().expect("nobody has it any more");
    }
}
