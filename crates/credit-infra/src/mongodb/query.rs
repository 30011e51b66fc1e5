//! Reading rows in their order.
//!
//! Rows of an index are asked for in up to three parts, in one command: those with the key of the row to continue
//! behind, those behind that key, and those of documents with several keys. Each part reads its index in the order of
//! the answer and stops at the limit.

use credit_core::AppId;
use credit_core::ports::StoreError;
use credit_core::ports::documents::{Direction, Position, Query, Row};
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use super::documents::MongoDocuments;
use super::error::Failed;
use super::kept::decode;
use super::layout::{bytes, damaged, end_of_prefix, text, uuid};
use super::schema::documents_name;

/// Which keys, by their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    from: Vec<u8>,
    until: Option<Vec<u8>>,
}

impl Range {
    /// Of prefix and bounds.
    fn of(query: &Query) -> Self {
        let prefix = query.prefix.as_bytes();
        let from = query.from.as_ref().map_or(&[][..], |from| from.as_bytes()).max(prefix);
        let ends = [end_of_prefix(prefix), query.until.as_ref().map(|until| until.as_bytes().to_vec())];
        Self { from: from.to_vec(), until: ends.into_iter().flatten().min() }
    }

    fn is_empty(&self) -> bool {
        self.until.as_ref().is_some_and(|until| until <= &self.from)
    }

    fn contains(&self, key: &[u8]) -> bool {
        key >= self.from.as_slice() && self.until.as_ref().is_none_or(|until| key < until.as_slice())
    }
}

/// The least that comes after a key.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

impl MongoDocuments {
    pub(super) async fn rows(&self, app: AppId, query: Query) -> Result<Vec<Row>, StoreError> {
        query.assert_declared();
        let range = Range::of(&query);
        if range.is_empty() || query.limit == 0 {
            return Ok(Vec::new());
        }
        match query.index {
            None => self.rows_by_id(app, &query, range).await,
            Some(index) => self.rows_by_index(app, &query, index, range).await,
        }
    }

    async fn rows_by_id(&self, app: AppId, query: &Query, mut range: Range) -> Result<Vec<Row>, StoreError> {
        match (&query.after, query.direction) {
            (None, _) => {}
            (Some(after), Direction::Ascending) => range.from = range.from.max(behind(&after.0)),
            (Some(after), Direction::Descending) => {
                let end = after.0.clone();
                range.until = Some(range.until.map_or(end.clone(), |until| until.min(end)));
            }
        }
        let end = range.until.as_ref().map_or(Bson::MaxKey, |until| Bson::String(text(until)));
        let app = uuid(app.as_u128());
        let mut filter = doc! {"_id": {
            "$gte": {"a": app.clone(), "i": text(&range.from)},
            "$lt": {"a": app.clone(), "i": end},
        }};
        if self.link.is_sharded && !query.collection.indexes.is_empty() {
            filter.insert("a", app);
        }
        let (link, name) = (self.link.clone(), documents_name(query.collection));
        let sign = sign(query.direction);
        let limit = query.limit;
        let call = async move {
            let mut session = link.session().await?;
            let mut cursor = link
                .collection(&name)
                .find(filter)
                .sort(doc! {"_id": sign})
                .limit(count(limit))
                .batch_size(u32::try_from(limit).unwrap_or(i32::MAX.unsigned_abs()))
                .session(&mut session)
                .await?;
            let mut found = Vec::new();
            while cursor.advance(&mut session).await? {
                found.push(cursor.current().to_owned());
            }
            link.note(&session);
            Ok(found)
        };
        let found = self.link.call(call).await.map_err(Failed::read)?;
        let row = |document: &RawDocumentBuf| {
            let document = decode(document)?;
            Ok(Row { position: Position(document.id.clone().into_bytes()), document })
        };
        found.iter().map(row).collect()
    }

    async fn rows_by_index(
        &self,
        app: AppId,
        query: &Query,
        index: &str,
        range: Range,
    ) -> Result<Vec<Row>, StoreError> {
        let pipeline = Parts { app, query, index, field: format!("k.{index}"), range }.pipeline();
        let (link, name) = (self.link.clone(), documents_name(query.collection));
        let call = async move {
            let mut session = link.session().await?;
            let mut cursor = link.collection(&name).aggregate(pipeline).session(&mut session).await?;
            let mut found = Vec::new();
            while cursor.advance(&mut session).await? {
                found.push(cursor.current().to_owned());
            }
            link.note(&session);
            Ok(found)
        };
        let found = self.link.call(call).await.map_err(Failed::read)?;
        found.iter().map(|document| index_row(document)).collect()
    }
}

fn index_row(document: &RawDocument) -> Result<Row, StoreError> {
    let key = bytes(document.get_str("row").map_err(|error| damaged(&error))?)?;
    let document = decode(document)?;
    Ok(Row { position: Position::of_key(&key, &document.id), document })
}

/// What makes the command of one query by index.
struct Parts<'a> {
    app: AppId,
    query: &'a Query,
    index: &'a str,
    field: String,
    range: Range,
}

