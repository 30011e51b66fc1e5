//! Assets as documents, under [`AppId::SYSTEM`](credit_core::AppId::SYSTEM). The id is the code.

use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, Document, Index, Key, Write};

use crate::domain::Asset;

pub(crate) static ASSETS: Collection =
    Collection { name: "assets", indexes: &[Index { name: BY_CREATED, unique: false }] };
pub(crate) const BY_CREATED: &str = "by_created";

pub(crate) fn insert(asset: &Asset) -> Batch {
    let created = Key::number(asset.created_at.sortable()).and_text(asset.code.as_str());
    Batch::of(Write::Insert {
        collection: &ASSETS,
        id: asset.code.to_string(),
        body: encode(asset),
        keys: vec![(BY_CREATED, created)],
    })
}

pub(crate) fn decode(document: &Document) -> Result<Asset, StoreError> {
    serde_json::from_slice(&document.body)
        .map_err(|error| StoreError::Corrupt(format!("asset {}: {error}", document.id)))
}

fn encode(asset: &Asset) -> Bytes {
    serde_json::to_vec(asset).expect("an asset has a JSON form").into()
}
