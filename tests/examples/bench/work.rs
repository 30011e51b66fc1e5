//! How long a process has kept processors busy.

use anyhow::Context;

/// Linux tells in these for every program, whatever it counts in itself (`proc_pid_stat(5)`, `USER_HZ`).
const TICKS_A_SECOND: f64 = 100.0;
/// The members of `stat` behind the name that ends with the last bracket: time in the program, and in the system for it.
const TIMES: usize = 11;
/// The same of those that it has started and that have ended.
const TIMES_OF_ENDED: usize = 13;

/// Seconds of one processor, of all its threads together, since it was started.
pub(crate) fn of(process: u32) -> anyhow::Result<f64> {
    told(process, TIMES)
}

/// The same, of all that this process has started and that have ended.
pub(crate) fn of_those_that_ended() -> anyhow::Result<f64> {
    told(std::process::id(), TIMES_OF_ENDED)
}

fn told(process: u32, from: usize) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let (_, members) = text.rsplit_once(')').with_context(|| format!("{path} tells no name"))?;
    let times = members.split_whitespace().skip(from).take(2);
    let ticks = times.map(str::parse::<f64>).sum::<Result<f64, _>>().context(path)?;
    Ok(ticks / TICKS_A_SECOND)
}