impl Parts<'_> {
    fn pipeline(&self) -> Vec<Document> {
        let after = self.query.after.as_ref().map(Position::split);
        let mut parts = Vec::new();
        match after {
            None => parts.push(self.singles(&self.range)),
            Some((key, id)) => {
                if self.range.contains(key) {
                    parts.push(self.singles_of_key(key, id));
                }
                let rest = self.rest(key);
                if !rest.is_empty() {
                    parts.push(self.singles(&rest));
                }
            }
        }
        parts.push(self.several(after));
        let others = parts.split_off(1);
        let mut pipeline = parts.remove(0);
        let name = documents_name(self.query.collection);
        for part in others {
            pipeline.push(doc! {"$unionWith": {"coll": &name, "pipeline": part}});
        }
        let sign = sign(self.query.direction);
        pipeline.push(doc! {"$sort": {"row": sign, "_id.i": sign}});
        self.limited(pipeline)
    }

    /// What is left of the range behind (or before, descending) a key.
    fn rest(&self, key: &[u8]) -> Range {
        let mut rest = self.range.clone();
        match self.query.direction {
            Direction::Ascending => rest.from = rest.from.max(behind(key)),
            Direction::Descending => {
                rest.until = Some(rest.until.map_or_else(|| key.to_vec(), |until| until.min(key.to_vec())));
            }
        }
        rest
    }

    /// Rows of documents with one key, in a range.
    fn singles(&self, range: &Range) -> Vec<Document> {
        self.in_order(doc! {"a": uuid(self.app.as_u128()), &self.field: self.bounds(range)})
    }

    /// Rows of documents with just this key, behind an id.
    fn singles_of_key(&self, key: &[u8], id: &[u8]) -> Vec<Document> {
        let mut bounds = self.bounds(&self.range);
        bounds.insert("$eq", text(key));
        let operator = if self.query.direction == Direction::Ascending { "$gt" } else { "$lt" };
        let filter = doc! {
            "a": uuid(self.app.as_u128()),
            &self.field: bounds,
            "_id.i": {operator: text(id)},
        };
        self.in_order(filter)
    }

    /// Rows of documents with several keys in this look-up.
    fn several(&self, after: Option<(&[u8], &[u8])>) -> Vec<Document> {
        let range = match after {
            None => self.range.clone(),
            // The key itself is not excluded: its rows behind the id belong to the answer.
            Some((key, _)) => {
                let mut range = self.range.clone();
                match self.query.direction {
                    Direction::Ascending => range.from = range.from.max(key.to_vec()),
                    Direction::Descending => {
                        let end = behind(key);
                        range.until = Some(range.until.map_or(end.clone(), |until| until.min(end)));
                    }
                }
                range
            }
        };
        let keys = interval(&range);
        let mut pipeline = vec![
            doc! {"$match": {
                "a": uuid(self.app.as_u128()),
                "m": {"$exists": true, "$elemMatch": {"x": self.index, "k": keys.clone()}},
            }},
            doc! {"$unwind": "$m"},
            doc! {"$match": {"m.x": self.index, "m.k": keys}},
            doc! {"$project": {"v": 1, "b": 1, "row": "$m.k"}},
        ];
        if let Some((key, id)) = after {
            let operator = if self.query.direction == Direction::Ascending { "$gt" } else { "$lt" };
            let (key, id) = (text(key), text(id));
            let behind = doc! {"$or": [{"row": {operator: &key}}, {"row": &key, "_id.i": {operator: id}}]};
            pipeline.push(doc! {"$match": behind});
        }
        let sign = sign(self.query.direction);
        pipeline.push(doc! {"$sort": {"row": sign, "_id.i": sign}});
        self.limited(pipeline)
    }

    fn bounds(&self, range: &Range) -> Document {
        let mut bounds = interval(range);
        // The index is over documents that have the key, and is used only if the question says so.
        bounds.insert("$exists", true);
        if self.is_unique() {
            bounds.insert("$not", doc! {"$type": "array"});
        }
        bounds
    }

    fn in_order(&self, filter: Document) -> Vec<Document> {
        let sign = sign(self.query.direction);
        let mut order = doc! {"a": sign, &self.field: sign};
        if !self.is_unique() {
            order.insert("_id.i", sign);
        }
        let mut pipeline = self.limited(vec![doc! {"$match": filter}, doc! {"$sort": order}]);
        pipeline.push(doc! {"$project": {"v": 1, "b": 1, "row": format!("${}", self.field)}});
        pipeline
    }

    fn limited(&self, mut pipeline: Vec<Document>) -> Vec<Document> {
        if let Ok(limit) = i64::try_from(self.query.limit) {
            pipeline.push(doc! {"$limit": limit});
        }
        pipeline
    }

    fn is_unique(&self) -> bool {
        self.query.collection.declared_index(self.index).unique
    }
}

fn interval(range: &Range) -> Document {
    let mut interval = doc! {"$gte": text(&range.from)};
    if let Some(until) = &range.until {
        interval.insert("$lt", text(until));
    }
    interval
}

fn sign(direction: Direction) -> i32 {
    match direction {
        Direction::Ascending => 1,
        Direction::Descending => -1,
    }
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
