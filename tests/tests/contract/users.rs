//! `user_management` of the contract, from outside: names and passwords, logins, sessions, tokens.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::sync::Barrier;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use credit_core::ports::tokens::{AccessClaims, TokenSigner};
use credit_core::{AppId, SessionId, Timestamp, UserId};
use credit_infra::tokens::JwtSigner;
use credit_tests::client::{Answer, Client};
use credit_tests::contract::{all_pages, invalid, key_of, other_app, refused};
use credit_tests::people::{
    PASSWORD, delete, log_in, newcomer, post_empty, refresh, sign_up, unknown, with_method,
};
use serde_json::{Value, json};

#[test]
fn a_registration_answers_user_and_tokens_and_the_wallet_is_there() {
    let server = crate::start(&[]).expect("a server");
    let nobody = server.nobody();
    let answer = sign_up(&nobody, "Ann.Other", "ann@example.com", PASSWORD).expect(201);
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(600)));
    let user = &body["user"];
    assert_eq!(user["username"], "Ann.Other");
    assert_eq!(
        (&user["status"], &user["roles"], &user["version"]),
        (&json!("active"), &json!(["user"]), &json!(1))
    );
    let mut members: Vec<&String> = user.as_object().expect("a user").keys().collect();
    members.sort();
    let promised = [
        "app_id",
        "created_at",
        "email",
        "id",
        "profile",
        "roles",
        "status",
        "updated_at",
        "username",
        "version",
    ];
    assert_eq!(members, promised);

    let own = nobody.with_token(&answer.text("access_token"));
    let wallets = own.get("/v1/wallets").expect(200).json();
    assert_eq!(wallets["data"][0]["asset"], "CREDIT");
    assert_eq!(wallets["data"][0]["user_id"], user["id"]);
    let me = own.get("/v1/auth/me").expect(200).json();
    assert_eq!(&me["user"], user);
    assert!(me["session"]["id"].as_str().is_some_and(|id| id.starts_with("ses_")));

    for login in ["Ann.Other", "ann.other", "ann@example.com", "ANN@example.com"] {
        assert_eq!(log_in(&nobody, login, PASSWORD).status, 200, "{login}");
    }
    // A key's application is meant without app_id; another's is not there for it.
    let foreign = other_app(&server.admin(), &["users:write"]);
    let twin = sign_up(&foreign, "Ann.Other", "ann@example.com", PASSWORD).expect(201).json();
    assert_ne!(twin["user"]["app_id"], user["app_id"]);
    let named = json!({"username": "other", "email": "o@example.com", "password": PASSWORD, "app_id": user["app_id"]});
    refused(&foreign.post("/v1/auth/register", &named), 404, "not_found");
    for app in ["app_00000000000000000000000000000000", "nonsense"] {
        let body =
            json!({"username": "another", "email": "x@example.com", "password": PASSWORD, "app_id": app});
        refused(&nobody.post("/v1/auth/register", &body), 404, "not_found");
    }
    unknown(&nobody.with_key("ck_unknown").post("/v1/auth/register", &json!({})));
}

#[test]
fn names_passwords_and_addresses_are_judged_all_at_once() {
    let server = crate::start(&[]).expect("a server");
    let nobody = server.nobody();
    let ask = |body: Value| nobody.post("/v1/auth/register", &body);
    assert_eq!(ask(json!({})).status, 422);
    assert_eq!(invalid(&ask(json!({}))), ["/email", "/password", "/username"]);
    let all = json!({"username": "long.enough", "email": "x@", "password": "Long.Enough", "roles": ["admin"], "status": 1});
    assert_eq!(invalid(&ask(all)), ["/email", "/password", "/roles", "/status"]);

    for username in ["ab", &"x".repeat(33), "a b c", "a@b.c", "abc!", "abc\n", "abc\u{200b}"] {
        assert_eq!(
            invalid(&sign_up(&nobody, username, "a@example.com", PASSWORD)),
            ["/username"],
            "{username:?}"
        );
    }
    for email in ["", "a", "a@b", "@example.com", "a b@example.com"] {
        assert_eq!(invalid(&sign_up(&nobody, "somebody", email, PASSWORD)), ["/email"], "{email:?}");
    }
    let long = "x1".repeat(65);
    for password in [
        "",
        "9 letters",
        &long,
        "password123",
        "1234567890",
        "qwertyuiop",
        "aaaaaaaaaa",
        "some-body-9",
        "a@example.com",
    ] {
        assert_eq!(
            invalid(&sign_up(&nobody, "some-body-9", "a@example.com", password)),
            ["/password"],
            "{password:?}"
        );
    }

    sign_up(&nobody, "scopenova", "scope@example.com", PASSWORD).expect(201);
    for alike in
        ["ScopeNova", "s\u{441}openova", "\u{ff53}copenova", "scopen0va", "\u{455}\u{441}\u{43e}\u{440}enova"]
    {
        refused(&sign_up(&nobody, alike, "another@example.com", PASSWORD), 409, "username_taken");
    }
    refused(&sign_up(&nobody, "somebody", "SCOPE@example.com", PASSWORD), 409, "email_taken");
    sign_up(&nobody, "abc", "edge@example.com", "10 letters").expect(201);
    sign_up(&nobody, &"y".repeat(32), "edge2@example.com", &"x1".repeat(64)).expect(201);
}

