//! The job `store_backup`: a copy of the embedded store, made while it works.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use credit_core::{Clock, Job, JobError, JobReport, JobRun};
use credit_infra::embedded::EmbeddedStore;
use credit_infra::embedded::backup::{BackupError, Manifest, Shelf};

use super::store::Keeper;
use crate::config::Backups;

/// How often it is looked whether the run is to go on.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Puts backups where the configuration says, and removes old ones. No caller has a say in where.
pub(super) struct StoreBackup {
    keeper: Arc<Keeper>,
    clock: Arc<dyn Clock>,
    plan: Backups,
}

impl StoreBackup {
    pub(super) fn new(keeper: Arc<Keeper>, clock: Arc<dyn Clock>, plan: Backups) -> Self {
        Self { keeper, clock, plan }
    }
}

#[async_trait]
impl Job for StoreBackup {
    fn name(&self) -> &'static str {
        "store_backup"
    }

    fn about(&self) -> &'static str {
        "Copies the store, as it is at one moment, into backup.directory, and removes backups beyond backup.keep."
    }

    fn every(&self) -> Duration {
        self.plan.every
    }

    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        let gone = || JobError::Failed("the store is closed".to_owned());
        let store = self.keeper.embedded_store().ok_or_else(gone)?;
        // Dropped with this run, however it ends: the thread that copies stops then.
        let wanted = Wanted::default();
        let (flag, clock, plan) = (wanted.0.clone(), self.clock.clone(), self.plan.clone());
        let mut writing = tokio::task::spawn_blocking(move || write(&store, &*clock, &plan, &flag));
        let written = loop {
            tokio::select! {
                written = &mut writing => break written,
                () = tokio::time::sleep(LOOK_EVERY) => {
                    if run.check().is_err() {
                        wanted.no_more();
                        break writing.await;
                    }
                }
            }
        };
        match written {
            Ok(Ok(written)) => Ok(JobReport::done(written.told())),
            Ok(Err(BackupError::Stopped)) => Err(JobError::Stopped),
            Ok(Err(error)) => Err(JobError::Failed(error.to_string())),
            Err(_) => Err(JobError::Failed("the thread that copied it broke off".to_owned())),
        }
    }
}

/// A backup that is there now.
struct Written {
    place: PathBuf,
    manifest: Manifest,
    removed: usize,
}

impl Written {
    fn told(&self) -> String {
        let name = self.place.file_name().unwrap_or_default().to_string_lossy();
        let (rows, bytes) = (self.manifest.rows, self.manifest.bytes());
        format!("{name}: {rows} rows, {bytes} bytes; removed {} older", self.removed)
    }
}

fn write(
    store: &EmbeddedStore,
    clock: &dyn Clock,
    plan: &Backups,
    wanted: &AtomicBool,
) -> Result<Written, BackupError> {
    let shelf = Shelf::at(&plan.directory);
    tracing::info!(directory = %shelf.directory().display(), "a backup begins");
    let (place, manifest) = shelf.put(store, clock, &mut |_| {
        if wanted.load(Ordering::Relaxed) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    tracing::info!(
        backup = %place.display(),
        began_at = %manifest.began_at,
        milliseconds = manifest.finished_at.millis_since(manifest.began_at),
        rows = manifest.rows,
        bytes = manifest.bytes(),
        "a backup is whole"
    );
    let removed = shelf.keep_newest(store, plan.keep)?;
    Ok(Written { place, manifest, removed })
}

/// Whether a backup is still wanted; not any more once this is dropped.
struct Wanted(Arc<AtomicBool>);

impl Default for Wanted {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Wanted {
    fn no_more(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.no_more();
    }
}
