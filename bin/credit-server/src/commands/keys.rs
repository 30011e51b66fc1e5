//! `keys status`, `keys rotate` and `keys reencrypt`

use anyhow::{Context, Result, ensure};
use credit_core::ports::keys::SecretSource;
use credit_infra::randomness::OsSecrets;
use serde_json::{Map, Value, json};

use super::in_house_as_it_is;
use crate::cli::KeysRotate;
use crate::config::{KeyMaterial, Settings};
use crate::exit::Failure;
use crate::secrets::{DevSecrets, KeySet};
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

/// Rotates the keys that profile `dev` made where they are; of others it prints the new sets.
pub(crate) fn rotate(settings: &Settings, wanted: &KeysRotate) -> Result<(), Failure> {
    let sets = if wanted.sets.is_empty() { SETS.to_vec() } else { wanted.sets.clone() };
    let keep = wanted.keep.map_or(usize::MAX, usize::from);
    let (own, given): (Vec<_>, Vec<_>) = sets.into_iter().partition(|set| given(settings, *set).is_empty());
    if !own.is_empty() {
        DevSecrets::rotate(&settings.data_dir, &own, keep, &OsSecrets)?;
        let names: Vec<_> = own.iter().map(|set| set.path()).collect();
        eprintln!("rotated in {}: {}", settings.data_dir.display(), names.join(", "));
    }
    if given.is_empty() {
        return Ok(());
    }
    let mut printed = Map::new();
    for set in given {
        printed.insert(set.path().to_owned(), new_set(self::given(settings, set), keep)?.into());
    }
    eprintln!("put these where the keys come from, the first is the new one; nothing was changed:");
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

/// A new key and those before it, comma-separated as the configuration takes them.
fn new_set(given: &[KeyMaterial], keep: usize) -> Result<String> {
    let new = KeyMaterial::new(OsSecrets.secret());
    ensure!(!given.contains(&new), "the operating system's randomness repeats itself");
    let all: Vec<_> =
        std::iter::once(&new).chain(given).take(keep).map(|key| key.to_base64().to_string()).collect();
    Ok(all.join(","))
}
