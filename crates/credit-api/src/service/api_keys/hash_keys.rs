//! Under which of our keys the secrets of API keys are hashed.

use std::collections::BTreeMap;

use credit_core::ports::documents::{Key, Query};
use credit_core::{AppId, Problem};

use super::ApiKeys;
use crate::store::api_keys::{self, API_KEYS};

const CHUNK: usize = 200;

impl ApiKeys {
    /// How many API keys of each application are hashed under which of our keys, by its id. Where that was not noted
    /// yet the id is empty. Those under an earlier key are hashed again at their next use; when that key is retired,
    /// those that were not used are not good any more.
    pub async fn by_hash_key(&self) -> Result<BTreeMap<(AppId, String), u64>, Problem> {
        let mut counts = BTreeMap::new();
        let mut after = None;
        loop {
            let query = Query { after, ..Query::new(&API_KEYS, None, Key::empty(), CHUNK) };
            let rows = self.documents.query(AppId::SYSTEM, query).await?;
            for row in &rows {
                let key = api_keys::decode(&row.document)?;
                *counts.entry((key.app_id, key.hashed_under)).or_default() += 1;
            }
            after = rows.last().map(|row| row.position.clone());
            if rows.len() < CHUNK {
                return Ok(counts);
            }
        }
    }
}
