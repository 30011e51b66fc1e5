//! What the fake holds, and how it answers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::http::{Answer, Call};
use super::{KUBERNETES_JWT, KUBERNETES_ROLE, ROLE_ID, ROOT_TOKEN, SECRET_ID, next_number};

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// As it should be.
    #[default]
    Well,
    /// Runs, and cannot open its storage.
    Sealed,
    /// Was never set up.
    Uninitialised,
    /// A node that knows no active one to pass calls on to.
    Standby,
    /// Whoever logs in may read nothing.
    Forbidden,
    /// Nobody gets in.
    NoLogin,
    /// Answers, but not like Vault.
    Garbage,
    /// Answers a secret that is no object of texts.
    Nonsense,
    /// Fails by itself.
    Failing,
    /// Takes this long for every answer.
    Slow(Duration),
    /// Takes connections and answers nothing.
    Paused,
}

#[derive(Default)]
pub(super) struct State {
    mood: Mutex<Mood>,
    lease: Mutex<u64>,
    secrets: Mutex<HashMap<String, (u64, Value)>>,
    tokens: Mutex<HashMap<String, Option<Instant>>>,
    calls: Mutex<Vec<String>>,
}

/// Longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);
const FAR_AWAY: &str = "2006-01-02T15:04:05.999999999Z";

impl State {
    pub(super) fn set_mood(&self, mood: Mood) {
        *self.mood.lock() = mood;
    }

    pub(super) fn set_lease(&self, seconds: u64) {
        *self.lease.lock() = seconds;
    }

    pub(super) fn put(&self, path: &str, secret: Value) {
        let mut secrets = self.secrets.lock();
        let version = secrets.get(path).map_or(0, |(version, _)| *version) + 1;
        secrets.insert(path.to_owned(), (version, secret));
    }

    pub(super) fn revoke_all(&self) {
        self.tokens.lock().clear();
    }

    pub(super) fn calls(&self, part: &str) -> usize {
        self.calls.lock().iter().filter(|path| path.contains(part)).count()
    }

    pub(super) fn answer(&self, call: &Call) -> Answer {
        self.calls.lock().push(call.path.clone());
        let mood = *self.mood.lock();
        match mood {
            Mood::Slow(late) => std::thread::sleep(late),
            Mood::Paused => {
                self.wait_while_paused();
                return Answer::Nothing;
            }
            Mood::Garbage => return Answer::Raw(200, "<html>It works!</html>"),
            Mood::Failing => return errors(500, "internal error"),
            _ => {}
        }
        if call.path == "sys/health" {
            return health(mood);
        }
        match mood {
            // Before anything is opened nothing is looked at.
            Mood::Sealed | Mood::Uninitialised => errors(503, "Vault is sealed"),
            Mood::Standby => errors(500, "local node not active but active cluster node not found"),
            _ => self.route(call, mood),
        }
    }

    fn wait_while_paused(&self) {
        let until = Instant::now() + FOR_EVER;
        while *self.mood.lock() == Mood::Paused && Instant::now() < until {
            std::thread::sleep(STEP);
        }
    }

    fn route(&self, call: &Call, mood: Mood) -> Answer {
        let body = |name: &str| call.body[name].as_str().unwrap_or_default();
        let is_call = |method: &str, path: &str| call.method == method && call.path == path;
        if is_call("POST", "auth/approle/login") {
            let good = body("role_id") == ROLE_ID && body("secret_id") == SECRET_ID && mood != Mood::NoLogin;
            return if good { self.login() } else { errors(400, "invalid role or secret ID") };
        }
        if is_call("POST", "auth/kubernetes/login") {
            let good =
                body("role") == KUBERNETES_ROLE && body("jwt") == KUBERNETES_JWT && mood != Mood::NoLogin;
            return if good { self.login() } else { errors(403, "permission denied") };
        }
        let Some(ends) = self.ends(&call.token).filter(|_| mood != Mood::NoLogin) else {
            return errors(403, "permission denied");
        };
        match call.path.as_str() {
            "auth/token/lookup-self" => lookup(&call.token, ends),
            "auth/token/renew-self" => self.renew(&call.token),
            _ if mood == Mood::Forbidden => errors(403, "1 error occurred:\n\t* permission denied\n\n"),
            path => self.secret(path, call, mood),
        }
    }

    /// Until when a token is good: `None` if it is not, `Some(None)` if for ever.
    #[expect(clippy::option_option, reason = "outer: it is good; inner: it ends")]
    fn ends(&self, token: &str) -> Option<Option<Instant>> {
        if token == ROOT_TOKEN {
            return Some(None);
        }
        let ends = *self.tokens.lock().get(token)?;
        ends.is_none_or(|ends| Instant::now() < ends).then_some(ends)
    }

