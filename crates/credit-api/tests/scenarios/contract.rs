//! The OpenAPI document.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use super::probe::Probe;
use super::world::{Builder, World};

async fn document() -> Value {
    let world = Builder::default().neighbour(Arc::new(Probe)).open().await;
    world.get("/openapi.json").await.json()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            all.push((format!("{method} {path}"), operation));
        }
    }
    all
}

#[actix_web::test]
async fn every_route_is_in_the_contract_and_the_same_house_always_has_the_same() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let names: Vec<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    for expected in ["get /", "get /health/live", "post /v1/api-keys/{id}/rotate", "post /v1/things/{id}"] {
        assert!(names.iter().any(|name| name == expected), "{expected} is not among {names:?}");
    }
    let (one, two) = (World::new().await, World::new().await);
    assert_eq!(one.get("/openapi.json").await.body, two.get("/openapi.json").await.body);
    assert_eq!(one.house.manager().contract().as_bytes(), one.get("/openapi.json").await.body);
}

#[actix_web::test]
async fn operations_have_names_of_their_own_and_say_who_may_call() {
    let document = document().await;
    let mut ids = BTreeSet::new();
    for (name, operation) in operations(&document) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        assert!(operation["security"].is_array(), "{name}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.ends_with('.')), "{name}");
    }
    let security = |path: &str, method: &str| document["paths"][path][method]["security"].clone();
    assert_eq!(security("/v1/apps", "get"), json!([{ "bearer": ["admin"] }]));
    assert_eq!(security("/health", "get"), json!([{}, { "bearer": [] }, { "apiKey": [] }]));
    assert_eq!(security("/health/live", "get"), json!([]));
    let things = json!([{ "apiKey": ["wallets:write"] }, { "bearer": ["admin"] }]);
    assert_eq!(security("/v1/things/{id}", "post"), things);
}

#[actix_web::test]
async fn a_call_that_moves_credits_documents_its_key_and_every_refusal() {
    let document = document().await;
    let operation = &document["paths"]["/v1/things/{id}"]["post"];
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .expect("parameters")
        .iter()
        .filter_map(|parameter| parameter["$ref"].as_str()?.rsplit('/').next())
        .collect();
    assert_eq!(parameters, ["IdempotencyKey", "DryRun", "IfMatch", "RequestId"]);
    let statuses: Vec<&String> = operation["responses"].as_object().expect("responses").keys().collect();
    let expected =
        ["400", "401", "403", "404", "408", "409", "412", "413", "415", "422", "429", "500", "503"];
    assert_eq!(statuses, expected);
    assert_eq!(operation["requestBody"]["required"], true);
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], json!(["amount"]));
}

#[actix_web::test]
async fn every_reference_leads_somewhere() {
    fn visit(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let place = reference.strip_prefix('#').expect("a reference within the document");
                    assert!(document.pointer(place).is_some(), "{reference}");
                }
                members.values().for_each(|member| visit(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| visit(item, document)),
            _ => {}
        }
    }
    let document = document().await;
    visit(&document, &document);
}
