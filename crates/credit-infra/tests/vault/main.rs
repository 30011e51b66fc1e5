//! Vault: the logins, the engines, leases that end, and each wrong state by its own name.

use std::time::Duration;

use credit_infra::testkit::tls;
use credit_infra::testkit::vault::{
    FakeVault, KUBERNETES_JWT, KUBERNETES_ROLE, Mood, ROLE_ID, ROOT_TOKEN, SECRET_ID, real,
};
use credit_infra::vault::{Credential, KvVersion, Vault, VaultAuth, VaultSettings, VaultTrouble};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(1);

fn by_token(token: &str) -> VaultAuth {
    VaultAuth::Token(Credential::Given(token.into()))
}

fn by_app_role(secret_id: Credential) -> VaultAuth {
    VaultAuth::AppRole { mount: "approle".into(), role_id: ROLE_ID.into(), secret_id }
}

fn settings(address: &str, auth: VaultAuth) -> VaultSettings {
    VaultSettings {
        address: address.to_owned(),
        auth,
        mount: "secret".into(),
        path: "credit".into(),
        kv: KvVersion::Two,
        namespace: None,
        ca: None,
        timeout: TIMEOUT,
    }
}

fn vault(fake: &FakeVault, auth: VaultAuth) -> Vault {
    Vault::try_new(settings(&fake.url(), auth)).expect("settings")
}

fn secret() -> Value {
    json!({"auth.token_keys": "hunter2", "store": {"mongodb": {"uri": "mongodb://root:hunter2@db"}}})
}

fn filled() -> FakeVault {
    let fake = FakeVault::up();
    fake.put("credit", &secret());
    fake
}

#[tokio::test]
async fn every_login_reads_both_engines() {
    let fake = filled();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), format!("{text}\n")).expect("written");
        folder.path().join(name)
    };
    let logins = [
        by_token(ROOT_TOKEN),
        VaultAuth::Token(Credential::File(file("token", ROOT_TOKEN))),
        by_app_role(Credential::Given(SECRET_ID.into())),
        by_app_role(Credential::File(file("secret_id", SECRET_ID))),
        VaultAuth::Kubernetes {
            mount: "kubernetes".into(),
            role: KUBERNETES_ROLE.into(),
            token_file: file("jwt", KUBERNETES_JWT),
        },
    ];
    for auth in logins {
        for (mount, kv) in [("secret", KvVersion::Two), ("kv", KvVersion::One)] {
            let wanted = VaultSettings { mount: mount.into(), kv, ..settings(&fake.url(), auth.clone()) };
            let read = Vault::try_new(wanted).expect("settings").read().await.expect("it is there");
            assert_eq!(Value::Object(read), secret(), "{auth:?} {kv:?}");
        }
    }
}

#[tokio::test]
async fn a_real_vault_answers_as_the_fake_does() {
    let fake = FakeVault::up();
    let there = real().await;
    let (address, token) = if let Some(there) = &there {
        there.put("credit", &secret()).await;
        (there.address().to_owned(), there.token().to_owned())
    } else {
        fake.put("credit", &secret());
        (fake.url(), ROOT_TOKEN.to_owned())
    };
    let read = Vault::try_new(settings(&address, by_token(&token))).expect("settings").read().await;
    assert_eq!(read.map(Value::Object), Ok(secret()));
    let wrong = Vault::try_new(settings(&address, by_token("hvs.nobody"))).expect("settings").read().await;
    assert_eq!(wrong, Err(VaultTrouble::LoginRefused("token")));
    let elsewhere = VaultSettings { path: "nothing/there".into(), ..settings(&address, by_token(&token)) };
    let missing = Vault::try_new(elsewhere).expect("settings").read().await;
    assert_eq!(missing, Err(VaultTrouble::Missing("secret/nothing/there".into())));
    // Whichever it was, it was asked.
    assert!(there.is_some() || fake.calls("credit") > 0, "nobody was asked");
}

