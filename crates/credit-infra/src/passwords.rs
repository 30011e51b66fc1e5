//! Passwords: Argon2id for what is made, bcrypt for what comes from elsewhere.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use credit_core::ports::passwords::{PasswordVerdict, Passwords, PasswordsBusy};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// What a hash costs, and how many are worked on.
#[derive(Debug, Clone, Copy)]
pub struct PasswordCost {
    /// Memory a hash, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes of it.
    pub parallelism: u32,
    /// Hashes worked on at once.
    pub at_once: usize,
    /// Callers that may wait for one; more are told that it is busy.
    pub waiting: usize,
    /// How long one waits at most before it is told so.
    pub patience: Duration,
}

impl Default for PasswordCost {
    /// 19 MiB, two passes, one lane, as OWASP recommends; two at once. All who may wait get their turn before their
    /// patience ends, on an ordinary machine.
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            at_once: 2,
            waiting: 1024,
            patience: Duration::from_secs(30),
        }
    }
}

/// The cost is not one that Argon2 takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cost of passwords is out of range: {0}")]
pub struct InvalidPasswordCost(String);

/// Argon2id, off the reactor, a few at once.
///
/// A wrong password for an account whose hash was imported from elsewhere takes as long as that hash does, which tells
/// it from others until its owner's next login has replaced it.
pub struct ArgonPasswords {
    work: Arc<Work>,
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    patience: Duration,
}

struct Work {
    argon: Argon2<'static>,
    params: Params,
    /// What is compared with if nothing is kept: costs the same as what is made today, and fits no password.
    decoy: String,
}

impl ArgonPasswords {
    /// At this cost.
    pub fn try_new(cost: PasswordCost) -> Result<Self, InvalidPasswordCost> {
        let params = Params::new(cost.memory_kib, cost.iterations, cost.parallelism, None)
            .map_err(|error| InvalidPasswordCost(error.to_string()))?;
        if cost.at_once == 0 {
            return Err(InvalidPasswordCost("at least one at once".to_owned()));
        }
        let PasswordCost { memory_kib, iterations, parallelism, .. } = cost;
        let decoy = format!(
            "$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}$AAAAAAAAAAAAAAAAAAAAAA$\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        );
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        Ok(Self {
            work: Arc::new(Work { argon, params, decoy }),
            running: Arc::new(Semaphore::new(cost.at_once)),
            admitted: Arc::new(Semaphore::new(cost.at_once.saturating_add(cost.waiting))),
            patience: cost.patience,
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Work) -> T + Send + 'static,
    ) -> Result<T, PasswordsBusy> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| PasswordsBusy)?;
        let turn = tokio::time::timeout(self.patience, Arc::clone(&self.running).acquire_owned()).await;
        let running = turn.map_err(|_| PasswordsBusy)?.map_err(|_| PasswordsBusy)?;
        let work = Arc::clone(&self.work);
        // The permits go with the work: a caller that hangs up does not make room for one more.
        let done = tokio::task::spawn_blocking(move || {
            let result = job(&work);
            drop((running, admitted));
            result
        });
        done.await.map_err(|_| PasswordsBusy)
    }
}

#[async_trait]
impl Passwords for ArgonPasswords {
    async fn hash(&self, password: SecretString) -> Result<String, PasswordsBusy> {
        self.run(move |work| work.hash(&password)).await
    }

    async fn verify(
        &self,
        password: SecretString,
        kept: Option<String>,
    ) -> Result<PasswordVerdict, PasswordsBusy> {
        self.run(move |work| work.verify(&password, kept.as_deref())).await
    }

