//! What the program can do beside serving, a command a file.

pub(crate) mod admin;
pub(crate) mod api_key;
pub(crate) mod backup;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod docs;
pub(crate) mod healthcheck;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod openapi;
pub(crate) mod restore;
mod side;
pub(crate) mod store;
pub(crate) mod user_import;

use anyhow::{Context, Result};

use crate::config::Settings;
use crate::exit::Failure;
use crate::wiring::Service;

/// Does something with an initialised house and closes it again. Nobody else has an embedded store meanwhile.
fn in_house<T>(settings: &Settings, work: impl AsyncFnOnce(&Service) -> Result<T>) -> Result<T, Failure> {
    in_house_as_it_is(settings, async |service| {
        service.manager.initialise().await;
        let done = work(service).await;
        service.manager.shut_down().await;
        done
    })
}

/// The same with a house that is not initialised: nothing is done in it unasked.
fn in_house_as_it_is<T>(
    settings: &Settings,
    work: impl AsyncFnOnce(&Service) -> Result<T>,
) -> Result<T, Failure> {
    let service = Service::over_store(settings)?;
    block_on(async {
        service.open_store().await?;
        let done = work(&service).await;
        let closed = service.close().await;
        let done = done?;
        closed?;
        Ok(done)
    })?
}

/// Waits for it on this thread.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.context("the runtime cannot be started")?.block_on(work))
}
