//! `user_management` of the contract, from outside: users kept by others, roles, the last admin, what is kept at rest.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::sync::Barrier;
use std::time::Duration;

use credit_tests::client::Client;
use credit_tests::contract::{ALL_SCOPES, all_pages, from_now, invalid, other_app, refused};
use credit_tests::people::{
    PASSWORD, delete, log_in, newcomer, operator, patch, post_empty, refresh, sign_up, unknown, with_method,
};
use credit_tests::story::{purchase, register, transact, unique};
use serde_json::{Value, json};

#[test]
fn users_are_kept_by_their_application_by_operators_and_by_themselves() {
    let server = crate::start(&[]).expect("a server");
    let (admin, app) = (server.admin(), server.app());
    let foreign = other_app(&admin, &ALL_SCOPES);
    let made = |client: &Client, more: Value| {
        let name = unique("made-");
        let mut body = json!({"username": name, "email": format!("{name}@example.com")});
        for (member, value) in more.as_object().expect("members") {
            body[member] = value.clone();
        }
        client.post("/v1/users", &body)
    };
    let created = made(&app, json!({"profile": {"language": "de"}})).expect(201);
    assert_eq!(created.header("etag"), Some("\"1\""));
    let (id, name) = (created.text("id"), created.text("username"));
    assert!(
        !app.get(&format!("/v1/wallets?user_id={id}")).json()["data"].as_array().expect("rows").is_empty()
    );
    refused(&log_in(&server.nobody(), &name, PASSWORD), 401, "invalid_credentials");
    for more in [json!({"roles": ["admin"]}), json!({"app_id": created.text("app_id")})] {
        refused(&made(&app, more), 403, "forbidden");
    }
    assert_eq!(made(&admin, json!({"roles": ["support"]})).expect(201).json()["roles"], json!(["support"]));
    assert_eq!(
        invalid(&made(&admin, json!({"roles": ["root"], "profile": {"a": 1}}))),
        ["/profile/a", "/roles/0"]
    );
    let person = newcomer(&server);
    refused(&made(&person.client, json!({})), 403, "forbidden");
    unknown(&made(&server.nobody(), json!({})));

    // Who sees and changes whom.
    let own = format!("/v1/users/{}", person.id);
    for client in [&app, &admin, &person.client] {
        assert_eq!(client.get(&own).expect(200).text("id"), person.id);
    }
    for client in [&foreign, &newcomer(&server).client] {
        refused(&client.get(&own), 404, "not_found");
        refused(&patch(client, &own, &json!({"profile": {}})), 404, "not_found");
        refused(&delete(client, &own), 404, "not_found");
    }
    for malformed in ["nonsense", &id[4..], &id.to_uppercase(), &id.replace("usr_", "wal_")] {
        refused(&admin.get(&format!("/v1/users/{malformed}")), 404, "not_found");
    }
    refused(&person.client.get("/v1/users"), 403, "forbidden");
    assert!(all_pages(&foreign, "/v1/users", 10).is_empty());

    // Versions.
    let renamed = unique("renamed-");
    let changed =
        patch(&person.client, &own, &json!({"username": renamed, "profile": {"a": "b"}})).expect(200);
    assert_eq!((changed.header("etag"), changed.number("version")), (Some("\"2\""), 2));
    assert_eq!(patch(&person.client, &own, &json!({})).expect(200).number("version"), 2);
    for smuggled in [json!({"roles": ["admin"]}), json!({"app_id": "x"}), json!({"status": "active"})] {
        assert_eq!(invalid(&patch(&person.client, &own, &smuggled)).len(), 1);
    }
    let conditional = |version: &str| {
        let body = json!({"profile": {"a": "c"}});
        person.client.call("PATCH", &own, &[("if-match", version)], Some(&body)).expect("an answer")
    };
    refused(&conditional("\"1\""), 412, "version_mismatch");
    assert_eq!(conditional("\"2\"").expect(200).number("version"), 3);
    refused(&patch(&app, &own, &json!({"username": name.to_uppercase()})), 409, "username_taken");
    refused(&patch(&app, &own, &json!({"email": created.text("email")})), 409, "email_taken");

    // Filters.
    let found = |filter: &str| -> Vec<Value> {
        all_pages(&admin, &format!("/v1/users?{filter}"), 2)
            .into_iter()
            .map(|row| row["id"].clone())
            .collect()
    };
    assert_eq!(found(&format!("q={}", created.text("email"))), [json!(id)]);
    assert_eq!(found(&format!("q={}", &renamed[..renamed.len() - 1])), [json!(person.id)]);
    assert_eq!(found("role=support").len(), 1);
    assert!(found("status=suspended").is_empty());
    for (query, code) in [
        ("status=lost", "invalid_parameter"),
        ("role=root", "invalid_parameter"),
        ("limit=0", "invalid_parameter"),
        ("limit=201", "invalid_parameter"),
        ("cursor=x", "invalid_cursor"),
        ("colour=red", "unknown_parameter"),
    ] {
        refused(&admin.get(&format!("/v1/users?{query}")), 400, code);
    }

    // Erased.
    let wallet = app.get(&format!("/v1/wallets?user_id={}", person.id)).json()["data"][0]["id"]
        .as_str()
        .expect("one")
        .to_owned();
    purchase(&app, &wallet, 5);
    refused(&delete(&person.client, &own), 409, "wallet_not_empty");
    person.client.get("/v1/auth/me").expect(200);
    transact(&app, &json!({"type": "spend", "wallet_id": wallet, "amount": 5})).expect(201);
    delete(&person.client, &own).expect(204);
    unknown(&person.client.get("/v1/auth/me"));
    assert_eq!(refresh(&server.nobody(), &person.refresh).status, 401);
    let rest = admin.get(&own).expect(200);
    assert_eq!(rest.text("status"), "deleted");
    for personal in [&person.username, &renamed, &person.email] {
        assert!(!rest.body.contains(personal.as_str()), "{}", rest.body);
    }
    refused(&delete(&admin, &own), 404, "not_found");
    assert_eq!(all_pages(&app, &format!("/v1/transactions?wallet_id={wallet}"), 10).len(), 2);
    sign_up(&server.nobody(), &renamed, &person.email, PASSWORD).expect(201);
}

