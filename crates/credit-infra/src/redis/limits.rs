//! Rate limits that all replicas share.
//!
//! All buckets of a call are one script on the time of Redis, so one round trip; and none while the calls that it
//! granted ahead last. In a Cluster each bucket lies on a server of its own, so there it is one script for each, all of
//! them under way at the same time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use credit_core::ports::limits::{Bucket, CallClass, Decision, RateLimiter, Subject, SubjectKind};
use futures_util::future::join_all;
use parking_lot::Mutex;
use redis::Script;

use super::entries::{Entries, Entry};
use super::lease::Taken;
use super::link::RedisLink;
use crate::limits::InProcessLimits;

/// Buckets in Redis. While Redis is away, those of this process.
pub struct RedisLimits {
    link: Arc<RedisLink>,
    alone: InProcessLimits,
    entries: Entries,
    script: Script,
}

/// What one bucket of a call comes to.
struct Part<'a> {
    bucket: &'a Bucket,
    entry: Arc<Mutex<Entry>>,
    taken: Taken,
}

/// What Redis says of a bucket.
type Answer = (u32, u32, u64, u64, u64);

impl RedisLimits {
    /// Over this connection; `alone` counts while it is away.
    pub fn new(link: Arc<RedisLink>, alone: InProcessLimits) -> Self {
        Self { link, alone, entries: Entries::new(), script: Script::new(include_str!("gcra.lua")) }
    }

    /// One answer for each part that is to be asked for, in their order.
    async fn ask(&self, parts: &[Part<'_>]) -> Option<Vec<Answer>> {
        let wanted: Vec<(&Bucket, u32)> = parts
            .iter()
            .filter_map(|part| match part.taken {
                Taken::Ask { calls } => Some((part.bucket, calls)),
                _ => None,
            })
            .collect();
        if !self.link.is_cluster() {
            return self.run(&wanted).await;
        }
        let runs = join_all(wanted.chunks(1).map(|one| self.run(one))).await;
        runs.into_iter().map(|run| run?.first().copied()).collect()
    }

    async fn run(&self, wanted: &[(&Bucket, u32)]) -> Option<Vec<Answer>> {
        let mut invocation = self.script.prepare_invoke();
        for (bucket, calls) in wanted {
            let (kind, id) = (letter(bucket.subject.kind), bucket.subject.id);
            // What stands in braces says on which server of a Cluster a key lies: both on the same.
            let class = class_letter(bucket.class);
            invocation.key(self.link.key(format_args!("limit:{{{kind}{id:032x}}}:{class}")));
            invocation.key(self.ban_key(bucket.subject));
            invocation.arg(bucket.quota.micros_per_call()).arg(bucket.quota.calls()).arg(*calls);
        }
        let answers: Vec<Answer> = self
            .link
            .ask("limits", |mut wire| async move { invocation.invoke_async(&mut wire).await })
            .await?;
        (answers.len() == wanted.len()).then_some(answers)
    }

    fn ban_key(&self, subject: Subject) -> String {
        let (kind, id) = (letter(subject.kind), subject.id);
        self.link.key(format_args!("limit:{{{kind}{id:032x}}}:ban"))
    }
}

#[async_trait]
impl RateLimiter for RedisLimits {
    async fn check(&self, buckets: &[Bucket]) -> Decision {
        let now = Instant::now();
        let mut parts = Vec::with_capacity(buckets.len());
        let mut longest: Option<(Duration, usize, bool)> = None;
        let mut asks = false;
        for (place, bucket) in buckets.iter().enumerate() {
            let entry = self.entries.of(bucket.subject);
            let (taken, banned) = {
                let mut entry = entry.lock();
                match entry.ban_left(now) {
                    Some(left) => (Taken::Refused { retry_in: left }, true),
                    None => (entry.take(bucket, now), false),
                }
            };
            match taken {
                Taken::Refused { retry_in } => longest = longest.max(Some((retry_in, place, banned))),
                Taken::Ask { .. } => asks = true,
                Taken::Call { .. } => {}
            }
            parts.push(Part { bucket, entry, taken });
        }
        if let Some(refusal) = longest {
            return refuse(&parts, refusal);
        }
        if !asks {
            return admit(&parts);
        }
        let Some(answers) = self.ask(&parts).await else {
            give_back(&parts);
            return self.alone.decide(buckets);
        };
        settle(&mut parts, &answers)
    }

