//! `GET /problems/{code}`: what the `type` of a problem resolves to.

use std::future::ready;

use credit_core::{Code, Problem};
use serde::Serialize;
use utoipa::ToSchema;

use super::text_schema;
use crate::reply::Reply;
use crate::request::Request;
use crate::route::{Access, Method, Route};

/// What a code means.
#[derive(Serialize, ToSchema)]
struct ProblemExplanation {
    /// The stable code.
    code: &'static str,
    /// The HTTP status that goes with it.
    status: u16,
    /// What it is.
    title: &'static str,
    /// What to do about it.
    advice: &'static str,
}

pub(super) fn rows() -> Vec<Route> {
    vec![
        Route::new(
            Method::Get,
            "/problems/{code}",
            Access::Public,
            "Explain the code of a problem",
            |request| ready(explain(&request)),
        )
        .answers::<ProblemExplanation>(200, "What it means and what to do; as a page for browsers.")
        .answers_schema(200, "The same as a page.", text_schema("text/html"))
        .always(),
    ]
}

fn explain(request: &Request) -> Result<Reply, Problem> {
    let code = Code::parse(request.path_text("code")?).ok_or_else(Problem::not_found)?;
    Ok(if request.wants_html {
        Reply::raw(200, "text/html; charset=utf-8", page(code)).with_header(
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'".to_owned(),
        )
    } else {
        Reply::ok(&ProblemExplanation {
            code: code.as_str(),
            status: code.status(),
            title: code.title(),
            advice: code.advice(),
        })
        .with_header("vary", "Accept".to_owned())
    })
}

fn page(code: Code) -> String {
    let (title, status, advice) = (escape(code.title()), code.status(), escape(code.advice()));
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{code}</title>\
         <style>body{{font:1rem/1.5 sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}}</style>\
         <h1>{title}</h1><p><code>{code}</code>, status {status}</p><p>{advice}</p></html>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
