//! Between the wire and the front door: cross-origin calls, compression, and telling browsers to stay with TLS.

use std::io::Write;
use std::sync::Arc;

use actix_web::body::{BoxBody, EitherBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_ENCODING,
    HeaderMap, HeaderValue, ORIGIN, STRICT_TRANSPORT_SECURITY, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use credit_api::front_door::empty_answer;
use credit_core::IdSource;

/// Paths whose answers are large, the same for everybody and seldom asked for. All others stay uncompressed: they are
/// small, and compressing them would cost more than it saves.
const LARGE: [&str; 2] = ["/openapi.json", "/docs/"];

const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const REQUEST_HEADERS: &str =
    "authorization, content-type, idempotency-key, if-match, traceparent, x-api-key, x-request-id";
const EXPOSED_HEADERS: &str = "etag, idempotent-replayed, link, ratelimit, ratelimit-policy, retry-after, www-authenticate, x-request-id";
/// Browsers ask again after ten minutes.
const MAX_AGE: &str = "600";

/// For two years a browser that was here over TLS comes back over TLS only.
const STAY_SECURE: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// What stands before the front door. One for all workers.
pub(crate) struct Street {
    allowed_origins: Vec<HeaderValue>,
    ids: Arc<dyn IdSource>,
    is_secure: bool,
}

impl Street {
    /// Pages of these origins may call. Each is matched to the letter; nothing is reflected that is not on the list.
    /// Over TLS, every answer says to stay with it.
    pub(crate) fn new(allowed_origins: &[String], ids: Arc<dyn IdSource>, is_secure: bool) -> Self {
        // They have been judged with the configuration, so that each is a header value.
        let allowed_origins = allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        Self { allowed_origins: allowed_origins.collect(), ids, is_secure }
    }

    /// One request on its way in and out.
    pub(crate) async fn pass<B: MessageBody + 'static>(
        self: Arc<Self>,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
        let is_secure = self.is_secure;
        let mut response = self.walk(request, next).await?;
        if is_secure {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, STAY_SECURE);
        }
        Ok(response)
    }

    async fn walk<B: MessageBody + 'static>(
        self: Arc<Self>,
        request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
        if self.allowed_origins.is_empty() && !is_large(request.path()) {
            return next.call(request).await.map(ServiceResponse::map_into_left_body);
        }
        let origin = self.allowed_origin(request.headers());
        if let Some(origin) = &origin
            && is_preflight(&request)
        {
            let mut response = empty_answer(&*self.ids, request.request());
            allow_call(response.headers_mut(), origin);
            return Ok(request.into_response(response).map_into_right_body());
        }
        let is_large = is_large(request.path()) && accepts_gzip(request.headers());
        let mut response = next.call(request).await?;
        if !self.allowed_origins.is_empty() {
            response.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            allow_reading(response.headers_mut(), origin);
        }
        if is_large { compress(response).await } else { Ok(response.map_into_left_body()) }
    }

    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        self.allowed_origins.iter().find(|allowed| *allowed == origin).cloned()
    }
}

fn is_preflight(request: &ServiceRequest) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn allow_call(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}

fn allow_reading(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
}

