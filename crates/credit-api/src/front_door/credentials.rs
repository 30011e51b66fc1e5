//! Who calls.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderName, USER_AGENT};
use credit_core::{Code, Principal, Problem};

use super::{AuthFailure, Authenticator, FrontDoor, TrustedProxies};
use crate::request::Client;
use crate::route::{Access, Route};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The caller as the row of the route wants it: `401` if it must be known and is not, `403` if it is not admitted.
pub(super) async fn identify(
    door: &FrontDoor,
    route: &Route,
    request: &HttpRequest,
) -> Result<Option<Principal>, Problem> {
    let access = route.access;
    let caller = match access {
        Access::Public => return Ok(None),
        Access::Optional | Access::Only(_) => look_up(door, request).await,
    };
    match (access, caller) {
        (Access::Optional, Caller::Nobody | Caller::StaleToken) => Ok(None),
        (Access::Optional, Caller::WrongKey | Caller::Unavailable(_)) if route.always => Ok(None),
        (_, Caller::Unavailable(problem)) => Err(problem),
        (_, Caller::Nobody | Caller::StaleToken | Caller::WrongKey) => {
            Err(Problem::new(Code::Unauthenticated))
        }
        (_, Caller::Known(principal)) if access.admits(&principal) => Ok(Some(principal)),
        (_, Caller::Known(_)) => Err(Problem::forbidden()),
    }
}

enum Caller {
    Nobody,
    StaleToken,
    WrongKey,
    Known(Principal),
    Unavailable(Problem),
}

/// A caller that sends a token and a key must be right in both, and is then the user of the token.
async fn look_up(door: &FrontDoor, request: &HttpRequest) -> Caller {
    let token = request.headers().get(AUTHORIZATION).map(|value| value.to_str().ok().and_then(bearer));
    let key = request.headers().get(API_KEY).map(|value| value.to_str().ok());
    match (token, key) {
        (None, None) => Caller::Nobody,
        (Some(token), None) => by_credential(&*door.tokens, token, Caller::StaleToken).await,
        (None, Some(key)) => by_credential(&*door.api_keys, key, Caller::WrongKey).await,
        (Some(token), Some(key)) => match by_credential(&*door.api_keys, key, Caller::WrongKey).await {
            Caller::Known(_) => by_credential(&*door.tokens, token, Caller::WrongKey).await,
            other => other,
        },
    }
}

async fn by_credential(authenticator: &dyn Authenticator, credential: Option<&str>, wrong: Caller) -> Caller {
    let Some(credential) = credential else { return wrong };
    match authenticator.authenticate(credential).await {
        Ok(principal) => Caller::Known(principal),
        Err(AuthFailure::Invalid) => wrong,
        Err(AuthFailure::Unavailable(error)) => Caller::Unavailable(error.into()),
    }
}

/// The scheme is case-insensitive (RFC 9110 §11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Where the call comes from. `X-Forwarded-For` counts only as far as configured proxies wrote it: from the right, the
/// first address that is not one of theirs.
pub(super) fn client(door: &FrontDoor, request: &HttpRequest) -> Client {
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip().to_canonical());
    let agent = request
        .headers()
        .get(USER_AGENT)
        .and_then(|agent| agent.to_str().ok())
        .map(|agent| agent.chars().take(256).collect());
    let mut address = peer;
    if door.trusted_proxies.contains(peer) {
        let values = request.headers().get_all(FORWARDED_FOR).filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        for hop in hops.into_iter().rev() {
            let Some(reported) = reported_address(hop) else { break };
            address = reported.to_canonical();
            if !door.trusted_proxies.contains(address) {
                break;
            }
        }
    }
    Client { address, agent }
}

/// Some proxies write the port too.
fn reported_address(hop: &str) -> Option<IpAddr> {
    hop.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// Not an address or a CIDR block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a CIDR block, for example 10.0.0.0/8")]
pub struct InvalidNetwork(String);

impl TrustedProxies {
    /// From addresses and CIDR blocks.
    pub fn try_new<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidNetwork> {
        let parse = |text: &str| -> Option<(IpAddr, u8)> {
            let (address, length) = match text.split_once('/') {
                Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
                None => (text, None),
            };
            let address: IpAddr = address.trim().parse().ok()?;
            let full = if address.is_ipv4() { 32 } else { 128 };
            let length = length.unwrap_or(full);
            (length <= full).then_some((address, length))
        };
        networks
            .into_iter()
            .map(|text| parse(text).ok_or_else(|| InvalidNetwork(text.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, length)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(*length);
                shift == 32 || u32::from(*network) >> shift == u32::from(address) >> shift
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(*length);
                shift == 128 || u128::from(*network) >> shift == u128::from(address) >> shift
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_what_its_prefix_says() {
        let proxies = TrustedProxies::try_new(["10.1.0.0/16", "::1", "192.168.7.9"]).expect("valid");
        for inside in ["10.1.2.3", "::1", "192.168.7.9"] {
            assert!(proxies.contains(inside.parse().expect("address")), "{inside}");
        }
        for outside in ["10.2.0.1", "::2", "192.168.7.8"] {
            assert!(!proxies.contains(outside.parse().expect("address")), "{outside}");
        }
        assert!(TrustedProxies::try_new(["10.0.0.0/33"]).is_err());
        assert!(TrustedProxies::try_new(["proxy"]).is_err());
    }
}
