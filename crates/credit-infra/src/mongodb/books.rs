//! Which books there are.
//!
//! A book that has a group has its first slot. The index `books` holds those slots and no other, so that a thousand books
//! are one look, however long each of them is.

use credit_core::ports::StoreError;
use credit_core::ports::journal::BookId;
use mongodb::bson::{Document, doc};

use super::JOURNAL;
use super::error::Failed;
use super::layout::{damaged, read_app, uuid};
use super::link::Link;

/// The slot that every book has.
const FIRST: i64 = 1;

/// The name of the index of books.
const INDEX: &str = "books";

/// The index of books, as `createIndexes` takes it.
pub(super) fn index() -> Document {
    doc! {
        "key": {"_id.b": 1, "_id.s": 1},
        "name": INDEX,
        "partialFilterExpression": {"_id.s": FIRST},
    }
}

/// Books that come after this one, in the order of their ids.
pub(super) async fn page(
    link: &Link,
    after: Option<BookId>,
    limit: usize,
) -> Result<Vec<BookId>, StoreError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let mut filter = doc! {"_id.s": FIRST};
    if let Some(after) = after {
        filter.insert("_id.b", doc! {"$gt": uuid(after.as_u128())});
    }
    // Below zero: one answer. A page of ids has room in it.
    let count = i64::try_from(limit).unwrap_or(i64::MAX).saturating_neg();
    let own = link.clone();
    let call = async move {
        let mut session = own.session().await?;
        let mut cursor = own
            .collection(JOURNAL)
            .find(filter)
            .sort(doc! {"_id.b": 1})
            .projection(doc! {"_id.b": 1, "_id.s": 1})
            .limit(count)
            .batch_size(u32::try_from(limit).unwrap_or(i32::MAX.unsigned_abs()))
            .session(&mut session)
            .await?;
        let mut found = Vec::new();
        while cursor.advance(&mut session).await? {
            found.push(cursor.current().to_owned());
        }
        own.note(&session);
        Ok(found)
    };
    let found = link.call(call).await.map_err(Failed::read)?;
    let book = |slot| read_app(slot, "b");
    found.iter().map(|slot| book(slot.get_document("_id").map_err(|error| damaged(&error))?)).collect()
}