#[test]
fn whoever_is_not_let_in_hears_the_same_in_the_same_time() {
    let unlimited = [
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ACCOUNT", "100000"),
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ADDRESS", "100000"),
    ];
    let server = crate::start(&unlimited).expect("a server");
    let (known, suspended) = (newcomer(&server), newcomer(&server));
    let nobody = server.nobody();
    post_empty(&server.admin(), &format!("/v1/users/{}/suspend", suspended.id)).expect(200);
    let cases = [
        (known.username.as_str(), "not the password"),
        ("nobody.of.that.name", PASSWORD),
        (suspended.username.as_str(), PASSWORD),
        (suspended.email.as_str(), "not the password"),
    ];

    let mut bodies = Vec::new();
    let mut times = [(); 4].map(|()| Vec::new());
    for _ in 0..40 {
        for ((login, password), times) in cases.iter().zip(&mut times) {
            let started = Instant::now();
            let answer = log_in(&nobody, login, password);
            times.push(started.elapsed());
            let mut body = refused(&answer, 401, "invalid_credentials");
            body.as_object_mut().expect("a problem").remove("request_id");
            bodies.push(body);
        }
    }

    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let medians = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let (fastest, slowest) = (medians.iter().min().expect("four"), medians.iter().max().expect("four"));
    // 10 % on a quiet machine; tests of other files may run beside this one.
    assert!(*slowest < *fastest * 5 / 4, "{medians:?}");
}

#[test]
fn failed_logins_are_limited_per_account_and_per_address_as_far_as_proxies_are_trusted() {
    let server = crate::start(&[
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ACCOUNT", "3"),
        ("CREDIT_AUTH__LOGIN_FAILURES_PER_ADDRESS", "5"),
        ("CREDIT_SERVER__TRUSTED_PROXIES", "127.0.0.1,10.0.0.0/8"),
    ])
    .expect("a server");
    let person = newcomer(&server);
    let from = |address: &str, login: &str, password: &str| {
        let body = json!({"login": login, "password": password});
        let headers = [("x-forwarded-for", address)];
        server.nobody().call("POST", "/v1/auth/login", &headers, Some(&body)).expect("an answer")
    };
    for index in 0..3 {
        let login = if index == 1 { &person.email } else { &person.username };
        refused(&from(&format!("9.9.9.{index}"), login, "not the password"), 401, "invalid_credentials");
    }
    let limited = from("9.9.9.9", &person.email, PASSWORD);
    refused(&limited, 429, "rate_limited");
    let wait: u64 = limited.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((1..=900).contains(&wait), "{wait}");
    // Who is logged in stays so.
    person.client.get("/v1/auth/me").expect(200);

    for index in 0..5 {
        refused(&from("8.8.8.8", &format!("ghost-{index}"), PASSWORD), 401, "invalid_credentials");
    }
    for address in ["8.8.8.8", "1.2.3.4, 8.8.8.8", "8.8.8.8, 10.1.2.3"] {
        refused(&from(address, "ghost-x", PASSWORD), 429, "rate_limited");
    }
    refused(&from("8.8.8.9, 10.1.2.3", "ghost-y", PASSWORD), 401, "invalid_credentials");

    let untrusting = crate::start(&[("CREDIT_AUTH__LOGIN_FAILURES_PER_ADDRESS", "2")]).expect("a server");
    for index in 0..3 {
        let body = json!({"login": format!("ghost-{index}"), "password": PASSWORD});
        let forwarded = format!("7.7.7.{index}");
        let headers = [("x-forwarded-for", forwarded.as_str())];
        let answer =
            untrusting.nobody().call("POST", "/v1/auth/login", &headers, Some(&body)).expect("an answer");
        assert_eq!(answer.status, if index < 2 { 401 } else { 429 });
    }
}

