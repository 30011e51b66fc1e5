//! The module manager: which modules there are, in which order they start, and how they are.
//!
//! A module that cannot be initialised, or that needs one that could not, answers `503 module_unavailable` on its own
//! routes while the rest of the house works; it is tried again until it succeeds.

mod gated_job;
mod house;
mod order;
mod seat;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::{self, ServiceConfig};
use credit_core::Job;

use self::gated_job::GatedJob;
use crate::WebModule;
use crate::front_door::{self, FrontDoor, Gate};
use crate::openapi;
pub use house::House;
pub use order::ArrangeError;
pub(crate) use seat::ModuleReport;
pub use seat::ModuleState;
use seat::Seat;

/// How often [`ModuleManager::watch`] looks after the modules.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Starts, watches and stops the modules of a house.
pub struct ModuleManager {
    seats: Vec<Arc<Seat>>,
    house: Arc<House>,
}

impl ModuleManager {
    /// Arranges the discovered modules so that each comes behind those it needs. With `enabled`, only those named
    /// there.
    pub fn try_new(
        discovered: Vec<Arc<dyn WebModule>>,
        enabled: Option<&[String]>,
        house: Arc<House>,
    ) -> Result<Self, ArrangeError> {
        let modules = order::arrange(discovered, enabled)?;
        order::check_paths(&modules)?;
        let contract = openapi::document(&modules);
        let mut seats: Vec<Arc<Seat>> = Vec::with_capacity(modules.len());
        for module in modules {
            let needed = seats.iter().filter(|seat| module.dependencies().contains(&seat.name())).cloned();
            let seat = Seat::new(module.clone(), seats.len() + 1, needed.collect());
            seats.push(Arc::new(seat));
        }
        house.furnish(seats.clone(), contract);
        Ok(Self { seats, house })
    }

    /// Initialises every module in order. Those that fail stay closed; [`watch`](Self::watch) tries them again.
    pub async fn initialise(&self) {
        for seat in &self.seats {
            seat.initialise(Instant::now()).await;
        }
    }

    /// Registers the routes of every module, each behind the gate of its module, and answers `404` elsewhere.
    pub fn configure(&self, config: &mut ServiceConfig, door: &Arc<FrontDoor>) {
        // Paths are matched in this order: `/v1/things/export` must come before `/v1/things/{id}`, and comparing texts
        // is cheaper than matching patterns.
        for with_parameters in [false, true] {
            for seat in &self.seats {
                let gate: Arc<dyn Gate> = seat.clone();
                let mut routes = seat.routes();
                routes.retain(|route| route.path().contains('{') == with_parameters);
                front_door::register(config, door, &gate, &routes);
            }
        }
        let door = door.clone();
        config.default_service(web::to(move |request| front_door::not_found(door.clone(), request)));
    }

    /// What the modules do unasked; the jobs of one that is not there wait for it.
    pub fn jobs(&self) -> Vec<Arc<dyn Job>> {
        let gated =
            |seat: &Arc<Seat>, job| -> Arc<dyn Job> { Arc::new(GatedJob { seat: seat.clone(), job }) };
        self.seats.iter().flat_map(|seat| seat.jobs().into_iter().map(move |job| gated(seat, job))).collect()
    }

    /// Looks after the modules for ever: tries failed ones again with growing pauses, asks the others how they are.
    pub async fn watch(&self) {
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            self.look_after(Instant::now()).await;
        }
    }

    /// One round of [`watch`](Self::watch).
    pub async fn look_after(&self, now: Instant) {
        for seat in &self.seats {
            seat.look_after(now).await;
        }
    }

    /// Not ready until [`Self::finish_preparing`]: something that callers rely on is still being made, although the
    /// modules answer.
    pub fn start_preparing(&self) {
        self.house.set_preparing(true);
    }

    /// What callers rely on is there.
    pub fn finish_preparing(&self) {
        self.house.set_preparing(false);
    }

    /// Not ready any more: load balancers send no more requests, while those that come are still answered.
    pub fn start_draining(&self) {
        self.house.start_draining();
    }

    /// Whether it stops. Who answers a call then tells the caller to come back over another connection.
    pub fn is_draining(&self) -> bool {
        self.house.is_draining()
    }

    /// Stops every module, those that need others first.
    pub async fn shut_down(&self) {
        for seat in self.seats.iter().rev() {
            seat.shut_down().await;
        }
    }

    /// The names of the modules in the order in which they start.
    pub fn names(&self) -> Vec<&'static str> {
        self.seats.iter().map(|seat| seat.name()).collect()
    }

    /// The OpenAPI document of all routes.
    pub fn contract(&self) -> String {
        self.house.contract_text()
    }
}

#[cfg(test)]
mod tests;
