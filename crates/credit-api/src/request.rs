//! Requests that have passed the door: who calls is known and allowed, the body is JSON, the parameters are known.

use std::net::IpAddr;
use std::sync::Arc;

use credit_core::ports::documents::Position;
use credit_core::ports::keys::KeyedHash;
use credit_core::{ApiKeyId, AppId, Code, Fault, Principal, Problem, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::form::{FormValue, misfit, read_form};
use crate::front_door::json::fingerprint;
use crate::page::{self, PageRequest};
use crate::route::Route;

const INVALID: &str = "invalid_parameter";
const FLAG: &str = "must be true or false";

/// An idempotency key, 1 to 255 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Bare, or quoted as a structured field string (RFC 8941 §3.3.3). Both forms name the same key. What begins with a
    /// quote and is no such string is no key: half of it may have been lost on the way.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let bare = match text.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').and_then(unescape).ok_or_else(Self::invalid)?,
            None => text.to_owned(),
        };
        let visible = bare.bytes().all(|byte| (0x21..=0x7E).contains(&byte));
        if bare.is_empty() || bare.len() > 255 || !visible { Err(Self::invalid()) } else { Ok(Self(bare)) }
    }

    fn invalid() -> Problem {
        Problem::because(
            Code::IdempotencyKeyInvalid,
            "An Idempotency-Key has 1 to 255 visible ASCII characters, bare or quoted.",
        )
    }

    /// The key, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn unescape(inner: &str) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => text.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            other => text.push(other),
        }
    }
    Some(text)
}

/// Who shares a space of idempotency keys within an application: one user, or all of its API keys together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyHolder {
    /// One user; an operator too.
    User(UserId),
    /// The application's API keys.
    Application,
}

/// One use of a key: the key, its holder and what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key.
    pub key: IdempotencyKey,
    /// Who holds it.
    pub holder: KeyHolder,
    /// What was asked: method, path and meaning of the body.
    pub fingerprint: u128,
}

/// What the caller wants of a call that moves credits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// Decide and tell; store nothing.
    DryRun,
    /// Do it once under this key.
    Once(KeyUse),
}

impl Intent {
    /// Whether nothing is to be stored.
    pub fn is_dry_run(&self) -> bool {
        matches!(self, Self::DryRun)
    }
}

/// The versions in `If-Match`. An entity tag that is not one of ours matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IfMatch(Vec<u64>);

impl IfMatch {
    /// Of these versions.
    pub fn of(versions: &[u64]) -> Self {
        Self(versions.to_vec())
    }

    fn parse(text: &str) -> Option<Self> {
        if text.trim() == "*" {
            return None;
        }
        // Tags are compared character by character (RFC 9110 §8.8.3.2): "04" is not the tag of version 4.
        let version = |tag: &str| {
            let text = tag.trim().strip_prefix('"')?.strip_suffix('"')?;
            text.parse().ok().filter(|version: &u64| version.to_string() == text)
        };
        Some(Self(text.split(',').filter_map(version).collect()))
    }

    /// `412 version_mismatch` unless the present version is one of them.
    pub fn check(&self, version: u64) -> Result<(), Problem> {
        if self.0.contains(&version) {
            return Ok(());
        }
        Err(Problem::because(Code::VersionMismatch, format!("The present version is {version}."))
            .with("version", version))
    }

    /// The versions.
    pub fn versions(&self) -> &[u64] {
        &self.0
    }
}

/// Where a call comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The address; behind configured proxies, the one that they report.
    pub address: IpAddr,
    /// `User-Agent`, cut to 256 characters.
    pub agent: Option<String>,
}

/// A request that passed the door.
pub struct Request {
    pub(crate) route: Arc<Route>,
    pub(crate) principal: Option<Principal>,
    pub(crate) path: String,
    pub(crate) path_parameters: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) idempotency_key: Option<Vec<u8>>,
    pub(crate) if_match: Option<String>,
    pub(crate) id: String,
    pub(crate) wants_html: bool,
    pub(crate) client: Client,
    pub(crate) cursor_key: Arc<dyn KeyedHash>,
}

impl Request {
    /// The caller. The row of the route guarantees that there is one, unless it is public.
    pub fn principal(&self) -> Result<&Principal, Problem> {
        self.principal.as_ref().ok_or_else(|| Problem::new(Code::Unauthenticated))
    }

    /// The caller of a route that is open to anyone, if it is known.
    pub fn known_principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// The id of this request.
    pub fn request_id(&self) -> &str {
        &self.id
    }

    /// Where it comes from.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The path as asked, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A path parameter as it stands in the path.
    pub fn path_text(&self, name: &str) -> Result<&str, Problem> {
        self.path_parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .ok_or_else(Problem::not_found)
    }

    /// A path parameter as an id; a malformed one is `404 not_found` like an unknown one.
    pub fn path_id<T, E>(&self, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<T, Problem> {
        parse(self.path_text(name)?).map_err(|_| Problem::not_found())
    }

    /// The JSON body.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The body as a form: `422 validation_failed` with every fault.
    pub fn form<T: FormValue>(&self) -> Result<T, Problem> {
        read_form(&self.body)
    }

    /// A query parameter.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter, parsed: `400 invalid_parameter` with `expected` if it does not parse.
    pub fn query_as<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.query(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| {
            let mut faults = vec![Fault::new(name, INVALID, expected)];
            faults.extend(self.faults_beside(name));
            Problem::with_faults(Code::InvalidParameter, faults)
        })
    }

