//! Going on from the watermark of the views, where a process has fallen so far behind that to apply every group since would
//! take long: it looks at few commands, or hands them to another process.

use credit_core::ports::StoreError;

use super::book::Book;
use super::views::{self, BookView};

/// Whoever has read a page of the journal and is not at the head goes on from the watermark if that is further than this
/// many groups. What was in memory is read again, so that it is not worth it for fewer.
const FAR: u64 = 1_024;

impl Book {
    /// Goes on from where the views are, if that is far ahead of what is applied here.
    pub(crate) async fn skip_what_is_shown(&self) -> Result<(), StoreError> {
        let document = self.parts.documents.get(self.id, &views::BOOKS, views::BOOK).await?;
        if let Some(document) = document {
            self.jump_if_far(views::read(&document)?, FAR);
        }
        Ok(())
    }

    /// The same to a watermark that was read, if it is ahead by more than so many groups.
    pub(crate) fn jump_if_far(&self, watermark: BookView, far: u64) {
        let sequence = watermark.sequence;
        {
            let mut state = self.state.write();
            if sequence <= state.head + far {
                return;
            }
            state.jump(watermark, self.parts.settings.cached_wallets);
        }
        self.tell_shown(sequence);
    }
}
