//! Which keys there are.

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Key, Position, Query};
use credit_core::{AppId, Problem};

use super::{ApiKeys, KnownKey, shown};
use crate::page::{PageRequest, cut_page};
use crate::store::api_keys::{self, API_KEY_USES, API_KEYS, BY_APP};

impl ApiKeys {
    /// A page, newest first; of one application if it is named.
    pub async fn list(
        &self,
        app: Option<AppId>,
        page: &PageRequest,
    ) -> Result<(Vec<KnownKey>, Option<Position>), Problem> {
        let (index, prefix) = match app {
            Some(app) => (Some(BY_APP), api_keys::by_app(app)),
            None => (None, Key::empty()),
        };
        let query = Query {
            after: page.after.clone(),
            ..Query::new(&API_KEYS, index, prefix, page.limit + 1).descending()
        };
        let rows = self.documents.query(AppId::SYSTEM, query).await?;
        let rows: Vec<_> = rows.into_iter().map(|row| (row.position, row.document)).collect();
        let (documents, next) = cut_page(rows, page.limit);
        let ids: Vec<String> = documents.iter().map(|document| document.id.clone()).collect();
        let uses = self.documents.get_many(AppId::SYSTEM, &API_KEY_USES, &ids).await?;
        let keys = documents
            .iter()
            .zip(uses)
            .map(|(document, last_use)| {
                let last_used_at = last_use.as_ref().map(api_keys::decode_use).transpose()?;
                Ok(shown(api_keys::decode(document)?, last_used_at))
            })
            .collect::<Result<_, StoreError>>()?;
        Ok((keys, next))
    }
}
