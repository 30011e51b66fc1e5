//! One row as an operation.

use std::collections::BTreeMap;

use credit_core::Code;
use serde_json::{Map, Value, json};

use super::refusals::refusals;
use crate::route::{Access, Answer, Body, Method, Route, Who};

/// What every answer of a limited route carries, unless limits are switched off.
const LIMITS: [(&str, &str); 2] = [("RateLimit", "RateLimit"), ("RateLimit-Policy", "RateLimitPolicy")];

pub(super) fn operation(tag: &str, route: &Route, schemas: &BTreeMap<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "description": who_may_call(route.access),
        "tags": [tag],
        "security": security(route.access),
        "parameters": parameters(route),
        "responses": responses(route, schemas),
    });
    if let Some(body) = request_body(route.body) {
        operation["requestBody"] = body;
    }
    operation
}

/// `post_api_keys_by_id_rotate`: stable and without a list to keep.
fn operation_id(route: &Route) -> String {
    let mut words = vec![route.method.as_str().to_ascii_lowercase()];
    for segment in route.path.split('/').filter(|segment| !segment.is_empty() && *segment != "v1") {
        match parameter_name(segment) {
            Some(name) => words.push(format!("by_{name}")),
            None => words.push(segment.trim_matches('.').replace(['-', '.'], "_")),
        }
    }
    if words.len() == 1 {
        words.push("root".to_owned());
    }
    words.join("_")
}

fn who_may_call(access: Access) -> String {
    let list = match access {
        Access::Public => return "Open to anyone.".to_owned(),
        Access::Optional => return "Open to anyone; a known caller may see or do more.".to_owned(),
        Access::Only(list) => list,
    };
    let callers: Vec<String> = list
        .iter()
        .map(|who| match who {
            Who::User => "users, for what is their own".to_owned(),
            Who::Scope(scope) => format!("API keys with `{}`", scope.as_str()),
            Who::Support => "operators".to_owned(),
            Who::Admin => "admins".to_owned(),
            Who::Application => "API keys of any scope".to_owned(),
        })
        .collect();
    format!("Open to {}.", callers.join("; "))
}

