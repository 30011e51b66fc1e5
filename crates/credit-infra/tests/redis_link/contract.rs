//! The suites of `credit-core`.

mod limits {
    use std::sync::Arc;

    use credit_core::testkit::limits_contract::{LimiterUnderTest, RealTime};
    use credit_infra::redis::RedisLink;
    use credit_infra::testkit::redis_server::shared_url;

    use crate::{connected, settings};

    async fn fresh() -> (LimiterUnderTest, Arc<RedisLink>) {
        let link = connected(settings(&shared_url())).await;
        let limiter = Arc::new(crate::limits(&link));
        (LimiterUnderTest { limiter, time: Arc::new(RealTime) }, link)
    }

    credit_core::limits_contract_tests!(fresh);
}

mod tiers {
    use std::sync::Arc;

    use credit_core::ports::cache::Cache;
    use credit_infra::limits::LocalCache;
    use credit_infra::redis::{RedisCache, RedisLink, TieredCache};
    use credit_infra::testkit::redis_server::shared_url;

    use crate::{connected, settings};

    async fn fresh() -> (Arc<dyn Cache>, Arc<RedisLink>) {
        let link = connected(settings(&shared_url())).await;
        (Arc::new(TieredCache::new(LocalCache::new(100), RedisCache::new(link.clone()))), link)
    }

    credit_core::cache_contract_tests!(fresh);
}

mod cache {
    use std::sync::Arc;

    use credit_core::ports::cache::Cache;
    use credit_infra::redis::{RedisCache, RedisLink};
    use credit_infra::testkit::redis_server::shared_url;

    use crate::{connected, settings};

    async fn fresh() -> (Arc<dyn Cache>, Arc<RedisLink>) {
        let link = connected(settings(&shared_url())).await;
        (Arc::new(RedisCache::new(link.clone())), link)
    }

    credit_core::cache_contract_tests!(fresh);
}
