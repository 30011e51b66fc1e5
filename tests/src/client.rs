//! A small blocking HTTP client that shows everything of an answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

/// Calls one server as one caller.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    credential: Option<(&'static str, String)>,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A member of the body as text.
    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_default().to_owned()
    }

    /// A member of the body as a number.
    pub fn number(&self, name: &str) -> i64 {
        self.json()[name].as_i64().unwrap_or(i64::MIN)
    }

    /// Itself, if it has this status.
    ///
    /// # Panics
    /// If it has another one: with the body.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

impl Client {
    /// Calls as nobody.
    pub fn nobody(base: &str) -> Self {
        Self { agent: agent(TlsConfig::default()), base: base.to_owned(), credential: None }
    }

    /// Calls as nobody over TLS, and believes nobody but who shows a certificate of this authority.
    pub fn nobody_trusting(base: &str, authority_pem: &str) -> Self {
        crate::pki::install_provider();
        let trusted = ureq::tls::parse_pem(authority_pem.as_bytes())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        let tls = TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(trusted))).build();
        Self { agent: agent(tls), base: base.to_owned(), credential: None }
    }

    /// Calls as an application.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { credential: Some(("x-api-key", key.to_owned())), ..self.clone() }
    }

    /// Calls as a user.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { credential: Some(("authorization", format!("Bearer {token}"))), ..self.clone() }
    }

    /// Calls with any method, headers and body. `Err` if no answer came.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some((name, value)) = &self.credential {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                self.agent.run(request.map_err(|error| error.to_string())?)
            }
            None => self.agent.run(request.body(()).map_err(|error| error.to_string())?),
        };
        read(answer.map_err(|error| error.to_string())?)
    }

    /// Calls with these bytes as the body and nothing added. `Err` if no answer came.
    pub fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, String> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some((name, value)) = &self.credential {
            request = request.header(*name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = request.body(body).map_err(|error| error.to_string())?;
        read(self.agent.run(sent).map_err(|error| error.to_string())?)
    }

    /// `GET`.
    ///
    /// # Panics
    /// If no answer came.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], None).expect("an answer")
    }

    /// `GET` of what is no text: the status and the body.
    ///
    /// # Panics
    /// If no answer came.
    #[track_caller]
    pub fn bytes(&self, path: &str) -> (u16, Vec<u8>) {
        let mut request = ureq::http::Request::builder().method("GET").uri(format!("{}{path}", self.base));
        if let Some((name, value)) = &self.credential {
            request = request.header(*name, value);
        }
        let mut answer = self.agent.run(request.body(()).expect("a request")).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_vec().expect("a body"))
    }

    /// `POST` without a key.
    ///
    /// # Panics
    /// If no answer came.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[], Some(body)).expect("an answer")
    }

    /// `POST` under an idempotency key.
    ///
    /// # Panics
    /// If no answer came.
    #[track_caller]
    pub fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.call("POST", path, &[("idempotency-key", key)], Some(body)).expect("an answer")
    }
}

fn agent(tls: TlsConfig) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)))
        .max_idle_connections_per_host(300)
        .tls_config(tls)
        .build()
        .new_agent()
}

fn read(mut answer: ureq::http::Response<ureq::Body>) -> Result<Answer, String> {
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
    Ok(Answer { status, headers, body })
}