fn security(access: Access) -> Value {
    let list = match access {
        Access::Public => return json!([]),
        Access::Optional => return json!([{}, { "bearer": [] }, { "apiKey": [] }]),
        Access::Only(list) => list,
    };
    let mut ways: Vec<Value> = Vec::new();
    for who in list {
        let way = match who {
            Who::User => json!({ "bearer": [] }),
            Who::Support => json!({ "bearer": ["support"] }),
            Who::Admin => json!({ "bearer": ["admin"] }),
            Who::Scope(scope) => json!({ "apiKey": [scope.as_str()] }),
            Who::Application => json!({ "apiKey": [] }),
        };
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    ways.into()
}

fn parameters(route: &Route) -> Vec<Value> {
    let shared = |name: &str| json!({ "$ref": format!("#/components/parameters/{name}") });
    let mut list: Vec<Value> = Vec::new();
    let mut before = "";
    for segment in route.path.split('/') {
        if let Some(name) = parameter_name(segment) {
            list.push(path_parameter(name, before));
        }
        before = segment;
    }
    for parameter in &route.parameters {
        let schema = serde_json::to_value((parameter.schema)()).expect("a schema has a JSON form");
        list.push(json!({
            "name": parameter.name,
            "in": "query",
            "description": parameter.description,
            "schema": schema,
        }));
    }
    if route.paged {
        list.extend([shared("Limit"), shared("Cursor")]);
    }
    if route.idempotent {
        list.extend([shared("IdempotencyKey"), shared("DryRun")]);
    }
    if route.idempotent || route.method == Method::Patch || route.problems.contains(&Code::VersionMismatch) {
        list.push(shared("IfMatch"));
    }
    list.push(shared("RequestId"));
    list
}

fn parameter_name(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

fn path_parameter(name: &str, collection: &str) -> Value {
    let prefix = match (name, collection) {
        ("id", "apps") => Some("app"),
        ("id", "users") => Some("usr"),
        ("id", "sessions") => Some("ses"),
        ("id", "wallets") => Some("wal"),
        ("id", "transactions") => Some("txn"),
        ("id", "grants") => Some("grt"),
        ("id", "holds") => Some("hld"),
        ("id", "api-keys") => Some("key"),
        _ => None,
    };
    let schema = match prefix {
        Some(prefix) => json!({ "type": "string", "pattern": format!("^{prefix}_[0-9a-f]{{32}}$") }),
        None => json!({ "type": "string", "minLength": 1 }),
    };
    let description = if name == "id" { "Which one." } else { "Its name." };
    json!({ "name": name, "in": "path", "required": true, "description": description, "schema": schema })
}

fn request_body(body: Body) -> Option<Value> {
    let (schema, is_required) = match body {
        Body::None => return None,
        Body::Json { schema, .. } => (schema, true),
        Body::OptionalJson { schema, .. } => (schema, false),
    };
    let schema = serde_json::to_value(schema()).expect("a schema has a JSON form");
    Some(json!({ "required": is_required, "content": { "application/json": { "schema": schema } } }))
}

fn responses(route: &Route, schemas: &BTreeMap<String, Value>) -> Map<String, Value> {
    let mut responses = Map::new();
    for answer in &route.answers {
        add_answer(&mut responses, route, answer, schemas);
    }
    for (status, codes) in refusals(route) {
        // An answer that the row describes itself is not overwritten, for example 503 of a health check.
        responses.entry(status.to_string()).or_insert_with(|| problem_answer(status, &codes));
    }
    responses
}

fn add_answer(
    responses: &mut Map<String, Value>,
    route: &Route,
    answer: &Answer,
    schemas: &BTreeMap<String, Value>,
) {
    let mut headers = vec![("X-Request-Id", "XRequestId")];
    let mut content = Map::new();
    if let Some(schema) = &answer.schema {
        let body = serde_json::to_value(&schema.body).expect("a schema has a JSON form");
        if answer.tagged || has_version(&body, schemas) {
            headers.push(("ETag", "ETag"));
        }
        content.insert(schema.content_type.to_owned(), json!({ "schema": body }));
    }
    if route.class().is_some() {
        headers.extend(LIMITS);
    }
    if route.paged {
        headers.push(("Link", "Link"));
    }
    if route.idempotent {
        headers.push(("Idempotent-Replayed", "IdempotentReplayed"));
    }
    let status = answer.status.to_string();
    // A status with several content types: the first description stands, the contents add up.
    if let Some(earlier) = responses.get_mut(&status).and_then(|earlier| earlier["content"].as_object_mut()) {
        earlier.append(&mut content);
        return;
    }
    let mut response = json!({ "description": answer.description, "headers": references(&headers) });
    if !content.is_empty() {
        response["content"] = content.into();
    }
    responses.insert(status, response);
}

fn has_version(body: &Value, schemas: &BTreeMap<String, Value>) -> bool {
    let name = body["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    name.and_then(|name| schemas.get(name))
        .is_some_and(|schema| schema["properties"]["version"]["type"] == "integer")
}

fn problem_answer(status: u16, codes: &[Code]) -> Value {
    let mut headers = vec![("X-Request-Id", "XRequestId")];
    match status {
        401 => headers.push(("WWW-Authenticate", "WwwAuthenticate")),
        429 => {
            headers.extend(LIMITS);
            headers.push(("Retry-After", "RetryAfter"));
        }
        503 => headers.push(("Retry-After", "RetryAfter")),
        _ => {}
    }
    let meanings: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}.", code.as_str(), code.title())).collect();
    json!({
        "description": meanings.join("\n\n"),
        "headers": references(&headers),
        "content": {
            "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } },
        },
    })
}

fn references(headers: &[(&str, &str)]) -> Value {
    let members: Map<String, Value> = headers
        .iter()
        .map(|(name, component)| {
            ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{component}") }))
        })
        .collect();
    members.into()
}
