//! Applications as documents.

use bytes::Bytes;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, Document, Index, Key, Write};

use crate::domain::App;

/// `default` has one key at most, that of the default application.
pub(crate) static APPS: Collection =
    Collection { name: "apps", indexes: &[Index { name: DEFAULT, unique: true }] };
pub(crate) const DEFAULT: &str = "default";

/// A new application; it conflicts in the index if it is the default and there is one.
pub(crate) fn insert(app: &App, is_default: bool) -> Batch {
    let keys = if is_default { vec![(DEFAULT, default_key())] } else { Vec::new() };
    Batch::of(Write::Insert { collection: &APPS, id: app.id.to_string(), body: encode(app), keys })
}

/// The key of the default application.
pub(crate) fn default_key() -> Key {
    Key::text(DEFAULT)
}

/// The application in a document.
pub(crate) fn decode(document: &Document) -> Result<App, StoreError> {
    serde_json::from_slice(&document.body)
        .map_err(|error| StoreError::Corrupt(format!("application {}: {error}", document.id)))
}

fn encode(app: &App) -> Bytes {
    serde_json::to_vec(app).expect("an application has a JSON form").into()
}
