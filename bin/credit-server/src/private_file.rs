//! Files that only their owner reads.

use std::io::Write;
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
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
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
}