    fn login(&self) -> Answer {
        let token = format!("hvs.token-of-the-tests-{}", next_number());
        let lease = *self.lease.lock();
        self.tokens.lock().insert(token.clone(), lasting(lease));
        auth(&token, lease)
    }

    fn renew(&self, token: &str) -> Answer {
        let lease = *self.lease.lock();
        if token != ROOT_TOKEN {
            self.tokens.lock().insert(token.to_owned(), lasting(lease));
        }
        auth(token, lease)
    }

    /// The engine with versions at `secret/`, the one without at `kv/`.
    fn secret(&self, path: &str, call: &Call, mood: Mood) -> Answer {
        let (path, has_versions) = match (path.strip_prefix("secret/data/"), path.strip_prefix("kv/")) {
            (Some(path), _) => (path, true),
            (None, Some(path)) => (path, false),
            (None, None) => return Answer::Json(404, json!({"errors": []})),
        };
        if call.method != "GET" {
            self.put(path, if has_versions { call.body["data"].clone() } else { call.body.clone() });
            let version = self.secrets.lock().get(path).map_or(0, |(version, _)| *version);
            let written = json!({"created_time": FAR_AWAY, "custom_metadata": null, "deletion_time": "",
                "destroyed": false, "version": version});
            return data(if has_versions { &written } else { &Value::Null });
        }
        let secrets = self.secrets.lock();
        let Some((version, secret)) = secrets.get(path) else {
            return Answer::Json(404, json!({"errors": []}));
        };
        let secret = if mood == Mood::Nonsense { json!([1, 2, 3]) } else { secret.clone() };
        if !has_versions {
            return data(&secret);
        }
        data(&json!({"data": secret, "metadata": {"created_time": FAR_AWAY, "custom_metadata": null,
            "deletion_time": "", "destroyed": false, "version": version}}))
    }
}

fn lasting(lease: u64) -> Option<Instant> {
    (lease > 0).then(|| Instant::now() + Duration::from_secs(lease))
}

fn errors(status: u16, error: &str) -> Answer {
    Answer::Json(status, json!({"errors": [error]}))
}

fn data(data: &Value) -> Answer {
    Answer::Json(200, around(data, &Value::Null))
}

fn auth(token: &str, lease: u64) -> Answer {
    let auth = json!({"client_token": token, "accessor": "accessor", "policies": ["credit"],
        "token_policies": ["credit"], "metadata": {}, "lease_duration": lease, "renewable": true,
        "entity_id": "entity", "token_type": "service", "orphan": true, "mfa_requirement": null, "num_uses": 0});
    Answer::Json(200, around(&Value::Null, &auth))
}

/// What every answer of Vault stands in.
fn around(data: &Value, auth: &Value) -> Value {
    json!({"request_id": format!("request-{}", next_number()), "lease_id": "", "renewable": false,
        "lease_duration": 0, "data": data, "wrap_info": null, "warnings": null, "auth": auth})
}

fn lookup(token: &str, ends: Option<Instant>) -> Answer {
    let ttl = ends.map_or(0, |ends| ends.saturating_duration_since(Instant::now()).as_secs().max(1));
    data(&json!({"accessor": "accessor", "creation_time": 1_523_979_354, "creation_ttl": ttl,
        "display_name": "token", "entity_id": "", "expire_time": null, "explicit_max_ttl": 0, "id": token,
        "identity_policies": [], "issue_time": FAR_AWAY, "meta": {}, "num_uses": 0, "orphan": true,
        "path": "auth/token/create", "policies": ["credit"], "renewable": ends.is_some(), "ttl": ttl,
        "type": "service"}))
}

fn health(mood: Mood) -> Answer {
    let status = match mood {
        Mood::Standby => 429,
        Mood::Uninitialised => 501,
        Mood::Sealed => 503,
        _ => 200,
    };
    Answer::Json(
        status,
        json!({"initialized": mood != Mood::Uninitialised,
            "sealed": matches!(mood, Mood::Sealed | Mood::Uninitialised), "standby": mood == Mood::Standby,
            "performance_standby": false, "replication_performance_mode": "disabled",
            "replication_dr_mode": "disabled", "server_time_utc": 1_516_639_589, "version": "1.17.0",
            "cluster_name": "fake", "cluster_id": "00000000-0000-0000-0000-000000000000"}),
    )
}
