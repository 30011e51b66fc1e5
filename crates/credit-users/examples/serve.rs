//! `user_management` alone, on the in-memory ports: `cargo run -p credit-users --example serve`.

use credit_users::testkit::TestParts;

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let parts = TestParts::default();
    let (house, users) = parts.house();
    users
        .create_admin("admin", "admin@example.org", &"otter-Lamp-42".into())
        .await
        .map_err(std::io::Error::other)?;
    house
        .serve("127.0.0.1:8080", |address| {
            println!("The page to try it: http://{address}/docs");
            println!("The admin is admin with the password otter-Lamp-42:");
            println!(
                "curl -s http://{address}/v1/auth/login --json '{{\"login\":\"admin\",\"password\":\"otter-Lamp-42\"}}'"
            );
        })
        .await
}
