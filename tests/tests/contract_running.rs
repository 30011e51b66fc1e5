//! "Running it" of the contract: settings and where they come from, profiles, what a start leaves behind.
#![expect(unused_must_use, reason = "an expected status is often all that a step has to show")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use credit_tests::server::{Server, binary};
use serde_json::{Value, json};

fn run(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary().expect("built"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CREDIT_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).current_dir(folder).envs(settings.iter().copied()).output().expect("it runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn files_come_before_the_environment_and_secrets_are_masked() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("credit.toml"), "[server]\nport = 7777\n[auth]\naccess_ttl = \"5m\"\n")
        .expect("written");
    let key = "q1Zl0gJQkT1r8Y6vN4x2mW9sB7uE3cH5aD0fK8pLtRo=";
    let place = folder.path().join("index.key");
    std::fs::write(&place, format!("{key}\n")).expect("written");
    let settings = [
        ("CREDIT_SERVER__PORT", "8888"),
        ("CREDIT_AUTH__REFRESH_TTL", "7d"),
        ("CREDIT_AUTH__API_KEY_GRACE", "90"),
        ("CREDIT_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::1"),
        ("CREDIT_CORS__ALLOWED_ORIGINS", r#"["https://a.example"]"#),
        ("CREDIT_STORE__MONGODB__URI", "mongodb://user:canary@host/db"),
        ("CREDIT_ENCRYPTION__INDEX_KEYS_FILE", place.to_str().expect("a path")),
    ];
    let shown = said(&run(folder.path(), &["config", "show"], &settings));
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    assert!(line("port").contains("7777") && line("port").contains("credit.toml"), "{shown}");
    assert!(
        line("access_ttl").contains("5m") && line("refresh_ttl").contains("CREDIT_AUTH__REFRESH_TTL"),
        "{shown}"
    );
    assert!(line("registration").contains("default"), "{shown}");
    assert!(!shown.contains("canary") && !shown.contains(key), "{shown}");
    assert!(run(folder.path(), &["config", "check"], &settings).status.success());
}

#[test]
fn every_fault_is_told_at_once_and_no_secret_with_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = [
        ("CREDIT_SERVER__PORT", "99999"),
        ("CREDIT_SERVER__PROT", "1"),
        ("CREDIT_AUTH__ACCESS_TTL", "soon"),
        ("CREDIT_AUTH__REGISTRATION", "maybe"),
        ("CREDIT_STORE__BACKEND", "shelf"),
        ("CREDIT_LOG__LEVEL", "loud"),
        ("CREDIT_SERVER__TRUSTED_PROXIES", "proxy"),
        ("CREDIT_AUTH__TOKEN_KEYS", "canary"),
        ("CREDIT_ENCRYPTION__KEYS_FILE", "/nowhere/at/all"),
        ("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "root"),
    ];
    for arguments in [["config", "check"].as_slice(), &["serve"]] {
        let checked = run(folder.path(), arguments, &wrong);
        let text = said(&checked);
        assert_eq!(checked.status.code(), Some(3), "{text}");
        for named in [
            "server.port",
            "server.prot",
            "auth.access_ttl",
            "auth.registration",
            "store.backend",
            "log.level",
            "server.trusted_proxies",
            "auth.token_keys",
            "encryption.keys_file",
            "bootstrap.admin_email",
            "bootstrap.admin_password",
        ] {
            assert!(text.contains(named), "{named}: {text}");
        }
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn profile_prod_names_every_secret_that_it_misses() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [["config", "check"].as_slice(), &["serve"]] {
        let refused = run(folder.path(), arguments, &[("CREDIT_PROFILE", "prod")]);
        assert_eq!(refused.status.code(), Some(3));
        for named in ["auth.token_keys", "encryption.keys", "encryption.index_keys", "encryption.cursor_key"]
        {
            assert!(said(&refused).contains(named), "{}", said(&refused));
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing was made");
}

#[test]
fn the_credentials_of_profile_dev_are_private_and_always_name_an_admin_that_works() {
    let first = [
        ("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "captain"),
        ("CREDIT_BOOTSTRAP__ADMIN_EMAIL", "captain@example.com"),
        ("CREDIT_BOOTSTRAP__ADMIN_PASSWORD", "a rather good one"),
    ];
    let mut server = Server::start(&first).expect("a server");
    let place = server.folder().join("dev-credentials.json");
    let kept = |place: &Path| -> Value {
        serde_json::from_str(&std::fs::read_to_string(place).expect("a file")).expect("JSON")
    };
    let mode = std::fs::metadata(&place).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let credentials = kept(&place);
    assert_eq!(credentials["admin"], json!({"username": "captain", "password": "a rather good one"}));
    assert!(
        credentials["base_url"].is_string()
            && credentials["api_key"].as_str().is_some_and(|key| key.starts_with("ck_"))
    );
    server.app().get("/v1/users").expect(200);

    // The store is one process's; the refusal is a sentence.
    let folder = server.folder().to_str().expect("a path").to_owned();
    let second =
        [("CREDIT_DATA_DIR", folder.as_str()), ("CREDIT_SERVER__PORT", "0"), ("CREDIT_METRICS__PORT", "0")];
    let refused = run(server.folder(), &["serve"], &second);
    assert_eq!(refused.status.code(), Some(4));
    assert!(said(&refused).contains("in use by process"), "{}", said(&refused));

    // Started again it is the same admin, even without the file; and another one once its password was changed.
    assert_eq!(server.terminate().expect("an exit"), Some(0));
    server.start_again().expect("a start");
    assert_eq!(kept(&place)["admin"], credentials["admin"]);
    let admin = server.admin();
    let change = json!({"current_password": "a rather good one", "new_password": "an even better one"});
    admin.call("PUT", "/v1/auth/password", &[], Some(&change)).expect("an answer").expect(204);
    assert_eq!(server.terminate().expect("an exit"), Some(0));
    server.start_again().expect("a start");
    assert_ne!(kept(&place)["admin"], credentials["admin"]);
    server.admin().get("/v1/apps").expect(200);
}
