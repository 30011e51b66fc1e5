//! From a backup back to a store.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::super::{DOCUMENTS_FILE, JOURNAL_FILE};
use super::manifest::{FileSum, Manifest};
use super::{BackupError, sync_directory};

/// In the order in which they get their names: documents without their journal are refused at a start, a journal without
/// its documents could be taken for a store that was just made.
const FILES: [&str; 2] = [DOCUMENTS_FILE, JOURNAL_FILE];

/// Whether a store is in this directory, or a part of one.
pub fn holds_store(directory: &Path) -> bool {
    FILES.iter().any(|name| directory.join(name).exists())
}

/// Copies the files of a backup into a directory that is made for them, and compares each with what it was when the
/// backup was made. The copy is durable, and a store that opens; nobody has looked into it yet.
pub fn unpack(backup: &Path, to: &Path) -> Result<Manifest, BackupError> {
    let manifest = Manifest::read(backup)?;
    let made = DirBuilder::new().mode(0o700).create(to);
    made.map_err(BackupError::io("cannot make", to))?;
    for name in FILES {
        let Some(expected) = manifest.files.get(name) else {
            return Err(BackupError::damaged(backup, format!("it does not say what {name} is")));
        };
        let (source, target) = (backup.join(name), to.join(name));
        let mut from = File::open(&source).map_err(BackupError::io("cannot read", &source))?;
        let copied = File::create_new(&target).and_then(|mut file| {
            let sum = FileSum::copying(&mut from, &mut file)?;
            file.sync_all()?;
            Ok(sum)
        });
        let found = copied.map_err(BackupError::io("cannot copy to", &target))?;
        if found != *expected {
            let why = format!(
                "{name} is not what was written ({} bytes, {} expected)",
                found.bytes, expected.bytes
            );
            return Err(BackupError::damaged(backup, why));
        }
    }
    sync_directory(to)?;
    Ok(manifest)
}

/// Makes what was unpacked and is closed the store of a directory that has none.
pub fn move_in(unpacked: &Path, directory: &Path) -> Result<(), BackupError> {
    if holds_store(directory) {
        return Err(BackupError::Taken { directory: directory.to_owned() });
    }
    for name in FILES {
        let target = directory.join(name);
        let named = std::fs::rename(unpacked.join(name), &target);
        named.map_err(BackupError::io("cannot name it", &target))?;
        sync_directory(directory)?;
    }
    std::fs::remove_dir_all(unpacked).map_err(BackupError::io("cannot remove", unpacked))
}
