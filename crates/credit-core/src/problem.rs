//! Problems: what went wrong, for machines (a stable code) and for people (a sentence).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

macro_rules! codes {
    ($($name:ident $text:literal $status:literal $title:literal $advice:literal;)*) => {
        /// Every code that an answer can carry. Codes are stable: they are added, never changed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $title] $name,)* }

        impl Code {
            /// All codes, in the order of their status.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code on the wire.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text,)* } }
            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)* } }
            /// What it is, in a few words.
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title,)* } }
            /// What to do about it.
            pub const fn advice(self) -> &'static str { match self { $(Self::$name => $advice,)* } }

            /// The code with this text.
            pub fn parse(text: &str) -> Option<Self> { match text { $($text => Some(Self::$name),)* _ => None } }
        }
    };
}

codes! {
    MalformedJson "malformed_json" 400 "The body is not JSON" "Send one JSON value in UTF-8, each name once in its object.";
    InvalidParameter "invalid_parameter" 400 "A parameter is not valid" "See `errors` for each parameter and what it takes.";
    UnknownParameter "unknown_parameter" 400 "A query parameter is not known" "Remove it, or correct its name; `/openapi.json` lists what each route takes.";
    InvalidCursor "invalid_cursor" 400 "The cursor is not valid here" "Use `next_cursor` of the same list with the same filters, unchanged, or begin without a cursor.";
    IdempotencyKeyRequired "idempotency_key_required" 400 "An Idempotency-Key is required" "Send an `Idempotency-Key` header, unique for each operation, and the same one when you repeat it.";
    IdempotencyKeyInvalid "idempotency_key_invalid" 400 "The Idempotency-Key is not valid" "Use 1 to 255 visible ASCII characters.";
    Unauthenticated "unauthenticated" 401 "Who you are is not known" "Send `Authorization: Bearer <access token>` or `X-API-Key: <key>`.";
    InvalidCredentials "invalid_credentials" 401 "The credentials are not right" "Check the login and the password.";
    RefreshTokenReused "refresh_token_reused" 401 "The refresh token was used before" "The session has been ended for safety: log in again.";
    InsufficientFunds "insufficient_funds" 402 "Not enough credits" "See `available` and `shortfall`; nothing was taken.";
    Forbidden "forbidden" 403 "Not allowed" "Use a caller with the role or scope that the call needs.";
    RegistrationClosed "registration_closed" 403 "Registration is switched off" "Ask the operator for an account.";
    NotFound "not_found" 404 "There is no such thing here" "Check the id and the path, and that the caller may see it.";
    MethodNotAllowed "method_not_allowed" 405 "The method is not allowed here" "See the `Allow` header.";
    RequestTimeout "request_timeout" 408 "The request did not arrive in time" "Nothing was done. Send the whole body at once; repeat the call with the same key.";
    UsernameTaken "username_taken" 409 "The username is taken" "Choose another one; names that look alike count as the same.";
    EmailTaken "email_taken" 409 "The e-mail address is taken" "Log in with it, or use another one.";
    LastAdmin "last_admin" 409 "The last admin stays" "Make another user an admin first.";
    AssetExists "asset_exists" 409 "The asset exists" "Use it, or choose another code.";
    WalletExists "wallet_exists" 409 "The user has a wallet in this asset" "Use the one that `GET /v1/wallets?user_id=&asset=` shows.";
    WalletNotEmpty "wallet_not_empty" 409 "The wallet is not empty" "Spend, void or transfer what is left and settle its holds first.";
    WalletFrozen "wallet_frozen" 409 "The wallet is frozen" "Unfreeze it first.";
    WalletClosed "wallet_closed" 409 "The wallet is closed" "Use another wallet: a closed one stays closed.";
    OverdraftInUse "overdraft_in_use" 409 "The overdraft is in use" "Bring credits in first, or set a higher limit.";
    GrantNotActive "grant_not_active" 409 "Nothing of the lot is free to void" "It is spent, held, expired or voided already.";
    HoldNotActive "hold_not_active" 409 "The hold is not active" "It is captured, released or expired; create another one.";
    ExternalIdReused "external_id_reused" 409 "The external id belongs to another purchase" "Each payment's id can buy once; see the purchase it made.";
    IdempotencyInProgress "idempotency_in_progress" 409 "The first call with this key is still running" "Repeat the call in a moment with the same key.";
    Conflict "conflict" 409 "Somebody else changed it at the same time" "Read it again and repeat the call.";
    VersionMismatch "version_mismatch" 412 "It has moved on" "Read it again and send its present version in `If-Match`.";
    PayloadTooLarge "payload_too_large" 413 "The body is too large" "Send less in one call.";
    UnsupportedMediaType "unsupported_media_type" 415 "The content type is not supported" "Send `Content-Type: application/json`.";
    ValidationFailed "validation_failed" 422 "The request is not valid" "See `errors` for every fault at once.";
    IdempotencyKeyReused "idempotency_key_reused" 422 "The Idempotency-Key was used for another request" "Use a new key for a new operation.";
    BalanceOverflow "balance_overflow" 422 "The balance would pass the largest amount" "Balances stay within ±9007199254740991.";
    AssetMismatch "asset_mismatch" 422 "The wallets hold different assets" "Move credits between wallets of one asset.";
    SameWallet "same_wallet" 422 "Source and destination are the same wallet" "Name two wallets.";
    CaptureExceedsHold "capture_exceeds_hold" 422 "More than the hold has left" "Capture at most what `remaining` says.";
    RefundExceedsOriginal "refund_exceeds_original" 422 "The refunds would exceed the original" "See `refunded_amount` of the original.";
    RefundExceedsRemaining "refund_exceeds_remaining" 422 "The purchase's credits are partly spent or held" "Refund at most what is left of its lot.";
    NotRefundable "not_refundable" 422 "This type cannot be refunded" "Only purchases, spends and captures can.";
    RateLimited "rate_limited" 429 "Too many requests" "Wait as long as `Retry-After` says.";
    Internal "internal_error" 500 "Something went wrong here" "Nothing moved. Repeat the call with the same key; tell the operator the `request_id` if it stays.";
    Unavailable "unavailable" 503 "The service cannot do this now" "Nothing moved. Repeat the call with the same key in a moment.";
    ModuleUnavailable "module_unavailable" 503 "The module is not available" "Nothing moved. See `/modules/status`; repeat the call with the same key later.";
    OutcomeUnknown "outcome_unknown" 503 "The outcome is not known yet" "Repeat the call with the same key to learn it.";
}