    async fn ban(&self, subject: Subject, length: Duration) {
        self.entries.of(subject).lock().ban(length, Instant::now());
        self.alone.ban_now(subject, length);
        let key = self.ban_key(subject);
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX).max(1);
        // Without an answer this process bans alone.
        let _told: Option<()> = self
            .link
            .ask("limits", |mut wire| async move {
                redis::cmd("SET").arg(key).arg(1).arg("PX").arg(millis).query_async(&mut wire).await
            })
            .await;
    }
}

/// Takes what Redis granted, or refuses.
fn settle(parts: &mut [Part<'_>], answers: &[Answer]) -> Decision {
    let now = Instant::now();
    let is_refused = answers.iter().any(|(granted, ..)| *granted == 0);
    let mut longest: Option<(Duration, usize, bool)> = None;
    let mut answers = answers.iter();
    for (place, part) in parts.iter_mut().enumerate() {
        if !matches!(part.taken, Taken::Ask { .. }) {
            continue;
        }
        let Some(&(granted, behind, full_in, retry_in, ban_millis)) = answers.next() else { continue };
        let (full_in, retry_in) = (Duration::from_micros(full_in), Duration::from_micros(retry_in));
        let mut entry = part.entry.lock();
        if ban_millis > 0 {
            let ban = Duration::from_millis(ban_millis);
            entry.ban(ban, now);
            longest = longest.max(Some((ban, place, true)));
        } else if !retry_in.is_zero() {
            entry.lease(part.bucket, now).refuse(retry_in, now);
            longest = longest.max(Some((retry_in, place, false)));
        } else if granted > 0 {
            // One of them is this call's, if it goes.
            let kept = granted - u32::from(!is_refused);
            let lease = entry.lease(part.bucket, now);
            lease.refill(kept, behind, full_in, now);
            if !is_refused {
                part.taken = Taken::Call { remaining: lease.remaining(), full_in };
            }
        }
    }
    match longest {
        Some(refusal) => refuse(parts, refusal),
        None => admit(parts),
    }
}

fn admit(parts: &[Part<'_>]) -> Decision {
    let mut tightest = (0, u32::MAX, Duration::ZERO);
    for (place, part) in parts.iter().enumerate() {
        if let Taken::Call { remaining, full_in } = part.taken
            && remaining < tightest.1
        {
            tightest = (place, remaining, full_in);
        }
    }
    let (tightest, remaining, full_in) = tightest;
    Decision::Admitted { tightest, remaining, full_in }
}

fn refuse(parts: &[Part<'_>], (retry_in, by, banned): (Duration, usize, bool)) -> Decision {
    give_back(parts);
    Decision::Refused { by, retry_in: retry_in.max(Duration::from_micros(1)), banned }
}

/// What was taken from leases for a call that does not go by them.
fn give_back(parts: &[Part<'_>]) {
    let now = Instant::now();
    for part in parts {
        if matches!(part.taken, Taken::Call { .. }) {
            part.entry.lock().lease(part.bucket, now).give_back();
        }
    }
}

const fn letter(kind: SubjectKind) -> char {
    match kind {
        SubjectKind::Address => 'a',
        SubjectKind::User => 'u',
        SubjectKind::ApiKey => 'k',
    }
}

const fn class_letter(class: CallClass) -> char {
    match class {
        CallClass::Read => 'r',
        CallClass::Write => 'w',
        CallClass::Auth => 'a',
    }
}
