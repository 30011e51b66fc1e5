//! Which problems a row can answer: those of its kind, and those that it names.

use std::collections::BTreeMap;

use credit_core::Code;

use crate::route::{Access, Body, Route};

/// The codes by status.
pub(super) fn refusals(route: &Route) -> BTreeMap<u16, Vec<Code>> {
    let mut codes = vec![Code::UnknownParameter, Code::Internal];
    let mut add = |applies: bool, more: &[Code]| {
        if applies {
            codes.extend_from_slice(more);
        }
    };
    add(!route.always, &[Code::ModuleUnavailable, Code::Unavailable]);
    add(route.class().is_some(), &[Code::RateLimited]);
    add(route.access != Access::Public, &[Code::Unauthenticated]);
    add(matches!(route.access, Access::Only(_)), &[Code::Forbidden]);
    let has_body = !matches!(route.body, Body::None);
    add(
        has_body,
        &[
            Code::RequestTimeout,
            Code::UnsupportedMediaType,
            Code::PayloadTooLarge,
            Code::MalformedJson,
            Code::ValidationFailed,
        ],
    );
    add(!route.parameters.is_empty() || route.paged || route.idempotent, &[Code::InvalidParameter]);
    add(route.paged, &[Code::InvalidCursor]);
    add(route.path.contains('{'), &[Code::NotFound]);
    add(
        route.idempotent,
        &[
            Code::IdempotencyKeyRequired,
            Code::IdempotencyKeyInvalid,
            Code::NotFound,
            Code::VersionMismatch,
            Code::IdempotencyInProgress,
            Code::IdempotencyKeyReused,
            Code::OutcomeUnknown,
        ],
    );
    add(true, &route.problems);
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let of_status = by_status.entry(code.status()).or_default();
        if !of_status.contains(&code) {
            of_status.push(code);
        }
    }
    by_status
}