impl Code {
    /// Whether a refusal with this code is an outcome of the command, which sticks to its idempotency key.
    pub const fn is_outcome(self) -> bool {
        matches!(self.status(), 402 | 409 | 422)
            && !matches!(
                self,
                Self::ValidationFailed
                    | Self::IdempotencyKeyReused
                    | Self::IdempotencyInProgress
                    | Self::Conflict
            )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One fault of a request: where, which, and what would be right. Never repeats the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// RFC 6901 pointer into the body, or the name of the parameter.
    pub pointer: String,
    /// Stable, `snake_case`: `required`, `unknown_field`, `invalid_type`, `out_of_range`, `invalid_format`, …
    pub code: Cow<'static, str>,
    /// A sentence.
    pub detail: String,
}

impl Fault {
    /// A fault at a place.
    pub fn new(
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

/// Why a call was refused or failed. Becomes `application/problem+json` (RFC 9457) at the front door. As `serde` writes
/// it, it goes from one process to another, and comes out whole.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Passed", into = "Passed")]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    code: Code,
    detail: String,
    faults: Vec<Fault>,
    members: Map<String, Value>,
    retry_after_seconds: Option<u64>,
    first_request_id: Option<String>,
}

impl Problem {
    /// A problem with the code's own sentence.
    pub fn new(code: Code) -> Self {
        Self::because(code, format!("{}.", code.title()))
    }

