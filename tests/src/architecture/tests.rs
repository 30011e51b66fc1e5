//! Each rule, broken once: a rule that cannot fail is no rule.

use super::*;

/// A house of one crate with one dependency.
fn naming(name: &str, dependency: Dependency) -> House {
    let mut house = House::default();
    for known in EDGES.map(|(known, _)| known) {
        house
            .crates
            .insert(known.to_owned(), Crate { folder: format!("crates/{known}"), ..Crate::default() });
    }
    house.crates.entry(name.to_owned()).or_default().dependencies.push(dependency);
    house
}

fn on(name: &str) -> Dependency {
    Dependency { name: name.to_owned(), ..Dependency::default() }
}

fn holding(path: &str, text: &str) -> House {
    let mut house = naming("credit-wallet", on("serde"));
    house.files.insert(path.to_owned(), text.to_owned());
    house
}

#[test]
fn an_edge_upwards_or_sideways_is_found() {
    assert_eq!(forbidden_edges(&naming("credit-wallet", on("credit-users"))), [""; 0]);
    assert_eq!(
        forbidden_edges(&naming("credit-wallet", on("credit-transactions"))),
        ["credit-wallet names credit-transactions"]
    );
    assert_eq!(
        forbidden_edges(&naming("credit-wallet", on("credit-infra"))),
        ["credit-wallet names credit-infra"]
    );
    assert_eq!(forbidden_edges(&naming("credit-infra", on("credit-api"))), ["credit-infra names credit-api"]);
    assert_eq!(
        forbidden_edges(&naming("credit-more", on("serde"))),
        ["credit-more has no place in the module graph"]
    );
}

#[test]
fn a_driver_outside_infra_is_found() {
    assert_eq!(drivers_outside_infra(&naming("credit-infra", on("redb"))), [""; 0]);
    assert_eq!(drivers_outside_infra(&naming("credit-wallet", on("redb"))), ["credit-wallet names redb"]);
    assert_eq!(
        drivers_outside_infra(&naming("credit-tests", on("apalis-redis"))),
        ["credit-tests names apalis-redis"]
    );
}

#[test]
fn too_much_of_the_web_framework_is_found() {
    let web = |default_features, features: &[&str]| Dependency {
        default_features,
        features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        ..on("actix-web")
    };
    assert_eq!(too_much_web(&naming("credit-api", web(false, &["macros"]))), [""; 0]);
    assert_eq!(too_much_web(&naming("credit-server", web(false, &["http2"]))), [""; 0]);
    assert_eq!(
        too_much_web(&naming("credit-api", web(true, &["http2"]))),
        ["credit-api takes actix-web with its default features", "credit-api switches on http2 in actix-web"]
    );
    assert_eq!(
        too_much_web(&naming("credit-core", web(false, &[]))),
        ["credit-core has no routes and names actix-web"]
    );
}

#[test]
fn a_missing_room_is_found() {
    let mut house = House::default();
    house.crates.insert(
        "credit-wallet".to_owned(),
        Crate { folder: "crates/credit-wallet".to_owned(), ..Crate::default() },
    );
    house.files.insert("crates/credit-wallet/src/lib.rs".to_owned(), String::new());
    assert_eq!(
        missing_rooms(&house),
        [
            "credit-wallet has no README.md",
            "credit-wallet: its README is not its crate doc",
            "crates/credit-wallet/src has no room `routes`",
            "crates/credit-wallet/src has no room `service`",
            "crates/credit-wallet has no examples/serve.rs: it cannot be run alone",
        ]
    );

    let door = "#![doc = include_str!(\"../README.md\")]\n";
    for (path, text) in [
        ("src/lib.rs", door),
        ("README.md", ""),
        ("src/routes.rs", ""),
        ("src/service/open.rs", ""),
        ("examples/serve.rs", ""),
    ] {
        house.files.insert(format!("crates/credit-wallet/{path}"), text.to_owned());
    }
    assert_eq!(missing_rooms(&house), [""; 0]);
}

#[test]
fn a_novel_is_found() {
    let path = "crates/credit-wallet/src/ledger.rs";
    assert_eq!(novels(&holding(path, &"\n".repeat(600))), [""; 0]);
    assert_eq!(
        novels(&holding(path, &"\n".repeat(601))),
        ["crates/credit-wallet/src/ledger.rs has 601 lines"]
    );
}

