//! `admin create`

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credit_core::ports::keys::SecretSource;
use credit_infra::randomness::OsSecrets;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::in_house;
use crate::cli::AdminCreate;
use crate::config::Settings;
use crate::exit::Failure;
use crate::print;

/// Makes an admin and prints it as JSON, with its password if that was made here.
pub(crate) fn create(settings: &Settings, wanted: &AdminCreate) -> Result<(), Failure> {
    let given = wanted.password_file.as_deref().map(read_password).transpose()?;
    let password: SecretString =
        given.clone().unwrap_or_else(|| URL_SAFE_NO_PAD.encode(*OsSecrets.secret()).into());
    let admin = in_house(settings, async |service| {
        let made = service.users.create_admin(&wanted.username, &wanted.email, &password).await;
        made.context("the admin cannot be made")
    })?;
    let mut told = json!({"id": admin.id, "app_id": admin.app, "username": wanted.username});
    if given.is_none() {
        told["password"] = password.expose_secret().into();
    }
    print::text(&format!("{told:#}\n"));
    Ok(())
}

/// The password in a file, or with `-` in the standard input, trimmed.
fn read_password(file: &Path) -> Result<SecretString> {
    let text: SecretString = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).context("the standard input cannot be read")?.into()
    } else {
        let read = std::fs::read_to_string(file);
        read.with_context(|| format!("{} cannot be read", file.display()))?.into()
    };
    Ok(text.expose_secret().trim().into())
}
