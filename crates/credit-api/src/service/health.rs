//! How the house is: its dependencies, its modules, and whether it takes requests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use credit_core::{Health, HealthState};
use futures_util::future::join_all;
use tokio::sync::Mutex;

use crate::manager::{House, ModuleReport};
use crate::ports::HealthProbe;

/// A dependency that does not answer within this is unhealthy.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a round of asking is good for, so that being asked often does not mean asking often.
const GOOD_FOR: Duration = Duration::from_millis(500);

/// How a dependency is.
#[derive(Debug, Clone)]
pub(crate) struct DependencyReport {
    pub(crate) name: &'static str,
    pub(crate) is_required: bool,
    pub(crate) health: Health,
    pub(crate) breaker: Option<&'static str>,
    pub(crate) latency: Duration,
}

/// How everything is.
#[derive(Debug, Clone)]
pub(crate) struct HealthReport {
    pub(crate) dependencies: Vec<DependencyReport>,
    pub(crate) modules: Vec<ModuleReport>,
    pub(crate) is_preparing: bool,
    pub(crate) is_draining: bool,
}

impl HealthReport {
    /// The worst of what it cannot do without; what it can do without degrades it.
    pub(crate) fn overall(&self) -> HealthState {
        let dependencies = self.dependencies.iter().map(|dependency| match dependency.health.state {
            HealthState::Unhealthy if !dependency.is_required => HealthState::Degraded,
            state => state,
        });
        let modules = self.modules.iter().map(ModuleReport::health);
        dependencies.chain(modules).max().unwrap_or(HealthState::Healthy)
    }

    /// Why it takes no requests; empty if it does.
    pub(crate) fn reasons_not_ready(&self) -> Vec<String> {
        let down = self
            .dependencies
            .iter()
            .filter(|dependency| dependency.is_required && dependency.health.state == HealthState::Unhealthy);
        let closed = self.modules.iter().filter(|module| module.health() == HealthState::Unhealthy);
        let preparing = self.is_preparing.then(|| "it is being prepared".to_owned());
        let draining = self.is_draining.then(|| "it is draining".to_owned());
        down.map(|dependency| format!("{} is unhealthy", dependency.name))
            .chain(closed.map(|module| format!("{} is not available", module.name)))
            .chain(preparing)
            .chain(draining)
            .collect()
    }
}

/// Asks the dependencies, one round at a time.
pub(crate) struct Watchman {
    probes: Vec<Arc<dyn HealthProbe>>,
    house: Arc<House>,
    last_round: Mutex<Option<(Instant, Vec<DependencyReport>)>>,
}

impl Watchman {
    pub(crate) fn new(probes: Vec<Arc<dyn HealthProbe>>, house: Arc<House>) -> Self {
        Self { probes, house, last_round: Mutex::default() }
    }

    /// How everything is now, or was half a second ago.
    pub(crate) async fn report(&self) -> HealthReport {
        HealthReport {
            dependencies: self.dependencies().await,
            modules: self.house.modules(),
            is_preparing: self.house.is_preparing(),
            is_draining: self.house.is_draining(),
        }
    }

    async fn dependencies(&self) -> Vec<DependencyReport> {
        let mut last_round = self.last_round.lock().await;
        if let Some((at, reports)) = &*last_round
            && at.elapsed() < GOOD_FOR
        {
            return reports.clone();
        }
        let reports = join_all(self.probes.iter().map(|probe| ask(probe.clone()))).await;
        *last_round = Some((Instant::now(), reports.clone()));
        reports
    }
}

/// The probe goes on when patience is over: a driver's future is not to be dropped half way.
async fn ask(probe: Arc<dyn HealthProbe>) -> DependencyReport {
    let (name, is_required) = (probe.name(), probe.is_required());
    let started = Instant::now();
    let asked = probe.clone();
    let answer = tokio::spawn(async move { asked.check().await });
    let health = match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(health)) => health,
        Ok(Err(_)) => Health::unhealthy("its check broke off"),
        Err(_) => Health::unhealthy("it does not answer"),
    };
    DependencyReport { name, is_required, health, breaker: probe.breaker(), latency: started.elapsed() }
}
