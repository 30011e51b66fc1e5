//! The command line as a script sees it: the real program, in a directory and an environment of its own.

use std::path::Path;
use std::process::{Command, Output};

struct Shell {
    home: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        Self { home: tempfile::tempdir().expect("a directory") }
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_credit-server"))
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .envs(environment.iter().copied())
            .output()
            .expect("the program starts")
    }

    fn path(&self) -> &Path {
        self.home.path()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_command_explains_itself_with_examples() {
    let shell = Shell::new();
    for command in [
        "",
        "serve",
        "config show",
        "config check",
        "admin create",
        "api-key create",
        "ledger verify",
        "ledger rebuild",
        "store check",
        "store migrate",
        "store status",
        "store copy",
        "store dump",
        "openapi",
        "backup",
        "restore",
        "healthcheck",
        "completions",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let output = shell.run(&arguments, &[]);
        let help = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{command}");
        assert!(help.contains("Examples:\n  ") || help.contains("Examples:\n  CREDIT"), "{command}:\n{help}");
        assert!(
            help.contains(&format!("credit-server {command}").trim_end().to_owned()),
            "{command}:\n{help}"
        );
    }
}

#[test]
fn the_help_documents_the_exit_codes() {
    let help = text(&Shell::new().run(&["--help"], &[]).stdout);
    for code in 0..=5 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code}:\n{help}");
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_exit_code_2() {
    let output = Shell::new().run(&["serv"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("serve"), "it names the nearest command");
}

#[test]
fn config_check_lists_every_fault_and_is_exit_code_3() {
    let shell = Shell::new();
    std::fs::write(shell.path().join("credit.toml"), "[server]\nprot = 1").expect("written");
    let output = shell.run(&["config", "check"], &[("CREDIT_LOG__FORMAT", "xml")]);
    assert_eq!(output.status.code(), Some(3));
    let told = text(&output.stderr);
    assert!(told.contains("the configuration has 2 faults"), "{told}");
    assert!(
        told.contains("server.prot (file credit.toml): is not a key; did you mean server.port?"),
        "{told}"
    );
    assert!(told.contains("log.format (environment CREDIT_LOG__FORMAT)"), "{told}");
    assert_eq!(shell.run(&["serve"], &[("CREDIT_LOG__FORMAT", "xml")]).status.code(), Some(3));
}

#[test]
fn config_show_prints_values_with_origins_and_leaves_nothing_behind() {
    let shell = Shell::new();
    std::fs::write(shell.path().join("a.json"), r#"{"server": {"port": 8123}}"#).expect("written");
    let output = shell.run(&["config", "show", "--format", "json", "--config", "a.json"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["server.port"], serde_json::json!({"value": 8123, "origin": "file a.json"}));
    assert_eq!(shown["server.host"]["origin"], "default");
    assert_eq!(std::fs::read_dir(shell.path()).expect("readable").count(), 1);
}

#[test]
fn healthcheck_fails_where_nobody_serves() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("known");
    let output = Shell::new().run(&["healthcheck", "--url", &format!("http://{unused}")], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
}

#[test]
fn completions_name_our_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Shell::new().run(&["completions", shell], &[]);
        assert!(text(&output.stdout).contains("healthcheck"), "{shell}");
    }
}
