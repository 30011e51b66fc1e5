use credit_api::form::Metadata;
use credit_core::{Role, Scope};
use credit_users::testkit::{TestWallet, users_collection};
use credit_users::{Email, NewUser, Status, UserDirectory, Username};
use serde_json::{Value, json};

use super::world::{PASSWORD, World, refused};

#[actix_web::test]
async fn an_application_makes_users_of_its_own() {
    let world = World::new().await;
    let body = json!({
        "username": "ann", "email": "ann@example.org", "profile": { "city": "Ghent" }, "password": PASSWORD
    });
    let answer = world.ask_as("writer", "POST", "/v1/users", Some(body)).await;
    assert_eq!(answer.status, 201);
    let user = answer.json();
    assert_eq!((&user["roles"], &user["profile"]), (&json!(["user"]), &json!({ "city": "Ghent" })));
    assert_eq!(answer.header("location"), Some(&*format!("/v1/users/{}", user["id"].as_str().expect("id"))));
    assert_eq!(world.parts.wallets.count(), 1);
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
    assert_eq!(world.user(user["id"].as_str().expect("id")).await, user);
}

#[actix_web::test]
async fn roles_and_an_application_are_named_by_an_admin_only() {
    let world = World::new().await;
    let other = world.parts.apps.create("other".into()).await.expect("new").id.to_string();
    let body =
        json!({ "username": "ann", "email": "ann@example.org", "roles": ["admin", "user"], "app_id": other });
    for field in ["roles", "app_id"] {
        let smuggled = json!({ "username": "ann", "email": "ann@example.org", field: body[field] });
        refused(&world.ask_as("writer", "POST", "/v1/users", Some(smuggled)).await, 403, "forbidden");
    }
    let ann = world.person("plain-user").await;
    refused(&world.ask("POST", "/v1/users", &ann, Some(body.clone())).await, 403, "forbidden");
    refused(&world.ask_as("reader", "POST", "/v1/users", Some(body.clone())).await, 403, "forbidden");
    refused(&world.post("/v1/users", &body).await, 401, "unauthenticated");
    assert_eq!(world.parts.wallets.count(), 1);
    let admin = world.operator("root-admin", Role::Admin).await;
    let made = world.ask("POST", "/v1/users", &admin, Some(body)).await.json();
    assert_eq!((&made["roles"], &made["app_id"]), (&json!(["user", "admin"]), &json!(other)));
}

#[actix_web::test]
async fn a_user_is_seen_by_itself_its_application_and_operators_only() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let bob = world.person("bob").await;
    let support = world.operator("helper", Role::Support).await;
    let other = world.parts.apps.create("other".into()).await.expect("new").id;
    world.parts.api_keys.learn_key("other", other, &[Scope::UsersRead, Scope::UsersWrite]);
    assert_eq!(world.ask("GET", &ann.path(), &ann, None).await.status, 200);
    assert_eq!(world.ask("GET", &ann.path(), &support, None).await.status, 200);
    assert_eq!(world.ask_as("reader", "GET", &ann.path(), None).await.status, 200);
    refused(&world.ask("GET", &ann.path(), &bob, None).await, 404, "not_found");
    refused(&world.ask("PATCH", &ann.path(), &bob, Some(json!({}))).await, 404, "not_found");
    refused(&world.ask("DELETE", &ann.path(), &bob, None).await, 404, "not_found");
    for method in ["GET", "DELETE"] {
        refused(&world.ask_as("other", method, &ann.path(), None).await, 404, "not_found");
    }
    refused(&world.ask_as("reader", "DELETE", &ann.path(), None).await, 403, "forbidden");
    refused(&world.ask("DELETE", &ann.path(), &support, None).await, 403, "forbidden");
    refused(&world.ask("PATCH", &ann.path(), &support, Some(json!({}))).await, 403, "forbidden");
    // Before the form, like every other refusal by role.
    let faulty = Some(json!({ "username": 7, "roles": [] }));
    refused(&world.ask("PATCH", &ann.path(), &support, faulty).await, 403, "forbidden");
    refused(&world.ask_as("reader", "GET", "/v1/users/usr_1", None).await, 404, "not_found");
    assert_eq!(world.user(&ann.id).await["version"], 1);
}

