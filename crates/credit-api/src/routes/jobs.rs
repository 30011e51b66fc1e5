//! `GET /v1/jobs` and `POST /v1/jobs/{name}/run`.

use std::sync::Arc;

use credit_core::ports::documents::Position;
use credit_core::{Code, JobOutcome, JobStatus, Jobs, Problem, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::connection_api::Desk;
use crate::page::cut_page;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route, Who};

crate::form! {
    /// Nothing to say.
    struct RunJobBody {}
}

/// A background job.
#[derive(Serialize, ToSchema)]
struct Job {
    name: &'static str,
    /// What it does.
    description: &'static str,
    /// Seconds from the beginning of a run to that of the next.
    every: u64,
    /// Whether it runs now, in whatever process.
    running: bool,
    /// The last run that ended, or null.
    last_run: Option<JobRun>,
    /// When it is due; in the past if it waits for a runner.
    #[schema(value_type = String, format = DateTime)]
    next_run_at: Timestamp,
}

/// A run that has ended.
#[derive(Serialize, ToSchema)]
struct JobRun {
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    finished_at: Timestamp,
    outcome: Outcome,
    /// What it has done, or why it failed.
    detail: String,
}

/// How a run ended: it did what was to be done, something went wrong, or it was stopped and goes on later.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Succeeded,
    Failed,
    Stopped,
}

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let (for_list, for_run) = (desk.clone(), desk.clone());
    let admins = Access::Only(&[Who::Admin]);
    vec![
        Route::new(Method::Get, "/v1/jobs", admins, "List the background jobs", move |request| {
            list(for_list.clone(), request)
        })
        .answers_page::<Job>("Jobs, by name."),
        Route::new(Method::Post, "/v1/jobs/{name}/run", admins, "Run a background job now", move |request| {
            run(for_run.clone(), request)
        })
        .optional_form::<RunJobBody>()
        .answers::<Job>(202, "It is due now; one that runs already, runs again afterwards."),
    ]
}

async fn list(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let jobs = jobs(&desk)?.list().await?;
    let is_behind =
        |job: &JobStatus| page.after.as_ref().is_none_or(|after| job.name.as_bytes() > after.0.as_slice());
    let rows = jobs.into_iter().filter(is_behind).map(|job| {
        let position = Position(job.name.as_bytes().to_vec());
        (position, Job::from(job))
    });
    let (jobs, next) = cut_page(rows.collect(), page.limit);
    Ok(request.page_reply(&jobs, next.as_ref()))
}

async fn run(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let RunJobBody {} = request.form()?;
    let status = jobs(&desk)?.run_now(request.path_text("name")?).await?;
    let status = status.ok_or_else(Problem::not_found)?;
    Ok(Reply::json(202, &Job::from(status)))
}

fn jobs(desk: &Desk) -> Result<&Arc<dyn Jobs>, Problem> {
    desk.jobs.as_ref().ok_or_else(|| Problem::new(Code::ModuleUnavailable))
}

impl From<JobStatus> for Job {
    fn from(status: JobStatus) -> Self {
        let last_run = status.last_run.map(|run| JobRun {
            started_at: run.started_at,
            finished_at: run.finished_at,
            outcome: match run.outcome {
                JobOutcome::Succeeded => Outcome::Succeeded,
                JobOutcome::Failed => Outcome::Failed,
                JobOutcome::Stopped => Outcome::Stopped,
            },
            detail: run.detail,
        });
        Self {
            name: status.name,
            description: status.about,
            every: status.every.as_secs(),
            running: status.running_since.is_some(),
            last_run,
            next_run_at: status.next_run_at,
        }
    }
}
