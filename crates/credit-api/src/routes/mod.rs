//! How the web asks `connection_api`: one file for each kind of thing.

mod api_keys;
mod apps;
mod docs;
mod health;
mod jobs;
mod ledger;
mod log_level;
pub(crate) mod metrics;
mod modules;
mod problems;
mod profiles;
mod root;

use std::sync::Arc;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};

use crate::connection_api::Desk;
use crate::route::{AnswerSchema, Route};

/// Every row of the module.
pub(crate) fn table(desk: &Arc<Desk>) -> Vec<Arc<Route>> {
    let rows = [
        root::rows(desk),
        health::rows(desk),
        modules::rows(desk),
        docs::rows(desk),
        problems::rows(),
        apps::rows(desk),
        api_keys::rows(desk),
        jobs::rows(desk),
        ledger::rows(desk),
        log_level::rows(desk),
        profiles::rows(desk),
    ];
    rows.into_iter().flatten().map(Arc::new).collect()
}

/// An answer that is not JSON.
fn text_schema(content_type: &'static str) -> AnswerSchema {
    let schema: Schema = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).into();
    AnswerSchema { content_type, body: RefOr::T(schema), components: Vec::new() }
}