    /// What is wrong with the other parameters, as far as their schemas tell: a refusal names every fault.
    fn faults_beside(&self, but: &str) -> Vec<Fault> {
        let others = self.query.iter().filter(|(name, _)| name != but);
        others
            .filter_map(|(name, text)| Some(Fault::new(name.as_str(), INVALID, self.misfit(name, text)?)))
            .collect()
    }

    fn misfit(&self, name: &str, text: &str) -> Option<String> {
        match name {
            "limit" if self.route.paged => page::read_limit(text).is_none().then(|| page::LIMIT.to_owned()),
            "dry_run" if self.route.idempotent => text.parse::<bool>().is_err().then(|| FLAG.to_owned()),
            name => {
                let known = self.route.parameters.iter().find(|parameter| parameter.name == name)?;
                misfit(&(known.schema)(), text)
            }
        }
    }

    /// Whether the caller only wants to know what would happen.
    pub fn is_dry_run(&self) -> Result<bool, Problem> {
        let flag = self.query_as("dry_run", FLAG, |text| text.parse::<bool>().ok())?;
        Ok(flag.unwrap_or(false))
    }

    /// Dry run, or once under a key. Call it after the form: the contract checks the key last of the form.
    pub fn intent(&self) -> Result<Intent, Problem> {
        if self.is_dry_run()? {
            return Ok(Intent::DryRun);
        }
        let Some(bytes) = &self.idempotency_key else {
            return Err(Problem::new(Code::IdempotencyKeyRequired));
        };
        let text = std::str::from_utf8(bytes).map_err(|_| IdempotencyKey::invalid())?;
        let holder = match self.principal()? {
            Principal::User { user, .. } => KeyHolder::User(*user),
            Principal::Application { .. } => KeyHolder::Application,
        };
        Ok(Intent::Once(KeyUse {
            key: IdempotencyKey::parse(text)?,
            holder,
            fingerprint: fingerprint(self.route.method.as_str(), &self.path, &self.body),
        }))
    }

    /// The versions that the caller wants to change, if it said so.
    pub fn if_match(&self) -> Option<IfMatch> {
        self.if_match.as_deref().and_then(IfMatch::parse)
    }

    /// The page that a list is asked for: `400 invalid_parameter` or `400 invalid_cursor`.
    pub fn page(&self) -> Result<PageRequest, Problem> {
        let limit = self.query_as("limit", page::LIMIT, page::read_limit)?;
        let after = self.query("cursor").map(|cursor| self.open_cursor(cursor)).transpose()?;
        Ok(PageRequest { limit: limit.unwrap_or(50), after })
    }

    fn open_cursor(&self, cursor: &str) -> Result<Position, Problem> {
        page::open_cursor(&*self.cursor_key, &self.cursor_binding(), cursor)
    }

    /// What a cursor is bound to: the list, its filters and who sees it.
    pub(crate) fn cursor_binding(&self) -> String {
        let mut filters: Vec<_> =
            self.query.iter().filter(|(name, _)| !matches!(name.as_str(), "limit" | "cursor")).collect();
        filters.sort();
        let viewer = match &self.principal {
            Some(Principal::User { user, roles, .. }) => format!("{user}{roles:?}"),
            Some(Principal::Application { app, .. }) => app.to_string(),
            None => String::new(),
        };
        format!("{}|{viewer}|{filters:?}", self.path)
    }

    /// The API key that called, if one did.
    pub fn api_key(&self) -> Option<ApiKeyId> {
        match &self.principal {
            Some(Principal::Application { key, .. }) => Some(*key),
            _ => None,
        }
    }

    /// The application that the caller belongs to.
    pub fn app(&self) -> Result<AppId, Problem> {
        self.principal().map(Principal::app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_is_the_same_key_as_the_bare_one() {
        let bare = IdempotencyKey::parse("order-17").expect("valid");
        assert_eq!(IdempotencyKey::parse("\"order-17\"").expect("valid"), bare);
        assert_eq!(IdempotencyKey::parse(r#""a\"b\\""#).expect("valid").as_str(), r#"a"b\"#);
        let long = "x".repeat(256);
        for wrong in
            ["", "\"\"", "\"", "\"a", "\"a\";b=1", "a b", "\"a b\"", "ä", "\"a\"b\"", "a\tb", long.as_str()]
        {
            let problem = IdempotencyKey::parse(wrong).expect_err(wrong);
            assert_eq!(problem.code(), Code::IdempotencyKeyInvalid);
        }
    }

    #[test]
    fn if_match_matches_strong_tags_of_ours_only() {
        let tags = IfMatch::parse("\"3\", \"5\"").expect("versions");
        assert!(tags.check(3).is_ok() && tags.check(5).is_ok() && tags.check(4).is_err());
        for other in ["\"03\"", "\"+3\"", "\" 3\"", "\"3.0\""] {
            assert!(IfMatch::parse(other).expect(other).check(3).is_err(), "{other}");
        }
        assert!(IfMatch::parse("W/\"3\"").expect("weak").check(3).is_err());
        assert!(IfMatch::parse("abc").expect("foreign").check(3).is_err());
        assert_eq!(IfMatch::parse("*"), None);
    }
}