/// What the contract gives a change of roles to count everywhere.
const EVERYWHERE: Duration = Duration::from_secs(1);

#[test]
fn operators_do_what_their_role_allows_and_the_last_admin_stays() {
    let server = crate::start(&[]).expect("a server");
    let (admin, app, nobody) = (server.admin(), server.app(), server.nobody());
    let (support_id, support) = operator(&server, &admin, &["support"]);
    let person = newcomer(&server);
    let path = |id: &str, what: &str| format!("/v1/users/{id}{what}");

    post_empty(&support, &path(&person.id, "/suspend")).expect(200);
    unknown(&person.client.get("/v1/auth/me"));
    assert_eq!(refresh(&nobody, &person.refresh).status, 401);
    refused(&log_in(&nobody, &person.username, PASSWORD), 401, "invalid_credentials");
    refused(&post_empty(&support, &path(&person.id, "/reactivate")), 403, "forbidden");
    assert_eq!(post_empty(&admin, &path(&person.id, "/reactivate")).expect(200).text("status"), "active");
    log_in(&nobody, &person.username, PASSWORD).expect(200);

    // Support reads all and changes nothing else.
    let foreign = other_app(&admin, &ALL_SCOPES);
    let elsewhere = register(&foreign);
    for path in [
        path(&elsewhere.user, ""),
        "/v1/users".to_owned(),
        format!("/v1/wallets/{}", elsewhere.wallet),
        format!("/v1/transactions?wallet_id={}", elsewhere.wallet),
    ] {
        support.get(&path).expect(200);
    }
    let wallet = format!("/v1/wallets/{}", elsewhere.wallet);
    assert_eq!(post_empty(&support, &format!("{wallet}/freeze")).expect(200).text("status"), "frozen");
    assert_eq!(post_empty(&support, &format!("{wallet}/unfreeze")).expect(200).text("status"), "active");
    let roles = json!({"roles": ["admin"]});
    for (method, path, body) in [
        ("PATCH", path(&elsewhere.user, ""), json!({"profile": {}})),
        ("DELETE", path(&elsewhere.user, ""), Value::Null),
        ("PUT", path(&support_id, "/roles"), roles.clone()),
        ("POST", "/v1/users".to_owned(), json!({"username": "x"})),
        ("PATCH", wallet.clone(), json!({"metadata": {}})),
        ("POST", "/v1/apps".to_owned(), json!({"name": "x"})),
        ("GET", "/v1/api-keys".to_owned(), Value::Null),
        ("GET", "/v1/ledger/trial-balance".to_owned(), Value::Null),
        ("POST", "/v1/ledger/verify".to_owned(), Value::Null),
    ] {
        let body = (!body.is_null()).then_some(&body);
        refused(&with_method(&support, method, &path, body), 403, "forbidden");
    }
    let purchase = json!({"type": "purchase", "wallet_id": elsewhere.wallet, "amount": 1});
    refused(&transact(&support, &purchase), 403, "forbidden");
    for client in [&app, &person.client] {
        assert!(matches!(
            with_method(client, "PUT", &path(&support_id, "/roles"), Some(&roles)).status,
            401 | 403
        ));
    }

    // Roles count everywhere within a second.
    let promote = |id: &str, roles: &[&str]| {
        with_method(&admin, "PUT", &path(id, "/roles"), Some(&json!({"roles": roles})))
    };
    promote(&support_id, &["user"]).expect(200);
    std::thread::sleep(EVERYWHERE);
    refused(&support.get("/v1/users"), 403, "forbidden");
    promote(&support_id, &["support"]).expect(200);
    std::thread::sleep(EVERYWHERE);
    support.get("/v1/users").expect(200);

    // The last admin, in every way.
    let last = admin.get("/v1/auth/me").expect(200).json()["user"]["id"].as_str().expect("an id").to_owned();
    refused(&promote(&last, &["user"]), 409, "last_admin");
    refused(&post_empty(&admin, &path(&last, "/suspend")), 409, "last_admin");
    for client in [&admin, &app] {
        refused(&delete(client, &path(&last, "")), 409, "last_admin");
    }
    assert_ne!(post_empty(&support, &path(&last, "/suspend")).status, 200);
    admin.get("/v1/apps").expect(200);
}

