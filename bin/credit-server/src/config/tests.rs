use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use credit_core::ports::limits::Quota;
use secrecy::ExposeSecret;

use super::*;

/// A world of its own for each test: variables given, files in a directory that goes away.
struct World {
    directory: tempfile::TempDir,
    sources: Sources,
}

impl World {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), sources: Sources::default() }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.into(), value.into());
        self
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    fn file(mut self, name: &str, text: &str) -> Self {
        let path = self.write(name, text);
        self.sources.files.push(path);
        self
    }

    fn settings(&self) -> Settings {
        load(&self.sources).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// All faults, a line each, without the directory's name.
    fn faults(&self) -> Vec<String> {
        let faults = load(&self.sources).expect_err("a fault");
        let directory = format!("{}/", self.directory.path().display());
        faults.0.iter().map(|fault| fault.to_string().replace(&directory, "")).collect()
    }

    fn shown(&self, path: &str) -> (serde_json::Value, String) {
        let layers = Layers::read(&self.sources).unwrap_or_else(|faults| panic!("{faults}"));
        let all: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&layers.show(ShowFormat::Json)).expect("JSON");
        let row = &all[path];
        (row["value"].clone(), row["origin"].as_str().unwrap_or_default().to_owned())
    }
}

/// 32 bytes that nobody takes for a sample.
fn random(seed: u8) -> String {
    KeyMaterial::new(zeroize::Zeroizing::new(std::array::from_fn(|index| {
        u8::try_from((index * 37 + usize::from(seed) * 11) % 251).expect("small")
    })))
    .to_base64()
    .to_string()
}

#[test]
fn nothing_given_is_profile_dev_on_the_embedded_store() {
    let settings = World::new().settings();
    assert_eq!(settings.profile, Profile::Dev);
    assert_eq!(settings.data_dir, PathBuf::from(".credit"));
    assert_eq!((settings.server.host.as_str(), settings.server.port), ("127.0.0.1", 8080));
    assert_eq!(settings.metrics.port, 9090);
    assert_eq!(settings.server.workers, None);
    assert_eq!(settings.auth.access_ttl, Duration::from_secs(600));
    assert_eq!(settings.auth.refresh_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.auth.api_key_grace, Duration::from_secs(86_400));
    assert_eq!(
        (settings.auth.login_failures_per_account, settings.auth.login_failures_per_address),
        (10, 100)
    );
    assert_eq!(settings.auth.issuer, "credit-server");
    assert!(settings.auth.registration_open);
    assert_eq!(settings.server.shutdown_timeout, Duration::from_secs(30));
    assert_eq!((settings.server.backlog, settings.server.max_connections), (2048, 25_000));
    assert_eq!(settings.ledger.sweep_interval, Duration::from_secs(10));
    assert_eq!(settings.ledger.refund_successor_ttl, Duration::from_secs(30 * 86_400));
    assert_eq!(settings.modules, ["user_management", "wallet_module", "transactions_module"]);
    assert_eq!((settings.log.level.as_str(), settings.log.format), ("info", LogFormat::Auto));
    assert!(settings.allowed_origins.is_empty() && settings.server.trusted_proxies.is_empty());
    assert!(settings.bootstrap.is_none() && settings.auth.token_keys.is_empty());
}

#[test]
fn a_file_wins_over_the_environment_and_that_over_the_default() {
    let world = World::new()
        .env("CREDIT_SERVER__PORT", "8081")
        .env("CREDIT_METRICS__PORT", "9091")
        .file("one.toml", "[server]\nport = 8082\nhost = \"0.0.0.0\"");
    let settings = world.settings();
    assert_eq!((settings.server.port, settings.metrics.port), (8082, 9091));
    assert_eq!(settings.server.host, "0.0.0.0");
    assert!(world.shown("server.port").1.ends_with("one.toml"));
    assert_eq!(world.shown("metrics.port"), (9091.into(), "environment CREDIT_METRICS__PORT".into()));
    assert_eq!(world.shown("metrics.host"), ("127.0.0.1".into(), "default".into()));
}

