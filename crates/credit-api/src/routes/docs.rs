//! `GET /openapi.json`, and `GET /docs`: a page to read and try it. Everything the page loads comes from here, and its
//! policy lets it load nothing else.

use std::borrow::Cow;
use std::future::ready;
use std::sync::Arc;

use bytes::Bytes;
use credit_core::Problem;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema};

use super::text_schema;
use crate::connection_api::Desk;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, AnswerSchema, Method, Route};

const PAGE: &str = include_str!("docs/page.html");
const STARTER: &str = include_str!("docs/start.js");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let desk = desk.clone();
    vec![
        Route::new(
            Method::Get,
            "/openapi.json",
            Access::Public,
            "Show the contract as OpenAPI 3.1",
            move |_| ready(Ok(Reply::raw(200, "application/json", desk.house.contract()))),
        )
        .answers_schema(200, "The document.", any_object())
        .always(),
        Route::new(Method::Get, "/docs", Access::Public, "Show a page to read and try the contract", |_| {
            ready(Ok(page()))
        })
        .answers_schema(200, "The page.", text_schema("text/html"))
        .always(),
        Route::new(Method::Get, "/docs/{file}", Access::Public, "Show a file of the page", |request| {
            ready(asset(&request))
        })
        .answers_schema(200, "The style.", text_schema("text/css"))
        .answers_schema(200, "The script.", text_schema("text/javascript"))
        .answers_schema(200, "The icon.", text_schema("image/png"))
        .always(),
    ]
}

fn page() -> Reply {
    Reply::raw(200, "text/html; charset=utf-8", PAGE)
        .with_header("content-security-policy", POLICY.to_owned())
}

fn asset(request: &Request) -> Result<Reply, Problem> {
    let file = request.path_text("file")?;
    let content_type = match file {
        "swagger-ui.css" => "text/css",
        "swagger-ui-bundle.js" => "text/javascript",
        "favicon-32x32.png" => "image/png",
        "start.js" => return Ok(Reply::raw(200, "text/javascript", STARTER)),
        _ => return Err(Problem::not_found()),
    };
    let bytes = vendored(file).ok_or_else(Problem::not_found)?;
    Ok(Reply::raw(200, content_type, bytes).with_header("cache-control", "public, max-age=3600".to_owned()))
}

fn vendored(file: &str) -> Option<Bytes> {
    let config = Arc::new(utoipa_swagger_ui::Config::<'static>::from("/openapi.json"));
    let file = utoipa_swagger_ui::serve(file, config).ok()??;
    Some(match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    })
}

fn any_object() -> AnswerSchema {
    let schema: Schema =
        ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true))).into();
    AnswerSchema { content_type: "application/json", body: RefOr::T(schema), components: Vec::new() }
}
