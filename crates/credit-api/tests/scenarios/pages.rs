//! Pages and cursors.

use serde_json::json;

use super::world::{ADMIN, World, column, text};

#[actix_web::test]
async fn pages_neither_repeat_nor_hide_rows_while_new_ones_are_added() {
    let world = World::new().await;
    for number in 1..=5 {
        world.new_app(&format!("app {number}")).await;
    }
    let first = world.house.get("/v1/apps?limit=2", ADMIN).await;
    assert_eq!(column(&first, "name"), ["app 5", "app 4"]);
    assert_eq!(first.json()["has_more"], json!(true));
    world.new_app("app 6").await;
    let link = first.header("link").expect("a link").to_owned();
    let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).expect("a link");
    let second = world.house.get(next, ADMIN).await;
    assert_eq!(column(&second, "name"), ["app 3", "app 2"]);
    let cursor = text(&second.json()["next_cursor"]);
    let third = world.house.get(&format!("/v1/apps?limit=2&cursor={cursor}"), ADMIN).await;
    assert_eq!(column(&third, "name"), ["app 1", "default"]);
    assert_eq!((third.json()["has_more"].clone(), third.header("link")), (json!(false), None));
}

#[actix_web::test]
async fn a_limit_is_a_whole_number_from_1_to_200() {
    let world = World::new().await;
    for limit in ["1", "200"] {
        assert_eq!(world.house.get(&format!("/v1/apps?limit={limit}"), ADMIN).await.status, 200);
    }
    for limit in ["0", "201", "-1", "1.5", "", "many", "%2B1", "99999999999999999999999"] {
        let answer = world.house.get(&format!("/v1/apps?limit={limit}"), ADMIN).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_parameter"), "{limit}");
    }
}

#[actix_web::test]
async fn a_cursor_that_was_changed_or_belongs_elsewhere_is_refused() {
    let world = World::new().await;
    let app = world.new_app("shop").await;
    for _ in 0..3 {
        world.new_key(&app, &["users:read"]).await;
    }
    let first = world.house.get(&format!("/v1/api-keys?app_id={app}&limit=1"), ADMIN).await;
    let cursor = text(&first.json()["next_cursor"]);
    let mut changed = cursor.clone().into_bytes();
    let place = changed.len() / 2;
    changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("ASCII");
    for wrong in [
        format!("/v1/api-keys?app_id={app}&cursor={changed}"),
        format!("/v1/api-keys?app_id={app}&cursor={cursor}A"),
        format!("/v1/api-keys?cursor={cursor}"),
        format!("/v1/apps?cursor={cursor}"),
        format!("/v1/api-keys?app_id={app}&cursor="),
    ] {
        let answer = world.house.get(&wrong, ADMIN).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_cursor"), "{wrong}");
    }
    let right = format!("/v1/api-keys?limit=200&cursor={cursor}&app_id={app}");
    assert_eq!(column(&world.house.get(&right, ADMIN).await, "id").len(), 2);
}
