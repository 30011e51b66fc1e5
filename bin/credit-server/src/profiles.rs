//! CPU and heap profiles of this process, for those who may ask (`profiling.enabled`).

use std::time::Duration;

use async_trait::async_trait;
use credit_api::ports::{NoProfile, Profiles};
use tokio::sync::Mutex;

/// How often a second it is looked where the threads are; no divisor of what else happens regularly.
#[cfg(target_os = "linux")]
const PER_SECOND: i32 = 99;

/// What the allocator is told at the start, so that it keeps an account of what it gives out: every half MiB.
const ALLOCATOR: (&str, &str) = ("_RJEM_MALLOC_CONF", "prof:true,prof_active:true,lg_prof_sample:19");

/// One profile at a time.
#[derive(Default)]
pub(crate) struct ProcessProfiles {
    looking: Mutex<()>,
}

/// Starts the program anew in this process, unless the allocator has been told already: it listens only at the start.
/// Comes back if there is nothing to do, or if it cannot be done; then there are no heap profiles.
pub(crate) fn let_allocator_know() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os(ALLOCATOR.0).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let failed = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(ALLOCATOR.0, ALLOCATOR.1)
        .exec();
    eprintln!("credit-server: without heap profiles, for the program cannot be started anew: {failed}");
}

#[async_trait]
impl Profiles for ProcessProfiles {
    async fn cpu(&self, length: Duration) -> Result<Vec<u8>, NoProfile> {
        let Ok(_one_at_a_time) = self.looking.try_lock() else {
            return Err(NoProfile("Another profile is being taken.".to_owned()));
        };
        cpu(length).await
    }

    async fn heap(&self) -> Result<Vec<u8>, NoProfile> {
        let _one_at_a_time = self.looking.lock().await;
        heap().await
    }
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> NoProfile {
    tracing::warn!(what, %error, "a profile could not be taken");
    NoProfile(format!("The {what} profile could not be taken."))
}

#[cfg(target_os = "linux")]
async fn cpu(length: Duration) -> Result<Vec<u8>, NoProfile> {
    use pprof::protos::Message;
    // Unwinding out of these from within a signal may never come back.
    let apart = ["libc", "libgcc", "pthread", "vdso"];
    let guard = pprof::ProfilerGuardBuilder::default().frequency(PER_SECOND).blocklist(&apart).build();
    let guard = guard.map_err(|error| failed("CPU", &error))?;
    tokio::time::sleep(length).await;
    let packing = tokio::task::spawn_blocking(move || {
        let profile = guard.report().build().and_then(|report| report.pprof());
        let profile = profile.map_err(|error| failed("CPU", &error))?;
        pack(&profile.encode_to_vec()).map_err(|error| failed("CPU", &error))
    });
    packing.await.map_err(|error| failed("CPU", &error))?
}

/// Packs by gzip, as `pprof` reads it.
#[cfg(target_os = "linux")]
fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Write;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes)?;
    packer.finish()
}

#[cfg(target_os = "linux")]
async fn heap() -> Result<Vec<u8>, NoProfile> {
    let Some(account) = jemalloc_pprof::PROF_CTL.as_ref() else {
        return Err(NoProfile("The allocator keeps no account of what it gave out.".to_owned()));
    };
    account.lock().await.dump_pprof().map_err(|error| failed("heap", &error))
}

#[cfg(not(target_os = "linux"))]
async fn cpu(_length: Duration) -> Result<Vec<u8>, NoProfile> {
    Err(NoProfile("Profiles are taken on Linux only.".to_owned()))
}

#[cfg(not(target_os = "linux"))]
async fn heap() -> Result<Vec<u8>, NoProfile> {
    Err(NoProfile("Profiles are taken on Linux only.".to_owned()))
}
