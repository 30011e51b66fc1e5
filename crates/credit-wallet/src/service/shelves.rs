//! Lists over the views, newest first. Ids grow with time, so a place in a list is an id, and lists of several books
//! are merged by it.

use std::sync::Arc;

use credit_api::page::{PageRequest, cut_page};
use credit_core::Problem;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Direction, Document, Key, Position, Query};

use crate::ledger::Book;

/// How many rows are looked at in a round.
const ROUND: usize = 201;

/// Rows of one collection of one book: all of them, or those of one owner.
pub(super) struct Shelf {
    book: Arc<Book>,
    collection: &'static Collection,
    owner: Option<(&'static str, String)>,
}

impl Shelf {
    /// Every row.
    pub(super) fn whole(book: &Arc<Book>, collection: &'static Collection) -> Self {
        Self { book: book.clone(), collection, owner: None }
    }

    /// The rows of an owner, whose id begins the keys of `index`.
    pub(super) fn of(
        book: &Arc<Book>,
        collection: &'static Collection,
        index: &'static str,
        owner: &impl ToString,
    ) -> Self {
        Self { book: book.clone(), collection, owner: Some((index, owner.to_string())) }
    }

    /// Rows with smaller ids than `below`, largest first.
    pub(super) async fn rows(&self, below: Option<&str>, limit: usize) -> Result<Vec<Document>, StoreError> {
        let (index, prefix, key): (_, Key, &dyn Fn(&str) -> Key) = match &self.owner {
            None => (None, Key::empty(), &|id| Key::empty().and_text_prefix(id)),
            Some((index, owner)) => (Some(*index), Key::text(owner), &|id| Key::text(owner).and_text(id)),
        };
        let mut query = Query::new(self.collection, index, prefix, limit);
        query.direction = Direction::Descending;
        query.until = below.map(key);
        let rows = self.book.parts.documents.query(self.book.id(), query).await?;
        Ok(rows.into_iter().map(|row| row.document).collect())
    }
}

/// A page of what `pick` takes from the shelves, newest first. The views must show everything: see [`fresh`].
pub(super) async fn page<T>(
    shelves: &[Shelf],
    page: &PageRequest,
    pick: impl AsyncFn(&Arc<Book>, Document) -> Result<Option<T>, Problem>,
) -> Result<(Vec<T>, Option<Position>), Problem> {
    let below = page.after.as_ref().map(|position| String::from_utf8_lossy(&position.0).into_owned());
    let mut found: Vec<(Position, T)> = Vec::new();
    for shelf in shelves {
        let mut below = below.clone();
        let mut wanted = page.limit + 1;
        while wanted > 0 {
            let rows = shelf.rows(below.as_deref(), ROUND).await?;
            let was_last = rows.len() < ROUND;
            below = rows.last().map(|row| row.id.clone());
            for row in rows {
                let position = Position(row.id.clone().into_bytes());
                if wanted > 0
                    && let Some(row) = pick(&shelf.book, row).await?
                {
                    found.push((position, row));
                    wanted -= 1;
                }
            }
            if was_last {
                break;
            }
        }
    }
    found.sort_by(|(left, _), (right, _)| right.cmp(left));
    Ok(cut_page(found, page.limit))
}

/// Waits until the views of a book show every answered call.
pub(super) async fn fresh(book: &Book) -> Result<(), Problem> {
    book.refresh().await?;
    book.flush().await
}
