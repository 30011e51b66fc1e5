//! Where background jobs wait for a worker.

use credit_infra::redis::RedisAddress;

use super::fault::Fault;
use super::settings::{JudgedKeys, Values, origin, text};
use super::value::Setting;

const STORAGE: &str = "jobs.storage";

/// Where what is due waits for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobsWait {
    /// In the process that saw it.
    Here,
    /// In the Redis of the cache, for all processes.
    InRedis,
}

impl JobsWait {
    pub(super) fn of(values: &mut Values) -> Self {
        match values.text(STORAGE).as_deref() {
            Some("redis") => Self::InRedis,
            _ => Self::Here,
        }
    }
}

/// The Redis is that of the cache, and no Cluster: the queue touches keys that a Cluster keeps on several servers.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    if text(judged, STORAGE) != Some("redis") {
        return;
    }
    let mut complain = |complaint: &str| {
        faults.push(Fault::new(STORAGE, origin(judged, STORAGE), complaint));
    };
    if text(judged, "cache.backend") != Some("redis") {
        complain("redis uses the Redis of the cache; it takes cache.backend redis as well");
    }
    let url = judged.get("cache.redis.url").and_then(|kept| kept.setting.as_ref());
    if let Some(Setting::Secret(url)) = url
        && RedisAddress::try_new(url).is_ok_and(|address| address.is_cluster())
    {
        complain("redis takes a single server or Sentinel, and cache.redis.url is a Cluster; take memory");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Sources, load};
    use super::*;

    fn with(storage: Option<&str>, url: Option<&str>) -> Result<JobsWait, String> {
        let mut sources = Sources::default();
        let mut set = |name: &str, value: &str| {
            sources.environment.insert(format!("CREDIT_{name}"), value.to_owned());
        };
        if let Some(storage) = storage {
            set("JOBS__STORAGE", storage);
        }
        if let Some(url) = url {
            set("CACHE__BACKEND", "redis");
            set("CACHE__REDIS__URL", url);
        }
        load(&sources).map(|settings| settings.jobs).map_err(|faults| faults.to_string())
    }

    #[test]
    fn jobs_wait_here_unless_redis_is_asked_for_and_there() {
        assert_eq!(with(None, Some("redis://cache")), Ok(JobsWait::Here));
        assert_eq!(with(Some("memory"), None), Ok(JobsWait::Here));
        for url in ["redis://cache", "rediss-sentinel://a,b/main"] {
            assert_eq!(with(Some("redis"), Some(url)), Ok(JobsWait::InRedis));
        }
    }

    #[test]
    fn redis_that_is_not_there_or_a_cluster_is_a_fault() {
        for (url, why) in
            [(None, "cache.backend redis as well"), (Some("redis-cluster://a,b"), "is a Cluster")]
        {
            let faults = with(Some("redis"), url).expect_err("a fault");
            assert!(faults.contains("jobs.storage") && faults.contains(why), "{faults}");
        }
        assert!(with(Some("files"), None).expect_err("a fault").contains("jobs.storage"));
    }
}
