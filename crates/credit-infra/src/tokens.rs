//! Access tokens: JWT (RFC 7519) of the profile RFC 9068, signed with Ed25519.

use std::collections::{BTreeMap, HashSet};

use credit_core::ports::tokens::{AccessClaims, InvalidToken, TokenSigner};
use credit_core::{AppId, SessionId, Timestamp, UserId};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// What the type of an access token says (RFC 9068 §2.1), so that no other token passes for one.
const TYPE: &str = "at+jwt";

/// How far the clock of a replica may be behind the one that signed.
const CLOCK_SKEW_SECONDS: i64 = 30;

/// What comes before the 32 bytes of a private Ed25519 key in PKCS #8 (RFC 8410 §7).
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The keys cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningKeys {
    /// There is none.
    #[error("signing access tokens needs a key")]
    None,
    /// One is not an Ed25519 key.
    #[error("a key for signing access tokens is not an Ed25519 key")]
    NotEd25519,
}

/// Signs with the newest key and verifies with any.
pub struct JwtSigner {
    newest: (String, EncodingKey),
    verifying: BTreeMap<String, DecodingKey>,
    jwks: Vec<Jwk>,
    issuer: String,
    audience: String,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    app: AppId,
    sid: SessionId,
    jti: String,
    iat: i64,
    exp: i64,
    /// How many milliseconds before `exp`, which is in whole seconds, it ends here.
    #[serde(default)]
    early: u16,
}

impl JwtSigner {
    /// With these private Ed25519 keys (32 random bytes each, RFC 8032 §5.1.5), the newest first. A key's id is its
    /// thumbprint (RFC 7638). Keep an older key as long as a token signed with it can live.
    pub fn try_new<'a>(
        keys: impl IntoIterator<Item = &'a [u8; 32]>,
        issuer: &str,
        audience: &str,
    ) -> Result<Self, InvalidSigningKeys> {
        let mut newest = None;
        let (mut verifying, mut jwks) = (BTreeMap::new(), Vec::new());
        for key in keys {
            let der = Zeroizing::new([PKCS8_HEAD.as_slice(), key].concat());
            let signing = EncodingKey::from_ed_der(&der);
            let jwk = public_jwk(&signing).ok_or(InvalidSigningKeys::NotEd25519)?;
            let id = jwk.common.key_id.clone().unwrap_or_default();
            let public = DecodingKey::from_jwk(&jwk).map_err(|_| InvalidSigningKeys::NotEd25519)?;
            verifying.insert(id.clone(), public);
            jwks.push(jwk);
            newest.get_or_insert((id, signing));
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is compared below, with the time that is given.
        validation.validate_exp = false;
        Ok(Self {
            newest: newest.ok_or(InvalidSigningKeys::None)?,
            verifying,
            jwks,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            validation,
        })
    }

    fn verified(&self, token: &str) -> Option<Claims> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return None;
        }
        let key = self.verifying.get(header.kid.as_deref()?)?;
        jsonwebtoken::decode::<Claims>(token, key, &self.validation).ok().map(|token| token.claims)
    }
}

/// The next whole second, so that nobody else takes a token for dead while its holder was told that it lives, and how many
/// milliseconds that is too late.
fn whole_seconds_from(at: Timestamp) -> (i64, u16) {
    let seconds = at.millis().div_euclid(1000) + i64::from(at.millis().rem_euclid(1000) > 0);
    let early = seconds.saturating_mul(1000).saturating_sub(at.millis());
    (seconds, u16::try_from(early).unwrap_or_default())
}

fn public_jwk(key: &EncodingKey) -> Option<Jwk> {
    let mut jwk = Jwk::from_encoding_key(key, Algorithm::EdDSA).ok()?;
    if !matches!(jwk.algorithm, AlgorithmParameters::OctetKeyPair(_)) {
        return None;
    }
    jwk.common.key_id = Some(jwk.thumbprint(ThumbprintHash::SHA256).ok()?);
    jwk.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
    Some(jwk)
}

impl TokenSigner for JwtSigner {
    fn sign(&self, claims: &AccessClaims) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(self.newest.0.clone());
        let (exp, early) = whole_seconds_from(claims.expires_at);
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: claims.user,
            app: claims.app,
            sid: claims.session,
            jti: format!("{:032x}", claims.id),
            iat: claims.issued_at.millis().div_euclid(1000),
            exp,
            early,
        };
        jsonwebtoken::encode(&header, &claims, &self.newest.1)
            .expect("the key was checked, and plain claims encode")
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, InvalidToken> {
        let claims = self.verified(token).ok_or(InvalidToken)?;
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        let claims = AccessClaims {
            id: u128::from_str_radix(&claims.jti, 16).map_err(|_| InvalidToken)?,
            user: claims.sub,
            app: claims.app,
            session: claims.sid,
            issued_at: at(claims.iat),
            expires_at: at(claims.exp).plus_millis(-i64::from(claims.early)),
        };
        if now >= claims.expires_at || now.plus_seconds(CLOCK_SKEW_SECONDS) < claims.issued_at {
            return Err(InvalidToken);
        }
        Ok(claims)
    }

    fn jwks(&self) -> serde_json::Value {
        let mut seen = HashSet::new();
        let keys: Vec<_> = self.jwks.iter().filter(|jwk| seen.insert(&jwk.common.key_id)).collect();
        serde_json::json!({ "keys": keys })
    }
}

