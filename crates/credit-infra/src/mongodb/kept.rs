//! A document of a module as one of the database.
//!
//! `{_id: {a: app, i: id}, a: app, v: version, n: nonce, b: body, k: {index: key}, m: [{x: index, k: key}]}`. `a` and `k`
//! are there in collections with declared look-ups only. `k` has the key of each look-up in which the document has one;
//! where it has several, they stand in `m`, so that the index over `k` stays in the order of its rows (and those of a
//! unique look-up stand in `k` too, as an array: that is where uniqueness is kept).

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Collection, Document as Kept, IndexKeys, Key};
use mongodb::bson::raw::CStr;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{
    Document, RawArrayBuf, RawBinaryRef, RawBsonRef, RawDocument, RawDocumentBuf, cstr, doc, rawdoc,
};

use super::layout::{as_text, bytes, damaged, integer, read_app, roomy, text, uuid};
use super::link::Link;

/// What a document takes beside its id, body and keys, or little less.
const FRAME: usize = 160;

/// The id of a document.
pub(super) fn raw_id(app: AppId, id: &str) -> RawDocumentBuf {
    let mut document = roomy(FRAME + id.len());
    append_uuid(&mut document, cstr!("a"), app.as_u128());
    document.append(cstr!("i"), &*as_text(id.as_bytes()));
    document
}

fn append_uuid(document: &mut RawDocumentBuf, name: &CStr, id: u128) {
    document.append(name, RawBinaryRef { subtype: BinarySubtype::Uuid, bytes: &id.to_be_bytes() });
}

/// The same, to ask with.
pub(super) fn document_id(app: AppId, id: &str) -> Document {
    doc! {"a": uuid(app.as_u128()), "i": text(id.as_bytes())}
}

impl Link {
    /// Finds one document: by its id alone, for which the server needs no plan, and in a sharded cluster also by what its
    /// collection is sharded by.
    pub(super) fn place(&self, app: AppId, collection: &Collection, of: &str) -> Document {
        let mut filter = doc! {"_id": document_id(app, of)};
        if self.is_sharded && !collection.indexes.is_empty() {
            filter.insert("a", uuid(app.as_u128()));
        }
        filter
    }

    /// The same at one version.
    pub(super) fn place_at(&self, app: AppId, collection: &Collection, of: &str, version: u64) -> Document {
        let mut filter = self.place(app, collection, of);
        // A version beyond what the database counts is nobody's.
        filter.insert("v", i64::try_from(version).unwrap_or(-1));
        filter
    }
}

/// The stage of an update that keeps the newer of a view and what is there, also where nothing is. It looks at the
/// version itself, so that the statement finds the document by its id alone: what is newer is then found and stays,
/// where a statement that did not find it would try to make it in vain.
pub(super) fn keep_newer(view: &RawDocument, sequence: u64) -> RawDocumentBuf {
    rawdoc! {"$replaceWith": {"$cond": [
        {"$lt": ["$v", integer(sequence)]},
        {"$literal": view.to_owned()},
        "$$ROOT",
    ]}}
}

/// A document to be written. `nonce` tells ours from another's where the outcome of a write was unknown.
pub(super) fn encode(
    app: AppId,
    collection: &Collection,
    kept: (&str, u64, &[u8]),
    keys: &IndexKeys,
    nonce: Option<u128>,
) -> RawDocumentBuf {
    let (id, version, body) = kept;
    let of_keys: usize = keys.iter().map(|(name, key)| name.len() + key.as_bytes().len() + FRAME).sum();
    let mut document = roomy(FRAME + id.len() + body.len() + of_keys);
    document.append(cstr!("_id"), raw_id(app, id));
    if !collection.indexes.is_empty() {
        append_uuid(&mut document, cstr!("a"), app.as_u128());
    }
    document.append(cstr!("v"), integer(version));
    if let Some(nonce) = nonce {
        append_uuid(&mut document, cstr!("n"), nonce);
    }
    match std::str::from_utf8(body) {
        Ok(text) => document.append(cstr!("b"), text),
        Err(_) => document.append(cstr!("b"), RawBinaryRef { subtype: BinarySubtype::Generic, bytes: body }),
    }
    append_keys(&mut document, collection, keys, of_keys);
    document
}

fn append_keys(document: &mut RawDocumentBuf, collection: &Collection, keys: &IndexKeys, room: usize) {
    if keys.is_empty() {
        return;
    }
    let (mut single, mut several) = (roomy(room), RawArrayBuf::new());
    for index in collection.indexes {
        let mut of: Vec<&Key> =
            keys.iter().filter(|(name, _)| *name == index.name).map(|(_, key)| key).collect();
        of.sort();
        of.dedup();
        let name: &CStr = index.name.try_into().expect("a name without 0x00");
        match of.as_slice() {
            [] => {}
            [key] => single.append(name, &*as_text(key.as_bytes())),
            many => {
                for key in many {
                    several.push(rawdoc! {"x": index.name, "k": &*as_text(key.as_bytes())});
                }
                if index.unique {
                    let mut all = RawArrayBuf::new();
                    for key in many {
                        all.push(&*as_text(key.as_bytes()));
                    }
                    single.append(name, all);
                }
            }
        }
    }
    document.append(cstr!("k"), single);
    if several.as_bytes().len() > EMPTY_ARRAY {
        document.append(cstr!("m"), several);
    }
}

