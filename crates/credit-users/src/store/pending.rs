//! Users whose wallet is still to be opened: noted together with the user, crossed out when the wallet is there. What a
//! crash leaves behind is found here.

use credit_core::UserId;
use credit_core::ports::documents::{Collection, Key, Query, Write};

pub(crate) static PENDING: Collection = Collection { name: "users_pending", indexes: &[] };

/// The note.
pub(crate) fn note(user: UserId) -> Write {
    Write::Insert { collection: &PENDING, id: user.to_string(), body: "{}".into(), keys: Vec::new() }
}

/// Takes over a note that was read at `version`: whoever had it before cannot cross it out any more.
pub(crate) fn take_over(user: UserId, version: u64) -> Write {
    let (id, body) = (user.to_string(), "{}".into());
    Write::Replace { collection: &PENDING, id, version, body, keys: Vec::new() }
}

/// Crosses out a note that is at `version`.
pub(crate) fn cross_out(user: UserId, version: u64) -> Write {
    Write::Delete { collection: &PENDING, id: user.to_string(), version }
}

/// Some that are noted.
pub(crate) fn some(limit: usize) -> Query {
    Query::new(&PENDING, None, Key::empty(), limit)
}
