//! The line that the log has for each request.

use std::fmt;
use std::time::Duration;

use credit_core::Principal;

/// What is told of a request that was answered.
pub(super) struct Line<'a> {
    pub(super) request_id: &'a str,
    pub(super) trace_id: Option<&'a str>,
    pub(super) principal: Option<&'a Principal>,
    pub(super) method: &'a str,
    pub(super) route: &'a str,
    pub(super) status: u16,
    pub(super) elapsed: Duration,
}

impl Line<'_> {
    /// Writes it. All that one would search by stands in the line itself; its target is `access`, so that it can be left
    /// out by `info,access=warn`.
    pub(super) fn write(&self) {
        tracing::info!(
            target: "access",
            parent: None,
            request_id = self.request_id,
            trace_id = self.trace_id,
            principal = %Who(self.principal),
            method = self.method,
            route = self.route,
            status = self.status,
            duration_micros = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX),
            "answered"
        );
    }
}

/// Who called: the kind and the id, never a name.
struct Who<'a>(Option<&'a Principal>);

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("nobody"),
            Some(Principal::User { user, .. }) => write!(f, "user {user}"),
            Some(Principal::Application { key, .. }) => write!(f, "api_key {key}"),
        }
    }
}