#[test]
fn closed_registration_is_for_keys_and_admins() {
    let server = crate::start(&[("CREDIT_AUTH__REGISTRATION", "closed")]).expect("a server");
    let admin = server.admin();
    let app = admin.get("/v1/apps").json()["data"][0]["id"].as_str().expect("an app").to_owned();
    let body =
        |name: &str| json!({"username": name, "email": format!("{name}@example.com"), "password": PASSWORD});
    let nobody = server.nobody();
    refused(&nobody.post("/v1/auth/register", &body("one")), 403, "registration_closed");
    let reader = key_of(&admin, &app, &["users:read"]);
    assert_eq!(reader.post("/v1/auth/register", &body("two")).status, 403);
    let writer = key_of(&admin, &app, &["users:write"]);
    let user = writer.post("/v1/auth/register", &body("three")).expect(201);
    admin.post("/v1/auth/register", &body("four")).expect(201);
    let user = nobody.with_token(&user.text("access_token"));
    assert_eq!(user.post("/v1/auth/register", &body("five")).status, 403);
}

#[test]
fn a_refresh_token_is_good_once_and_a_spent_one_ends_the_session() {
    let server = crate::start(&[]).expect("a server");
    let nobody = server.nobody();
    let person = newcomer(&server);
    let second = refresh(&nobody, &person.refresh).expect(200);
    assert_ne!(second.text("access_token"), person.access, "a new pair, also within one second");
    assert_ne!(second.text("refresh_token"), person.refresh);
    let now = nobody.with_token(&second.text("access_token"));
    now.get("/v1/auth/me").expect(200);

    refused(&refresh(&nobody, &person.refresh), 401, "refresh_token_reused");
    unknown(&now.get("/v1/auth/me"));
    unknown(&person.client.get("/v1/auth/me"));
    assert_eq!(refresh(&nobody, &second.text("refresh_token")).status, 401);
    unknown(&refresh(&nobody, "rt_nonsense"));
    assert_eq!(invalid(&nobody.post("/v1/auth/refresh", &json!({}))), ["/refresh_token"]);

    // Of many at once exactly one is first, and all the others are a reuse.
    let other = newcomer(&server);
    let start = Barrier::new(20);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let ask = || {
            start.wait();
            refresh(&nobody, &other.refresh)
        };
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.code() == "refresh_token_reused"));
    unknown(&nobody.with_token(&won[0].text("access_token")).get("/v1/auth/me"));
}

#[test]
fn sessions_are_ones_own_and_end_at_once() {
    let server = crate::start(&[]).expect("a server");
    let nobody = server.nobody();
    let (person, stranger) = (newcomer(&server), newcomer(&server));
    let session = |client: &Client| client.get("/v1/auth/me").expect(200).json()["session"]["id"].clone();
    let again =
        || nobody.with_token(&log_in(&nobody, &person.username, PASSWORD).expect(200).text("access_token"));
    let (second, third) = (again(), again());

    let listed = all_pages(&person.client, "/v1/auth/sessions", 2);
    let ids: Vec<Value> = listed.iter().map(|row| row["id"].clone()).collect();
    assert_eq!(ids, [session(&third), session(&second), session(&person.client)]);
    for row in &listed {
        assert_eq!(row["address"], "127.0.0.1");
        assert!(
            row["created_at"].is_string() && row["last_seen_at"].is_string() && row.get("agent").is_some()
        );
    }
    let path = |id: &Value| format!("/v1/auth/sessions/{}", id.as_str().unwrap_or_default());
    for foreign in [path(&session(&stranger.client)), "/v1/auth/sessions/nonsense".to_owned()] {
        refused(&delete(&person.client, &foreign), 404, "not_found");
    }
    delete(&person.client, &path(&ids[1])).expect(204);
    unknown(&second.get("/v1/auth/me"));
    refused(&delete(&person.client, &path(&ids[1])), 404, "not_found");

    let change = |client: &Client, current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        with_method(client, "PUT", "/v1/auth/password", Some(&body))
    };
    refused(&change(&third, "not the password", "another good one"), 401, "invalid_credentials");
    assert_eq!(invalid(&change(&third, PASSWORD, "short")), ["/new_password"]);
    assert_eq!(invalid(&change(&third, PASSWORD, &person.email)), ["/new_password"]);
    change(&third, PASSWORD, "another good one").expect(204);
    third.get("/v1/auth/me").expect(200);
    unknown(&person.client.get("/v1/auth/me"));
    assert_eq!(refresh(&nobody, &person.refresh).status, 401);
    refused(&log_in(&nobody, &person.username, PASSWORD), 401, "invalid_credentials");
    let fourth = log_in(&nobody, &person.username, "another good one").expect(200);
    let fourth_client = nobody.with_token(&fourth.text("access_token"));

    post_empty(&third, "/v1/auth/logout").expect(204);
    unknown(&third.get("/v1/auth/me"));
    let fifth = nobody
        .with_token(&log_in(&nobody, &person.email, "another good one").expect(200).text("access_token"));
    post_empty(&fifth, "/v1/auth/logout-all").expect(204);
    for ended in [&fourth_client, &fifth] {
        unknown(&ended.get("/v1/auth/me"));
    }
    assert_eq!(refresh(&nobody, &fourth.text("refresh_token")).status, 401);
    stranger.client.get("/v1/auth/me").expect(200);
    refused(&post_empty(&server.app(), "/v1/auth/logout"), 403, "forbidden");
}

