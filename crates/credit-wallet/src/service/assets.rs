//! Assets: which there are, and new ones.

use credit_api::page::{PageRequest, cut_page};
use credit_core::ports::StoreError;
use credit_core::ports::documents::{CommitError, Key, Position, Query};
use credit_core::{AppId, AssetCode, Code, Problem};

use super::Counter;
use crate::domain::Asset;
use crate::store::assets::{self, ASSETS, BY_CREATED};

impl Counter {
    /// Makes an asset. `409 asset_exists`.
    pub async fn create_asset(&self, code: AssetCode, scale: u8) -> Result<Asset, Problem> {
        let asset = Asset { code, scale, created_at: self.parts.clock.now() };
        match self.parts.documents.commit(AppId::SYSTEM, assets::insert(&asset)).await {
            Ok(()) => Ok(asset),
            Err(CommitError::Store(error)) => Err(error.into()),
            Err(_) => Err(Problem::new(Code::AssetExists)),
        }
    }

    /// Makes sure that the asset that is always there is there.
    pub(crate) async fn ensure_credit(&self) -> Result<(), StoreError> {
        let credit = Asset::credit(self.parts.clock.now());
        match self.parts.documents.commit(AppId::SYSTEM, assets::insert(&credit)).await {
            Err(CommitError::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// `404 not_found` unless there is this asset.
    pub async fn known_asset(&self, code: AssetCode) -> Result<(), Problem> {
        if code == AssetCode::CREDIT {
            return Ok(());
        }
        let found = self.parts.documents.get(AppId::SYSTEM, &ASSETS, code.as_str()).await?;
        found.map(|_| ()).ok_or_else(Problem::not_found)
    }

    /// Every asset there is.
    pub(crate) async fn all_assets(&self) -> Result<Vec<Asset>, Problem> {
        let mut all = Vec::new();
        let mut page = PageRequest { limit: 200, after: None };
        loop {
            let (assets, next) = self.list_assets(&page).await?;
            all.extend(assets);
            if next.is_none() {
                return Ok(all);
            }
            page.after = next;
        }
    }

    /// A page of assets, newest first.
    pub async fn list_assets(&self, page: &PageRequest) -> Result<(Vec<Asset>, Option<Position>), Problem> {
        let mut query = Query::new(&ASSETS, Some(BY_CREATED), Key::empty(), page.limit + 1).descending();
        query.after = page.after.clone();
        let rows = self.parts.documents.query(AppId::SYSTEM, query).await?;
        let rows = rows
            .into_iter()
            .map(|row| Ok((row.position, assets::decode(&row.document)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        Ok(cut_page(rows, page.limit))
    }
}