#[actix_web::test]
async fn a_user_changes_what_is_its_own_to_change() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    world.parts.clock.advance_seconds(5);
    let change = json!({ "username": "Anna", "email": "anna@example.org", "profile": { "a": "b" } });
    let answer = world.ask("PATCH", &ann.path(), &ann, Some(change.clone())).await;
    assert_eq!((answer.status, answer.header("etag")), (200, Some("\"2\"")));
    let user = answer.json();
    for field in ["username", "email", "profile"] {
        assert_eq!(user[field], change[field]);
    }
    assert_ne!(user["updated_at"], user["created_at"]);
    assert_eq!(world.login("anna", PASSWORD).await.status, 200);
    let emptied = world.ask("PATCH", &ann.path(), &ann, Some(json!({ "profile": null }))).await.json();
    assert_eq!((&emptied["profile"], &emptied["username"]), (&json!({}), &json!("Anna")));
    for smuggled in ["roles", "status", "app_id", "password"] {
        let answer = world.ask("PATCH", &ann.path(), &ann, Some(json!({ smuggled: "admin" }))).await;
        refused(&answer, 422, "validation_failed");
    }
    assert_eq!(world.user(&ann.id).await["version"], 3);
}

#[actix_web::test]
async fn a_change_to_a_version_that_has_moved_on_or_to_a_taken_name_changes_nothing() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    world.person("bob").await;
    let bearer = format!("Bearer {}", ann.access);
    let patch = async |tag: &str, body: Value| {
        let headers = [("authorization", &*bearer), ("if-match", tag)];
        world.house.call("PATCH", &ann.path(), &headers, Some(&body)).await
    };
    assert_eq!(patch("\"1\"", json!({ "profile": { "a": "b" } })).await.status, 200);
    refused(&patch("\"1\"", json!({ "profile": {} })).await, 412, "version_mismatch");
    refused(&patch("\"2\"", json!({ "username": "BOB" })).await, 409, "username_taken");
    refused(&patch("\"2\"", json!({ "email": "bob@example.org" })).await, 409, "email_taken");
    let kept = world.user(&ann.id).await;
    assert_eq!(
        (&kept["username"], &kept["profile"], &kept["version"]),
        (&json!("ann"), &json!({ "a": "b" }), &json!(2))
    );
}

#[actix_web::test]
async fn a_deleted_user_is_erased_and_its_history_stays() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    assert_eq!(world.ask("DELETE", &ann.path(), &ann, None).await.status, 204);
    refused(&world.me(&ann.access).await, 401, "unauthenticated");
    refused(&world.refresh(&ann.refresh).await, 401, "unauthenticated");
    refused(&world.login("ann", PASSWORD).await, 401, "invalid_credentials");
    let kept = world.user(&ann.id).await;
    assert_eq!(kept["status"], "deleted");
    for field in ["username", "email", "profile"] {
        assert_eq!(kept[field], Value::Null);
    }
    assert_eq!(world.parts.wallets.of(world.app, ann.user_id()), Some(TestWallet::Closed));
    let body = world
        .parts
        .documents
        .get(world.app, users_collection(), &ann.id)
        .await
        .expect("up")
        .expect("there")
        .body;
    assert!(!String::from_utf8(body.to_vec()).expect("JSON").contains("ann"));
    refused(&world.ask_as("writer", "DELETE", &ann.path(), None).await, 404, "not_found");
    refused(&world.ask_as("writer", "PATCH", &ann.path(), Some(json!({}))).await, 404, "not_found");
}

#[actix_web::test]
async fn a_user_with_credits_left_is_not_deleted() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    world.parts.wallets.fill(world.app, ann.user_id());
    refused(&world.ask("DELETE", &ann.path(), &ann, None).await, 409, "wallet_not_empty");
    assert_eq!(world.me(&ann.access).await.json()["user"]["username"], "ann");
}

#[actix_web::test]
async fn users_are_found_by_address_name_status_and_role() {
    let world = World::new().await;
    let admin = world.operator("root-admin", Role::Admin).await;
    let ann = world.person("ann").await;
    let anton = world.person("Anton").await;
    let bob = world.person("bob").await;
    let gone = world.person("gone").await;
    assert_eq!(world.ask("POST", &format!("{}/suspend", bob.path()), &admin, None).await.status, 200);
    assert_eq!(world.ask("DELETE", &gone.path(), &gone, None).await.status, 204);
    let table: [(&str, Vec<&str>); 12] = [
        ("", vec![&bob.id, &anton.id, &ann.id, &admin.id]),
        ("?q=an", vec![&anton.id, &ann.id]),
        ("?q=ANT", vec![&anton.id]),
        ("?q=ann@example.org", vec![&ann.id]),
        ("?q=ANN@example.org", vec![&ann.id]),
        ("?q=ann@example", vec![]),
        ("?status=suspended", vec![&bob.id]),
        ("?status=deleted", vec![&gone.id]),
        ("?role=admin", vec![&admin.id]),
        ("?role=user&status=active", vec![&anton.id, &ann.id]),
        ("?q=b&status=active", vec![]),
        ("?app_id=app_1", vec![]),
    ];
    for (filter, expected) in table {
        let answer = world.ask_as("reader", "GET", &format!("/v1/users{filter}"), None).await.json();
        let found: Vec<&str> = answer["data"]
            .as_array()
            .expect("data")
            .iter()
            .map(|user| user["id"].as_str().expect("id"))
            .collect();
        assert_eq!(found, expected, "{filter}");
    }
    refused(&world.ask_as("reader", "GET", "/v1/users?status=gone", None).await, 400, "invalid_parameter");
    refused(&world.ask_as("reader", "GET", "/v1/users?name=ann", None).await, 400, "unknown_parameter");
    refused(&world.ask("GET", "/v1/users", &ann, None).await, 403, "forbidden");
}

