use credit_core::Role;
use futures_util::future::{join, join_all};
use serde_json::json;

use super::world::{PASSWORD, Person, World, refused};

async fn set_roles(
    world: &World,
    by: &Person,
    of: &Person,
    roles: &[&str],
) -> credit_api::testkit::TestAnswer {
    world.ask("PUT", &format!("{}/roles", of.path()), by, Some(json!({ "roles": roles }))).await
}

#[actix_web::test]
async fn roles_count_from_the_next_request_on() {
    let world = World::new().await;
    let admin = world.operator("root-admin", Role::Admin).await;
    let ann = world.person("ann").await;
    refused(&world.ask("GET", "/v1/users", &ann, None).await, 403, "forbidden");
    let answer = set_roles(&world, &admin, &ann, &["support", "user"]).await;
    assert_eq!((answer.status, &answer.json()["roles"]), (200, &json!(["user", "support"])));
    assert_eq!(world.ask("GET", "/v1/users", &ann, None).await.status, 200);
    assert_eq!(set_roles(&world, &admin, &ann, &["user"]).await.status, 200);
    refused(&world.ask("GET", "/v1/users", &ann, None).await, 403, "forbidden");
}

#[actix_web::test]
async fn only_an_admin_sets_roles_and_only_those_that_exist() {
    let world = World::new().await;
    let support = world.operator("helper", Role::Support).await;
    let admin = world.operator("root-admin", Role::Admin).await;
    let ann = world.person("ann").await;
    for caller in [&support, &ann] {
        refused(&set_roles(&world, caller, &ann, &["admin"]).await, 403, "forbidden");
    }
    let path = format!("{}/roles", ann.path());
    refused(
        &world.ask_as("writer", "PUT", &path, Some(json!({ "roles": ["admin"] }))).await,
        403,
        "forbidden",
    );
    for wrong in [&[][..], &["root"], &["user", "user"]] {
        refused(&set_roles(&world, &admin, &ann, wrong).await, 422, "validation_failed");
    }
    assert_eq!(world.user(&ann.id).await["roles"], json!(["user"]));
}

#[actix_web::test]
async fn a_suspended_user_is_nobody_until_it_is_reactivated() {
    let world = World::new().await;
    let support = world.operator("helper", Role::Support).await;
    let admin = world.operator("root-admin", Role::Admin).await;
    let ann = world.person("ann").await;
    let (suspend, reactivate) = (format!("{}/suspend", ann.path()), format!("{}/reactivate", ann.path()));
    for _ in 0..2 {
        let answer = world.ask("POST", &suspend, &support, None).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("suspended")));
    }
    refused(&world.me(&ann.access).await, 401, "unauthenticated");
    refused(&world.refresh(&ann.refresh).await, 401, "unauthenticated");
    refused(&world.login("ann", PASSWORD).await, 401, "invalid_credentials");
    refused(&world.ask("POST", &reactivate, &support, None).await, 403, "forbidden");
    let answer = world.ask("POST", &reactivate, &admin, None).await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("active")));
    assert_eq!(world.login("ann", PASSWORD).await.status, 200);
    refused(&world.me(&ann.access).await, 401, "unauthenticated");
}

#[actix_web::test]
async fn support_does_not_suspend_an_admin_and_a_user_suspends_nobody() {
    let world = World::new().await;
    let support = world.operator("helper", Role::Support).await;
    let admin = world.operator("root-admin", Role::Admin).await;
    let ann = world.person("ann").await;
    for caller in [&support, &ann] {
        let answer = world.ask("POST", &format!("{}/suspend", admin.path()), caller, None).await;
        refused(&answer, 403, "forbidden");
    }
    assert_eq!(world.me(&admin.access).await.status, 200);
}

#[actix_web::test]
async fn the_last_admin_stays() {
    let world = World::new().await;
    let admin = world.operator("root-admin", Role::Admin).await;
    refused(&set_roles(&world, &admin, &admin, &["user"]).await, 409, "last_admin");
    refused(&world.ask("POST", &format!("{}/suspend", admin.path()), &admin, None).await, 409, "last_admin");
    refused(&world.ask("DELETE", &admin.path(), &admin, None).await, 409, "last_admin");
    let kept = world.user(&admin.id).await;
    assert_eq!(
        (&kept["roles"], &kept["status"], &kept["version"]),
        (&json!(["admin"]), &json!("active"), &json!(1))
    );

    let second = world.person("second").await;
    assert_eq!(set_roles(&world, &admin, &second, &["admin"]).await.status, 200);
    assert_eq!(set_roles(&world, &second, &admin, &["user"]).await.status, 200);
    refused(&set_roles(&world, &second, &second, &["user"]).await, 409, "last_admin");
}

