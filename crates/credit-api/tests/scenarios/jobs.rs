use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use credit_core::ports::StoreError;
use credit_core::testkit::TestClock;
use credit_core::{JobOutcome, JobStatus, Jobs, LastRun};
use serde_json::json;

use super::world::{ADMIN, Builder, SUPPORT, USER, World};

/// Three jobs, one of which has run.
struct Three;

fn status(name: &'static str) -> JobStatus {
    JobStatus {
        name,
        about: "Tidies up.",
        every: Duration::from_secs(30),
        running_since: None,
        last_run: (name == "sweep").then(|| LastRun {
            started_at: TestClock::START,
            finished_at: TestClock::START.plus_seconds(2),
            outcome: JobOutcome::Failed,
            detail: "no luck".to_owned(),
        }),
        next_run_at: TestClock::START.plus_seconds(30),
    }
}

#[async_trait]
impl Jobs for Three {
    async fn list(&self) -> Result<Vec<JobStatus>, StoreError> {
        Ok(vec![status("compare"), status("dust"), status("sweep")])
    }

    async fn run_now(&self, name: &str) -> Result<Option<JobStatus>, StoreError> {
        Ok((name == "dust").then(|| JobStatus { next_run_at: TestClock::START, ..status("dust") }))
    }
}

async fn world() -> World {
    Builder::default().jobs(Arc::new(Three)).open().await
}

#[actix_web::test]
async fn an_admin_sees_what_ran_and_when_it_runs_next() {
    let world = world().await;
    let answer = world.house.get("/v1/jobs", ADMIN).await;
    assert_eq!(answer.status, 200);
    let page = answer.json();
    assert_eq!((page["data"].as_array().map(Vec::len), &page["has_more"]), (Some(3), &json!(false)));
    assert_eq!(
        page["data"][2],
        json!({
            "name": "sweep",
            "description": "Tidies up.",
            "every": 30,
            "running": false,
            "last_run": {
                "started_at": "2026-01-01T00:00:00.000Z",
                "finished_at": "2026-01-01T00:00:02.000Z",
                "outcome": "failed",
                "detail": "no luck",
            },
            "next_run_at": "2026-01-01T00:00:30.000Z",
        })
    );
    assert_eq!(page["data"][0]["last_run"], json!(null));
}

#[actix_web::test]
async fn the_list_of_jobs_goes_on_behind_its_cursor() {
    let world = world().await;
    let first = world.house.get("/v1/jobs?limit=2", ADMIN).await.json();
    assert_eq!((&first["data"][1]["name"], &first["has_more"]), (&json!("dust"), &json!(true)));
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let second = world.house.get(&format!("/v1/jobs?limit=2&cursor={cursor}"), ADMIN).await.json();
    assert_eq!((&second["data"][0]["name"], &second["has_more"]), (&json!("sweep"), &json!(false)));
}

#[actix_web::test]
async fn an_admin_runs_a_job_now_and_one_that_does_not_exist_is_not_found() {
    let world = world().await;
    let told =
        world.house.call("POST", "/v1/jobs/dust/run", &[("authorization", &bearer(ADMIN))], None).await;
    assert_eq!((told.status, &told.json()["next_run_at"]), (202, &json!("2026-01-01T00:00:00.000Z")));
    let typo = world.house.post("/v1/jobs/dust/run", ADMIN, &json!({ "at": "once" })).await;
    assert_eq!((typo.status, typo.json()["errors"][0]["pointer"].clone()), (422, json!("/at")));
    let unknown =
        world.house.call("POST", "/v1/jobs/dance/run", &[("authorization", &bearer(ADMIN))], None).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "not_found"));
}

#[actix_web::test]
async fn jobs_are_for_admins_only() {
    let world = world().await;
    for token in [SUPPORT, USER] {
        assert_eq!(world.house.get("/v1/jobs", token).await.status, 403);
        let run =
            world.house.call("POST", "/v1/jobs/dust/run", &[("authorization", &bearer(token))], None).await;
        assert_eq!(run.status, 403);
    }
    assert_eq!(world.get("/v1/jobs").await.status, 401);
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}