/// The bytes of an array without elements.
const EMPTY_ARRAY: usize = 5;

/// A document that was read, as modules see it.
pub(super) fn decode(document: &RawDocument) -> Result<Kept, StoreError> {
    let of = document.get_document("_id").map_err(|error| damaged(&error))?;
    let id = of.get_str("i").map_err(|error| damaged(&error))?;
    let id = String::from_utf8(bytes(id)?).map_err(|error| damaged(&error))?;
    let version = document.get_i64("v").map_err(|error| damaged(&error))?;
    let version = u64::try_from(version).map_err(|error| damaged(&error))?;
    let body = match document.get("b").map_err(|error| damaged(&error))? {
        Some(RawBsonRef::String(text)) => Bytes::copy_from_slice(text.as_bytes()),
        Some(RawBsonRef::Binary(found)) => Bytes::copy_from_slice(found.bytes),
        _ => return Err(StoreError::Corrupt(format!("the document {id} has no body"))),
    };
    Ok(Kept { id, version, body })
}

/// Whose it is.
pub(super) fn decode_app(document: &RawDocument) -> Result<AppId, StoreError> {
    read_app(document.get_document("_id").map_err(|error| damaged(&error))?, "a")
}

/// Whether it was written by the commit with this nonce.
pub(super) fn is_of(document: &RawDocument, nonce: u128) -> bool {
    document.get_binary("n").is_ok_and(|found| found.bytes == nonce.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use credit_core::ports::documents::Index;
    use mongodb::Client;

    use super::super::gate::Server;
    use super::*;

    static WITH_LOOKUPS: Collection =
        Collection { name: "people", indexes: &[Index { name: "email", unique: true }] };
    static WITHOUT: Collection = Collection { name: "plain", indexes: &[] };

    /// What is kept stays readable by every release, and unique look-ups hold between them.
    #[test]
    fn a_row_looks_as_it_always_has() {
        static SEVERAL: Collection = Collection {
            name: "several",
            indexes: &[
                Index { name: "one", unique: false },
                Index { name: "only", unique: true },
                Index { name: "many", unique: false },
                Index { name: "none", unique: false },
            ],
        };
        let (app, key) = (AppId::from_u128(7), |text: &str| Key::empty().and_text(text));
        let keys: IndexKeys = vec![
            ("many", key("b")),
            ("only", key("x")),
            ("one", key("é")),
            ("many", key("a")),
            ("only", key("w")),
            ("many", key("b")),
        ];
        let text = |of: &str| text(key(of).as_bytes());
        let row = doc! {
            "_id": {"a": uuid(7), "i": "the id"},
            "a": uuid(7),
            "v": 3_i64,
            "n": uuid(9),
            "b": "the body",
            "k": {"one": text("é"), "only": [text("w"), text("x")]},
            "m": [
                {"x": "only", "k": text("w")},
                {"x": "only", "k": text("x")},
                {"x": "many", "k": text("a")},
                {"x": "many", "k": text("b")},
            ],
        };
        let encoded = encode(app, &SEVERAL, ("the id", 3, b"the body"), &keys, Some(9));
        assert_eq!(Document::try_from(&*encoded).expect("a document"), row);
        assert_eq!(encoded, RawDocumentBuf::try_from(&row).expect("a document"), "to the byte");

        let plain = encode(app, &WITHOUT, ("the id", 3, &[0xff, 0]), &Vec::new(), None);
        let bytes = mongodb::bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![0xff, 0] };
        let row = doc! {"_id": {"a": uuid(7), "i": "the id"}, "v": 3_i64, "b": bytes};
        assert_eq!(plain, RawDocumentBuf::try_from(&row).expect("a document"));
    }

    #[tokio::test]
    async fn a_place_names_what_a_cluster_shards_by_and_to_a_replica_set_the_id_alone() {
        let client = Client::with_uri_str("mongodb://127.0.0.1:1").await.expect("it does not connect yet");
        let link = Link::new(client, "test", Duration::from_secs(1));
        let app = AppId::from_u128(7);
        let id = doc! {"_id": document_id(app, "x")};
        for collection in [&WITH_LOOKUPS, &WITHOUT] {
            assert_eq!(link.place(app, collection, "x"), id);
        }
        let cluster = link.to(&Server { version: "7.0.0".to_owned(), is_sharded: true, set: None });
        assert_eq!(
            cluster.place(app, &WITH_LOOKUPS, "x"),
            doc! {"_id": document_id(app, "x"), "a": uuid(7)},
            "as docs/scaling.md shards it"
        );
        assert_eq!(cluster.place(app, &WITHOUT, "x"), id);
        let at = cluster.place_at(app, &WITH_LOOKUPS, "x", 3);
        assert_eq!(at.get_i64("v").ok(), Some(3));
    }
}