#[actix_web::test]
async fn an_admin_that_cannot_be_deleted_for_its_credits_still_counts() {
    let world = World::new().await;
    let first = world.operator("root-admin", Role::Admin).await;
    let second = world.operator("second-admin", Role::Admin).await;
    world.parts.wallets.fill(world.app, first.user_id());
    refused(&world.ask("DELETE", &first.path(), &first, None).await, 409, "wallet_not_empty");
    assert_eq!(set_roles(&world, &first, &second, &["user"]).await.status, 200);
    refused(&set_roles(&world, &first, &first, &["user"]).await, 409, "last_admin");
}

#[actix_web::test]
async fn a_suspended_admin_does_not_count() {
    let world = World::new().await;
    let first = world.operator("root-admin", Role::Admin).await;
    let second = world.operator("second-admin", Role::Admin).await;
    assert_eq!(world.ask("POST", &format!("{}/suspend", second.path()), &first, None).await.status, 200);
    refused(&set_roles(&world, &first, &first, &["user"]).await, 409, "last_admin");
    assert_eq!(world.ask("POST", &format!("{}/reactivate", second.path()), &first, None).await.status, 200);
    assert_eq!(set_roles(&world, &first, &first, &["user"]).await.status, 200);
}

#[actix_web::test]
async fn of_two_admins_that_demote_each_other_at_once_one_stays() {
    for round in 0..60 {
        let world = World::crossing(round).await;
        let first = world.operator("root-admin", Role::Admin).await;
        let second = world.operator("second-admin", Role::Admin).await;
        let (left, right) = join(
            async {
                match round % 3 {
                    0 => set_roles(&world, &first, &second, &["user"]).await,
                    1 => world.ask("DELETE", &second.path(), &second, None).await,
                    _ => world.ask("POST", &format!("{}/suspend", second.path()), &first, None).await,
                }
            },
            set_roles(&world, &second, &first, &["user"]),
        )
        .await;
        let done = [&left, &right].iter().filter(|answer| answer.status < 300).count();
        assert!(done <= 1, "{:?} {:?}", left.json(), right.json());
        assert!(world.users.admin_exists().await.expect("up"));
    }
}

#[actix_web::test]
async fn the_first_admin_is_made_where_there_is_none() {
    let world = World::new().await;
    let password = PASSWORD.into();
    assert!(!world.users.admin_exists().await.expect("up"));
    let made =
        world.users.ensure_first_admin("root-admin", "root@example.org", &password).await.expect("new");
    assert!(made.is_some());
    let again =
        world.users.ensure_first_admin("root-again", "again@example.org", &password).await.expect("up");
    assert_eq!(again, None);
    let admin = world.logged_in("root-admin", &made.expect("made").to_string()).await;
    assert_eq!(world.ask("GET", "/v1/users", &admin, None).await.status, 200);
    let poor = world.users.create_admin("other-admin", "other@example.org", &"password123".into()).await;
    assert_eq!(poor.err().map(|problem| problem.code()), Some(credit_core::Code::ValidationFailed));
}

#[actix_web::test]
async fn an_admin_gets_in_with_a_password_that_was_hashed_ahead() {
    let world = World::new().await;
    let ahead = world.users.hash_ahead(&PASSWORD.into()).await.expect("good");
    let made = world.users.create_admin_ahead("root-admin", "root@example.org", ahead).await.expect("new");
    assert!(made.is_active_admin() && world.users.admin_exists().await.expect("up"));
    let admin = world.logged_in("root-admin", &made.id.to_string()).await;
    assert_eq!(world.ask("GET", "/v1/users", &admin, None).await.status, 200);
    assert!(world.users.hash_ahead(&"password123".into()).await.is_err());
    let own = world.users.hash_ahead(&"other-admin".into()).await.expect("good by itself");
    let poor = world.users.create_admin_ahead("other-admin", "other@example.org", own).await;
    assert_eq!(poor.err().map(|problem| problem.code()), Some(credit_core::Code::ValidationFailed));
}

#[actix_web::test]
async fn of_many_admins_that_all_step_down_at_once_one_stays() {
    for seed in 0..10 {
        let world = World::crossing(seed).await;
        let mut admins = Vec::new();
        for number in 2..8 {
            admins.push(world.operator(&format!("admin-{number}"), Role::Admin).await);
        }
        let answers = join_all(admins.iter().map(|admin| set_roles(&world, admin, admin, &["user"]))).await;
        let done = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(done < admins.len(), "seed {seed}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            refused(answer, 409, "last_admin");
        }
        let left = world.ask_as("reader", "GET", "/v1/users?role=admin", None).await.json();
        assert_eq!(left["data"].as_array().map(Vec::len), Some(admins.len() - done));
    }
}
