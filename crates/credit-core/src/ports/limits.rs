//! How often somebody may call.
//!
//! Buckets follow the generic cell rate algorithm (GCRA, ITU-T I.371): a full bucket lets its whole quota through at
//! once, and then fills evenly.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;

use crate::{ApiKeyId, UserId};

/// Decides whether calls go on. It always answers: one that keeps its buckets elsewhere counts by itself while it
/// cannot reach them.
#[async_trait]
pub trait RateLimiter: Send + Sync {
    /// Charges one call to all of these buckets, if each has room for it.
    ///
    /// A refused call is not charged to the bucket that refuses it. It may be charged to the others.
    async fn check(&self, buckets: &[Bucket]) -> Decision;

    /// Refuses every call of a subject for a while, in every class.
    async fn ban(&self, subject: Subject, length: Duration);
}

/// Of whom a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// What kind of caller.
    pub kind: SubjectKind,
    /// Which one.
    pub id: u128,
}

/// Kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// Whoever calls from an address.
    Address,
    /// A user with a token.
    User,
    /// An application with an API key.
    ApiKey,
}

/// What kind of calls a bucket counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallClass {
    /// Those that change nothing.
    Read,
    /// Those that change something.
    Write,
    /// Those that let somebody in or check a password.
    Auth,
}

/// How many calls within how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    calls: NonZeroU32,
    window_seconds: NonZeroU32,
}

/// A quota that is none: at least one call, at most a million for each second, within a day at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a quota is 1 to 1000000 calls for each second of a window of 1 second to 1 day")]
pub struct InvalidQuota;

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Whose.
    pub subject: Subject,
    /// For which calls.
    pub class: CallClass,
    /// How large, and how fast it fills.
    pub quota: Quota,
}

/// Whether a call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It does.
    Admitted {
        /// The bucket with the least left, by its place among those asked for.
        tightest: usize,
        /// How many more calls it would let through at once.
        remaining: u32,
        /// When it would be full if nobody called.
        full_in: Duration,
    },
    /// It does not.
    Refused {
        /// The bucket that refuses longest, by its place among those asked for.
        by: usize,
        /// When it lets a call through again; not zero.
        retry_in: Duration,
        /// Whether its subject is banned.
        banned: bool,
    },
}

impl Decision {
    /// Whether the call goes on.
    pub fn is_admitted(&self) -> bool {
        matches!(self, Self::Admitted { .. })
    }
}

impl Subject {
    /// Whoever calls from this address; an IPv6 network of 64 bits is one, since its owner has them all.
    pub fn address(address: IpAddr) -> Self {
        let id = match address.to_canonical() {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits() >> 64 << 64,
        };
        Self { kind: SubjectKind::Address, id }
    }

    /// A user.
    pub fn user(user: UserId) -> Self {
        Self { kind: SubjectKind::User, id: user.as_u128() }
    }

    /// An API key.
    pub fn api_key(key: ApiKeyId) -> Self {
        Self { kind: SubjectKind::ApiKey, id: key.as_u128() }
    }
}

impl SubjectKind {
    /// For names and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::User => "user",
            Self::ApiKey => "api_key",
        }
    }
}

impl CallClass {
    /// For names and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Auth => "auth",
        }
    }
}

impl Quota {
    /// The most calls for each second of the window.
    const MOST: u32 = 1_000_000;
    const LONGEST_WINDOW: u32 = 24 * 60 * 60;

    /// `calls` within `window_seconds`.
    pub fn try_new(calls: u32, window_seconds: u32) -> Result<Self, InvalidQuota> {
        let most = u64::from(Self::MOST) * u64::from(window_seconds);
        let fits = window_seconds <= Self::LONGEST_WINDOW && u64::from(calls) <= most;
        match (NonZeroU32::new(calls), NonZeroU32::new(window_seconds)) {
            (Some(calls), Some(window_seconds)) if fits => Ok(Self { calls, window_seconds }),
            _ => Err(InvalidQuota),
        }
    }

    /// How many calls.
    pub fn calls(self) -> u32 {
        self.calls.get()
    }

    /// Within how many seconds.
    pub fn window_seconds(self) -> u32 {
        self.window_seconds.get()
    }

    /// How long one call takes to fill up again, in microseconds, not zero. Rounded up: never more than the quota.
    pub fn micros_per_call(self) -> u64 {
        (u64::from(self.window_seconds()) * 1_000_000).div_ceil(u64::from(self.calls()))
    }

    /// The share of one of several that count by themselves; at least one call.
    #[must_use]
    pub fn shared_by(self, replicas: NonZeroU32) -> Self {
        let calls = NonZeroU32::new(self.calls() / replicas).unwrap_or(NonZeroU32::MIN);
        Self { calls, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_caller_and_a_mapped_address_is_itself() {
        let of = |text: &str| Subject::address(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::4"), of("2001:db8:1:3::4"));
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("192.0.2.7"), of("192.0.2.8"));
    }

    #[test]
    fn a_quota_has_bounds_and_never_rounds_up_what_it_lets_through() {
        for (calls, window) in [(0, 1), (1, 0), (1_000_001, 1), (1, 86_401)] {
            assert_eq!(Quota::try_new(calls, window), Err(InvalidQuota), "{calls}/{window}");
        }
        let quota = Quota::try_new(7, 60).expect("valid");
        assert!(quota.micros_per_call() * 7 >= 60_000_000);
        assert_eq!(Quota::try_new(1_000_000, 1).map(Quota::micros_per_call), Ok(1));
        let of_three = NonZeroU32::new(3).expect("three");
        assert_eq!(quota.shared_by(of_three).calls(), 2);
        assert_eq!(quota.shared_by(NonZeroU32::MAX).calls(), 1);
    }
}
