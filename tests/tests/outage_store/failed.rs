//! What is seen of a store that has failed for good, from outside and in the metrics.

use credit_tests::contract::refused;
use credit_tests::story::transact;
use serde_json::{Value, json};

use super::load::World;

impl World<'_> {
    /// The state itself, told to everybody who asks: which part is not well, and nothing of why.
    pub(crate) fn says_that_the_store_failed(&self) {
        let program = self.program;
        let live = program.read("/health/live");
        assert_eq!((live.status, live.text("status").as_str()), (200, "live"));
        let ready = program.read("/health/ready");
        assert_eq!((ready.status, ready.text("status").as_str()), (503, "not_ready"));
        let ready = ready.json();
        let reasons: Vec<_> = ready["reasons"].as_array().into_iter().flatten().collect();
        assert!(reasons.contains(&&Value::from("store is unhealthy")), "{ready}");

        // Whoever calls is told when to try again.
        let app = program.app();
        let spend =
            json!({"type": "spend", "wallet_id": "wal_018f0000000070008000000000000000", "amount": 1});
        for answer in [app.get("/v1/wallets"), transact(&app, &spend), program.login()] {
            refused(&answer, 503, "unavailable");
            assert_eq!(answer.header("retry-after"), Some("1"), "{}", answer.body);
            assert!(!answer.body.contains("redb") && !answer.body.contains("os error"), "{}", answer.body);
        }

        let health = program.read("/health");
        assert_eq!((health.status, health.text("status").as_str()), (503, "unhealthy"), "{}", health.body);
        let told = health.json();
        let dependencies = told["dependencies"].as_array().expect("a list");
        let store = dependencies.iter().find(|one| one["name"] == "store").expect("the store is one");
        assert_eq!((store["status"].as_str(), &store["required"]), (Some("unhealthy"), &Value::Bool(true)));
        let well = dependencies.iter().filter(|one| one["name"] != "store");
        assert!(well.clone().all(|one| one["status"] == "healthy"), "{told}");
        // Why is told to operators, in the log and in the metrics; where the files are is told to nobody here.
        assert!(store.get("detail").is_none() && store.get("breaker").is_none(), "{store}");
        assert!(!health.body.contains("redb") && !health.body.contains("/data"), "{}", health.body);
    }

    /// Nothing is broken but the store, and the breakers say which and why not.
    pub(crate) fn metrics_show_that_the_store_failed(&self) {
        let metric = |name: &str| self.program.metric(name);
        let of = |name: &str, labels: &str| metric(&format!("{name}{{{labels}}}"));
        let turned = |to: &str| of("credit_breaker_transitions_total", to);
        let opened = ["documents", "journal"]
            .map(|port| turned(&format!("dependency=\"{port}\",to=\"open\"")))
            .iter()
            .sum::<f64>();
        assert!(opened > 0.0, "no breaker has opened");
        let rejected = ["documents", "journal"]
            .map(|port| {
                of("credit_breaker_rejections_total", &format!("dependency=\"{port}\",reason=\"open\""))
            })
            .iter()
            .sum::<f64>();
        assert!(rejected > 0.0, "nobody was turned away by a breaker");
        assert!(of("credit_refusals_total", "code=\"unavailable\"") > 0.0);
        let answered = "method=\"POST\",route=\"/v1/transactions\",status=\"503\"";
        assert!(of("credit_http_requests_total", answered) > 0.0);
        // The books are not: what is kept of them is right.
        assert!(metric("credit_ledger_broken_books") < 0.5);
        assert!(metric("credit_ledger_broken_invariants_total") < 0.5);
        assert!(metric("credit_ledger_drift") < 0.5);
    }
}
