//! Commands to one node, from code that does not wait on futures.

use std::time::Duration;

use mongodb::Client;
use mongodb::bson::{self, Bson, Document};
use serde_json::Value;

/// Runs the command `name: argument` with the further members, on the node that the address names.
pub(super) fn run(
    uri: &str,
    database: &str,
    (name, argument): (&str, &Value),
    members: &Value,
    limit: Duration,
) -> Result<Value, String> {
    // The name of the command has to be the first member.
    let mut command = Document::new();
    command.insert(name, to_bson(argument)?);
    for (member, value) in members.as_object().into_iter().flatten() {
        command.insert(member, to_bson(value)?);
    }
    // A thread of its own: the caller may stand inside a runtime.
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let asked = async {
                    let client = Client::with_uri_str(uri).await?;
                    client.database(database).run_command(command).await
                };
                match tokio::time::timeout(limit, asked).await {
                    Ok(answer) => answer.map_err(|error| error.to_string()),
                    Err(_late) => Err(format!("no answer to {name} within {limit:?}")),
                }
            })
        });
        answer.join().expect("asking does not panic")
    })
    .map(|answer| to_json(Bson::Document(answer)))
}

fn to_bson(value: &Value) -> Result<Bson, String> {
    bson::serialize_to_bson(value).map_err(|error| error.to_string())
}

/// What JSON has a word for, and bytes as the text in them; the rest (times, ids) is nothing that a test asks for.
fn to_json(value: Bson) -> Value {
    match value {
        Bson::Document(members) => members.into_iter().map(|(name, value)| (name, to_json(value))).collect(),
        Bson::Array(values) => values.into_iter().map(to_json).collect(),
        Bson::String(text) => text.into(),
        Bson::Boolean(value) => value.into(),
        Bson::Int32(number) => number.into(),
        Bson::Int64(number) => number.into(),
        Bson::Binary(binary) => String::from_utf8_lossy(&binary.bytes).into(),
        // Commands count in doubles: `ok` is 1.0.
        Bson::Double(number) => number.into(),
        _ => Value::Null,
    }
}