    /// A problem with a sentence of its own. The sentence goes to the consumer: no secret, path or query in it.
    pub fn because(code: Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            faults: Vec::new(),
            members: Map::new(),
            retry_after_seconds: None,
            first_request_id: None,
        }))
    }

    /// `422 validation_failed` with every fault.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        Self::with_faults(Code::ValidationFailed, faults)
    }

    /// A problem that lists faults.
    pub fn with_faults(code: Code, faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [only] if only.pointer.is_empty() => format!("The body {}.", only.detail),
            [only] => format!("{}: {}", only.pointer, only.detail),
            several => format!("{} faults; see errors.", several.len()),
        };
        let mut problem = Self::because(code, detail);
        problem.0.faults = faults;
        problem
    }

    /// `404 not_found`: also for what the caller may not see.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// `403 forbidden`.
    pub fn forbidden() -> Self {
        Self::new(Code::Forbidden)
    }

    /// Adds an extension member, for example `available`.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// Marks it as the replay of a refusal that was first answered to another request.
    #[must_use]
    pub fn first_answered_to(mut self, request_id: impl Into<String>) -> Self {
        self.0.first_request_id = Some(request_id.into());
        self
    }

    /// The request that got this refusal first, if this is a replay.
    pub fn first_request_id(&self) -> Option<&str> {
        self.0.first_request_id.as_deref()
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// All validation faults.
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// Extension members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0.members
    }

    /// Seconds for `Retry-After`.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after_seconds
    }
}

/// A problem between two processes. Members are JSON in a text: not every format can carry them as they are.
#[derive(Serialize, Deserialize)]
struct Passed {
    code: String,
    detail: String,
    faults: Vec<Fault>,
    members: String,
    retry_after_seconds: Option<u64>,
    first_request_id: Option<String>,
}

impl From<Problem> for Passed {
    fn from(Problem(inner): Problem) -> Self {
        let Inner { code, detail, faults, members, retry_after_seconds, first_request_id } = *inner;
        let (code, members) = (code.as_str().to_owned(), Value::Object(members).to_string());
        Self { code, detail, faults, members, retry_after_seconds, first_request_id }
    }
}

impl TryFrom<Passed> for Problem {
    type Error = String;

    fn try_from(passed: Passed) -> Result<Self, String> {
        let code = Code::parse(&passed.code).ok_or_else(|| format!("there is no code {}", passed.code))?;
        Ok(Self(Box::new(Inner {
            code,
            detail: passed.detail,
            faults: passed.faults,
            members: serde_json::from_str(&passed.members).map_err(|_| "members are no JSON".to_owned())?,
            retry_after_seconds: passed.retry_after_seconds,
            first_request_id: passed.first_request_id,
        })))
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_has_an_error_status() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!((400..600).contains(&code.status()), "{code}");
        }
    }

    #[test]
    fn a_problem_passes_between_processes_whole_and_one_with_an_unknown_code_does_not() {
        let faults = vec![Fault::new("/expires_at", "out_of_range", "is past")];
        let problem = Problem::invalid(faults)
            .with("available", 7)
            .with("wallet", "wal_1")
            .retry_after(3)
            .first_answered_to("request-1");
        let text = serde_json::to_string(&problem).expect("it has a form");
        assert_eq!(serde_json::from_str::<Problem>(&text).expect("it reads back"), problem);
        let unknown = text.replace("validation_failed", "no_such_code");
        assert!(serde_json::from_str::<Problem>(&unknown).is_err());
    }

    #[test]
    fn only_business_refusals_stick_to_a_key() {
        let sticks: Vec<_> =
            Code::ALL.iter().filter(|code| code.is_outcome()).map(|code| code.status()).collect();
        assert!(sticks.iter().all(|status| matches!(status, 402 | 409 | 422)));
        assert!(Code::InsufficientFunds.is_outcome() && Code::WalletFrozen.is_outcome());
        assert!(
            !Code::ValidationFailed.is_outcome()
                && !Code::VersionMismatch.is_outcome()
                && !Code::Unavailable.is_outcome()
        );
    }
}