#[tokio::test]
async fn each_wrong_state_has_its_own_name_and_passes() {
    let fake = filled();
    let url = fake.url();
    for logged_in_before in [false, true] {
        let vault = vault(&fake, by_app_role(Credential::Given(SECRET_ID.into())));
        if logged_in_before {
            vault.read().await.expect("well");
        }
        for (mood, expected) in [
            (Mood::Sealed, VaultTrouble::Sealed),
            (Mood::Uninitialised, VaultTrouble::Uninitialised),
            (Mood::Standby, VaultTrouble::Standby),
            (Mood::Forbidden, VaultTrouble::Forbidden("secret/credit".into())),
            (Mood::Garbage, VaultTrouble::Garbage(url.clone())),
            (Mood::Nonsense, VaultTrouble::Garbage(url.clone())),
            (Mood::Failing, VaultTrouble::Failing(500)),
            (Mood::Slow(TIMEOUT * 2), VaultTrouble::Slow(url.clone())),
            (Mood::Paused, VaultTrouble::Slow(url.clone())),
        ] {
            fake.set_mood(mood);
            assert_eq!(vault.read().await, Err(expected.clone()), "{mood:?}");
            assert_eq!(vault.standing().trouble, Some(expected));
            fake.set_mood(Mood::Well);
            assert_eq!(vault.read().await.map(Value::Object), Ok(secret()), "{mood:?} passes");
            assert_eq!(vault.standing().trouble, None);
        }
        fake.stop();
        assert_eq!(vault.read().await, Err(VaultTrouble::Gone(url.clone())));
        fake.start();
        assert_eq!(vault.read().await.map(Value::Object), Ok(secret()));
    }
}

#[tokio::test]
async fn a_refused_login_says_by_which_method() {
    let fake = filled();
    let wrong = vault(&fake, by_app_role(Credential::Given("guessed".into())));
    assert_eq!(wrong.read().await, Err(VaultTrouble::LoginRefused("AppRole")));
    fake.set_mood(Mood::NoLogin);
    let right = vault(&fake, by_token(ROOT_TOKEN));
    assert_eq!(right.read().await, Err(VaultTrouble::LoginRefused("token")));
}

#[tokio::test]
async fn a_lease_is_renewed_at_two_thirds_and_a_lost_one_is_taken_anew() {
    let fake = filled();
    fake.set_lease(3);
    let vault = vault(&fake, by_app_role(Credential::Given(SECRET_ID.into())));
    vault.read().await.expect("well");
    let due = vault.due_in().await.expect("it ends");
    assert!(due > Duration::from_millis(1500) && due <= Duration::from_secs(2), "{due:?}");
    vault.tend().await;
    assert_eq!(fake.calls("renew-self"), 0, "it is not due yet");
    tokio::time::sleep(due).await;
    vault.tend().await;
    assert_eq!((fake.calls("renew-self"), fake.calls("approle/login")), (1, 1));
    // Beyond the end of the first lease: the renewed one holds.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    vault.read().await.expect("renewed");
    assert_eq!(fake.calls("approle/login"), 1);

    fake.revoke_all();
    vault.read().await.expect("logged in again");
    assert_eq!(fake.calls("approle/login"), 2);
    // Nobody looked after this one: it has ended.
    tokio::time::sleep(Duration::from_millis(3200)).await;
    vault.read().await.expect("logged in again");
    assert_eq!(fake.calls("approle/login"), 3);
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let fake = filled();
    let vault = vault(&fake, by_app_role(Credential::Given(SECRET_ID.into())));
    vault.read().await.expect("well");
    let mut printed = format!("{vault:?} {:?} {}", vault.standing(), vault.place());
    for mood in [Mood::Nonsense, Mood::Forbidden, Mood::Sealed, Mood::Garbage] {
        fake.set_mood(mood);
        let trouble = vault.read().await.expect_err("wrong");
        printed = format!("{printed} {trouble} {trouble:?}");
    }
    for secret in ["hunter2", SECRET_ID, "hvs."] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_and_does_not_panic() {
    for wrong in ["", "vault", "ftp://vault", "http://", "http://a b", "http://vault:port", "https://v/x?y"] {
        let refused = Vault::try_new(settings(wrong, by_token(ROOT_TOKEN)));
        assert!(matches!(refused, Err(VaultTrouble::Setup(_))), "{wrong}");
    }
}

#[tokio::test]
async fn over_tls_only_who_shows_a_believed_certificate_is_asked() {
    let fake = FakeVault::over_tls(tls::CERTIFICATE, tls::KEY);
    fake.put("credit", &secret());
    let folder = tempfile::tempdir().expect("a folder");
    let files = tls::CertificateFiles::write(folder.path());
    let believing = |ca: Option<std::path::PathBuf>| {
        Vault::try_new(VaultSettings { ca, ..settings(&fake.url(), by_token(ROOT_TOKEN)) }).expect("settings")
    };
    assert_eq!(believing(Some(files.ca)).read().await.map(Value::Object), Ok(secret()));
    for wrong in [Some(files.stranger_ca), None] {
        assert_eq!(believing(wrong).read().await, Err(VaultTrouble::Untrusted(fake.url())));
    }
    let nowhere = believing(Some(folder.path().join("nowhere.pem"))).read().await;
    assert!(matches!(nowhere, Err(VaultTrouble::Setup(why)) if why.contains("nowhere.pem cannot be read")));
    assert_eq!(fake.calls("lookup-self"), 1);
}
