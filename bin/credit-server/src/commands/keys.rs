//! `keys status`, `keys rotate`, `keys retire` and `keys reencrypt`

use anyhow::{Context, Result};
use credit_infra::randomness::OsSecrets;
use serde_json::{Map, Value, json};

use super::in_house_as_it_is;
use crate::cli::KeysSets;
use crate::config::{KeyMaterial, Settings};
use crate::exit::Failure;
use crate::secrets::{Change, DevSecrets, KeySet};
use crate::{print, progress};

const SETS: [KeySet; 3] = [KeySet::Token, KeySet::Encryption, KeySet::Index];

/// Prints which keys there are and how much is under which, as JSON.
pub(crate) fn status(settings: &Settings) -> Result<(), Failure> {
    let told = in_house_as_it_is(settings, async |service| {
        let used = service.users.key_use().await.context("the users cannot be read")?;
        let api_keys = service.api_keys.by_hash_key().await.context("the API keys cannot be read")?;
        let newest = used.finding.first().cloned().unwrap_or_default();
        let stale_api_keys: u64 =
            api_keys.iter().filter(|((_, key), _)| *key != newest).map(|(_, n)| n).sum();
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

/// Takes all keys away but the newest, in the same places.
pub(crate) fn retire(settings: &Settings, wanted: &KeysSets) -> Result<(), Failure> {
    change(settings, wanted, Change::Retire)
}

fn change(settings: &Settings, wanted: &KeysSets, change: Change) -> Result<(), Failure> {
    let sets = if wanted.sets.is_empty() { SETS.to_vec() } else { wanted.sets.clone() };
    let (own, given): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| given(settings, *set).is_empty());
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
