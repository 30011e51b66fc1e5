//! The port of the metrics.

use std::sync::Arc;

use actix_web::{App, test};
use credit_api::configure_metrics;
use credit_api::front_door::{ActiveUsers, FrontDoor, TrustedProxies};
use credit_api::testkit::TestAuthenticator;
use credit_core::testkit::{CountingIds, TestKeyedHash};

#[actix_web::test]
async fn metrics_are_text_and_there_is_nothing_else_on_their_port() {
    let door = Arc::new(FrontDoor {
        tokens: Arc::new(TestAuthenticator::default()),
        api_keys: Arc::new(TestAuthenticator::default()),
        ids: Arc::new(CountingIds::new()),
        cursor_key: Arc::new(TestKeyedHash),
        trusted_proxies: TrustedProxies::default(),
        limits: None,
        body_timeout: std::time::Duration::from_secs(30),
        traces: None,
        active: ActiveUsers::default(),
    });
    let render: credit_api::RenderMetrics = Arc::new(|| "credit_up 1\n".to_owned());
    let app = App::new().configure(|config| configure_metrics(config, &door, &render));
    let service = test::init_service(app).await;
    let answer = test::call_service(&service, test::TestRequest::get().uri("/metrics").to_request()).await;
    let kind = answer.headers().get("content-type").map(|kind| kind.as_bytes().to_vec());
    assert_eq!(kind.as_deref(), Some(&b"text/plain; version=0.0.4; charset=utf-8"[..]));
    assert_eq!(test::read_body(answer).await, "credit_up 1\n");
    let answer = test::call_service(&service, test::TestRequest::get().uri("/v1/apps").to_request()).await;
    assert_eq!(answer.status().as_u16(), 404);
}
