//! Users from elsewhere: imported from a file with the hashes they had, they log in with the passwords they had.

use std::path::Path;
use std::process::{Command, Output};

use credit_tests::people::{PASSWORD, log_in};
use credit_tests::server::{Server, binary};
use serde_json::{Value, json};

/// `PASSWORD` under bcrypt with cost 5.
const BCRYPT: &str = "$2b$05$abcdefghijklmnopqrstuuD3mHdCr44zlIZ.VZCaYRpfQhXMYnEo.";
/// Cheap, so that the tests are quick.
const WORK: [(&str, &str); 2] =
    [("CREDIT_AUTH__PASSWORD__MEMORY", "64"), ("CREDIT_AUTH__PASSWORD__ITERATIONS", "1")];

fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary().expect("the program"));
    command.args(arguments).current_dir(folder).env("CREDIT_DATA_DIR", folder).envs(WORK);
    command.output().expect("it runs")
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// The password hash of a user as it is kept.
fn kept_hash(folder: &Path, username: &str) -> String {
    let dump = program(folder, &["store", "dump", "documents/d.users"]);
    let rows = String::from_utf8_lossy(&dump.stdout).into_owned();
    let row = rows.lines().find(|row| row.contains(&format!("\"{username}\""))).expect("the user is kept");
    let start = row.find("$2b$").or_else(|| row.find("$argon2id$")).expect("a hash");
    row[start..].split(['"', '\\']).next().expect("its end").to_owned()
}

#[test]
fn imported_users_log_in_with_what_they_had_and_an_import_can_be_repeated() {
    let mut server = Server::start(&WORK).expect("a server");
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let folder = server.folder().to_owned();
    let csv = format!(
        "username,email,password_hash\n\
         ann,ann@example.org,{BCRYPT}\n\
         ben,ben@example.org,\n\
         x,not an address,5f4dcc3b5aa765d61d8327deb882cf99\n\
         anna,ANN@example.org,{BCRYPT}\n\
         cut,off\n\
         dee,dee@example.org,{}\n",
        BCRYPT.replace("$2b$", "$2y$"),
    );
    std::fs::write(folder.join("users.csv"), csv).expect("written");

    let first = program(&folder, &["user", "import", "--from", "users.csv"]);
    assert_eq!(first.status.code(), Some(1), "{}", String::from_utf8_lossy(&first.stderr));
    let expected =
        json!({"rows": 6, "made": 3, "there": 0, "refused": 3, "errors": "users.csv.errors.ndjson"});
    assert_eq!(told(&first), expected);
    let errors = std::fs::read_to_string(folder.join("users.csv.errors.ndjson")).expect("written");
    let rows: Vec<Value> = errors.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.iter().map(|row| row["row"].as_i64().expect("a number")).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(rows[0]["errors"].as_array().map(Vec::len), Some(3), "{errors}");
    assert_eq!(rows[1]["errors"], json!(["email: another user has this address"]));
    assert!(!errors.contains("5f4dcc3b") && !errors.contains("$2b$") && !errors.contains('@'), "{errors}");

    let lines = "{\"username\": \"ann\", \"email\": \"ann@example.org\"}\n\n\
        {\"username\": \"fay\", \"email\": \"fay@example.org\", \"profile\": {\"plan\": \"gold\"}}\n";
    std::fs::write(folder.join("more.ndjson"), lines).expect("written");
    let second = program(&folder, &["user", "import", "--from", "more.ndjson"]);
    assert_eq!(second.status.code(), Some(0), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(told(&second), json!({"rows": 2, "made": 1, "there": 1, "refused": 0, "errors": null}));
    assert_eq!(kept_hash(&folder, "ann"), BCRYPT, "who was there is left alone");

    server.start_again().expect("it starts");
    for login in ["ann", "Ann@Example.org", "dee"] {
        assert_eq!(log_in(&server.nobody(), login, PASSWORD).status, 200);
        assert_eq!(log_in(&server.nobody(), login, "another password").status, 401);
    }
    assert_eq!(log_in(&server.nobody(), "ben", PASSWORD).status, 401);
    let fay = server.app().get("/v1/users?q=fay@example.org").expect(200).json();
    assert_eq!(fay["data"][0]["profile"], json!({"plan": "gold"}));
    let user = fay["data"][0]["id"].as_str().expect("an id").to_owned();
    let wallets = server.app().get(&format!("/v1/wallets?user_id={user}")).json();
    assert_eq!(wallets["data"].as_array().map(Vec::len), Some(1), "a wallet came with it");

    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let anew = kept_hash(&folder, "ann");
    assert!(anew.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{anew}");
}

#[test]
fn a_raised_cost_makes_hashes_anew_at_the_next_login() {
    let mut server = Server::start(&WORK).expect("a server");
    let person = credit_tests::people::newcomer(&server);
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let folder = server.folder().to_owned();
    let before = kept_hash(&folder, &person.username);
    assert!(before.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{before}");

    server.set("CREDIT_AUTH__PASSWORD__ITERATIONS", "2");
    server.start_again().expect("it starts");
    assert_eq!(log_in(&server.nobody(), &person.username, PASSWORD).status, 200);
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let after = kept_hash(&folder, &person.username);
    assert!(after.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{after}");
}

#[test]
fn a_file_that_is_no_list_of_users_is_refused_whole() {
    let mut server = Server::start(&WORK).expect("a server");
    assert_eq!(server.terminate().expect("it ends"), Some(0));
    let folder = server.folder().to_owned();
    std::fs::write(folder.join("users.csv"), "name,password\nann,hunter2\n").expect("written");
    std::fs::write(folder.join("users.txt"), "").expect("written");
    for (file, why) in
        [("users.csv", "name is no column"), ("users.txt", "must end in"), ("gone.csv", "cannot be read")]
    {
        let refused = program(&folder, &["user", "import", "--from", file]);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && error.contains(why), "{file}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
