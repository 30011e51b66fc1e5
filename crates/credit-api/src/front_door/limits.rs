//! How often somebody may call.
//!
//! A call is charged to who makes it: an application to its API key; a user to itself and to the address it calls from;
//! anybody else, wrong credentials included, to the address. Each class of calls has buckets of its own.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};
use credit_core::ports::limits::{Bucket, CallClass, Decision, Quota, RateLimiter, Subject, SubjectKind};
use credit_core::{Code, Principal, Problem};
use moka::sync::Cache;

/// IETF draft `ratelimit-headers`: structured fields (RFC 9651).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Refusals that lead to a ban are those within a minute.
const OFFENCES_COUNT_FOR: Duration = Duration::from_secs(60);
const OFFENDERS: u64 = 100_000;

/// What is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// For callers without an API key, by their address.
    pub address: Quotas,
    /// For each user.
    pub user: Quotas,
    /// For each API key.
    pub api_key: Quotas,
    /// An address or a user that was refused so many times within a minute is banned; 0: never. API keys are not.
    pub ban_after: u32,
    /// For how long.
    pub ban_for: Duration,
}

/// What one caller may do, by class; `None`: as much as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Calls that change nothing.
    pub read: Option<Quota>,
    /// Calls that change something.
    pub write: Option<Quota>,
    /// Logins, registrations and changes of passwords.
    pub auth: Option<Quota>,
}

/// Charges calls and says what is left.
pub struct Limits {
    limiter: Arc<dyn RateLimiter>,
    settings: LimitSettings,
    rules: Vec<Rule>,
    offences: Cache<Subject, Arc<AtomicU32>>,
}

/// What counts for one kind of caller and one class.
struct Rule {
    caller: SubjectKind,
    class: CallClass,
    charged: Vec<(SubjectKind, Quota)>,
    policy: HeaderValue,
}

/// What the answer says of the limits, whatever it is.
pub(super) struct Standing {
    policy: HeaderValue,
    limit: HeaderValue,
}

impl Quotas {
    fn of(&self, class: CallClass) -> Option<Quota> {
        match class {
            CallClass::Read => self.read,
            CallClass::Write => self.write,
            CallClass::Auth => self.auth,
        }
    }
}

impl LimitSettings {
    fn quota(&self, kind: SubjectKind, class: CallClass) -> Option<(SubjectKind, Quota)> {
        let quotas = match kind {
            SubjectKind::Address => &self.address,
            SubjectKind::User => &self.user,
            SubjectKind::ApiKey => &self.api_key,
        };
        quotas.of(class).map(|quota| (kind, quota))
    }
}

impl Limits {
    /// With these limits, counted by this limiter.
    pub fn new(limiter: Arc<dyn RateLimiter>, settings: LimitSettings) -> Self {
        let mut rules = Vec::new();
        for caller in [SubjectKind::Address, SubjectKind::User, SubjectKind::ApiKey] {
            for class in [CallClass::Read, CallClass::Write, CallClass::Auth] {
                rules.push(Rule::new(caller, class, &settings));
            }
        }
        let offences = Cache::builder().max_capacity(OFFENDERS).time_to_live(OFFENCES_COUNT_FOR).build();
        Self { limiter, settings, rules, offences }
    }

