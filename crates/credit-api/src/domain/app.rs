//! Applications: the tenants of the house.

use credit_core::{AppId, Timestamp};
use serde::{Deserialize, Serialize};

/// An application. It is never changed and never removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct App {
    /// Which.
    #[schema(value_type = String, example = "app_019aabbccddeeff0123456789abcdef0")]
    pub id: AppId,
    /// For people.
    pub name: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}
