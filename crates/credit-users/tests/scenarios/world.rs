//! A house with users in it, and the words that the scenarios are told in.

use std::sync::Arc;

use credit_api::form::Metadata;
use credit_api::testkit::{TestAnswer, TestHouse};
use credit_core::{AppId, Role, Scope, UserId};
use credit_users::testkit::TestParts;
use credit_users::{Email, NewPassword, NewUser, Username, Users};
use serde_json::{Value, json};

use credit_core::testkit::Between;

use super::interleaved::Interleaved;

pub(crate) const PASSWORD: &str = "otter-Lamp-42";
pub(crate) const OTHER_PASSWORD: &str = "heron-Vase-77";

pub(crate) struct World {
    pub(crate) parts: TestParts,
    pub(crate) house: TestHouse,
    pub(crate) users: Arc<Users>,
    pub(crate) app: AppId,
}

/// Calls that are made at once cross.
pub(crate) async fn parts() -> TestParts {
    crossing(1).await
}

async fn crossing(seed: u64) -> TestParts {
    let stores = crate::stores().await;
    let documents = Arc::new(Between(Interleaved::new(stores.documents.clone(), seed)));
    TestParts { alive: stores.alive, ..TestParts::on(documents) }
}

/// Somebody with tokens.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(parts().await).await
    }

    /// Whose calls cross as this seed says.
    pub(crate) async fn crossing(seed: u64) -> Self {
        Self::with(crossing(seed).await).await
    }

    pub(crate) async fn with(parts: TestParts) -> Self {
        let (house, users) = parts.open().await;
        let app = parts.apps.default_app().await.expect("in memory");
        for (key, scopes) in
            [("reader", &[Scope::UsersRead][..]), ("writer", &[Scope::UsersRead, Scope::UsersWrite])]
        {
            parts.api_keys.learn_key(key, app, scopes);
        }
        Self { parts, house, users, app }
    }

    /// Registers with the usual password.
    pub(crate) async fn person(&self, name: &str) -> Person {
        let answer = self.register(name).await;
        assert_eq!(answer.status, 201, "{:?}", answer.json());
        Person::of(&answer.json()["user"]["id"], &answer.json())
    }

    pub(crate) async fn register(&self, name: &str) -> TestAnswer {
        self.post("/v1/auth/register", &registration(name)).await
    }

    /// An active user with these roles, logged in.
    pub(crate) async fn operator(&self, name: &str, role: Role) -> Person {
        let new = NewUser {
            username: Username::parse(name).expect("a name"),
            email: Email::parse(&format!("{name}@example.org")).expect("an address"),
            password: Some(NewPassword::parse(&PASSWORD.into(), "password").expect("good")),
            profile: Metadata::default(),
            roles: vec![role],
        };
        let user = self.users.create(self.app, new).await.expect("new");
        self.logged_in(name, &user.id.to_string()).await
    }

    pub(crate) async fn logged_in(&self, login: &str, id: &str) -> Person {
        let answer = self.login(login, PASSWORD).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        Person::of(&json!(id), &answer.json())
    }

    pub(crate) async fn login(&self, login: &str, password: &str) -> TestAnswer {
        self.post("/v1/auth/login", &json!({ "login": login, "password": password })).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> TestAnswer {
        self.post("/v1/auth/refresh", &json!({ "refresh_token": token })).await
    }

    pub(crate) async fn me(&self, access: &str) -> TestAnswer {
        self.house.get("/v1/auth/me", access).await
    }

    /// `POST` by nobody.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> TestAnswer {
        self.house.call("POST", path, &[], Some(body)).await
    }

    /// By a user.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        caller: &Person,
        body: Option<Value>,
    ) -> TestAnswer {
        let bearer = format!("Bearer {}", caller.access);
        self.house.call(method, path, &[("authorization", &bearer)], body.as_ref()).await
    }

    /// By an application.
    pub(crate) async fn ask_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> TestAnswer {
        self.house.call(method, path, &[("x-api-key", key)], body.as_ref()).await
    }

    /// The user as the application sees it.
    pub(crate) async fn user(&self, id: &str) -> Value {
        self.ask_as("reader", "GET", &format!("/v1/users/{id}"), None).await.json()
    }
}

impl Person {
    fn of(id: &Value, tokens: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        Self { id: text(id), access: text(&tokens["access_token"]), refresh: text(&tokens["refresh_token"]) }
    }

    pub(crate) fn user_id(&self) -> UserId {
        UserId::parse(&self.id).expect("an id")
    }

    pub(crate) fn path(&self) -> String {
        format!("/v1/users/{}", self.id)
    }
}

pub(crate) fn registration(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.org"), "password": PASSWORD })
}

/// Refused with this status and code.
#[track_caller]
pub(crate) fn refused(answer: &TestAnswer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{:?}", answer.json());
}
