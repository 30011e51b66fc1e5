//! `/v1/api-keys`.

use std::sync::Arc;

use credit_core::{ApiKeyId, AppId, Problem, Scope, Timestamp};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder};

use crate::connection_api::Desk;
use crate::form::{Faults, FormValue, NamedId, Schema, Text};
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route, Who};
use crate::service::{IssuedKey, KnownKey, NewKey};

crate::form! {
    /// A key to make.
    pub(super) struct CreateKeyBody {
        app_id: req NamedId<AppId>,
        name: req Text<1, 100>,
        scopes: req ScopeSet,
        expires_at: opt Timestamp,
    }
}

crate::form! {
    /// Nothing to say.
    pub(super) struct RotateKeyBody {}
}

/// At least one scope, none twice.
#[derive(Debug, Clone)]
pub(super) struct ScopeSet(Vec<Scope>);

impl FormValue for ScopeSet {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let scopes = Vec::<Scope>::read(value, pointer, faults)?;
        if scopes.is_empty() {
            faults.add(pointer, "out_of_range", "must name at least one scope");
        }
        for (index, scope) in scopes.iter().enumerate() {
            if scopes[..index].contains(scope) {
                faults.add(&format!("{pointer}/{index}"), "duplicate", "stands there already");
            }
        }
        Some(Self(scopes))
    }

    fn schema() -> Schema {
        ArrayBuilder::new()
            .items(utoipa::openapi::RefOr::T(Scope::schema()))
            .min_items(Some(1))
            .unique_items(true)
            .into()
    }
}

/// An API key.
#[derive(Serialize, ToSchema)]
struct ApiKey {
    #[schema(value_type = String)]
    id: ApiKeyId,
    #[schema(value_type = String)]
    app_id: AppId,
    name: String,
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// Null: never.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    expires_at: Option<Timestamp>,
    /// Up to a minute late; null: not yet.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// An API key with its secret, which is shown this once and not kept.
#[derive(Serialize, ToSchema)]
struct IssuedApiKey<'a> {
    #[serde(flatten)]
    key: ApiKey,
    /// `ck_…`, for the header `X-API-Key`.
    secret: &'a str,
}

pub(super) fn rows(desk: &Arc<Desk>) -> Vec<Route> {
    let admins = Access::Only(&[Who::Admin]);
    let [for_create, for_list, for_rotate, for_delete] = [(); 4].map(|()| desk.clone());
    vec![
        Route::new(Method::Post, "/v1/api-keys", admins, "Make an API key", move |request| {
            create(for_create.clone(), request)
        })
        .form::<CreateKeyBody>()
        .answers::<IssuedApiKey>(201, "The key with its secret, which is shown this once.")
        .refuses(&[credit_core::Code::NotFound]),
        Route::new(Method::Get, "/v1/api-keys", admins, "List the API keys", move |request| {
            list(for_list.clone(), request)
        })
        .parameter("app_id", "Only those of this application.", app_id_schema)
        .answers_page::<ApiKey>("API keys, newest first."),
        Route::new(
            Method::Post,
            "/v1/api-keys/{id}/rotate",
            admins,
            "Give an API key a new secret",
            move |request| rotate(for_rotate.clone(), request),
        )
        .optional_form::<RotateKeyBody>()
        .answers::<IssuedApiKey>(200, "The key with its new secret; the old one lives on for a while.")
        .refuses(&[credit_core::Code::Conflict]),
        Route::new(Method::Delete, "/v1/api-keys/{id}", admins, "Delete an API key", move |request| {
            delete(for_delete.clone(), request)
        })
        .answers_empty(204, "It stops working within a second.")
        .refuses(&[credit_core::Code::Conflict]),
    ]
}

async fn create(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let body = create_form(&desk, request.body())?;
    let new = NewKey {
        app: body.app_id.known()?,
        name: body.name.into_string(),
        scopes: body.scopes.0,
        expires_at: body.expires_at,
    };
    Ok(issued(201, desk.api_keys.issue(new).await?))
}

/// Every fault at once: an end that has passed is told also beside other faults.
fn create_form(desk: &Desk, body: &Value) -> Result<CreateKeyBody, Problem> {
    let mut faults = Faults::default();
    let form = CreateKeyBody::read(body, "", &mut faults);
    let end = body.get("expires_at").and_then(Value::as_str).and_then(|text| Timestamp::parse(text).ok());
    if let Some(past) = desk.api_keys.past_end(end) {
        faults.add(&past.pointer, past.code, past.detail);
    }
    faults.into_result(form)
}

async fn list(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let page = request.page()?;
    let app = match request.query("app_id").map(AppId::parse) {
        None => None,
        Some(Ok(app)) => Some(app),
        Some(Err(_)) => return Ok(request.page_reply::<ApiKey>(&[], None)),
    };
    let (keys, next) = desk.api_keys.list(app, &page).await?;
    let rows: Vec<ApiKey> = keys.into_iter().map(response).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}

async fn rotate(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let RotateKeyBody {} = request.form()?;
    let id = request.path_id("id", ApiKeyId::parse)?;
    Ok(issued(200, desk.api_keys.rotate(id).await?))
}

async fn delete(desk: Arc<Desk>, request: Request) -> Result<Reply, Problem> {
    let id = request.path_id("id", ApiKeyId::parse)?;
    desk.api_keys.delete(id).await?;
    Ok(Reply::no_content())
}

fn issued(status: u16, issued: IssuedKey) -> Reply {
    let secret = issued.secret;
    Reply::json(status, &IssuedApiKey { key: response(issued.key), secret: secret.expose_secret() })
}

fn response(key: KnownKey) -> ApiKey {
    ApiKey {
        id: key.id,
        app_id: key.app,
        name: key.name,
        scopes: key.scopes,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        created_at: key.created_at,
    }
}

fn app_id_schema() -> Schema {
    ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::new(utoipa::openapi::schema::Type::String))
        .into()
}
