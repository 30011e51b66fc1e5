//! The list of admins as one document of the installation.

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Batch, Collection, Document, Write};

use super::{decode, encode};
use crate::domain::Admins;

pub(crate) static ADMINS: Collection = Collection { name: "admins", indexes: &[] };
pub(crate) const ID: &str = "admins";

/// The list and the version that it is kept at, 0 if it is not kept yet.
pub(crate) fn open(document: Option<&Document>) -> Result<(Admins, u64), StoreError> {
    match document {
        None => Ok((Admins::default(), 0)),
        Some(document) => Ok((decode(document)?, document.version)),
    }
}

/// The next version of the list.
pub(crate) fn keep(admins: &Admins, version: u64) -> Batch {
    let (id, body) = (ID.to_owned(), encode(admins).into());
    Batch::of(if version == 0 {
        Write::Insert { collection: &ADMINS, id, body, keys: Vec::new() }
    } else {
        Write::Replace { collection: &ADMINS, id, version, body, keys: Vec::new() }
    })
}
