//! Transactions, newest first, over one book or several.

use std::sync::Arc;

use credit_api::page::{PageRequest, cut_page};
use credit_core::ports::documents::Position;
use credit_core::{AppId, Code, Principal, Problem, Timestamp, UserId, WalletId};
use credit_wallet::domain::Kind;
use credit_wallet::ledger::{Book, Posted, TransactionFilter};
use credit_wallet::routes::response::Viewer;
use credit_wallet::service::Sight;

use super::show::refunded;
use super::{Seen, Transactions};

/// Which transactions are wanted; all of it must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryFilter {
    /// Of this wallet.
    pub(crate) wallet: Option<WalletId>,
    /// Of any wallet of this user.
    pub(crate) user: Option<UserId>,
    /// Of this kind.
    pub(crate) kind: Option<Kind>,
    /// With this reference.
    pub(crate) reference: Option<String>,
    /// Not before.
    pub(crate) from: Option<Timestamp>,
    /// Before.
    pub(crate) to: Option<Timestamp>,
}

/// A book to look in.
struct Shelf {
    book: Arc<Book>,
    /// The wallets that count; `None` is all.
    wallets: Option<Vec<WalletId>>,
    viewer: Viewer,
}

/// Where a row stands among those of all books: by place, which begins with the time, then by application.
type Mark = (Vec<u8>, AppId);

impl Transactions {
    /// A page of what the caller may see, and the position to go on from.
    pub(crate) async fn history(
        &self,
        principal: &Principal,
        filter: &HistoryFilter,
        page: &PageRequest,
    ) -> Result<(Vec<Seen>, Option<Position>), Problem> {
        let sight = Sight::of(principal);
        let after = page.after.as_ref().map(read_mark).transpose()?;
        let mut found: Vec<(Mark, Arc<Book>, Viewer, Posted)> = Vec::new();
        for Shelf { book, wallets, viewer } in self.shelves(sight, principal, filter).await? {
            let app = book.id();
            let wanted = TransactionFilter {
                wallets,
                kind: filter.kind,
                reference: filter.reference.clone(),
                from: filter.from,
                to: filter.to,
            };
            let behind = after.as_ref().map(|after| behind(after, app));
            let rows = book.transactions(&wanted, behind.as_ref(), page.limit + 1).await?;
            found.extend(
                rows.into_iter().map(|(at, posted)| ((at.0, app), book.clone(), viewer.clone(), posted)),
            );
        }
        found.sort_by(|(one, ..), (other, ..)| other.cmp(one));
        let rows =
            found.into_iter().map(|(mark, book, viewer, posted)| (write_mark(&mark), (book, viewer, posted)));
        let (rows, next) = cut_page(rows.collect(), page.limit);
        let mut seen = Vec::with_capacity(rows.len());
        for (book, viewer, posted) in rows {
            let refunded = refunded(&book, posted.transaction()).await?;
            seen.push(Seen { app: book.id(), posted, refunded, viewer });
        }
        Ok((seen, next))
    }

    /// Where to look. A wallet or user that the caller does not see has nothing to show.
    async fn shelves(
        &self,
        sight: Sight,
        principal: &Principal,
        filter: &HistoryFilter,
    ) -> Result<Vec<Shelf>, Problem> {
        if let Some(id) = filter.wallet {
            return self.shelf_of_wallet(sight, principal, id, filter.user).await;
        }
        let user = match (sight, filter.user) {
            (Sight::Own(_, own), Some(user)) if user != own => return Ok(Vec::new()),
            (Sight::Own(_, own), _) => Some(own),
            (Sight::App(_) | Sight::All, user) => user,
        };
        let mut shelves = Vec::new();
        for app in self.counter.apps(sight).await? {
            let book = self.counter.book(app).await?;
            let wallets = match user {
                None => None,
                Some(user) => match self.counter.wallet_ids_of(&book, user).await? {
                    none if none.is_empty() => continue,
                    some => Some(some),
                },
            };
            let viewer = Viewer::new(sight, wallets.iter().flatten().copied());
            shelves.push(Shelf { book, wallets, viewer });
        }
        Ok(shelves)
    }

    async fn shelf_of_wallet(
        &self,
        sight: Sight,
        principal: &Principal,
        id: WalletId,
        user: Option<UserId>,
    ) -> Result<Vec<Shelf>, Problem> {
        let (book, wallet) = match self.counter.wallet(principal, id).await {
            Ok(found) => found,
            Err(problem) if problem.code() == Code::NotFound => return Ok(Vec::new()),
            Err(problem) => return Err(problem),
        };
        if user.is_some_and(|user| wallet.user != user) {
            return Ok(Vec::new());
        }
        Ok(vec![Shelf { book, wallets: Some(vec![id]), viewer: Viewer::new(sight, [id]) }])
    }
}

/// A position is a mark as bytes: the place in the book, then the application's id as text.
fn write_mark((place, app): &Mark) -> Position {
    let mut bytes = place.clone();
    bytes.extend_from_slice(app.to_string().as_bytes());
    Position(bytes)
}

fn read_mark(position: &Position) -> Result<Mark, Problem> {
    let invalid = || Problem::new(Code::InvalidCursor);
    let text = std::str::from_utf8(&position.0).map_err(|_| invalid())?;
    let (place, app) = text.split_once(AppId::PREFIX).ok_or_else(invalid)?;
    let app = AppId::parse(&format!("{}{app}", AppId::PREFIX)).map_err(|_| invalid())?;
    Ok((place.as_bytes().to_vec(), app))
}

/// Behind which position of its own the book of `app` goes on. Rows of several books at the same place stand by
/// application, so a row of a lesser application at the place of the mark is still to come.
fn behind((place, marked): &Mark, app: AppId) -> Position {
    let mut bytes = place.clone();
    if app < *marked {
        bytes.push(b'~'); // sorts after the place itself and before the next one
    }
    Position(bytes)
}
