//! Access tokens that say everything and prove nothing.

use crate::ports::tokens::{AccessClaims, InvalidToken, TokenSigner};
use crate::{AppId, SessionId, Timestamp, UserId};

/// Writes the claims in the open; checks form and time only.
#[derive(Debug, Default, Clone, Copy)]
pub struct TestTokens;

impl TokenSigner for TestTokens {
    fn sign(&self, claims: &AccessClaims) -> String {
        let AccessClaims { id, user, app, session, issued_at, expires_at } = claims;
        format!("test.{id:032x}.{user}.{app}.{session}.{}.{}", issued_at.millis(), expires_at.millis())
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<AccessClaims, InvalidToken> {
        let parts: Vec<&str> = token.split('.').collect();
        let ["test", id, user, app, session, issued_at, expires_at] = parts[..] else {
            return Err(InvalidToken);
        };
        let instant = |text: &str| text.parse().map(Timestamp::from_millis).map_err(|_| InvalidToken);
        let claims = AccessClaims {
            id: u128::from_str_radix(id, 16).map_err(|_| InvalidToken)?,
            user: UserId::parse(user).map_err(|_| InvalidToken)?,
            app: AppId::parse(app).map_err(|_| InvalidToken)?,
            session: SessionId::parse(session).map_err(|_| InvalidToken)?,
            issued_at: instant(issued_at)?,
            expires_at: instant(expires_at)?,
        };
        if now < claims.expires_at { Ok(claims) } else { Err(InvalidToken) }
    }

    fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": [] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_token_says_what_was_signed_until_its_time_is_over() {
        let claims = AccessClaims {
            id: 4,
            user: UserId::from_u128(1),
            app: AppId::from_u128(2),
            session: SessionId::from_u128(3),
            issued_at: Timestamp::EPOCH,
            expires_at: Timestamp::EPOCH.plus_seconds(600),
        };
        let token = TestTokens.sign(&claims);
        assert_eq!(TestTokens.verify(&token, Timestamp::EPOCH), Ok(claims.clone()));
        assert_eq!(TestTokens.verify(&token, claims.expires_at), Err(InvalidToken));
        assert_eq!(TestTokens.verify("test.a.b", Timestamp::EPOCH), Err(InvalidToken));
    }
}