#[actix_web::test]
async fn a_list_is_paged_across_applications_without_repeating_or_hiding() {
    let world = World::new().await;
    let admin = world.operator("root-admin", Role::Admin).await;
    let other = world.parts.apps.create("other".into()).await.expect("new").id.to_string();
    for number in 0..9 {
        let name = format!("person-{}", "x".repeat(number));
        let mut body = json!({ "username": name, "email": format!("{name}@example.org") });
        if number % 2 == 0 {
            body["app_id"] = json!(other);
        }
        assert_eq!(world.ask("POST", "/v1/users", &admin, Some(body)).await.status, 201);
    }
    for filter in ["role=user", "q=person", "status=active"] {
        let mut seen = Vec::new();
        let mut path = format!("/v1/users?limit=2&{filter}");
        loop {
            let page = world.ask("GET", &path, &admin, None).await.json();
            seen.extend(page["data"].as_array().expect("data").iter().map(|user| user["id"].to_string()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/v1/users?limit=2&{filter}&cursor={cursor}");
        }
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        let admins = usize::from(filter == "status=active");
        assert_eq!((seen.len(), unique.len()), (9 + admins, 9 + admins), "{filter}");
    }
    let mine = world.ask_as("reader", "GET", "/v1/users?role=user", None).await.json();
    assert_eq!(mine["data"].as_array().map(Vec::len), Some(4));
}

#[actix_web::test]
async fn a_search_by_name_shows_the_newest_first_however_many_match() {
    let world = World::new().await;
    let admin = world.operator("root-admin", Role::Admin).await;
    let other = world.parts.apps.create("other".into()).await.expect("new").id;
    let mut ours = Vec::new();
    // More than one turn of the search; the newest ones are of another name.
    for number in 0..700_u32 {
        let name =
            if number < 600 { format!("p{:03}", (number * 7919) % 1000) } else { format!("z{number}") };
        let app = if number % 3 == 0 { other } else { world.app };
        let new = NewUser {
            username: Username::parse(&name).expect("a name"),
            email: Email::parse(&format!("{name}@example.org")).expect("an address"),
            password: None,
            profile: Metadata::default(),
            roles: vec![Role::User],
        };
        let user = world.users.create(app, new).await.expect("new");
        if name.starts_with('p') {
            ours.push((user.id.to_string(), name));
        }
    }
    ours.reverse();
    for prefix in ["p", "P12", "p345"] {
        let expected: Vec<&str> = ours
            .iter()
            .filter(|(_, name)| name.starts_with(&prefix.to_lowercase()))
            .map(|(id, _)| id.as_str())
            .collect();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/users?q={prefix}&limit=90{cursor}");
            let page = world.ask("GET", &path, &admin, None).await.json();
            let rows = page["data"].as_array().expect("data");
            seen.extend(rows.iter().map(|user| user["id"].as_str().expect("id").to_owned()));
            // Who comes while the pages are turned is newer than all of them.
            if seen.len() == 90 {
                world.person("p-latecomer").await;
            }
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, expected, "{prefix}");
    }
}

#[actix_web::test]
async fn addresses_and_profiles_are_sealed_and_looked_up_blindly() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let kept =
        world.parts.documents.get(world.app, users_collection(), &ann.id).await.expect("up").expect("there");
    let kept: Value = serde_json::from_slice(&kept.body).expect("JSON");
    let place = format!("sealed|{}|users|{}", world.app, ann.id);
    assert_eq!(kept["email"], json!(format!("{place}|email|ann@example.org")));
    assert_eq!(kept["profile"], json!(format!("{place}|profile|{{}}")));
}

#[actix_web::test]
async fn other_modules_find_users_by_the_documents_alone() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let directory = UserDirectory::new(world.parts.documents.clone());
    let found = directory.find(world.app, ann.user_id()).await.expect("up").expect("there");
    assert_eq!((found.app, found.user, found.status), (world.app, ann.user_id(), Status::Active));
    let other = world.parts.apps.create("other".into()).await.expect("new").id;
    assert_eq!(directory.find(other, ann.user_id()).await.expect("up"), None);
    assert_eq!(directory.locate(&[other, world.app], ann.user_id()).await.expect("up"), Some(found));
}