impl std::fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtSigner").field("newest", &self.newest.0).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn signer(keys: &[u8]) -> JwtSigner {
        let keys: Vec<[u8; 32]> = keys.iter().map(|byte| [*byte; 32]).collect();
        JwtSigner::try_new(&keys, "https://credits.example", "credits").expect("keys")
    }

    fn claims() -> AccessClaims {
        AccessClaims {
            id: 4,
            user: UserId::from_u128(1),
            app: AppId::from_u128(2),
            session: SessionId::from_u128(3),
            issued_at: NOW,
            expires_at: NOW.plus_seconds(600),
        }
    }

    /// Any header and claims, signed with the key of `signer(&[1])`.
    fn forged(header: impl FnOnce(&mut Header), change: impl FnOnce(&mut Value)) -> String {
        let signer = signer(&[1]);
        let mut made = Header::new(Algorithm::EdDSA);
        made.typ = Some(TYPE.to_owned());
        made.kid = Some(signer.newest.0.clone());
        header(&mut made);
        let mut claims = json!({
            "iss": "https://credits.example", "aud": "credits", "sub": UserId::from_u128(1),
            "app": AppId::from_u128(2), "sid": SessionId::from_u128(3),
            "jti": format!("{:032x}", 4),
            "iat": NOW.millis() / 1000, "exp": NOW.millis() / 1000 + 600,
        });
        change(&mut claims);
        jsonwebtoken::encode(&made, &claims, &signer.newest.1).expect("signed")
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let signer = signer(&[1]);
        let token = signer.sign(&claims());
        assert_eq!(signer.verify(&token, NOW), Ok(claims()));
        let header: Value = serde_json::from_slice(
            &URL_SAFE_NO_PAD.decode(token.split('.').next().expect("a header")).expect("base64"),
        )
        .expect("JSON");
        assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
        assert_eq!(signer.verify(&forged(|_| {}, |_| {}), NOW), Ok(claims()));
    }

    #[test]
    fn a_token_is_good_from_its_signing_to_its_end() {
        let signer = signer(&[1]);
        let token = signer.sign(&claims());
        assert!(signer.verify(&token, NOW.plus_millis(599_999)).is_ok());
        assert_eq!(signer.verify(&token, NOW.plus_seconds(600)), Err(InvalidToken));
        assert!(signer.verify(&token, NOW.plus_seconds(-30)).is_ok());
        assert_eq!(signer.verify(&token, NOW.plus_seconds(-31)), Err(InvalidToken));
    }

    #[test]
    fn every_claim_is_required_and_typed() {
        for claim in ["iss", "aud", "sub", "app", "sid", "jti", "iat", "exp"] {
            for wrong in [Value::Null, json!(true), json!("other")] {
                let token = forged(|_| {}, |claims| claims[claim] = wrong);
                assert_eq!(signer(&[1]).verify(&token, NOW), Err(InvalidToken), "{claim}");
            }
            let token =
                forged(|_| {}, |claims| drop(claims.as_object_mut().expect("an object").remove(claim)));
            assert_eq!(signer(&[1]).verify(&token, NOW), Err(InvalidToken), "no {claim}");
        }
    }

    #[test]
    fn another_type_algorithm_or_key_is_refused() {
        let verify = |token: &str| signer(&[1]).verify(token, NOW);
        for typ in [None, Some("JWT"), Some("at+JWS")] {
            let token = forged(|header| header.typ = typ.map(str::to_owned), |_| {});
            assert_eq!(verify(&token), Err(InvalidToken), "{typ:?}");
        }
        for kid in [None, Some("unknown")] {
            let token = forged(|header| header.kid = kid.map(str::to_owned), |_| {});
            assert_eq!(verify(&token), Err(InvalidToken), "{kid:?}");
        }
        assert_eq!(verify(&signer(&[2]).sign(&claims())), Err(InvalidToken));

        // Signed with the public key as if it were a shared secret, and not signed at all.
        let key = signer(&[1]);
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(key.newest.0.clone());
        let public = key.jwks()["keys"][0]["x"].as_str().expect("a key").to_owned();
        let confused =
            jsonwebtoken::encode(&header, &json!({}), &EncodingKey::from_secret(public.as_bytes()));
        assert_eq!(verify(&confused.expect("signed")), Err(InvalidToken));
        let token = key.sign(&claims());
        let (said, _) = token.rsplit_once('.').expect("a signature");
        for wrong in [format!("{said}."), said.to_owned(), String::new(), format!("{token}A")] {
            assert_eq!(verify(&wrong), Err(InvalidToken), "{wrong}");
        }
    }

    #[test]
    fn a_token_lives_as_long_as_its_holder_was_told_and_no_longer() {
        let key = signer(&[1]);
        for millis in [0, 1, 500, 999] {
            let issued_at = NOW.plus_millis(millis);
            let token =
                key.sign(&AccessClaims { issued_at, expires_at: issued_at.plus_seconds(1), ..claims() });
            assert!(key.verify(&token, issued_at.plus_millis(999)).is_ok(), "{millis}");
            assert_eq!(key.verify(&token, issued_at.plus_seconds(1)), Err(InvalidToken), "{millis}");
        }
    }

    #[test]
    fn an_older_key_still_verifies_and_is_published() {
        let rotated = signer(&[2, 1]);
        assert_eq!(rotated.verify(&signer(&[1]).sign(&claims()), NOW), Ok(claims()));
        assert_eq!(signer(&[2]).verify(&rotated.sign(&claims()), NOW), Ok(claims()));
        let jwks = rotated.jwks();
        let keys = jwks["keys"].as_array().expect("keys");
        assert_eq!(keys.len(), 2);
        for key in keys {
            assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
            assert_eq!((&key["use"], &key["alg"]), (&json!("sig"), &json!("EdDSA")));
            assert!(key["kid"].is_string() && key["x"].is_string() && key.get("d").is_none());
        }
        let none: [&[u8; 32]; 0] = [];
        assert_eq!(JwtSigner::try_new(none, "i", "a").err(), Some(InvalidSigningKeys::None));
    }
}
