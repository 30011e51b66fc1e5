//! `POST /v1/assets` and `GET /v1/assets`.

use std::sync::Arc;

use credit_api::form::Whole;
use credit_api::reply::Reply;
use credit_api::request::Request;
use credit_api::route::{Access, Method, Route, Who};
use credit_core::{AssetCode, Code, Problem};

use super::at;
use super::response::AssetResponse;
use crate::service::Counter;

credit_api::form! {
    /// An asset to make.
    pub(super) struct CreateAssetBody { code: req AssetCode, scale: req Whole<0, 18> }
}

pub(super) fn rows(counter: &Arc<Counter>) -> Vec<Route> {
    let anyone_known = Access::Only(&[Who::User, Who::Application]);
    vec![
        Route::new(
            Method::Post,
            "/v1/assets",
            Access::Only(&[Who::Admin]),
            "Make an asset",
            at(counter, create),
        )
        .form::<CreateAssetBody>()
        .answers::<AssetResponse>(201, "The asset.")
        .refuses(&[Code::AssetExists]),
        Route::new(Method::Get, "/v1/assets", anyone_known, "List the assets", at(counter, list))
            .answers_page::<AssetResponse>("Assets, newest first."),
    ]
}

async fn create(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let body: CreateAssetBody = request.form()?;
    let scale = u8::try_from(body.scale.get()).map_err(|_| Problem::new(Code::Internal))?;
    let asset = counter.create_asset(body.code, scale).await?;
    Ok(Reply::created(&AssetResponse::new(&asset)))
}

async fn list(counter: Arc<Counter>, request: Request) -> Result<Reply, Problem> {
    let (assets, next) = counter.list_assets(&request.page()?).await?;
    let rows: Vec<AssetResponse> = assets.iter().map(AssetResponse::new).collect();
    Ok(request.page_reply(&rows, next.as_ref()))
}
