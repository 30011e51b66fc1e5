//! What OpenAPI says of query parameters.

use credit_api::form::{FormValue, Schema};
use credit_core::{AssetCode, Timestamp};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

use crate::domain::{HoldState, LotState, WalletStatus};

fn names<T>(names: &[(T, &'static str)]) -> Schema {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .enum_values(Some(names.iter().map(|(_, name)| *name)))
        .into()
}

pub(super) fn id() -> Schema {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).into()
}

pub(super) fn asset() -> Schema {
    AssetCode::schema()
}

pub(super) fn instant() -> Schema {
    Timestamp::schema()
}

pub(super) fn wallet_status() -> Schema {
    names(&WalletStatus::NAMES)
}

pub(super) fn grant_state() -> Schema {
    names(&LotState::NAMES)
}

pub(super) fn hold_state() -> Schema {
    names(&HoldState::NAMES)
}

/// `must be one of a, b, c`.
pub(super) fn one_of<T>(names: &[(T, &'static str)]) -> String {
    let names: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
    format!("must be one of {}", names.join(", "))
}
