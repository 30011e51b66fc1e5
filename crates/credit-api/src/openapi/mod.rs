//! The OpenAPI 3.1 document, made from the rows of the route table: what the front door enforces is what it says.

mod components;
mod operation;
mod refusals;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::WebModule;
use crate::route::Route;

/// The document of these modules. The same modules always give the same text.
pub(crate) fn document(modules: &[Arc<dyn WebModule>]) -> String {
    let mut paths: BTreeMap<&'static str, Map<String, Value>> = BTreeMap::new();
    let mut schemas = components::schemas();
    let mut tags = Vec::new();
    for module in modules {
        tags.push(json!({ "name": module.name(), "description": module.about() }));
        for route in module.routes() {
            name_schemas(&route, &mut schemas);
            let method = route.method.as_str().to_ascii_lowercase();
            let row = operation::operation(module.name(), &route, &schemas);
            paths.entry(route.path).or_default().insert(method, row);
        }
    }
    let used = serde_json::to_string(&paths).expect("a JSON value has a text");
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "credit-server",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Prepaid credits: who has how many, where they came from, when they expire, and why they moved.",
            "description": components::INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This house." }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": those_used(components::headers(), "headers", &used),
            "parameters": those_used(components::parameters(), "parameters", &used),
            "securitySchemes": components::security_schemes(),
        },
    });
    // The order of members must not depend on how serde_json was built.
    document.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&document).expect("a JSON value has a text");
    text.push('\n');
    text
}

/// The shared components that an operation refers to.
fn those_used(mut components: Value, kind: &str, used: &str) -> Value {
    if let Some(members) = components.as_object_mut() {
        members.retain(|name, _| used.contains(&format!("\"#/components/{kind}/{name}\"")));
    }
    components
}

/// Puts the named schemas of a route's answers among the components. One name means one schema everywhere.
fn name_schemas(route: &Route, schemas: &mut BTreeMap<String, Value>) {
    let named = route.answers.iter().filter_map(|answer| answer.schema.as_ref()).flat_map(|s| &s.components);
    for (name, schema) in named {
        let value = serde_json::to_value(schema).expect("a schema has a JSON form");
        let kept = schemas.entry(name.clone()).or_insert_with(|| value.clone());
        assert_eq!(*kept, value, "two schemas are called {name}");
    }
}
