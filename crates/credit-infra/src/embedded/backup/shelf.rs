//! A directory of backups, each under the moment at which it began.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use credit_core::{Clock, Timestamp};

use super::{BackupError, BackupProgress, EmbeddedStore, Manifest, sync_directory};

const PREFIX: &str = "credit-";
/// Of what is being removed.
const GONE: &str = ".gone-";

/// A directory of backups.
#[derive(Debug, Clone)]
pub struct Shelf {
    directory: PathBuf,
}

impl Shelf {
    /// This one, which is made with the first backup.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Puts a backup there, whose name it makes itself, and answers where that is. Metrics tell how far it is, and of
    /// which moment the last one was.
    pub fn put(
        &self,
        store: &EmbeddedStore,
        clock: &dyn Clock,
        progress: &mut (dyn FnMut(BackupProgress) -> ControlFlow<()> + '_),
    ) -> Result<(PathBuf, Manifest), BackupError> {
        let to = self.directory.join(name_of(clock.now(), store.store_id()));
        let manifest = store.backup(&to, clock, &mut |told| {
            metrics::gauge!("credit_backup_progress_ratio").set(ratio(told));
            progress(told)
        })?;
        // Seconds fit for some decades more.
        let began = u32::try_from(manifest.began_at.millis() / 1000).unwrap_or_default();
        metrics::gauge!("credit_backup_last_began_timestamp_seconds").set(f64::from(began));
        Ok((to, manifest))
    }

    /// Every backup there, the oldest first. What is no backup, or not whole, is not among them.
    pub fn list(&self) -> Result<Vec<(PathBuf, Manifest)>, BackupError> {
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(BackupError::io("cannot look into", &self.directory))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(BackupError::io("cannot look into", &self.directory))?;
            let is_named = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if is_named && let Ok(manifest) = Manifest::read(&entry.path()) {
                found.push((entry.path(), manifest));
            }
        }
        found.sort_by_key(|(_, manifest)| manifest.began_at);
        Ok(found)
    }

    /// The newest backup there.
    pub fn newest(&self) -> Result<Option<(PathBuf, Manifest)>, BackupError> {
        Ok(self.list()?.pop())
    }

    /// Removes all backups of this store but the newest so many. Those of other stores stay. Answers how many it removed.
    pub fn keep_newest(&self, store: &EmbeddedStore, keep: usize) -> Result<usize, BackupError> {
        self.sweep(store);
        let own = format!("{:032x}", store.store_id());
        let mut kept: Vec<_> = self.list()?;
        kept.retain(|(_, manifest)| manifest.store_id == own);
        kept.truncate(kept.len().saturating_sub(keep));
        for (path, _) in &kept {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // First it is no backup any more, in one step: half of one must never be taken for one.
            let gone = self.directory.join(format!("{GONE}{name}"));
            std::fs::rename(path, &gone).map_err(BackupError::io("cannot remove", path))?;
            sync_directory(&self.directory)?;
            std::fs::remove_dir_all(&gone).map_err(BackupError::io("cannot remove", &gone))?;
        }
        Ok(kept.len())
    }

    /// Removes what an earlier process on this store was removing or writing when it was killed.
    fn sweep(&self, store: &EmbeddedStore) {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return };
        let mark = mark_of(store.store_id());
        let writing = (format!(".{PREFIX}"), format!("{mark}.part"));
        let removing = (format!("{GONE}{PREFIX}"), mark);
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if [&writing, &removing].iter().any(|(begin, end)| name.starts_with(begin) && name.ends_with(end))
            {
                // Whatever cannot be removed is tried again after the next backup.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// In thousandths, which is as exactly as anybody looks.
fn ratio(progress: BackupProgress) -> f64 {
    let thousandths = progress.copied_rows.saturating_mul(1000) / progress.total_rows.max(1);
    f64::from(u32::try_from(thousandths).unwrap_or(1000)) / 1000.0
}

/// Names in the order of their moments, and none twice: one process makes those of a store, one after another.
fn name_of(now: Timestamp, store_id: u128) -> String {
    let digits = now.to_string().replace(['-', ':', '.'], "");
    format!("{PREFIX}{digits}{}", mark_of(store_id))
}

/// Tells the backups of stores that share a directory apart, as far as names go.
fn mark_of(store_id: u128) -> String {
    format!("-{:08x}", store_id & 0xffff_ffff)
}
