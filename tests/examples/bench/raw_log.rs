//! The yardstick of durability: an append-only file with one `fdatasync` a group.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Appends groups of `bytes` for `seconds`; answers groups a second.
pub(crate) fn groups_a_second(folder: &Path, bytes: usize, seconds: u64) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(folder.join("raw.log"))?;
    let group = vec![0x5A; bytes];
    let limit = Duration::from_secs(seconds);
    let begun = Instant::now();
    let mut groups = 0_u32;
    while begun.elapsed() < limit {
        file.write_all(&group)?;
        file.sync_data()?;
        groups += 1;
    }
    Ok(f64::from(groups) / begun.elapsed().as_secs_f64())
}
