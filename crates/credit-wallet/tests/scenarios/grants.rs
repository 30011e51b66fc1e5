//! Lots: their list, and taking one back.

use credit_core::GrantId;
use credit_wallet::domain::Category;
use credit_wallet::domain::moves::Deposit;
use credit_wallet::testkit::{Take, nothing};
use serde_json::{Value, json};

use super::world::{admin, alice, alice_with, assert_refused, column, hold, lots, newest_lot, till};

#[actix_web::test]
async fn lots_are_listed_newest_first_with_what_is_left_of_them() {
    let (house, wallet) = alice_with(10).await;
    let later = Deposit {
        effective_at: Some(house.in_seconds(60)),
        expires_at: Some(house.in_seconds(120)),
        ..Deposit::new(20, Category::Paid)
    };
    house.ground.seed_lot(wallet, later).await;
    house.ground.command(house.ground.app, Take { wallet, amount: 4 }).await;
    let lots = lots(&house, wallet).await;
    let [newer, older] = lots.as_slice() else { panic!("two lots: {lots:?}") };
    assert_eq!(
        (&newer["amount"], &newer["remaining"], &newer["state"]),
        (&json!(20), &json!(20), &json!("pending"))
    );
    assert_eq!((&newer["category"], &newer["priority"]), (&json!("paid"), &json!(50)));
    assert_eq!(newer["effective_at"], json!(house.in_seconds(60)));
    assert_eq!(newer["expires_at"], json!(house.in_seconds(120)));
    assert_eq!(
        (&older["amount"], &older["remaining"], &older["state"]),
        (&json!(10), &json!(6), &json!("active"))
    );
    assert_eq!((&older["successor_of"], &older["expires_at"]), (&json!(null), &json!(null)));
    assert_eq!(older["wallet_id"], json!(wallet));
    let wallet_now = house.look(wallet).await;
    assert_eq!((&wallet_now["scheduled"], &wallet_now["available"]), (&json!(20), &json!(6)));
    house.wait_seconds(60);
    assert_eq!(house.look(wallet).await["available"], 26);
}

#[actix_web::test]
async fn the_state_of_a_lot_is_the_one_it_has_now() {
    let (house, wallet) = alice_with(10).await;
    let lot = Deposit {
        effective_at: Some(house.in_seconds(10)),
        expires_at: Some(house.in_seconds(20)),
        ..Deposit::new(5, Category::Promotional)
    };
    house.ground.seed_lot(wallet, lot).await;
    house.ground.seed(wallet, 3).await;
    let doomed = newest_lot(&house, wallet).await;
    house.once(&till(&house), "v", &format!("/v1/grants/{doomed}/void"), nothing()).await;
    house.ground.command(house.ground.app, Take { wallet, amount: 10 }).await;
    let amounts = async |state: &str| {
        column(&house.get(&alice(), &format!("/v1/wallets/{wallet}/grants?state={state}")).await, "amount")
    };
    let none: [Value; 0] = [];
    for (seconds, pending, active, expired) in
        [(0, true, false, false), (10, false, true, false), (10, false, false, true)]
    {
        house.wait_seconds(seconds);
        for (state, is_it) in [("pending", pending), ("active", active), ("expired", expired)] {
            let expected: &[Value] = if is_it { &[json!(5)] } else { &none };
            assert_eq!(amounts(state).await, expected, "{state} after {seconds}");
        }
        assert_eq!(amounts("depleted").await, [json!(10)]);
        assert_eq!(amounts("voided").await, [json!(3)]);
    }
    let wrong = house.get(&alice(), &format!("/v1/wallets/{wallet}/grants?state=spent")).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "invalid_parameter"));
}

