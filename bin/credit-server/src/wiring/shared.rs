//! What replicas share beside the store, if Redis is configured: limits and a cache. And what takes over while it is
//! away.

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use credit_api::front_door::Limits;
use credit_api::ports::HealthProbe;
use credit_core::Health;
use credit_core::ports::cache::Cache;
use credit_core::ports::limits::RateLimiter;
use credit_infra::jobs::JobStorage;
use credit_infra::limits::{InProcessLimits, LocalCache};
use credit_infra::redis::{RedisAddress, RedisCache, RedisLimits, RedisLink, RedisSettings, TieredCache};
use parking_lot::Mutex;

use crate::config::{self, JobsWait, RateLimit, Redis, Settings, Store};
use crate::exit::{Exit, Failure};

/// Entries that a process keeps itself.
const REMEMBERED: u64 = 100_000;

/// The connection to Redis, if there is one to be.
pub(crate) struct Shared {
    link: Option<Arc<RedisLink>>,
    /// With which settings and certificates it was made, to know other ones by.
    present: Mutex<Option<(Redis, Option<Vec<u8>>)>>,
}

impl Shared {
    /// Connects to nothing yet.
    pub(super) fn of(settings: &Settings) -> Result<Self, Failure> {
        let config::Cache::Redis(redis) = &settings.cache else {
            return Ok(Self { link: None, present: Mutex::default() });
        };
        let refuse = |error| Failure::new(Exit::Configuration, error);
        let known = link_settings(redis).context("cache.redis").map_err(refuse)?;
        let present = Mutex::new(Some((redis.clone(), known.tls_ca.clone())));
        let link = RedisLink::try_new(known).context("cache.redis").map_err(refuse)?;
        Ok(Self { link: Some(link), present })
    }

    /// Begins to connect, in the background: nobody waits for it.
    pub(crate) fn start(&self) {
        if let Some(link) = &self.link {
            link.start();
        }
    }

    /// Sets the gauges of its connections.
    pub(super) fn measure(&self) {
        if let Some(link) = &self.link {
            link.measure();
        }
    }

    /// Goes over to an address, credentials or certificates that were changed where they come from.
    pub(crate) fn renew(&self, settings: &Settings) -> Result<bool> {
        let (Some(link), config::Cache::Redis(redis)) = (&self.link, &settings.cache) else {
            return Ok(false);
        };
        let known = link_settings(redis)?;
        let mut present = self.present.lock();
        if present.as_ref().is_some_and(|(present, ca)| present.is_same(redis) && *ca == known.tls_ca) {
            return Ok(false);
        }
        let ca = known.tls_ca.clone();
        link.reconnect(known)?;
        *present = Some((redis.clone(), ca));
        Ok(true)
    }

    /// What the front door limits calls with.
    pub(super) fn limits(&self, rules: Option<RateLimit>) -> Option<Limits> {
        let RateLimit { limits, replicas } = rules?;
        Some(Limits::new(self.limiter(replicas), limits))
    }

    fn limiter(&self, replicas: NonZeroU32) -> Arc<dyn RateLimiter> {
        let alone = InProcessLimits::new(replicas);
        match &self.link {
            Some(link) => Arc::new(RedisLimits::new(link.clone(), alone)),
            None => Arc::new(alone),
        }
    }

    /// Beside a store that is reached over a network. The embedded one is nearer than any cache.
    pub(super) fn cache(&self, settings: &Settings) -> Option<Arc<dyn Cache>> {
        if settings.store == Store::Embedded {
            return None;
        }
        let near = LocalCache::new(REMEMBERED);
        Some(match &self.link {
            Some(link) => Arc::new(TieredCache::new(near, RedisCache::new(link.clone()))),
            None => Arc::new(near),
        })
    }

    /// Where background jobs wait for a worker.
    pub(super) fn job_storage(&self, settings: &Settings) -> JobStorage {
        match (&self.link, settings.jobs) {
            (Some(link), JobsWait::InRedis) => JobStorage::Redis(link.clone()),
            _ => JobStorage::Memory,
        }
    }

    /// Tells how it is.
    pub(super) fn probe(&self) -> Option<Arc<dyn HealthProbe>> {
        let link = self.link.clone()?;
        Some(Arc::new(CacheProbe(link)))
    }
}

fn link_settings(redis: &Redis) -> Result<RedisSettings> {
    let read = |path: &std::path::PathBuf| {
        std::fs::read(path).with_context(|| format!("cache.redis.tls_ca: {} cannot be read", path.display()))
    };
    Ok(RedisSettings {
        address: RedisAddress::try_new(&redis.url).context("cache.redis.url")?,
        tls_ca: redis.tls_ca.as_ref().map(read).transpose()?,
        connect_timeout: redis.connect_timeout,
        command_timeout: redis.command_timeout,
        prefix: redis.prefix.clone(),
    })
}

/// The house works without it, only less well.
struct CacheProbe(Arc<RedisLink>);

#[async_trait]
impl HealthProbe for CacheProbe {
    fn name(&self) -> &'static str {
        "cache"
    }

    fn is_required(&self) -> bool {
        false
    }

    async fn check(&self) -> Health {
        self.0.failure().map_or_else(Health::healthy, Health::unhealthy)
    }

    fn breaker(&self) -> Option<&'static str> {
        Some(self.0.breaker())
    }
}