    /// Charges a call. The standing goes out with the answer, also with `429 rate_limited`.
    pub(super) async fn check(
        &self,
        class: CallClass,
        caller: Option<&Principal>,
        address: IpAddr,
    ) -> (Option<Standing>, Result<(), Problem>) {
        let (kind, own) = match caller {
            None => (SubjectKind::Address, None),
            Some(Principal::User { user, .. }) => (SubjectKind::User, Some(Subject::user(*user))),
            Some(Principal::Application { key, .. }) => (SubjectKind::ApiKey, Some(Subject::api_key(*key))),
        };
        let Some(rule) = self.rules.iter().find(|rule| rule.caller == kind && rule.class == class) else {
            return (None, Ok(()));
        };
        let bucket = |&(charged, quota): &(SubjectKind, Quota)| {
            let subject = own.filter(|_| charged == kind).unwrap_or_else(|| Subject::address(address));
            Bucket { subject, class, quota }
        };
        let decision = match rule.charged.as_slice() {
            [] => return (None, Ok(())),
            [only] => self.limiter.check(&[bucket(only)]).await,
            [first, second, ..] => self.limiter.check(&[bucket(first), bucket(second)]).await,
        };
        let (by, remaining, seconds) = match decision {
            Decision::Admitted { tightest, remaining, full_in } => (tightest, remaining, seconds(full_in)),
            Decision::Refused { by, retry_in, .. } => (by, 0, seconds(retry_in).max(1)),
        };
        let Some(named) = rule.charged.get(by) else { return (None, Ok(())) };
        let limit = HeaderValue::try_from(format!("\"{}\";r={remaining};t={seconds}", rule.name(*named)));
        let standing = limit.ok().map(|limit| Standing { policy: rule.policy.clone(), limit });
        let Decision::Refused { banned, .. } = decision else { return (standing, Ok(())) };
        (standing, Err(self.refuse(rule, *named, bucket(named).subject, banned, seconds).await))
    }

    async fn refuse(
        &self,
        rule: &Rule,
        named: (SubjectKind, Quota),
        offender: Subject,
        is_banned: bool,
        seconds: u64,
    ) -> Problem {
        let name = rule.name(named);
        metrics::counter!("credit_rate_limited_total", "policy" => name.clone()).increment(1);
        let mut seconds = seconds;
        if !is_banned && self.is_too_much(offender) {
            self.limiter.ban(offender, self.settings.ban_for).await;
            seconds = self.settings.ban_for.as_secs().max(1);
            metrics::counter!("credit_rate_limit_bans_total", "kind" => offender.kind.as_str()).increment(1);
            tracing::info!(kind = offender.kind.as_str(), seconds, "somebody who would not stop is banned");
        }
        let sentence = if is_banned { "Banned for too many refused calls." } else { "Too many calls." };
        Problem::because(Code::RateLimited, sentence).with("policy", name).retry_after(seconds)
    }

    /// One more refusal of somebody; whether it is one too many.
    fn is_too_much(&self, offender: Subject) -> bool {
        if self.settings.ban_after == 0 || offender.kind == SubjectKind::ApiKey {
            return false;
        }
        let count = self.offences.get_with(offender, Arc::default);
        let is_too_much = count.fetch_add(1, Ordering::Relaxed) + 1 >= self.settings.ban_after;
        if is_too_much {
            self.offences.invalidate(&offender);
        }
        is_too_much
    }
}

impl Rule {
    fn new(caller: SubjectKind, class: CallClass, settings: &LimitSettings) -> Self {
        let mut charged: Vec<_> = settings.quota(caller, class).into_iter().collect();
        if caller == SubjectKind::User {
            charged.extend(settings.quota(SubjectKind::Address, class));
        }
        let mut rule = Self { caller, class, charged, policy: HeaderValue::from_static("") };
        let policies: Vec<String> = rule
            .charged
            .iter()
            .map(|named| {
                let (q, w) = (named.1.calls(), named.1.window_seconds());
                format!("\"{}\";q={q};w={w}", rule.name(*named))
            })
            .collect();
        if let Ok(policy) = HeaderValue::try_from(policies.join(", ")) {
            rule.policy = policy;
        }
        rule
    }

    /// What a limit is called on the wire and in metrics.
    fn name(&self, (kind, _): (SubjectKind, Quota)) -> String {
        format!("{}-{}", kind.as_str(), self.class.as_str())
    }
}

impl Standing {
    /// Says it with the answer.
    pub(super) fn say(self, response: &mut HttpResponse) {
        let headers = response.headers_mut();
        headers.insert(POLICY, self.policy);
        headers.insert(LIMIT, self.limit);
    }
}

/// Whole seconds, rounded up.
fn seconds(length: Duration) -> u64 {
    length.as_secs() + u64::from(length.subsec_nanos() > 0)
}