#[actix_web::test]
async fn lots_come_page_by_page() {
    let (house, wallet) = alice_with(1).await;
    for amount in 2..=5 {
        house.ground.seed(wallet, amount).await;
    }
    let first = house.get(&alice(), &format!("/v1/wallets/{wallet}/grants?limit=3")).await;
    assert_eq!(column(&first, "amount"), [5, 4, 3]);
    house.ground.seed(wallet, 6).await;
    let cursor = first.json()["next_cursor"].as_str().expect("more").to_owned();
    let next = house.get(&alice(), &format!("/v1/wallets/{wallet}/grants?limit=3&cursor={cursor}")).await;
    assert_eq!(
        (column(&next, "amount"), &next.json()["has_more"]),
        (vec![json!(2), json!(1)], &json!(false))
    );
}

#[actix_web::test]
async fn a_spend_draws_by_priority_then_expiry_then_category_then_age() {
    let (house, wallet) = alice_with(0).await;
    let base = Deposit::new(1, Category::Paid);
    let at = |seconds| Some(house.in_seconds(seconds));
    let hurried = {
        let number = serde_json::json!(0);
        serde_json::from_value(number).expect("a priority")
    };
    // In the order in which they are drawn; seeded the other way round.
    let order = [
        Deposit { priority: hurried, ..base.clone() },
        Deposit { expires_at: at(100), ..Deposit::new(1, Category::Promotional) },
        Deposit { expires_at: at(100), ..base.clone() },
        Deposit { expires_at: at(200), ..base.clone() },
        Deposit::new(1, Category::Promotional),
        base.clone(),
        base,
    ];
    house.ground.seed_lot(wallet, order[5].clone()).await;
    let oldest = newest_lot(&house, wallet).await;
    let mut expected: Vec<GrantId> = Vec::new();
    for deposit in [&order[6], &order[4], &order[3], &order[2], &order[1], &order[0]] {
        house.ground.seed_lot(wallet, deposit.clone()).await;
        expected.push(newest_lot(&house, wallet).await);
    }
    expected.reverse();
    expected.insert(5, oldest);
    let outcome = house.ground.command(house.ground.app, Take { wallet, amount: 7 }).await;
    let taken: Vec<GrantId> = outcome.posted()[0].taken.iter().map(|taken| taken.grant).collect();
    assert_eq!(taken, expected);
}

#[actix_web::test]
async fn a_void_takes_back_what_is_free_and_leaves_holds_good() {
    let (house, wallet) = alice_with(100).await;
    let grant = newest_lot(&house, wallet).await;
    let hold = hold(&house, wallet, 30).await;
    let path = format!("/v1/grants/{grant}/void");
    let voided = house.once(&admin(), "v", &path, nothing()).await;
    assert_eq!(voided.status, 201, "{:?}", voided.json());
    let transaction = voided.json();
    assert_eq!((&transaction["type"], &transaction["amount"]), (&json!("void"), &json!(70)));
    let now = house.look(wallet).await;
    assert_eq!((&now["balance"], &now["held"], &now["available"]), (&json!(30), &json!(30), &json!(0)));
    assert_eq!(now["version"], transaction["wallet_version"]);
    let again = house.once(&admin(), "w", &path, nothing()).await;
    assert_refused(&house, wallet, &now, &again, (409, "grant_not_active")).await;
    let captured =
        house.once(&alice(), "c", &format!("/v1/holds/{hold}/capture"), json!({ "amount": 10 })).await;
    assert_eq!(captured.status, 201);
    assert_eq!(house.look(wallet).await["balance"], 0, "what the hold gives back is voided at once");
}

#[actix_web::test]
async fn of_a_lot_with_nothing_free_nothing_is_taken_back() {
    let (house, wallet) = alice_with(10).await;
    let grant = newest_lot(&house, wallet).await;
    hold(&house, wallet, 10).await;
    let before = house.look(wallet).await;
    let path = format!("/v1/grants/{grant}/void");
    let answer = house.once(&till(&house), "v", &path, nothing()).await;
    assert_refused(&house, wallet, &before, &answer, (409, "grant_not_active")).await;
    for unknown in ["grt_1".to_owned(), GrantId::from_u128(7).to_string()] {
        let answer = house.once(&till(&house), "u", &format!("/v1/grants/{unknown}/void"), nothing()).await;
        assert_refused(&house, wallet, &before, &answer, (404, "not_found")).await;
    }
}