    fn is_hash(&self, text: &str) -> bool {
        if text.starts_with("$2") {
            let cost = text.parse::<bcrypt::HashParts>().map(|parts| parts.get_cost());
            return text.len() == BCRYPT_LENGTH
                && cost.is_ok_and(|cost| (4..=MOST_BCRYPT_COST).contains(&cost));
        }
        let Ok(hash) = PasswordHash::new(text) else { return false };
        let family = [Algorithm::Argon2id, Algorithm::Argon2i, Algorithm::Argon2d];
        let known = family.iter().any(|kind| kind.ident() == hash.algorithm)
            && hash.salt.is_some()
            && hash.hash.is_some();
        known
            && Params::try_from(&hash).is_ok_and(|cost| {
                cost.m_cost() <= MOST_MEMORY_KIB
                    && cost.t_cost() <= MOST_ITERATIONS
                    && cost.p_cost() <= MOST_LANES
            })
    }
}

/// How long a bcrypt hash is in its text form.
const BCRYPT_LENGTH: usize = 60;
/// What a hash from elsewhere may cost: a login would take longer than its caller waits, or memory that others need.
const MOST_BCRYPT_COST: u32 = 15;
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_ITERATIONS: u32 = 32;
const MOST_LANES: u32 = 16;

impl Work {
    fn hash(&self, password: &SecretString) -> String {
        let hash = self.argon.hash_password(password.expose_secret().as_bytes());
        hash.expect("the cost was checked, and the operating system gives a salt").to_string()
    }

    fn verify(&self, password: &SecretString, kept: Option<&str>) -> PasswordVerdict {
        let password = password.expose_secret().as_bytes();
        if let Some(kept) = kept.filter(|kept| kept.starts_with("$2")) {
            return if bcrypt::verify(password, kept).unwrap_or(false) {
                PasswordVerdict::RightButStale
            } else {
                PasswordVerdict::Wrong
            };
        }
        // What does not read costs the same as what is not there, and is wrong.
        let kept = kept.and_then(|kept| PasswordHash::new(kept).ok());
        let decoy = PasswordHash::new(&self.decoy).expect("a well-formed hash");
        let compared = kept.as_ref().unwrap_or(&decoy);
        let right = self.argon.verify_password(password, compared).is_ok();
        match kept {
            Some(kept) if right => {
                let today = Params::try_from(&kept).is_ok_and(|params| self.is_today(&params));
                if today && kept.algorithm == Algorithm::Argon2id.ident() {
                    PasswordVerdict::Right
                } else {
                    PasswordVerdict::RightButStale
                }
            }
            _ => PasswordVerdict::Wrong,
        }
    }

    fn is_today(&self, params: &Params) -> bool {
        (params.m_cost(), params.t_cost(), params.p_cost())
            == (self.params.m_cost(), self.params.t_cost(), self.params.p_cost())
    }
}

