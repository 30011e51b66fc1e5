//! What a backup says of itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use credit_core::Timestamp;
use credit_core::ports::journal::{BookId, Sequence};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;

/// Its file, which is written last.
pub(super) const MANIFEST: &str = "backup.json";
/// The format of backups that this release makes, and the newest that it reads.
const FORMAT: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How backups are laid out.
    pub format: u32,
    /// Of which store it is, in 32 hexadecimal digits.
    pub store_id: String,
    /// When it began: all that was answered before is in it.
    pub began_at: Timestamp,
    /// When all of it was copied.
    pub finished_at: Timestamp,
    /// How many rows it has.
    pub rows: u64,
    /// How far each book reaches.
    pub heads: BTreeMap<String, Sequence>,
    /// What its files must be.
    pub files: BTreeMap<String, FileSum>,
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    pub(super) fn new(
        store_id: u128,
        (began_at, finished_at): (Timestamp, Timestamp),
        rows: u64,
        heads: BTreeMap<BookId, Sequence>,
        files: Vec<(&'static str, FileSum)>,
    ) -> Self {
        Self {
            format: FORMAT,
            store_id: format!("{store_id:032x}"),
            began_at,
            finished_at,
            rows,
            heads: heads.into_iter().map(|(book, head)| (book.to_string(), head)).collect(),
            files: files.into_iter().map(|(name, sum)| (name.to_owned(), sum)).collect(),
        }
    }

    /// How large its files are together.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// Of a backup. Its files are not looked at.
    pub fn read(backup: &Path) -> Result<Self, BackupError> {
        let path = backup.join(MANIFEST);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(BackupError::NoBackup { directory: backup.to_owned(), name: MANIFEST });
            }
            Err(error) => return Err(BackupError::io("cannot read", &path)(error)),
        };
        let unreadable = |error: serde_json::Error| {
            BackupError::damaged(backup, format!("{MANIFEST} does not read ({error})"))
        };
        // The format first: what a newer one says need not be readable here.
        let Format { format } = serde_json::from_slice(&text).map_err(unreadable)?;
        if format > FORMAT {
            return Err(BackupError::Newer { found: format, known: FORMAT });
        }
        serde_json::from_slice(&text).map_err(unreadable)
    }

    pub(super) fn write(&self, backup: &Path) -> Result<(), BackupError> {
        let path = backup.join(MANIFEST);
        let text = format!("{:#}\n", serde_json::json!(self));
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(BackupError::io("cannot write", &path))
    }
}

/// The one member that every format has.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl FileSum {
    /// Of a file as it is on the disk.
    pub(super) fn of(path: &Path) -> Result<Self, BackupError> {
        let summed = File::open(path).and_then(|mut file| {
            file.sync_all()?;
            Self::copying(&mut file, &mut std::io::sink())
        });
        summed.map_err(BackupError::io("cannot read", path))
    }

    /// Of everything that is read, which is written there, piece by piece.
    pub(super) fn copying(from: &mut dyn Read, to: &mut dyn Write) -> std::io::Result<Self> {
        let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; 1 << 20]);
        loop {
            let length = match from.read(&mut piece) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hash.update(&piece[..length]);
            to.write_all(&piece[..length])?;
            bytes += u64::try_from(length).unwrap_or(u64::MAX);
        }
        let sha256 = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        Ok(Self { bytes, sha256 })
    }
}
