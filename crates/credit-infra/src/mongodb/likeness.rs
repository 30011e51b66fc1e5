//! Whether the indexes of a collection are those that it should have, by all that makes them what they are and not by
//! their names alone.

use mongodb::bson::{Bson, Document, doc};

use super::schema::Shape;

/// The index that a collection with look-ups is sharded by.
const SHARD: &str = "shard";

/// What was found of a collection's indexes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Likeness {
    /// Names of those that are not there.
    pub(super) missing: Vec<String>,
    /// Sentences on those that are there and are others, which nobody but the operator may take away.
    pub(super) wrong: Vec<String>,
}

/// Compares what should be with what `listIndexes` tells.
pub(super) fn compare(shape: &Shape, there: &[Document], is_sharded: bool) -> Likeness {
    let mut likeness = Likeness::default();
    for wanted in shape.indexes() {
        let name = wanted.get_str("name").unwrap_or_default();
        match named(there, name) {
            None if is_being_built(there, name) => {
                likeness.missing.push(format!("{name}, which is being built"));
            }
            None => likeness.missing.push(name.to_owned()),
            Some(found) => {
                if let Some(how) = difference(wanted, found) {
                    let mend = format!(
                        "the index {name} {how}; drop it (db.{}.dropIndex(\"{name}\")) and run credit-server store \
                         migrate",
                        shape.name
                    );
                    likeness.wrong.push(mend);
                }
            }
        }
    }
    if is_sharded && shape.has_lookups() {
        likeness.wrong.extend(shard(there));
    }
    likeness
}

/// A cluster needs an index over `a` of every document, beside those of the look-ups, which hold some of them.
fn shard(there: &[Document]) -> Option<String> {
    let wanted = doc! {"key": {"a": 1}};
    let is_it = |index: &&Document| difference(&wanted, index).is_none();
    if there.iter().any(|index| is_it(&index)) {
        return None;
    }
    let how = match named(there, SHARD) {
        None => "is missing, and a sharded cluster needs it",
        Some(_) => "is not over {a: 1} of every document",
    };
    Some(format!("the index {SHARD} {how}: see the commands in docs/scaling.md"))
}

fn named<'a>(there: &'a [Document], name: &str) -> Option<&'a Document> {
    there.iter().find(|index| index.get_str("name").is_ok_and(|found| found == name))
}

/// The server lists an index that it still builds with the id of the build around it.
fn is_being_built(there: &[Document], name: &str) -> bool {
    let spec = |index: &&Document| {
        let spec = index.get_document("spec");
        spec.and_then(|spec| spec.get_str("name")).is_ok_and(|found| found == name)
    };
    there.iter().any(|index| spec(&index))
}

/// How one differs from the other, if it does.
fn difference(wanted: &Document, found: &Document) -> Option<&'static str> {
    let document = |of: &Document, member| of.get_document(member).map(plain).unwrap_or_default();
    let is = |of: &Document, member| of.get_bool(member).unwrap_or(false);
    if document(wanted, "key") != document(found, "key") {
        return Some("is over other members");
    }
    if is(wanted, "unique") != is(found, "unique") {
        return Some(if is(wanted, "unique") { "is not unique" } else { "is unique" });
    }
    let filter = "partialFilterExpression";
    if document(wanted, filter) != document(found, filter) {
        return Some("is over other documents");
    }
    if ["sparse", "hidden"].iter().any(|option| is(found, option))
        || found.contains_key("expireAfterSeconds")
        || found.contains_key("collation")
    {
        return Some("has options that change what it finds or keeps");
    }
    None
}

/// The members with their order, and numbers as numbers, whichever type they were given in.
fn plain(document: &Document) -> Vec<(String, String)> {
    let value = |value: &Bson| match value {
        Bson::Int32(number) => i64::from(*number).to_string(),
        Bson::Int64(number) => number.to_string(),
        Bson::Double(number) => format!("{number:.0}"),
        Bson::Document(inner) => format!("{:?}", plain(inner)),
        other => other.to_string(),
    };
    document.iter().map(|(name, of)| (name.clone(), value(of))).collect()
}

#[cfg(test)]
mod tests {
    use credit_core::ports::documents::{Collection, Index};

    use super::*;

    static PEOPLE: Collection = Collection {
        name: "people",
        indexes: &[Index { name: "email", unique: true }, Index { name: "city", unique: false }],
    };

    fn shape() -> Shape {
        Shape::of_collection(&PEOPLE)
    }

    fn as_made() -> Vec<Document> {
        shape().indexes().to_vec()
    }

    #[test]
    fn what_was_made_is_as_it_should_be_whatever_type_its_numbers_have() {
        assert_eq!(compare(&shape(), &as_made(), false), Likeness::default());
        let mut there = as_made();
        there[0].insert("key", doc! {"a": 1.0, "k.email": 1_i64});
        assert_eq!(compare(&shape(), &there, false), Likeness::default());
        assert_eq!(compare(&shape(), &[], false).missing, ["rows_email", "rows_city", "several"]);
    }

    #[test]
    fn one_that_is_being_built_is_not_there_yet() {
        let mut there = as_made();
        let unfinished = doc! {"spec": there.remove(1), "buildUUID": "an id"};
        there.push(unfinished);
        assert_eq!(compare(&shape(), &there, false).missing, ["rows_city, which is being built"]);
    }

    #[test]
    fn one_of_the_same_name_that_is_another_is_told_with_how_to_mend_it() {
        let changes: [(&str, Bson, &str); 5] = [
            ("unique", false.into(), "is not unique"),
            ("key", doc! {"k.email": 1, "a": 1}.into(), "is over other members"),
            ("partialFilterExpression", doc! {"k.email": {"$exists": false}}.into(), "other documents"),
            ("hidden", true.into(), "options"),
            ("expireAfterSeconds", 60.into(), "options"),
        ];
        for (member, value, how) in changes {
            let mut there = as_made();
            there[0].insert(member, value);
            let found = compare(&shape(), &there, false);
            assert!(found.missing.is_empty(), "{found:?}");
            assert!(found.wrong.len() == 1 && found.wrong[0].contains(how), "{found:?}");
            assert!(found.wrong[0].contains("db.d_people.dropIndex(\"rows_email\")"), "{found:?}");
        }
    }

    #[test]
    fn a_cluster_needs_an_index_over_every_document_s_application() {
        let mut there = as_made();
        let wrong = compare(&shape(), &there, true).wrong;
        assert!(wrong.len() == 1 && wrong[0].contains("the index shard is missing"), "{wrong:?}");
        there.push(
            doc! {"name": "shard", "key": {"a": 1}, "partialFilterExpression": {"a": {"$exists": true}}},
        );
        assert!(compare(&shape(), &there, true).wrong[0].contains("of every document"));
        there.pop();
        there.push(doc! {"name": "mine", "key": {"a": 1}});
        assert_eq!(compare(&shape(), &there, true), Likeness::default());
        assert_eq!(compare(&Shape::journal(), Shape::journal().indexes(), true), Likeness::default());
    }
}
