//! `api-key create`

use anyhow::Context;
use credit_api::NewKey;
use credit_core::Scope;
use secrecy::ExposeSecret;
use serde_json::json;

use super::in_house;
use crate::cli::ApiKeyCreate;
use crate::config::Settings;
use crate::exit::Failure;
use crate::print;

/// Makes a key and prints it as JSON, with its secret: that is kept nowhere else.
pub(crate) fn create(settings: &Settings, wanted: &ApiKeyCreate) -> Result<(), Failure> {
    let scopes = match wanted.scopes.as_slice() {
        [] => Scope::ALL.iter().map(|(scope, _)| *scope).collect(),
        some => Scope::ALL.iter().map(|(scope, _)| *scope).filter(|scope| some.contains(scope)).collect(),
    };
    let issued = in_house(settings, async |service| {
        let app = match wanted.app {
            Some(app) => app,
            None => service.apps.default_app().await?,
        };
        let new = NewKey { app, name: wanted.name.clone(), scopes, expires_at: None };
        service.api_keys.issue(new).await.context("the API key cannot be made")
    })?;
    let key = issued.key;
    let told = json!({
        "id": key.id,
        "app_id": key.app,
        "name": key.name,
        "scopes": key.scopes,
        "secret": issued.secret.expose_secret(),
    });
    print::text(&format!("{told:#}\n"));
    Ok(())
}
