//! A job of a module that may not be there yet.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::{Job, JobError, JobReport, JobRun};

use super::seat::Seat;
use crate::front_door::Gate;

/// Waits while its module is not there.
pub(super) struct GatedJob {
    pub(super) seat: Arc<Seat>,
    pub(super) job: Arc<dyn Job>,
}

#[async_trait]
impl Job for GatedJob {
    fn name(&self) -> &'static str {
        self.job.name()
    }

    fn about(&self) -> &'static str {
        self.job.about()
    }

    fn every(&self) -> Duration {
        self.job.every()
    }

    fn is_ready(&self) -> bool {
        self.seat.is_open() && self.job.is_ready()
    }

    async fn run(&self, run: &dyn JobRun) -> Result<JobReport, JobError> {
        self.job.run(run).await
    }
}
