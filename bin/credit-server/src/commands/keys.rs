//! `keys status`, `keys rotate`, `keys retire` and `keys reencrypt`

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use credit_core::AppId;
use credit_infra::randomness::OsSecrets;
use credit_users::KeyUse;
use serde_json::{Map, Value, json};

use super::in_house_as_it_is;
use crate::cli::{KeysSets, RetiredSets};
use crate::config::{KeyMaterial, Settings};
use crate::exit::Failure;
use crate::secrets::{Change, DevSecrets, KeySet};
use crate::wiring::Service;
use crate::{print, progress};

const SETS: [KeySet; 3] = [KeySet::Token, KeySet::Encryption, KeySet::Index];

/// Prints which keys there are and how much is under which, as JSON.
pub(crate) fn status(settings: &Settings) -> Result<(), Failure> {
    let told = in_house_as_it_is(settings, async |service| {
        let (used, api_keys) = (key_use(service).await?, api_keys(service).await?);
        let stale_api_keys = stale_api_keys(&used, &api_keys);
        let fields: Vec<Value> = used
            .fields
            .iter()
            .map(|((app, field, key), count)| json!({"app_id": app, "field": field, "key": key, "count": count}))
            .chain(api_keys.iter().map(
                |((app, key), count)| json!({"app_id": app, "field": "API key", "key": key, "count": count}),
            ))
            .collect();
        Ok(json!({
            "keys": {
                "auth.token_keys": service.adapters.keys.token_key_ids(),
                "encryption.keys": used.sealing,
                "encryption.index_keys": used.finding,
            },
            "fields": fields,
            "stale": {"users": used.stale, "api_keys": stale_api_keys},
        }))
    })?;
    print::text(&format!("{told:#}\n"));
    Ok(())
}

async fn key_use(service: &Service) -> Result<KeyUse> {
    service.users.key_use().await.context("the users cannot be read")
}

/// How many API keys of each application are kept under which index key.
async fn api_keys(service: &Service) -> Result<BTreeMap<(AppId, String), u64>> {
    service.api_keys.by_hash_key().await.context("the API keys cannot be read")
}

fn stale_api_keys(used: &KeyUse, api_keys: &BTreeMap<(AppId, String), u64>) -> u64 {
    let newest = used.finding.first().cloned().unwrap_or_default();
    api_keys.iter().filter(|((_, key), _)| *key != newest).map(|(_, count)| count).sum()
}

/// Brings every user under the newest keys.
pub(crate) fn reencrypt(settings: &Settings) -> Result<(), Failure> {
    let done = in_house_as_it_is(settings, async |service| {
        let spinner = progress::spinner("sealing again");
        let done = service
            .users
            .reencrypt(|so_far| {
                spinner.set_message(format!("{} users, {} sealed again", so_far.looked_at, so_far.rewritten));
                true
            })
            .await
            .context("the users cannot be sealed again")?;
        spinner.finish_and_clear();
        Ok(done)
    })?;
    let told = json!({"users": done.looked_at, "rewritten": done.rewritten, "unreadable": done.unreadable});
    print::text(&format!("{told:#}\n"));
    if done.unreadable > 0 {
        let count = done.unreadable;
        return Err(anyhow::anyhow!(
            "{count} users cannot be read: a key that sealed them is not among encryption.keys"
        )
        .into());
    }
    Ok(())
}

/// Puts new keys in front: those that profile `dev` made where they are; of others it prints the new sets.
pub(crate) fn rotate(settings: &Settings, wanted: &KeysSets) -> Result<(), Failure> {
    change(settings, wanted, Change::Rotate)
}

/// Takes all keys away but the newest, in the same places. Refused while something is kept under another one.
pub(crate) fn retire(settings: &Settings, wanted: &RetiredSets) -> Result<(), Failure> {
    let kept_under_keys = |set: &KeySet| matches!(set, KeySet::Encryption | KeySet::Index);
    if !wanted.force && sets(&wanted.sets).iter().any(kept_under_keys) {
        refuse_if_needed(settings, &sets(&wanted.sets))?;
    }
    change(settings, &wanted.sets, Change::Retire)
}

/// Which sets are meant.
fn sets(wanted: &KeysSets) -> Vec<KeySet> {
    if wanted.sets.is_empty() { SETS.to_vec() } else { wanted.sets.clone() }
}

/// What is under a key that goes cannot be opened or found any more, by nobody and for ever.
fn refuse_if_needed(settings: &Settings, sets: &[KeySet]) -> Result<(), Failure> {
    let (users, api_keys) = in_house_as_it_is(settings, async |service| {
        let used = key_use(service).await?;
        let stale = stale_api_keys(&used, &api_keys(service).await?);
        Ok((used.stale, stale))
    })
    .map_err(|failure| {
        failure.context(
            "no key was taken away, for it cannot be seen whether it is still needed (a service that is running has an \
             embedded store for itself; with --force nobody looks)",
        )
    })?;
    let mut needed = Vec::new();
    if users > 0 {
        needed.push(format!(
            "{users} users are not under the newest keys: run credit-server keys reencrypt first"
        ));
    }
    if api_keys > 0 && sets.contains(&KeySet::Index) {
        needed.push(format!(
            "{api_keys} API keys are kept under an earlier index key and would be refused: each is hashed again at its \
             next use"
        ));
    }
    if needed.is_empty() {
        return Ok(());
    }
    let why = format!("no key was taken away: {}; or say --force and lose them", needed.join("; "));
    Err(anyhow::anyhow!(why).into())
}

fn change(settings: &Settings, wanted: &KeysSets, change: Change) -> Result<(), Failure> {
    let (own, given): (Vec<_>, Vec<_>) =
        sets(wanted).into_iter().partition(|set| given(settings, *set).is_empty());
    if !own.is_empty() {
        DevSecrets::change(&settings.data_dir, &own, change, &OsSecrets)?;
        let names: Vec<_> = own.iter().map(|set| set.path()).collect();
        eprintln!("changed in {}: {}", settings.data_dir.display(), names.join(", "));
    }
    if given.is_empty() {
        return Ok(());
    }
    let printed: Map<String, Value> = given
        .into_iter()
        .map(|set| {
            let mut keys = self::given(settings, set).to_vec();
            change.apply(&mut keys, &OsSecrets);
            let texts: Vec<_> = keys.iter().map(|key| key.to_base64().to_string()).collect();
            (set.path().to_owned(), texts.join(",").into())
        })
        .collect();
    eprintln!("put these where the keys come from, the first is the newest; nothing was changed there:");
    print::text(&format!("{:#}\n", Value::from(printed)));
    Ok(())
}

fn given(settings: &Settings, set: KeySet) -> &[KeyMaterial] {
    match set {
        KeySet::Token => &settings.auth.token_keys,
        KeySet::Encryption => &settings.encryption.keys,
        KeySet::Index => &settings.encryption.index_keys,
    }
}
