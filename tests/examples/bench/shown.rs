//! What processes and the server under them have counted.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow};
use credit_infra::testkit::mongod::Mongo;
use credit_tests::server::Server;
use serde_json::{Value, json};

use crate::http::{Groups, metric, metrics};
use crate::mongo::count;
use crate::work;

/// What the processes have counted, and the server.
pub(crate) struct Shown {
    pub(crate) groups: Groups,
    /// Slots that another process had taken.
    pub(crate) taken: f64,
    /// Commands that the server was sent.
    pub(crate) trips: f64,
    /// Commands by their name.
    commands: BTreeMap<String, f64>,
    /// Seconds of processors that the processes have used, and the server.
    work: Work,
}

/// Seconds of processors.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    processes: f64,
    mongod: f64,
    /// Of what makes load. It does the same for each spend, and so tells how fast the machine is in this hour.
    load: f64,
}

impl Shown {
    pub(crate) fn read(mongo: &Mongo, servers: &[&Server]) -> anyhow::Result<Self> {
        let groups = Groups { count: 0.0, records: 0.0 };
        let mut shown =
            Self { groups, taken: 0.0, trips: 0.0, commands: BTreeMap::new(), work: Work::default() };
        for server in servers {
            let groups = Groups::read(server)?;
            shown.groups.count += groups.count;
            shown.groups.records += groups.records;
            shown.taken += metric(&metrics(server)?, "credit_ledger_slots_taken_total").unwrap_or(0.0);
            shown.work.processes += work::of(server.pid())?;
        }
        shown.work.load = work::of_those_that_ended()?;
        let status = mongo.command(0, "admin", "serverStatus", &json!(1), &json!({}));
        let status = status.map_err(|why| anyhow!(why))?;
        // Every command that the server was sent, those of drivers that look after it included.
        let number =
            |value: &Value| count(u64::try_from(value.as_i64().unwrap_or_default()).unwrap_or_default());
        shown.trips = number(&status["network"]["numRequests"]);
        for (name, told) in status["metrics"]["commands"].as_object().into_iter().flatten() {
            shown.commands.insert(name.clone(), number(&told["total"]));
        }
        let pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        shown.work.mongod = work::of(pid.context("the server does not tell which process it is")?)?;
        Ok(shown)
    }

    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            groups: self.groups.since(&before.groups),
            taken: self.taken - before.taken,
            trips: self.trips - before.trips,
            commands: self
                .commands
                .into_iter()
                .map(|(name, total)| {
                    let earlier = before.commands.get(&name).copied().unwrap_or(0.0);
                    (name, total - earlier)
                })
                .collect(),
            work: Work {
                processes: self.work.processes - before.work.processes,
                mongod: self.work.mongod - before.work.mongod,
                load: self.work.load - before.work.load,
            },
        }
    }

    /// Processor time for each accepted spend.
    pub(crate) fn worked(&self) -> String {
        let each = |seconds: f64| seconds * 1e6 / self.groups.records.max(1.0);
        format!(
            "{:.1} µs of a processor/spend, mongod {:.1}, load {:.1}",
            each(self.work.processes),
            each(self.work.mongod),
            each(self.work.load)
        )
    }

    /// The commands of the server, for each accepted spend.
    pub(crate) fn told(&self) -> String {
        let told = self.commands.iter().filter_map(|(name, total)| {
            let each = total / self.groups.records.max(1.0);
            (each >= 0.005).then(|| format!("{name} {each:.3}"))
        });
        format!("commands/spend: {}", told.collect::<Vec<_>>().join(", "))
    }
}
