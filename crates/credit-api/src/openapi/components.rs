//! What several operations share.

use std::collections::BTreeMap;

use credit_core::Code;
use serde_json::{Value, json};

pub(super) const INTRODUCTION: &str = "\
An idempotent, atomic, durable spend over prioritised, expiring lots of credits, answered with the lots it took.

`2xx`: done and durable. `4xx`: provably nothing moved, now or later. `503` with code `outcome_unknown`: ask again \
with the same `Idempotency-Key` to learn the outcome. Other `5xx`: nothing moved; ask again with the same key.

Refusals are `application/problem+json` (RFC 9457) with a stable `code`; `GET /problems/{code}` explains each. \
Unknown fields and parameters are refused. Ids are a typed prefix and 32 hex digits. Amounts are whole numbers of \
the asset's smallest unit. Times are RFC 3339 in UTC. Lists are newest first unless said otherwise.";

/// Schemas that no route names.
pub(super) fn schemas() -> BTreeMap<String, Value> {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let fault = json!({
        "type": "object",
        "description": "One fault of a request.",
        "properties": {
            "pointer": { "type": "string", "description": "A JSON pointer (RFC 6901) into the body, or the name of a parameter." },
            "code": { "type": "string", "description": "Stable, snake_case." },
            "detail": { "type": "string", "description": "What would be right." },
        },
        "required": ["pointer", "code", "detail"],
    });
    let problem = json!({
        "type": "object",
        "description": "Why a call was refused or failed (RFC 9457). Some codes add members, for example `available` and `shortfall`.",
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "description": "Resolves to an explanation of the code." },
            "title": { "type": "string", "description": "What it is, in a few words." },
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status." },
            "detail": { "type": "string", "description": "What happened here, in a sentence." },
            "instance": { "type": "string", "format": "uri-reference", "description": "The path that was called." },
            "code": { "type": "string", "enum": codes, "description": "Stable; for machines." },
            "request_id": { "type": "string", "description": "The request that was refused first." },
            "errors": {
                "type": "array",
                "items": { "$ref": "#/components/schemas/Fault" },
                "description": "Every fault at once.",
            },
        },
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id", "errors"],
    });
    BTreeMap::from([("Fault".to_owned(), fault), ("Problem".to_owned(), problem)])
}

pub(super) fn headers() -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "XRequestId": text("The id of this request: the caller's own if it sent a valid one."),
        "ETag": text("The version, in quotes: for `If-Match`."),
        "Link": text("The next page, `rel=\"next\"`, if there is one."),
        "IdempotentReplayed": text("`true` if the key was known and this is its first answer again."),
        "RetryAfter": {
            "description": "How many seconds to wait.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "RateLimit": text("What is left of the tightest limit: its name, `r` calls, full again in `t` seconds (IETF draft ratelimit-headers)."),
        "RateLimitPolicy": text("The limits that count for this call: the name of each, `q` calls in `w` seconds."),
        "WwwAuthenticate": text("How to say who you are."),
    })
}

pub(super) fn parameters() -> Value {
    json!({
        "RequestId": {
            "name": "X-Request-Id",
            "in": "header",
            "description": "An id of your own for this request: 1 to 128 of `A-Z a-z 0-9 . _ -`. It comes back; another one does not.",
            "schema": { "type": "string" },
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Names this operation: the same key, route and body get the first answer again, and nothing moves twice. Required unless `dry_run` is true. 1 to 255 visible ASCII characters, bare or quoted.",
            "schema": { "type": "string", "pattern": r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"# },
        },
        "DryRun": {
            "name": "dry_run",
            "in": "query",
            "description": "Decide by the same rules and tell; store nothing, spend no key.",
            "schema": { "type": "boolean", "default": false },
        },
        "IfMatch": {
            "name": "If-Match",
            "in": "header",
            "description": "Go on only at this version, `\"7\"`; otherwise `412 version_mismatch`.",
            "schema": { "type": "string" },
        },
        "Limit": {
            "name": "limit",
            "in": "query",
            "description": "How many rows at most.",
            "schema": { "type": "integer", "minimum": 1, "maximum": 200, "default": 50 },
        },
        "Cursor": {
            "name": "cursor",
            "in": "query",
            "description": "`next_cursor` of the page before, with the same filters.",
            "schema": { "type": "string" },
        },
    })
}

pub(super) fn security_schemes() -> Value {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "An end user's or operator's access token, from `POST /v1/auth/login`.",
        },
        "apiKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-API-Key",
            "description": "An application's key, `ck_…`, within its scopes.",
        },
    })
}