#[test]
fn unfinished_code_and_sleeping_tests_are_found() {
    for code in ["    todo", "let x = unimplemented", "dbg"].map(|start| format!("{start}!()")) {
        assert_eq!(unfinished_code(&holding("a.rs", &code)), [format!("a.rs:1: {}", code.trim())]);
    }
    let sleeping = format!("#[test]\n#[{}]", "ignore");
    assert_eq!(unfinished_code(&holding("a.rs", &sleeping)).len(), 1);
    assert_eq!(unfinished_code(&holding("a.rs", &["// never todo", "!()"].concat())), [""; 0]);
}

#[test]
fn a_collection_that_is_in_no_list_is_found() {
    let of = |name: &str| {
        let code = format!("static X: Collection =\n    Collection {{ name: \"{name}\", indexes: &[] }};");
        unlisted_collections(&holding("crates/credit-users/src/store/x.rs", &code))
    };
    assert_eq!(of("users"), [""; 0]);
    assert_eq!(of("pets"), ["crates/credit-users/src/store/x.rs: pets is in no list of collections"]);
}

#[test]
fn a_metric_or_a_label_that_nobody_is_told_of_is_found() {
    let of = |code: &str| {
        let path = "crates/credit-users/src/service/x.rs";
        let mut house = holding(path, code);
        let page = "- **`credit_x_total`** (counter, calls): Calls.\n  - `why`: `a`, `b`.\n";
        house.files.insert("docs/metrics.md".to_owned(), page.to_owned());
        untold_metrics(&house)
    };
    let call = |arguments: &str| format!("metrics::{}({arguments}).increment(1);", "counter!");
    assert_eq!(of(&call("\"credit_x_total\", \"why\" => \"a\"")), [""; 0]);
    assert_eq!(of(&call("\"credit_x_total\", &labels")), [""; 0]);
    let here = "crates/credit-users/src/service/x.rs";
    assert_eq!(
        of(&call("\"credit_y_total\"")),
        [format!("{here}: credit_y_total is not told in docs/metrics.md")]
    );
    assert_eq!(
        of(&call("\"credit_x_total\",\n \"why\" => \"a\", \"who\" => name")),
        [format!("{here}: credit_x_total has a label who that docs/metrics.md does not tell")]
    );
    let named = format!("{here}: counter!( names its metric by something else than a text");
    assert_eq!(of(&call("NAME, \"why\" => \"a\"")), [named]);
}

#[test]
fn a_waiting_domain_is_found() {
    let code = "// fetched with .await before\nlet state = store.get().await;";
    assert_eq!(
        waiting_domains(&holding("crates/credit-wallet/src/domain/decide.rs", code)),
        ["crates/credit-wallet/src/domain/decide.rs:2: let state = store.get().await;"]
    );
    assert_eq!(waiting_domains(&holding("crates/credit-wallet/src/service/spend.rs", code)), [""; 0]);
}

#[test]
fn a_path_of_somebodys_machine_is_found() {
    let path = ["see ", "/work", "/notes.md"].concat();
    assert_eq!(machine_paths(&holding("README.md", &path)), [format!("README.md:1: {path}")]);
    assert_eq!(machine_paths(&holding("README.md", &["docs", "/work", "/notes.md"].concat())), [""; 0]);
}

#[test]
fn a_guest_without_a_reason_is_found() {
    let manifest = "[workspace.dependencies]\nours = { path = \"crates/ours\" }\nserde = \"1\" # encoding\nrand = \"1\"\n[profile.dev]\ndebug = 1\n";
    assert_eq!(guests_without_a_reason(&holding("Cargo.toml", manifest)), ["Cargo.toml: rand = \"1\""]);
}

#[test]
fn a_crate_with_its_own_rules_or_versions_is_found() {
    let mut house = House::default();
    house
        .crates
        .insert("credit-wallet".to_owned(), Crate { folder: "wallet".to_owned(), ..Crate::default() });
    let good =
        "version.workspace = true\n[lints]\nworkspace = true\n\n[dependencies]\nserde.workspace = true\n";
    house.files.insert("wallet/Cargo.toml".to_owned(), good.to_owned());
    assert_eq!(crates_with_their_own_rules(&house), [""; 0]);

    let bad = "[dependencies]\nserde = { version = \"1\" }\nours = { path = \"../ours\" }\n";
    house.files.insert("wallet/Cargo.toml".to_owned(), bad.to_owned());
    assert_eq!(
        crates_with_their_own_rules(&house),
        [
            "credit-wallet does not take the lints of the house",
            "wallet/Cargo.toml: serde = { version = \"1\" }",
            "wallet/Cargo.toml: ours = { path = \"../ours\" }",
        ]
    );
}