#[test]
fn admins_who_leave_at_the_same_moment_leave_one() {
    let server = crate::start(&[]).expect("a server");
    let first = server.admin();
    let id = first.get("/v1/auth/me").expect(200).json()["user"]["id"].as_str().expect("an id").to_owned();
    let mut survivor = (id, first);
    for round in 0..6 {
        let mut admins: Vec<(String, Client)> =
            (0..5).map(|_| operator(&server, &survivor.1, &["user", "admin"])).collect();
        admins.push(survivor.clone());
        let start = Barrier::new(admins.len());
        std::thread::scope(|scope| {
            for (index, (own, client)) in admins.iter().enumerate() {
                let next = &admins[(index + 1) % admins.len()].0;
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let answer = match round % 3 {
                        0 => {
                            let roles = json!({"roles": ["user"]});
                            with_method(client, "PUT", &format!("/v1/users/{own}/roles"), Some(&roles))
                        }
                        1 => post_empty(client, &format!("/v1/users/{own}/suspend")),
                        _ => delete(client, &format!("/v1/users/{next}")),
                    };
                    assert!(answer.status < 500, "{}", answer.body);
                });
            }
        });
        std::thread::sleep(EVERYWHERE);
        let left: Vec<_> = admins.iter().filter(|(_, client)| client.get("/v1/apps").status == 200).collect();
        assert!(!left.is_empty(), "round {round}: nobody is left");
        survivor = left[0].clone();
    }
}

#[test]
fn nothing_secret_or_personal_is_readable_in_the_store_or_the_log() {
    let mut server = crate::start(&[("CREDIT_LOG__LEVEL", "trace")]).expect("a server");
    let (nobody, admin) = (server.nobody(), server.admin());
    let password = "canary pass word one";
    let mail = "canary.mail@secret.example";
    let answer = sign_up(&nobody, "somebody.known", mail, password).expect(201);
    let user = answer.json()["user"].clone();
    let own = nobody.with_token(&answer.text("access_token"));
    let body = json!({"profile": {"note": "canary profile"}});
    patch(&own, &format!("/v1/users/{}", user["id"].as_str().expect("an id")), &body).expect(200);
    let pair = refresh(&nobody, &answer.text("refresh_token")).expect(200);
    let wrong = log_in(&nobody, mail, "canary wrong word");
    assert_eq!(wrong.status, 401);
    assert_eq!(log_in(&nobody, "canary.ghost@secret.example", password).status, 401);
    let body = json!({"app_id": user["app_id"], "name": "key", "scopes": ["users:read"], "expires_at": from_now(60_000)});
    let key = admin.post("/v1/api-keys", &body).expect(201);
    let rotated = post_empty(&admin, &format!("/v1/api-keys/{}/rotate", key.text("id"))).expect(200);
    nobody.with_key(&rotated.text("secret")).get(&format!("/v1/users?q={mail}")).expect(200);
    unknown(&nobody.with_key("ck_canary_unknown").get("/v1/users"));
    unknown(&nobody.with_token("canary.forged.token").get("/v1/auth/me"));
    let secrets = std::fs::read_to_string(server.folder().join("dev-secrets.json")).expect("secrets");
    let secrets: Value = serde_json::from_str(&secrets).expect("JSON");
    assert_eq!(server.terminate().expect("an exit"), Some(0));

    let mut canaries: Vec<String> =
        ["canary", "secret.example"].iter().map(|text| (*text).to_owned()).collect();
    canaries.extend(
        [&answer, &pair].iter().flat_map(|pair| [pair.text("access_token"), pair.text("refresh_token")]),
    );
    canaries.extend([key.text("secret"), rotated.text("secret")]);
    let kept = secrets.as_object().expect("secrets").values();
    canaries.extend(
        kept.flat_map(|kept| match kept.as_array() {
            Some(keys) => keys.clone(),
            None => vec![kept.clone()],
        })
        .map(|key| key.as_str().expect("a key").to_owned()),
    );
    let files = std::fs::read_dir(server.folder()).expect("a folder").map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        (name, String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).into_owned())
    });
    let mut looked_at = 0;
    for (name, text) in files.chain(crate::kept(&server)) {
        if name.starts_with("dev-") {
            continue;
        }
        assert!(name == "server.log" || !text.contains(server.api_key()), "{name}");
        for canary in &canaries {
            assert!(!text.contains(canary.as_str()), "{name} holds {canary}");
        }
        looked_at += 1;
    }
    assert!(looked_at >= 3);
}
