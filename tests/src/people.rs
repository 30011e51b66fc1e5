//! People who sign up, log in and do as they may.

use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::contract::refused;
use crate::server::Server;
use crate::story::unique;

/// A password that is good enough.
pub const PASSWORD: &str = "correct horse battery";

/// Calls with any method.
///
/// # Panics
/// If no answer came.
#[track_caller]
pub fn with_method(client: &Client, method: &str, path: &str, body: Option<&Value>) -> Answer {
    client.call(method, path, &[], body).expect("an answer")
}

/// `PATCH`.
#[track_caller]
pub fn patch(client: &Client, path: &str, body: &Value) -> Answer {
    with_method(client, "PATCH", path, Some(body))
}

/// `DELETE`.
#[track_caller]
pub fn delete(client: &Client, path: &str) -> Answer {
    with_method(client, "DELETE", path, None)
}

/// `POST` without a body.
#[track_caller]
pub fn post_empty(client: &Client, path: &str) -> Answer {
    with_method(client, "POST", path, None)
}

/// Registers.
#[track_caller]
pub fn sign_up(client: &Client, username: &str, email: &str, password: &str) -> Answer {
    client.post("/v1/auth/register", &json!({"username": username, "email": email, "password": password}))
}

/// Logs in.
#[track_caller]
pub fn log_in(client: &Client, login: &str, password: &str) -> Answer {
    client.post("/v1/auth/login", &json!({"login": login, "password": password}))
}

/// Asks for a new pair of tokens.
#[track_caller]
pub fn refresh(client: &Client, token: &str) -> Answer {
    client.post("/v1/auth/refresh", &json!({"refresh_token": token}))
}

/// Somebody who is logged in.
pub struct Person {
    pub id: String,
    pub username: String,
    pub email: String,
    pub access: String,
    pub refresh: String,
    pub client: Client,
}

/// Registers somebody.
///
/// # Panics
/// If the server does not.
#[track_caller]
pub fn newcomer(server: &Server) -> Person {
    let nobody = server.nobody();
    let username = unique("person-");
    let email = format!("{username}@example.com");
    let answer = sign_up(&nobody, &username, &email, PASSWORD).expect(201);
    let (access, refresh) = (answer.text("access_token"), answer.text("refresh_token"));
    let id = answer.json()["user"]["id"].as_str().expect("an id").to_owned();
    let client = nobody.with_token(&access);
    Person { id, username, email, access, refresh, client }
}

/// A user of the default application with these roles, logged in.
///
/// # Panics
/// If the server does not make it.
#[track_caller]
pub fn operator(server: &Server, admin: &Client, roles: &[&str]) -> (String, Client) {
    let username = unique("operator-");
    let email = format!("{username}@example.com");
    let body = json!({"username": username, "email": email, "password": PASSWORD, "roles": roles});
    let id = admin.post("/v1/users", &body).expect(201).text("id");
    let token = log_in(&server.nobody(), &username, PASSWORD).expect(200).text("access_token");
    (id, server.nobody().with_token(&token))
}

/// The answer is `401 unauthenticated` and says how to authenticate.
///
/// # Panics
/// If it is another one.
#[track_caller]
pub fn unknown(answer: &Answer) {
    refused(answer, 401, "unauthenticated");
    assert!(answer.header("www-authenticate").is_some_and(|value| value.contains("Bearer")));
}
