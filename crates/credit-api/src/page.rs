//! Pages of lists, and the cursors between them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use credit_core::ports::documents::Position;
use credit_core::ports::keys::KeyedHash;
use credit_core::{Code, Problem};
use serde::Serialize;
use serde_json::json;
use subtle::ConstantTimeEq;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};

use crate::reply::Reply;
use crate::request::Request;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// How many rows, 1 to 200.
    pub limit: usize,
    /// Behind which row.
    pub after: Option<Position>,
}

/// What a limit has to be.
pub(crate) const LIMIT: &str = "must be an integer from 1 to 200";

pub(crate) fn read_limit(text: &str) -> Option<usize> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|limit| plain && (1..=200).contains(limit))
}

const PURPOSE: &str = "cursor";
const TAG: usize = 16;

/// Closes a position into a cursor that only its own list opens.
fn seal_cursor(key: &dyn KeyedHash, binding: &str, position: &Position) -> String {
    let mut bytes = tag(key, binding, position).to_vec();
    bytes.extend_from_slice(&position.0);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Opens a cursor: `400 invalid_cursor` if it was changed or belongs to another list.
pub(crate) fn open_cursor(key: &dyn KeyedHash, binding: &str, cursor: &str) -> Result<Position, Problem> {
    let invalid = || Problem::new(Code::InvalidCursor);
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
    let (sealed, position) = bytes.split_at_checked(TAG).ok_or_else(invalid)?;
    let position = Position(position.to_vec());
    let genuine: bool = tag(key, binding, &position).ct_eq(sealed).into();
    if genuine { Ok(position) } else { Err(invalid()) }
}

fn tag(key: &dyn KeyedHash, binding: &str, position: &Position) -> [u8; TAG] {
    let text = format!("{binding}|{}", URL_SAFE_NO_PAD.encode(&position.0));
    let full = key.hash(PURPOSE, &text);
    let mut short = [0; TAG];
    short.copy_from_slice(&full[..TAG]);
    short
}

impl Request {
    /// Answers a page: its rows and, if there are more, the position of the last one.
    pub fn page_reply<T: Serialize>(&self, rows: &[T], next: Option<&Position>) -> Reply {
        let cursor = next.map(|position| seal_cursor(&*self.cursor_key, &self.cursor_binding(), position));
        let reply = Reply::ok(&json!({ "data": rows, "has_more": cursor.is_some(), "next_cursor": cursor }));
        let Some(cursor) = cursor else { return reply };
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.query.iter().filter(|(name, _)| name != "cursor") {
            query.append_pair(name, value);
        }
        query.append_pair("cursor", &cursor);
        reply.with_header("link", format!("<{}?{}>; rel=\"next\"", self.path, query.finish()))
    }
}

/// Cuts a list that was asked for one row more than the page down to the page. Tells the position to go on from, if
/// there was one more.
pub fn cut_page<T>(mut rows: Vec<(Position, T)>, limit: usize) -> (Vec<T>, Option<Position>) {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.last().map(|(position, _)| position.clone()) } else { None };
    (rows.into_iter().map(|(_, row)| row).collect(), next)
}

/// `{data, has_more, next_cursor}`.
pub(crate) fn page_schema(row: RefOr<Schema>) -> Schema {
    let cursor = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    ObjectBuilder::new()
        .property("data", ArrayBuilder::new().items(row))
        .property("has_more", ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)))
        .property("next_cursor", cursor)
        .required("data")
        .required("has_more")
        .required("next_cursor")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum;
    impl KeyedHash for Sum {
        fn hash(&self, purpose: &str, text: &str) -> [u8; 32] {
            use sha2::Digest;
            sha2::Sha256::digest(format!("{purpose}|{text}")).into()
        }
    }

    #[test]
    fn a_cursor_opens_only_where_it_was_made_and_unchanged() {
        let position = Position(b"somewhere".to_vec());
        let cursor = seal_cursor(&Sum, "/v1/wallets|me|[]", &position);
        assert_eq!(open_cursor(&Sum, "/v1/wallets|me|[]", &cursor).expect("genuine"), position);
        assert!(open_cursor(&Sum, "/v1/wallets|you|[]", &cursor).is_err());
        let mut forged = URL_SAFE_NO_PAD.decode(&cursor).expect("ours");
        *forged.last_mut().expect("bytes") ^= 1;
        assert!(open_cursor(&Sum, "/v1/wallets|me|[]", &URL_SAFE_NO_PAD.encode(forged)).is_err());
        assert!(open_cursor(&Sum, "", "").is_err());
        assert!(open_cursor(&Sum, "", "!!").is_err());
    }
}
