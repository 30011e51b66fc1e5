//! A share of a processor for each process, as if it had a machine of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Short, so that a process that has used up its share is not away for long.
const PERIOD_MICROS: u32 = 10_000;

/// A control group of Linux (`cpu`, version 1 or 2) around one process, until it is dropped.
pub(crate) struct Cage {
    folder: PathBuf,
    process: u32,
}

impl Cage {
    /// So many hundredths of one processor, and no more.
    pub(crate) fn around(process: u32, percent: u32) -> Result<Self> {
        let (root, is_first) = match Path::new("/sys/fs/cgroup/cpu") {
            first if first.is_dir() => (first, true),
            _ => (Path::new("/sys/fs/cgroup"), false),
        };
        let folder = root.join(format!("credit-bench-{process}"));
        std::fs::create_dir(&folder).with_context(|| {
            format!(
                "{} cannot be made: BENCH_CPU_PERCENT needs control groups and their root",
                folder.display()
            )
        })?;
        let cage = Self { folder, process };
        let quota = percent * (PERIOD_MICROS / 100);
        if is_first {
            cage.set("cpu.cfs_period_us", &PERIOD_MICROS.to_string())?;
            cage.set("cpu.cfs_quota_us", &quota.to_string())?;
        } else {
            cage.set("cpu.max", &format!("{quota} {PERIOD_MICROS}"))?;
        }
        cage.set("cgroup.procs", &process.to_string())?;
        Ok(cage)
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = self.folder.join(name);
        std::fs::write(&path, value).with_context(|| format!("{} does not take {value}", path.display()))
    }
}

impl Drop for Cage {
    fn drop(&mut self) {
        let outside = self.folder.parent().expect("it is in a folder").join("cgroup.procs");
        // One that has ended has left already.
        let _left = std::fs::write(outside, self.process.to_string());
        if let Err(error) = std::fs::remove_dir(&self.folder) {
            eprintln!("{} stays behind: {error}", self.folder.display());
        }
    }
}