fn is_large(path: &str) -> bool {
    LARGE.iter().any(|large| path.starts_with(large))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"))
            && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Packs a whole body, off the worker.
async fn compress<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let (request, response) = response.into_parts();
    let (response, body) = response.into_parts();
    let body = to_bytes(body).await.map_err(|error| -> Box<dyn std::error::Error> { error.into() })?;
    let packed = web::block(move || {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(&body)?;
        packer.finish()
    })
    .await??;
    let mut response = response.set_body(packed);
    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(ServiceResponse::new(request, response.map_into_boxed_body()).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, HttpRequest, HttpResponse};
    use credit_core::testkit::CountingIds;

    use super::*;

    async fn ask(allowed: &[&str], request: TestRequest) -> (u16, HeaderMap, Vec<u8>) {
        ask_over(false, allowed, request).await
    }

    async fn ask_over(is_secure: bool, allowed: &[&str], request: TestRequest) -> (u16, HeaderMap, Vec<u8>) {
        let allowed: Vec<String> = allowed.iter().map(|origin| (*origin).to_owned()).collect();
        let street = Arc::new(Street::new(&allowed, Arc::new(CountingIds::new()), is_secure));
        let echo = async |request: HttpRequest| HttpResponse::Ok().body(request.path().repeat(100));
        let app = App::new()
            .wrap(from_fn(move |request, next| street.clone().pass(request, next)))
            .default_service(web::to(echo));
        let answer = call_service(&init_service(app).await, request.to_request()).await;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = read_body(answer).await.to_vec();
        (status, headers, body)
    }

    fn header(headers: &HeaderMap, name: &str) -> String {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    #[actix_web::test]
    async fn without_allowed_origins_no_answer_speaks_of_origins() {
        let request = TestRequest::get().uri("/v1/x").insert_header(("origin", "https://a.example"));
        let (status, headers, _) = ask(&[], request).await;
        assert_eq!(status, 200);
        assert_eq!(
            (header(&headers, "access-control-allow-origin"), header(&headers, "vary")),
            Default::default()
        );
    }

    #[actix_web::test]
    async fn an_allowed_origin_may_ask_and_read() {
        let preflight = TestRequest::default()
            .method(Method::OPTIONS)
            .uri("/v1/x")
            .insert_header(("origin", "https://a.example"))
            .insert_header(("access-control-request-method", "POST"));
        let (status, headers, body) = ask(&["https://a.example"], preflight).await;
        assert_eq!((status, body.len()), (204, 0));
        assert_eq!(header(&headers, "access-control-allow-origin"), "https://a.example");
        assert!(header(&headers, "access-control-allow-headers").contains("idempotency-key"));
        assert_eq!(header(&headers, "vary"), "Origin");

        let call = TestRequest::post().uri("/v1/x").insert_header(("origin", "https://a.example"));
        let (status, headers, _) = ask(&["https://a.example"], call).await;
        assert_eq!(status, 200);
        assert_eq!(header(&headers, "access-control-allow-origin"), "https://a.example");
        assert!(header(&headers, "access-control-expose-headers").contains("etag"));
        assert_eq!(header(&headers, "vary"), "Origin");
    }

    #[actix_web::test]
    async fn a_preflight_carries_what_every_answer_carries() {
        let preflight = || {
            TestRequest::default()
                .method(Method::OPTIONS)
                .uri("/v1/x")
                .insert_header(("origin", "https://a.example"))
                .insert_header(("access-control-request-method", "POST"))
        };
        let (status, headers, _) = ask(&["https://a.example"], preflight()).await;
        assert_eq!(status, 204);
        assert_eq!(header(&headers, "x-request-id").len(), 32);
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(header(&headers, name), value, "{name}");
        }
        let own = preflight().insert_header(("x-request-id", "mine-1"));
        let (_, headers, _) = ask(&["https://a.example"], own).await;
        assert_eq!(header(&headers, "x-request-id"), "mine-1");
    }

    #[actix_web::test]
    async fn only_over_tls_browsers_are_told_to_stay_with_it() {
        for (is_secure, told) in [(true, "max-age=63072000"), (false, "")] {
            for allowed in [&[][..], &["https://a.example"]] {
                let call = TestRequest::get().uri("/v1/x").insert_header(("origin", "https://a.example"));
                let (_, headers, _) = ask_over(is_secure, allowed, call).await;
                assert_eq!(header(&headers, "strict-transport-security"), told);
            }
        }
    }

    #[actix_web::test]
    async fn any_other_origin_is_never_reflected() {
        for other in
            ["https://b.example", "https://a.example.evil", "null", "http://a.example", "HTTPS://A.EXAMPLE"]
        {
            let call = TestRequest::get().uri("/v1/x").insert_header(("origin", other));
            let (_, headers, _) = ask(&["https://a.example"], call).await;
            assert_eq!(header(&headers, "access-control-allow-origin"), "", "{other}");
            assert_eq!(header(&headers, "vary"), "Origin", "{other}");
        }
    }

    #[actix_web::test]
    async fn only_what_is_large_is_packed_and_only_for_those_who_can_unpack_it() {
        for (path, accepts, coding) in [
            ("/docs/app.js", "br, gzip", "gzip"),
            ("/openapi.json", "GZIP;q=0.5", "gzip"),
            ("/openapi.json", "gzip;q=0", ""),
            ("/openapi.json", "br", ""),
            ("/v1/wallets", "gzip", ""),
        ] {
            let request = TestRequest::get().uri(path).insert_header(("accept-encoding", accepts));
            let (status, headers, body) = ask(&[], request).await;
            assert_eq!(
                (status, header(&headers, "content-encoding").as_str()),
                (200, coding),
                "{path} {accepts}"
            );
            if coding.is_empty() {
                assert_eq!(body, path.repeat(100).into_bytes());
            } else {
                let mut plain = Vec::new();
                std::io::copy(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).expect("gzip");
                assert_eq!(plain, path.repeat(100).into_bytes());
            }
        }
    }
}
