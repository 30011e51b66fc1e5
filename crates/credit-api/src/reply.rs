//! Replies: what a handler answers when it did what was asked.

use bytes::Bytes;
use serde::Serialize;

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// `200` with JSON.
    pub fn ok<T: Serialize>(body: &T) -> Self {
        Self::json(200, body)
    }

    /// `201` with JSON.
    pub fn created<T: Serialize>(body: &T) -> Self {
        Self::json(201, body)
    }

    /// JSON with a status.
    pub fn json<T: Serialize>(status: u16, body: &T) -> Self {
        let body = serde_json::to_vec(body).expect("our own response types always have a JSON form");
        Self::raw(status, "application/json", body)
    }

    /// `204` without a body.
    pub fn no_content() -> Self {
        Self::raw(204, "", Bytes::new())
    }

    /// Any bytes.
    pub fn raw(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status, content_type, body: body.into(), headers: Vec::new() }
    }

    /// With `ETag: "<version>"`.
    #[must_use]
    pub fn with_version(self, version: u64) -> Self {
        self.with_header("etag", format!("\"{version}\""))
    }

    /// With `Idempotent-Replayed: true`.
    #[must_use]
    pub fn replayed(self) -> Self {
        self.with_header("idempotent-replayed", "true".to_owned())
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}
