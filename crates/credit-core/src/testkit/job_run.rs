//! A run of a job in a test.

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::{JobError, JobRun};

/// A run that keeps its cursor in memory, and is stopped when the test says so.
#[derive(Debug, Default)]
pub struct TestRun {
    cursor: Mutex<Option<String>>,
    /// How many more checks go well; `None`: all.
    checks: Mutex<Option<usize>>,
}

impl TestRun {
    /// A run that goes on as long as it likes, from the beginning.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many more checks go well, and then it is stopped.
    pub fn stop_after(&self, checks: usize) {
        *self.checks.lock() = Some(checks);
    }

    /// Nobody stops it any more.
    pub fn go_on(&self) {
        *self.checks.lock() = None;
    }
}

#[async_trait]
impl JobRun for TestRun {
    fn cursor(&self) -> Option<String> {
        self.cursor.lock().clone()
    }

    fn check(&self) -> Result<(), JobError> {
        match &mut *self.checks.lock() {
            Some(0) => Err(JobError::Stopped),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn keep(&self, cursor: Option<String>) -> Result<(), JobError> {
        self.check()?;
        *self.cursor.lock() = cursor;
        Ok(())
    }
}
