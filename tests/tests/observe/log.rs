use std::time::{Duration, Instant};

use credit_tests::client::Client;
use credit_tests::server::Server;
use credit_tests::story::register;
use serde_json::{Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The lines of calls so far.
fn calls(server: &Server) -> Vec<Value> {
    let events =
        server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<Value>>();
    events.into_iter().filter(|event| event["target"] == "access").collect()
}

/// The only line of the call with this id, once it is there.
fn line(server: &Server, request_id: &str) -> Value {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        let mut lines = calls(server);
        lines.retain(|line| line["request_id"] == request_id);
        if let [line] = lines.as_slice() {
            return line.clone();
        }
        assert!(lines.len() < 2 && Instant::now() < limit, "{lines:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ask(client: &Client, path: &str, request_id: &str) -> u16 {
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers = [("x-request-id", request_id), ("traceparent", parent.as_str())];
    client.call("GET", path, &headers, None).expect("an answer").status
}

#[test]
fn each_call_has_one_line_with_request_trace_principal_and_route() {
    let server = Server::start(&[]).expect("a server");
    let owner = register(&server.app());
    let path = format!("/v1/wallets/{}", owner.wallet);
    assert_eq!(ask(&owner.client, &path, "of-a-user"), 200);
    assert_eq!(ask(&server.app(), &path, "of-an-app"), 200);
    assert_eq!(ask(&server.nobody(), &path, "of-nobody"), 401);
    assert_eq!(ask(&server.app(), "/v1/user4711@example.com", "of-no-route"), 404);

    let told = line(&server, "of-a-user");
    assert_eq!(told["level"], "INFO");
    assert_eq!((&told["trace_id"], &told["method"]), (&json!(TRACE), &json!("GET")));
    assert_eq!((&told["route"], &told["status"]), (&json!("/v1/wallets/{id}"), &json!(200)));
    assert_eq!(told["principal"], format!("user {}", owner.user));
    assert!(told["duration_micros"].as_u64().is_some_and(|micros| micros > 0), "{told}");
    let of_app = line(&server, "of-an-app");
    assert!(of_app["principal"].as_str().is_some_and(|who| who.starts_with("api_key key_")), "{of_app}");
    let of_nobody = line(&server, "of-nobody");
    assert_eq!((&of_nobody["principal"], &of_nobody["status"]), (&json!("nobody"), &json!(401)));
    let of_no_route = line(&server, "of-no-route");
    assert_eq!((&of_no_route["route"], &of_no_route["status"]), (&json!("unmatched"), &json!(404)));
    assert!(!server.log().contains("user4711"), "what was asked for may be anything");
}

#[test]
fn an_admin_changes_what_a_running_process_logs() {
    let server = Server::start(&[("CREDIT_LOG__LEVEL", "info")]).expect("a server");
    let admin = server.admin();
    let put = |level: &str| admin.call("PUT", "/v1/log-level", &[], Some(&json!({ "level": level })));
    assert_eq!(
        put("warn").expect("an answer").expect(200).json(),
        json!({"level": "warn", "configured": "info"})
    );
    assert_eq!(ask(&server.app(), "/version", "in-silence"), 200);
    assert_eq!(put("loud").expect("an answer").expect(422).json()["errors"][0]["pointer"], "/level");
    assert_eq!(admin.get("/v1/log-level").expect(200).text("level"), "warn", "nothing has changed");
    put("debug").expect("an answer").expect(200);
    assert_eq!(ask(&server.app(), "/version", "aloud"), 200);
    line(&server, "aloud");
    assert!(calls(&server).iter().all(|line| line["request_id"] != "in-silence"));
    assert_eq!(server.app().get("/v1/log-level").status, 403);
}
