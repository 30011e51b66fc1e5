//! What can be configured.

/// How users come in and how long they stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsersSettings {
    /// `auth.access_ttl`: how long an access token is good, in seconds.
    pub access_ttl_seconds: i64,
    /// `auth.refresh_ttl`: how long a refresh token is good, in seconds.
    pub refresh_ttl_seconds: i64,
    /// `auth.registration`: who may register.
    pub registration: Registration,
    /// `auth.login_failures_per_account`: how many failures of one account within the window, before `429`.
    pub login_failures_per_account: usize,
    /// `auth.login_failures_per_address`: how many failures from one address.
    pub login_failures_per_address: usize,
    /// Of the failures that count, in seconds.
    pub login_window_seconds: i64,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anyone.
    Open,
    /// API keys with `users:write`, and admins.
    Closed,
}

impl Default for UsersSettings {
    fn default() -> Self {
        Self {
            access_ttl_seconds: 600,
            refresh_ttl_seconds: 30 * 24 * 3600,
            registration: Registration::Open,
            login_failures_per_account: 10,
            login_failures_per_address: 100,
            login_window_seconds: 15 * 60,
        }
    }
}