#[test]
fn only_tokens_of_this_server_open_the_door() {
    let server = crate::start(&[]).expect("a server");
    let nobody = server.nobody();
    let person = newcomer(&server);
    let parts: Vec<&str> = person.access.split('.').collect();
    let decode = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
    };
    let (header, claims) = (decode(parts[0]), decode(parts[1]));
    let keys = nobody.get("/.well-known/jwks.json").expect(200).json();
    let key = &keys["keys"][0];
    assert_eq!(
        (&header["typ"], &header["alg"], &header["kid"]),
        (&json!("at+jwt"), &json!("EdDSA"), &key["kid"])
    );
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    assert!(key.get("d").is_none());
    for claim in ["iss", "aud", "sub", "app", "sid", "jti", "iat", "exp"] {
        assert!(!claims[claim].is_null(), "{claim}");
    }

    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        encode(&header)
    };
    let mut elevated = claims.clone();
    elevated["sub"] = newcomer(&server).id.into();
    let secrets = std::fs::read_to_string(server.folder().join("dev-secrets.json")).expect("secrets");
    let secrets: Value = serde_json::from_str(&secrets).expect("JSON");
    let secret = URL_SAFE.decode(secrets["token_keys"][0].as_str().expect("a key")).expect("base64");
    let secret: [u8; 32] = secret.try_into().expect("32 bytes");
    let (issuer, audience) = (claims["iss"].as_str().expect("text"), claims["aud"].as_str().expect("text"));
    let now = Timestamp::from_millis(claims["iat"].as_i64().expect("seconds") * 1000);
    let text = |name: &str| claims[name].as_str().expect("text");
    let signed = |key: &[u8; 32], issuer: &str, audience: &str, session: &str, age_seconds: i64| {
        let signer = JwtSigner::try_new([key], issuer, audience).expect("a key");
        signer.sign(&AccessClaims {
            id: 1,
            user: UserId::parse(text("sub")).expect("a user"),
            app: AppId::parse(text("app")).expect("an app"),
            session: SessionId::parse(session).expect("a session"),
            issued_at: now.plus_seconds(-age_seconds),
            expires_at: now.plus_seconds(600 - age_seconds),
        })
    };
    let sid = text("sid");
    let right = signed(&secret, issuer, audience, sid, 0);
    nobody.with_token(&right).get("/v1/auth/me").expect(200);
    let forged = [
        format!("{}.{}.", with("alg", "none".into()), parts[1]),
        format!("{}.{}.{}", with("alg", "none".into()), parts[1], parts[2]),
        format!("{}.{}.{}", with("alg", "HS256".into()), parts[1], parts[2]),
        format!("{}.{}.{}", with("typ", "JWT".into()), parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], encode(&elevated), parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        signed(&[7; 32], issuer, audience, sid, 0),
        signed(&secret, "another", audience, sid, 0),
        signed(&secret, issuer, "another", sid, 0),
        signed(&secret, issuer, audience, sid, 601),
        signed(&secret, issuer, audience, "ses_00000000000000000000000000000000", 0),
        person.refresh.clone(),
        server.api_key().to_owned(),
        String::new(),
    ];
    for token in &forged {
        unknown(&nobody.with_token(token).get("/v1/auth/me"));
    }
    unknown(&nobody.get("/v1/auth/me"));
    for scheme in ["Basic", "Token"] {
        let value = format!("{scheme} {}", person.access);
        unknown(&nobody.call("GET", "/v1/auth/me", &[("authorization", &value)], None).expect("an answer"));
    }

    let short = crate::start(&[("CREDIT_AUTH__ACCESS_TTL", "1s")]).expect("a server");
    let brief = newcomer(&short);
    std::thread::sleep(Duration::from_millis(1100));
    unknown(&brief.client.get("/v1/auth/me"));
    refresh(&short.nobody(), &brief.refresh).expect(200);
}