impl std::fmt::Debug for ArgonPasswords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ArgonPasswords")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> PasswordCost {
        PasswordCost { memory_kib: 64, iterations: 1, ..PasswordCost::default() }
    }

    fn passwords(cost: PasswordCost) -> ArgonPasswords {
        ArgonPasswords::try_new(cost).expect("a cost")
    }

    async fn verdict(passwords: &ArgonPasswords, password: &str, kept: Option<&str>) -> PasswordVerdict {
        passwords.verify(password.into(), kept.map(str::to_owned)).await.expect("not busy")
    }

    #[tokio::test]
    async fn a_password_is_right_or_wrong() {
        let passwords = passwords(cheap());
        let kept = passwords.hash("correct horse".into()).await.expect("not busy");
        assert!(kept.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{kept}");
        assert_ne!(kept, passwords.hash("correct horse".into()).await.expect("not busy"));
        assert_eq!(verdict(&passwords, "correct horse", Some(&kept)).await, PasswordVerdict::Right);
        assert_eq!(verdict(&passwords, "correct horsf", Some(&kept)).await, PasswordVerdict::Wrong);
        for nothing in [None, Some("no hash"), Some("$2b$nonsense")] {
            assert_eq!(verdict(&passwords, "correct horse", nothing).await, PasswordVerdict::Wrong);
        }
    }

    #[tokio::test]
    async fn no_password_fits_the_decoy() {
        let passwords = passwords(cheap());
        let decoy = passwords.work.decoy.clone();
        assert_eq!(verdict(&passwords, "", Some(&decoy)).await, PasswordVerdict::Wrong);
        let parsed = PasswordHash::new(&decoy).expect("well-formed");
        assert!(passwords.work.is_today(&Params::try_from(&parsed).expect("well-formed")));
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_or_kind_is_stale() {
        let cheaper = passwords(PasswordCost { memory_kib: 32, ..cheap() });
        let kept = cheaper.hash("correct horse".into()).await.expect("not busy");
        let today = passwords(cheap());
        assert_eq!(verdict(&today, "correct horse", Some(&kept)).await, PasswordVerdict::RightButStale);
        assert_eq!(verdict(&today, "wrong", Some(&kept)).await, PasswordVerdict::Wrong);
        let imported = bcrypt::hash("correct horse", 4).expect("hashed");
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let kept = format!("{prefix}{}", &imported[4..]);
            assert_eq!(verdict(&today, "correct horse", Some(&kept)).await, PasswordVerdict::RightButStale);
            assert_eq!(verdict(&today, "wrong", Some(&kept)).await, PasswordVerdict::Wrong);
        }
    }

    #[tokio::test]
    async fn more_than_may_wait_are_told_that_it_is_busy() {
        let passwords = passwords(PasswordCost { at_once: 1, waiting: 1, ..cheap() });
        let hash = || passwords.hash("correct horse".into());
        let (first, second, third) = tokio::join!(hash(), hash(), hash());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(third, Err(PasswordsBusy));
        assert!(hash().await.is_ok());
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_that_it_is_busy() {
        let passwords = passwords(PasswordCost { at_once: 1, patience: Duration::from_millis(1), ..cheap() });
        let (release, held) = std::sync::mpsc::channel::<()>();
        let slow = passwords.run(move |_| held.recv());
        let late = async {
            let told = passwords.hash("correct horse".into()).await;
            drop(release);
            told
        };
        let (_, told) = tokio::join!(slow, late);
        assert_eq!(told, Err(PasswordsBusy));
        assert!(passwords.hash("correct horse".into()).await.is_ok());
    }

    #[tokio::test]
    async fn three_hundred_at_once_wait_for_their_turn() {
        let passwords = passwords(cheap());
        let kept = passwords.hash("correct horse".into()).await.expect("not busy");
        let all = (0..300).map(|_| passwords.verify("correct horse".into(), Some(kept.clone())));
        let verdicts = futures_util::future::join_all(all).await;
        assert!(verdicts.iter().all(|verdict| *verdict == Ok(PasswordVerdict::Right)));
    }

    #[test]
    fn a_hash_from_elsewhere_is_known_by_its_form_and_bearable() {
        let passwords = passwords(cheap());
        let bcrypt = bcrypt::hash("correct horse", 4).expect("a hash");
        let argon = passwords.work.decoy.clone();
        for good in [&bcrypt, &bcrypt.replacen("$2b$", "$2y$", 1), &argon] {
            assert!(passwords.is_hash(good), "{good}");
        }
        let dear = bcrypt.replacen("$04$", "$31$", 1);
        for bad in ["", "correct horse", "$2b$", &bcrypt[..59], &dear, "5f4dcc3b5aa765d61d8327deb882cf99"] {
            assert!(!passwords.is_hash(bad), "{bad}");
        }
        let greedy = argon.replacen("m=", "m=9", 1).replacen("m=9", "m=99999", 1);
        assert!(!passwords.is_hash(&greedy), "{greedy}");
        assert!(!passwords.is_hash(
            "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"
        ));
    }

    #[test]
    fn an_impossible_cost_is_refused() {
        assert!(ArgonPasswords::try_new(PasswordCost { memory_kib: 1, ..cheap() }).is_err());
        assert!(ArgonPasswords::try_new(PasswordCost { at_once: 0, ..cheap() }).is_err());
    }
}