#[test]
fn of_several_files_the_last_wins_key_by_key_in_three_languages() {
    let world = World::new()
        .file("one.toml", "[auth]\naccess_ttl = \"1m\"\nrefresh_ttl = 3600\nregistration = \"closed\"")
        .file("two.yaml", "auth:\n  access_ttl: 2m\nlog:\n  level:\n")
        .file("three.json", r#"{"auth": {"refresh_ttl": "2h"}}"#);
    let auth = world.settings().auth;
    assert_eq!(auth.access_ttl, Duration::from_secs(120));
    assert_eq!(auth.refresh_ttl, Duration::from_secs(7200));
    assert!(!auth.registration_open);
}

#[test]
fn the_files_of_the_environment_are_read_and_the_command_line_wins_over_them() {
    let mut world = World::new();
    let named = world.write("named.toml", "data_dir = \"from-env\"");
    world.sources.default_file = Some(world.write("credit.toml", "data_dir = \"from-default-file\""));
    assert_eq!(world.settings().data_dir, PathBuf::from("from-default-file"));
    world = world.env("CREDIT_CONFIG", &named.display().to_string());
    assert_eq!(world.settings().data_dir, PathBuf::from("from-env"));
    world = world.file("given.toml", "data_dir = \"from-command-line\"");
    assert_eq!(world.settings().data_dir, PathBuf::from("from-command-line"));
}

#[test]
fn a_file_that_is_not_there_or_not_readable_is_a_fault_and_nothing_of_it_is_quoted() {
    let mut world = World::new()
        .file("broken.toml", "[bootstrap]\nadmin_password = hunter2hunter2")
        .file("broken.yaml", "bootstrap: {admin_password: hunter2hunter2")
        .file("broken.json", "{\"bootstrap\": {\"admin_password\": hunter2hunter2}}")
        .file("settings.ini", "");
    world.sources.files.push(world.directory.path().join("gone.toml"));
    let faults = world.faults();
    assert_eq!(faults.len(), 5, "{faults:?}");
    assert!(!faults.join("\n").contains("hunter2"), "{faults:?}");
    assert!(faults[0].starts_with("broken.toml: is not TOML (line 2, column "), "{}", faults[0]);
    assert!(faults[4].contains("cannot be read"), "{}", faults[4]);
}

#[test]
fn texts_in_the_environment_stay_texts_and_lists_are_json_or_commas() {
    let world = World::new()
        .env("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "0123")
        .env("CREDIT_BOOTSTRAP__ADMIN_EMAIL", "root@shop.example")
        .env("CREDIT_AUTH__ISSUER", "true")
        .env("CREDIT_BOOTSTRAP__ADMIN_PASSWORD", "[not json either")
        .env("CREDIT_SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::1")
        .env("CREDIT_CORS__ALLOWED_ORIGINS", r#"["https://a.example","http://localhost:3000"]"#)
        .env("CREDIT_LOG__LEVEL", "");
    let settings = world.settings();
    let bootstrap = settings.bootstrap.expect("all three");
    assert_eq!((bootstrap.username.as_str(), settings.auth.issuer.as_str()), ("0123", "true"));
    assert_eq!(bootstrap.password.expose_secret(), "[not json either");
    assert_eq!(settings.server.trusted_proxies, ["10.0.0.0/8", "::1"]);
    assert_eq!(settings.allowed_origins, ["https://a.example", "http://localhost:3000"]);
    assert_eq!(settings.log.level, "info");
}

#[test]
fn every_fault_is_listed_with_its_key_its_origin_and_what_is_allowed() {
    let world = World::new()
        .env("CREDIT_SERVER__PORT", "80800")
        .env("CREDIT_PROFILE", "production")
        .env("CREDIT_RATE_LIMIT__ENABLED", "yes")
        .file("a.toml", "[auth]\naccess_ttl = \"10 minutes\"\n[modules]\nenabled = [\"wallet\"]");
    let faults = world.faults();
    assert_eq!(faults.len(), 5, "{faults:?}");
    for expected in [
        "server.port (environment CREDIT_SERVER__PORT): \"80800\" is not allowed; it takes a whole number from 0 to 65535",
        "profile (environment CREDIT_PROFILE): \"production\" is not allowed; it takes one of dev, prod",
        "rate_limit.enabled (environment CREDIT_RATE_LIMIT__ENABLED): \"yes\" is not allowed; it takes true or false",
        "auth.access_ttl (file a.toml): \"10 minutes\" is not allowed; it takes a duration from 1s to 366d, written 30s, \
         10m, 2h or 7d (a bare number: seconds)",
        "modules.enabled (file a.toml): [\"wallet\"] is not allowed; it takes a list of user_management, wallet_module, \
         transactions_module",
    ] {
        assert!(faults.iter().any(|fault| fault == expected), "{expected}\n{faults:#?}");
    }
}

#[test]
fn durations_of_tokens_and_keys_have_no_bounds_that_anybody_would_meet() {
    for (key, values) in [
        ("ACCESS_TTL", ["1", "31d"]),
        ("REFRESH_TTL", ["1s", "400d"]),
        ("API_KEY_GRACE", ["0", "60d"]),
        ("LOGIN_FAILURES_WINDOW", ["1s", "7d"]),
    ] {
        for value in values {
            let world = World::new().env(&format!("CREDIT_AUTH__{key}"), value);
            assert!(load(&world.sources).is_ok(), "{key}={value}: {:?}", world.faults());
        }
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name_and_without_its_value() {
    let world = World::new()
        .env("CREDIT_SERVER_PORT", "8081")
        .env("CREDIT_BOOTSTRAP__ADMIN_PASWORD", "hunter2hunter2")
        .file("a.toml", "colour = \"green\"\nmetrics = 3\n[auth]\nacess_ttl = \"1m\"");
    let faults = world.faults();
    assert_eq!(faults.len(), 5, "{faults:?}");
    for expected in [
        "server_port (environment CREDIT_SERVER_PORT): is not a key; did you mean server.port (CREDIT_SERVER__PORT)?",
        "bootstrap.admin_pasword (environment CREDIT_BOOTSTRAP__ADMIN_PASWORD): is not a key; did you mean \
         bootstrap.admin_password (CREDIT_BOOTSTRAP__ADMIN_PASSWORD)?",
        "colour (file a.toml): is not a key",
        "metrics (file a.toml): is a section and takes no value; its keys are metrics.host, metrics.port",
        "auth.acess_ttl (file a.toml): is not a key; did you mean auth.access_ttl?",
    ] {
        assert!(faults.iter().any(|fault| fault == expected), "{expected}\n{faults:#?}");
    }
}

#[test]
fn a_text_and_a_section_of_the_same_name_are_both_refused() {
    let world = World::new().env("CREDIT_METRICS", "3").env("CREDIT_METRICS__PORT", "9091");
    assert_eq!(world.faults().len(), 1, "{:?}", world.faults());
}

#[test]
fn variables_that_are_not_ours_are_left_alone() {
    let world = World::new()
        .env("PATH", "/bin")
        .env("CREDIT_SERVER_BIN", "target/debug/credit-server")
        .env("CREDIT_TEST_REDIS_URL", "redis://x")
        .env("CREDIT_SERVER_PORT", "tcp://10.0.0.1:8080")
        .env("CREDIT_SERVER_SERVICE_HOST", "10.0.0.1")
        .env("CREDIT_SERVER_SERVICE_PORT_HTTP", "8080")
        .env("CREDIT_SERVER_PORT_8080_TCP_ADDR", "10.0.0.1");
    assert_eq!(world.settings().server.port, 8080);
}

#[test]
fn a_secret_is_read_from_its_file_and_trimmed() {
    let world = World::new();
    let old_and_new = world.write("token", &format!("{}\n{}\n", random(1), random(2)));
    let world = world.env("CREDIT_AUTH__TOKEN_KEYS_FILE", &old_and_new.display().to_string());
    let keys = world.settings().auth.token_keys;
    assert_eq!(
        keys.iter().map(|key| key.to_base64().to_string()).collect::<Vec<_>>(),
        [random(1), random(2)]
    );
    assert_eq!(world.shown("auth.token_keys_file").0, old_and_new.display().to_string());
}

#[test]
fn a_secret_given_twice_or_by_a_file_that_is_not_there_is_a_fault() {
    let world = World::new()
        .env("CREDIT_AUTH__TOKEN_KEYS", &random(1))
        .env("CREDIT_AUTH__TOKEN_KEYS_FILE", "token.txt")
        .env("CREDIT_ENCRYPTION__INDEX_KEYS_FILE", "does-not-exist.txt");
    let faults = world.faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("auth.token_keys is given too"), "{faults:?}");
    assert!(faults[1].contains("does-not-exist.txt cannot be read"), "{faults:?}");
}

#[test]
fn a_secret_is_never_printed_not_even_when_it_is_wrong() {
    let world = World::new();
    let file = world.write("cursor", "hunter2-in-a-file");
    let world = world
        .env("CREDIT_ENCRYPTION__KEYS", "hunter2-in-a-list,hunter2-again")
        .env("CREDIT_ENCRYPTION__INDEX_KEYS", "hunter2")
        .env("CREDIT_ENCRYPTION__CURSOR_KEY_FILE", &file.display().to_string())
        .env("CREDIT_STORE__MONGODB__URI", "mongodb://root:hunter2@db")
        .file("a.json", r#"{"bootstrap": {"admin_password": {"hunter2": "hunter2"}}, "encryption": {"index_ky": "hunter2"}}"#);
    let faults = world.faults().join("\n");
    assert!(faults.contains("encryption.keys") && faults.contains("encryption.cursor_key_file"), "{faults}");
    assert!(!faults.replace("bootstrap.admin_password.hunter2", "").contains("hunter2"), "{faults}");
    for format in [ShowFormat::Toml, ShowFormat::Json] {
        let shown = Layers::read(&world.sources).unwrap_or_else(|faults| panic!("{faults}")).show(format);
        assert!(
            !shown
                .replace("bootstrap.admin_password.hunter2", "")
                .replace("\nhunter2 = ", "")
                .contains("hunter2"),
            "{shown}"
        );
    }
    assert_eq!(world.shown("store.mongodb.uri").0, "***");
    assert_eq!(world.shown("encryption.index_ky").0, "***");
}

#[test]
fn what_is_shown_reads_back_as_a_file() {
    let world =
        World::new().env("CREDIT_SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::1").env("CREDIT_LOG__LEVEL", "warn");
    let shown =
        Layers::read(&world.sources).unwrap_or_else(|faults| panic!("{faults}")).show(ShowFormat::Toml);
    let again = World::new().file("shown.toml", &shown);
    let (before, after) = (world.settings(), again.settings());
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[test]
fn profile_prod_names_every_secret_that_is_missing() {
    let faults = World::new().env("CREDIT_PROFILE", "prod").faults();
    assert_eq!(faults.len(), 4, "{faults:?}");
    for (fault, path) in faults.iter().zip(settings::REQUIRED_SECRETS) {
        assert!(fault.starts_with(&format!("{path}: is missing")), "{fault}");
    }
}

#[test]
fn profile_prod_refuses_samples_and_takes_random_secrets() {
    let with = |token: &str, password: &str| {
        World::new()
            .env("CREDIT_PROFILE", "prod")
            .env("CREDIT_AUTH__TOKEN_KEYS", token)
            .env("CREDIT_ENCRYPTION__KEYS", &random(2))
            .env("CREDIT_ENCRYPTION__INDEX_KEYS", &random(3))
            .env("CREDIT_ENCRYPTION__CURSOR_KEY", &random(4))
            .env("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "root")
            .env("CREDIT_BOOTSTRAP__ADMIN_EMAIL", "root@shop.example")
            .env("CREDIT_BOOTSTRAP__ADMIN_PASSWORD", password)
    };
    assert_eq!(with(&random(1), "uX3-kw9-Qm2-zz7").settings().profile, Profile::Prod);
    let faults = with(&"00".repeat(32), "change-me-now").faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("is a sample")), "{faults:?}");
    let allowed = with(&random(1), "a very good password 9").settings();
    assert_eq!(allowed.profile, Profile::Prod, "a word of a sample is none yet");
}

#[test]
fn a_first_admin_who_could_not_be_made_and_a_level_that_is_none_are_faults() {
    let faults = World::new()
        .env("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "x")
        .env("CREDIT_BOOTSTRAP__ADMIN_EMAIL", "nowhere")
        .env("CREDIT_BOOTSTRAP__ADMIN_PASSWORD", "short")
        .env("CREDIT_LOG__LEVEL", "loud")
        .faults();
    assert_eq!(faults.len(), 4, "{faults:?}");
    for path in ["bootstrap.admin_username", "bootstrap.admin_email", "bootstrap.admin_password", "log.level"]
    {
        assert!(faults.iter().any(|fault| fault.starts_with(path)), "{path} {faults:?}");
    }
}

#[test]
fn profile_prod_refuses_what_profile_dev_generated() {
    let world = World::new();
    let made = serde_json::json!({
        "token_key": random(1), "encryption_key": random(2), "index_key": random(3), "cursor_key": random(4),
    });
    world.write("dev-secrets.json", &made.to_string());
    let data_dir = world.directory.path().display().to_string();
    let faults = world
        .env("CREDIT_PROFILE", "prod")
        .env("CREDIT_DATA_DIR", &data_dir)
        .env("CREDIT_AUTH__TOKEN_KEYS", &random(1))
        .env("CREDIT_ENCRYPTION__KEYS", &format!("{},{}", random(12), random(2)))
        .env("CREDIT_ENCRYPTION__INDEX_KEYS", &random(13))
        .env("CREDIT_ENCRYPTION__CURSOR_KEY", &random(14))
        .faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults.iter().all(|fault| fault.contains("was generated for profile dev")), "{faults:?}");
}

#[test]
fn one_key_for_two_purposes_is_refused() {
    let faults = World::new()
        .env("CREDIT_ENCRYPTION__INDEX_KEYS", &random(3))
        .env("CREDIT_ENCRYPTION__CURSOR_KEY", &random(3))
        .faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("is the same key as encryption.index_keys"), "{faults:?}");
}

#[test]
fn half_an_admin_is_refused() {
    let faults = World::new().env("CREDIT_BOOTSTRAP__ADMIN_USERNAME", "root").faults();
    assert_eq!(faults.len(), 2, "{faults:?}");
}

fn vault() -> World {
    World::new()
        .env("CREDIT_SECRETS__BACKEND", "vault")
        .env("CREDIT_SECRETS__VAULT__ADDRESS", "https://vault.example:8200")
        .env("CREDIT_SECRETS__VAULT__TOKEN", "hunter2")
}

fn given_by_vault(members: serde_json::Value) -> VaultSecret {
    let serde_json::Value::Object(members) = members else { panic!("an object") };
    VaultSecret::new("vault https://vault.example:8200 secret/credit".to_owned(), members)
}

#[test]
fn each_login_at_vault_says_what_it_lacks() {
    let with = |auth: &str| {
        World::new().env("CREDIT_SECRETS__BACKEND", "vault").env("CREDIT_SECRETS__VAULT__AUTH", auth).faults()
    };
    for (auth, lacks) in [
        ("token", &["secrets.vault.address", "secrets.vault.token"][..]),
        ("approle", &["secrets.vault.address", "secrets.vault.role_id", "secrets.vault.secret_id"]),
        ("kubernetes", &["secrets.vault.address", "secrets.vault.role"]),
    ] {
        let faults = with(auth);
        assert_eq!(faults.len(), lacks.len(), "{auth}: {faults:?}");
        for (fault, path) in faults.iter().zip(lacks) {
            assert!(fault.starts_with(&format!("{path}: is needed")), "{fault}");
        }
    }
    let faults = vault().env("CREDIT_SECRETS__VAULT__ADDRESS", "vault:8200").faults();
    assert!(faults.len() == 1 && faults[0].contains("is no http:// or https:// address"), "{faults:?}");
}

#[test]
fn before_vault_is_asked_nothing_is_missed_and_afterwards_what_is_missing_is_named() {
    let world = vault().env("CREDIT_PROFILE", "prod").env("CREDIT_STORE__BACKEND", "mongodb");
    assert!(before_vault(&world.sources).unwrap_or_else(|faults| panic!("{faults}")).vault.is_some());
    let secret = given_by_vault(serde_json::json!({"auth": {"token_keys": random(1)}}));
    let faults = with_vault(&world.sources, secret).expect_err("incomplete").to_string();
    for path in ["encryption.keys", "encryption.index_keys", "encryption.cursor_key", "store.mongodb.uri"] {
        assert!(faults.contains(&format!("{path}: is missing")), "{path}: {faults}");
    }
    assert!(!faults.contains("auth.token_keys"), "{faults}");
}

#[test]
fn no_secret_is_made_where_they_come_from_vault_in_profile_dev_either() {
    let faults = with_vault(&vault().sources, given_by_vault(serde_json::json!({})));
    assert!(faults.expect_err("nothing is there").to_string().contains("auth.token_keys: is missing"));
}

#[test]
fn vault_is_above_files_and_these_above_the_environment() {
    let world = vault();
    let file = world.write("keys", &random(8));
    let world = world
        .env("CREDIT_AUTH__ACCESS_TTL", "1m")
        .env("CREDIT_AUTH__REFRESH_TTL", "1h")
        .env("CREDIT_AUTH__ISSUER", "environment")
        .env("CREDIT_AUTH__TOKEN_KEYS_FILE", &file.display().to_string())
        .file("a.toml", "[auth]\naccess_ttl = \"2m\"\nrefresh_ttl = \"2h\"");
    let secret = || {
        given_by_vault(serde_json::json!({
            "auth.access_ttl": "3m", "AUTH__TOKEN_KEYS": format!("{},{}", random(1), random(2)),
            "encryption": {"keys": [random(3)], "index_keys": random(4)}, "encryption.cursor_key": random(5),
        }))
    };
    let settings = with_vault(&world.sources, secret()).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(settings.auth.access_ttl.as_secs(), 180);
    assert_eq!(settings.auth.refresh_ttl.as_secs(), 7200);
    assert_eq!(settings.auth.issuer, "environment");
    assert_eq!(settings.auth.token_keys.len(), 2, "Vault is above the file too");
    let layers =
        Layers::read_with(&world.sources, Some(secret())).unwrap_or_else(|faults| panic!("{faults}"));
    let shown: serde_json::Value = serde_json::from_str(&layers.show(ShowFormat::Json)).expect("JSON");
    assert_eq!(shown["auth.token_keys"]["value"], "***");
    assert_eq!(shown["auth.token_keys"]["origin"], "vault https://vault.example:8200 secret/credit");
    assert!(!shown.to_string().contains("hunter2"));
}

#[test]
fn what_must_be_known_before_vault_is_asked_it_cannot_say_and_what_it_says_wrong_is_not_quoted() {
    let secret = given_by_vault(serde_json::json!({
        "server.port": 1, "secrets.backend": "none", "auth.token_keys": "hunter2", "auth.toke_keys": "hunter2",
    }));
    let faults = with_vault(&vault().sources, secret).expect_err("wrong").to_string();
    for path in ["server.port", "secrets.backend"] {
        assert!(
            faults
                .contains(&format!("{path} (vault https://vault.example:8200 secret/credit): must be known"))
        );
    }
    assert!(faults.contains("auth.toke_keys") && !faults.contains("hunter2"), "{faults}");
}

#[test]
fn redis_needs_an_address_and_a_ca_needs_tls() {
    let redis = || World::new().env("CREDIT_CACHE__BACKEND", "redis");
    let faults = redis().faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("cache.redis.url: is missing"), "{faults:?}");
    for (url, ca, path) in [
        ("http://u:hunter2@cache", None, "cache.redis.url"),
        ("redis://u:hunter2@cache", Some("ca.pem"), "cache.redis.tls_ca"),
        ("redis-cluster://u:hunter2@a,b", Some("ca.pem"), "cache.redis.tls_ca"),
    ] {
        let mut world = redis().env("CREDIT_CACHE__REDIS__URL", url);
        if let Some(ca) = ca {
            world = world.env("CREDIT_CACHE__REDIS__TLS_CA", ca);
        }
        let faults = world.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(path) && !faults[0].contains("hunter2"), "{faults:?}");
    }
    let settings = redis().env("CREDIT_CACHE__REDIS__URL", "redis://u:hunter2@cache").settings();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert!(matches!(settings.cache, Cache::Redis(redis) if redis.prefix == "credit:"));
}

#[test]
fn a_limit_is_calls_within_a_time_or_off() {
    let world = World::new()
        .env("CREDIT_RATE_LIMIT__USER__READ", "100 / 10s")
        .env("CREDIT_RATE_LIMIT__USER__WRITE", "off");
    let rules = world.settings().rate_limit.expect("limits are on");
    assert_eq!(rules.limits.user.read, Quota::try_new(100, 10).ok());
    assert_eq!(rules.limits.user.write, None);
    assert!(rules.limits.api_key.write.is_some());
    for wrong in ["100", "100/", "0/1m", "+5/1m", "1000001/1s", "5/2d", "many/1m", ""] {
        let faults =
            World::new().file("a.toml", &format!("[rate_limit.user]\nread = \"{wrong}\"\n")).faults();
        assert_eq!(faults.len(), 1, "{wrong}: {faults:?}");
        assert!(faults[0].contains("rate_limit.user.read"), "{faults:?}");
    }
    assert!(World::new().env("CREDIT_RATE_LIMIT__ENABLED", "false").settings().rate_limit.is_none());
}

#[test]
fn mongodb_needs_a_connection_string_and_a_database_that_can_be_one() {
    let mongodb = || World::new().env("CREDIT_STORE__BACKEND", "mongodb");
    let faults = mongodb().faults();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("store.mongodb.uri: is missing"), "{faults:?}");
    let faults = mongodb()
        .env("CREDIT_STORE__MONGODB__URI", "http://root:hunter2@db")
        .env("CREDIT_STORE__MONGODB__DATABASE", "local")
        .env("CREDIT_STORE__MONGODB__STORE_ID", "app_1")
        .faults();
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(!faults.join("\n").contains("hunter2"), "{faults:?}");
    let settings = mongodb().env("CREDIT_STORE__MONGODB__URI", "mongodb://root:hunter2@db").settings();
    assert!(!format!("{settings:?}").contains("hunter2"));
    assert_eq!(settings.store, Store::Mongodb);
    assert_eq!(settings.mongodb.map(|mongodb| mongodb.database).as_deref(), Some("credit"));
}

#[test]
fn a_wildcard_is_no_origin() {
    for wrong in ["*", "https://*.example", "shop.example", "https://shop.example/", "ftp://shop.example"] {
        let faults = World::new().env("CREDIT_CORS__ALLOWED_ORIGINS", wrong).faults();
        assert_eq!(faults.len(), 1, "{wrong}: {faults:?}");
    }
}
