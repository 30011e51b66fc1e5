//! `wrk` as the load generator.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

/// Who makes a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Callers {
    pub(crate) connections: u32,
    /// Threads that serve them.
    pub(crate) threads: u32,
}

impl Callers {
    /// So many connections, and two threads.
    pub(crate) fn of(connections: u32) -> Self {
        Self { connections, threads: 2 }
    }
}

/// What a run of `wrk` tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Answers a second.
    pub(crate) rate: f64,
    /// Latency in milliseconds: median and 99th percentile.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Each spend has a key of its own; wallets are drawn at random.
const SPEND_SCRIPT: &str = r#"
local wallets = {}
for line in io.lines(os.getenv("BENCH_WALLETS")) do wallets[#wallets + 1] = line end
local thread_count = 0
function setup(thread) thread:set("id", thread_count); thread_count = thread_count + 1 end
function init(args)
  math.randomseed(os.time() + id)
  prefix = os.getenv("BENCH_RUN") .. "-" .. id .. "-"
  count = 0
  headers = { ["Content-Type"] = "application/json", ["X-API-Key"] = os.getenv("BENCH_KEY") }
end
function request()
  count = count + 1
  headers["Idempotency-Key"] = prefix .. count
  local body = '{"type":"spend","wallet_id":"' .. wallets[math.random(#wallets)] .. '","amount":1}'
  return wrk.format("POST", "/v1/transactions", headers, body)
end
"#;

/// Spends for `seconds`.
pub(crate) fn spends(
    base: &str,
    folder: &Path,
    key: &str,
    wallets: &[String],
    callers: Callers,
    seconds: u32,
    run: &str,
) -> anyhow::Result<Load> {
    let script = folder.join("spend.lua");
    std::fs::write(&script, SPEND_SCRIPT)?;
    let list = folder.join("wallets.txt");
    std::fs::write(&list, wallets.join("\n"))?;
    let mut command = command(callers, seconds);
    command.arg("-s").arg(script).env("BENCH_WALLETS", list).env("BENCH_KEY", key).env("BENCH_RUN", run);
    measure(command.arg(base))
}

/// `GET`s a path for `seconds` over `connections`.
pub(crate) fn gets(base: &str, path: &str, connections: u32, seconds: u32) -> anyhow::Result<Load> {
    measure(command(Callers::of(connections), seconds).arg(format!("{base}{path}")))
}

fn command(callers: Callers, seconds: u32) -> Command {
    let mut command = Command::new("wrk");
    let (connections, threads) = (callers.connections, callers.connections.min(callers.threads));
    command.args(["--latency", "-t", &threads.to_string(), "-c", &connections.to_string()]);
    command.args(["-d", &format!("{seconds}s"), "--timeout", "10s"]);
    command
}

fn measure(command: &mut Command) -> anyhow::Result<Load> {
    let output = command.output().context("wrk is not there: `scripts/tools.sh wrk` installs it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "not every answer was a success:\n{text}"
    );
    let line = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let rate = line("Requests/sec:").and_then(|text| text.parse().ok()).with_context(|| text.clone())?;
    let latency = |name: &str| line(name).and_then(milliseconds).with_context(|| text.clone());
    Ok(Load { rate, p50_ms: latency("50%")?, p99_ms: latency("99%")? })
}

fn milliseconds(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    units
        .iter()
        .find_map(|(unit, factor)| text.strip_suffix(unit)?.parse::<f64>().ok().map(|value| value * factor))
}
