//! How the house is, and where to read about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use credit_api::ports::HealthProbe;
use credit_core::{Code, Health};
use serde_json::json;

use super::world::{ADMIN, Builder, SUPPORT, USER, World};

struct Dependency {
    name: &'static str,
    is_required: bool,
    is_up: Arc<AtomicBool>,
}

#[async_trait]
impl HealthProbe for Dependency {
    fn name(&self) -> &'static str {
        self.name
    }
    fn is_required(&self) -> bool {
        self.is_required
    }
    async fn check(&self) -> Health {
        if self.is_up.load(Ordering::Relaxed) { Health::healthy() } else { Health::unhealthy("refused") }
    }
    fn breaker(&self) -> Option<&'static str> {
        Some("closed")
    }
}

struct Hanging;

#[async_trait]
impl HealthProbe for Hanging {
    fn name(&self) -> &'static str {
        "hanging"
    }
    fn is_required(&self) -> bool {
        true
    }
    async fn check(&self) -> Health {
        std::future::pending().await
    }
}

async fn world_with(name: &'static str, is_required: bool, is_up: bool) -> World {
    let is_up = Arc::new(AtomicBool::new(is_up));
    Builder::default().probe(Arc::new(Dependency { name, is_required, is_up })).open().await
}

#[actix_web::test]
async fn the_front_page_says_what_this_is() {
    let world = World::new().await;
    for path in ["/", "/version"] {
        let body = world.get(path).await.json();
        assert_eq!((body["name"].clone(), body["version"].clone()), (json!("credit-server"), json!("1.2.3")));
        for link in body["links"].as_object().expect("links").values() {
            let link = link.as_str().expect("a path");
            assert_eq!(world.get(link).await.status, 200, "{link}");
        }
    }
}

#[actix_web::test]
async fn it_is_alive_whatever_its_dependencies_do_and_ready_only_with_those_it_needs() {
    let cases = [
        ("store", true, true, 200, "healthy", 200),
        ("store", true, false, 503, "unhealthy", 503),
        ("cache", false, true, 200, "healthy", 200),
        ("cache", false, false, 200, "degraded", 200),
    ];
    for (name, is_required, is_up, ready, overall, health) in cases {
        let world = world_with(name, is_required, is_up).await;
        let live = world.get("/health/live").await;
        assert_eq!((live.status, live.json()), (200, json!({ "status": "live" })));
        let answer = world.get("/health/ready").await;
        assert_eq!(answer.status, ready, "{name} {is_up}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let expected = match ready {
            200 => json!({ "status": "ready" }),
            _ => json!({ "status": "not_ready", "reasons": ["store is unhealthy"] }),
        };
        assert_eq!(answer.json(), expected);
        let answer = world.get("/health").await;
        assert_eq!((answer.status, answer.json()["status"].clone()), (health, json!(overall)));
    }
}

#[actix_web::test]
async fn a_dependency_that_hangs_is_unhealthy_within_seconds_and_the_rest_answers() {
    let world = Builder::default().probe(Arc::new(Hanging)).open().await;
    let answer = world.get("/health/ready").await;
    assert_eq!(answer.json()["reasons"], json!(["hanging is unhealthy"]));
    assert_eq!(world.get("/health/live").await.status, 200);
}

#[actix_web::test]
async fn it_is_not_ready_before_what_callers_rely_on_is_there() {
    let world = World::new().await;
    world.house.manager().start_preparing();
    let answer = world.get("/health/ready").await;
    assert_eq!((answer.status, answer.json()["reasons"].clone()), (503, json!(["it is being prepared"])));
    world.house.manager().finish_preparing();
    assert_eq!(world.get("/health/ready").await.status, 200);
}

#[actix_web::test]
async fn it_is_not_ready_while_it_drains_and_still_answers() {
    let world = World::new().await;
    world.house.manager().start_draining();
    let answer = world.get("/health/ready").await;
    assert_eq!((answer.status, answer.json()["reasons"].clone()), (503, json!(["it is draining"])));
    assert_eq!(world.get("/health/live").await.status, 200);
    assert_eq!(world.house.get("/v1/apps", ADMIN).await.status, 200);
}

#[actix_web::test]
async fn details_are_for_operators() {
    let world = world_with("store", true, false).await;
    for operator in [ADMIN, SUPPORT] {
        let body = world.house.get("/health", operator).await.json();
        let store = &body["dependencies"][0];
        assert_eq!((&store["breaker"], &store["detail"]), (&json!("closed"), &json!("refused")));
        assert!(store["latency_ms"].is_number());
    }
    for anyone in [USER, "nobody"] {
        let body = world.house.get("/health", anyone).await.json();
        let store = json!({"name": "store", "status": "unhealthy", "required": true});
        assert_eq!(body["dependencies"][0], store);
    }
}

#[actix_web::test]
async fn every_module_shows_where_it_stands() {
    let world = World::new().await;
    let body = world.get("/modules/status").await.json();
    let expected = json!([{
        "name": "connection_api", "state": "ready", "dependencies": [], "load_order": 1, "uptime_seconds": 0,
    }]);
    assert_eq!(body["modules"], expected);
    let one = world.get("/modules/connection_api/health").await.json();
    assert_eq!(one, json!({ "name": "connection_api", "status": "healthy", "state": "ready" }));
    assert_eq!(world.get("/modules/cellar/health").await.code(), "not_found");
}

#[actix_web::test]
async fn every_code_is_explained_to_machines_and_to_people() {
    let world = World::new().await;
    for code in Code::ALL {
        let path = format!("/problems/{code}");
        let body = world.get(&path).await.json();
        assert_eq!(
            (body["code"].clone(), body["status"].clone()),
            (json!(code.as_str()), json!(code.status()))
        );
        let page = world.house.call("GET", &path, &[("accept", "text/html,*/*;q=0.8")], None).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
        assert!(String::from_utf8_lossy(&page.body).contains(code.as_str()));
    }
    assert_eq!(world.get("/problems/no_such_code").await.status, 404);
}

#[actix_web::test]
async fn the_page_of_the_contract_loads_nothing_from_elsewhere() {
    let world = World::new().await;
    let page = world.get("/docs").await;
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("http"), "{policy}");
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let places: Vec<&str> = html
        .split(['"'])
        .enumerate()
        .filter(|(index, part)| index % 2 == 1 && (part.contains('.') || part.contains("//")))
        .map(|(_, part)| part)
        .collect();
    let files: Vec<&&str> = places.iter().filter(|place| !place.contains('=')).collect();
    assert_eq!(files.len(), 5, "{places:?}");
    for file in files {
        assert!(!file.contains("//"), "{file}");
        let answer = world.get(&format!("/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(!answer.body.is_empty());
    }
    assert_eq!(world.get("/docs/index.html").await.status, 404);
    assert_eq!(world.get("/docs/swagger-initializer.js").await.status, 404);
}
