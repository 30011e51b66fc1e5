//! What `connection_api` keeps: documents of the installation, under [`AppId::SYSTEM`](credit_core::AppId::SYSTEM).

pub(crate) mod api_keys;
pub(crate) mod apps;
