//! Where Redis is.

use secrecy::{ExposeSecret, SecretString};

/// One server, a set of Sentinels, or a Cluster.
///
/// - `redis://[user:password@]host[:port][/database]`, with TLS `rediss://…`
/// - `redis-sentinel://[user:password@]host[:port][,host[:port]…]/service[/database][?sentinel=user:password]`, with TLS
///   `rediss-sentinel://…`. The credentials in front are those of Redis itself; `sentinel` has those of the Sentinels, if
///   they want any.
/// - `redis-cluster://[user:password@]host[:port][,host[:port]…]`, with TLS `rediss-cluster://…`; or several addresses
///   of the first form with commas between them.
#[derive(Debug, Clone)]
pub struct RedisAddress(pub(super) Kind);

/// Addresses are those of single nodes, complete with credentials.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Single(SecretString),
    Sentinel { sentinels: Vec<SecretString>, service: String, node: SecretString, tls: bool },
    Cluster(Vec<SecretString>),
}

/// Not an address of Redis. Says nothing of its text, which may have a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is no address of Redis; it takes redis://host:6379, redis-sentinel://host:26379,host:26379/service or \
     redis-cluster://host:6379,host:6379 (with TLS: rediss…)"
)]
pub struct InvalidAddress;

impl RedisAddress {
    /// Reads an address.
    pub fn try_new(text: &SecretString) -> Result<Self, InvalidAddress> {
        let text = text.expose_secret().trim();
        let (scheme, rest) = text.split_once("://").ok_or(InvalidAddress)?;
        let kind = match scheme {
            "redis" | "rediss" if text.contains(',') => several(text)?,
            "redis" | "rediss" => Kind::Single(node(text)?),
            "redis-sentinel" | "rediss-sentinel" => sentinel(plain_scheme(scheme), rest)?,
            "redis-cluster" | "rediss-cluster" => cluster(plain_scheme(scheme), rest)?,
            _ => return Err(InvalidAddress),
        };
        Ok(Self(kind))
    }

    /// Whether it is spoken to with TLS.
    pub fn has_tls(&self) -> bool {
        let is_safe = |node: &SecretString| node.expose_secret().starts_with("rediss://");
        match &self.0 {
            Kind::Single(node) => is_safe(node),
            Kind::Sentinel { tls, .. } => *tls,
            Kind::Cluster(nodes) => nodes.iter().all(is_safe),
        }
    }

    /// Whether keys may lie on several servers.
    pub fn is_cluster(&self) -> bool {
        matches!(self.0, Kind::Cluster(_))
    }
}

fn plain_scheme(scheme: &str) -> &'static str {
    if scheme.starts_with("rediss") { "rediss" } else { "redis" }
}

/// An address that the driver takes.
fn node(text: &str) -> Result<SecretString, InvalidAddress> {
    let is_good =
        redis::parse_redis_url(text).is_some_and(|url| url.host_str().is_some_and(|h| !h.is_empty()));
    if is_good { Ok(text.to_owned().into()) } else { Err(InvalidAddress) }
}

fn several(text: &str) -> Result<Kind, InvalidAddress> {
    let nodes: Vec<_> = text.split(',').map(|text| node(text.trim())).collect::<Result<_, _>>()?;
    let kind = Kind::Cluster(nodes);
    let schemes = |tls| text.split(',').filter(|node| node.trim().starts_with("rediss://") == tls).count();
    if schemes(true) > 0 && schemes(false) > 0 { Err(InvalidAddress) } else { Ok(kind) }
}

fn cluster(scheme: &str, rest: &str) -> Result<Kind, InvalidAddress> {
    let (credentials, hosts) = split_credentials(rest);
    let hosts = hosts.trim_end_matches('/');
    Ok(Kind::Cluster(nodes(scheme, credentials, hosts)?))
}

fn sentinel(scheme: &str, rest: &str) -> Result<Kind, InvalidAddress> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let of_sentinels = match query.split_once('=') {
        None if query.is_empty() => String::new(),
        Some(("sentinel", credentials)) => format!("{credentials}@"),
        _ => return Err(InvalidAddress),
    };
    let (credentials, rest) = split_credentials(rest);
    let mut parts = rest.split('/');
    let hosts = parts.next().unwrap_or_default();
    let service = parts.next().filter(|name| !name.is_empty()).ok_or(InvalidAddress)?;
    let database = parts.next().unwrap_or("0");
    if parts.next().is_some() {
        return Err(InvalidAddress);
    }
    Ok(Kind::Sentinel {
        sentinels: nodes(scheme, &of_sentinels, hosts)?,
        service: service.to_owned(),
        node: node(&format!("{scheme}://{credentials}redis/{database}"))?,
        tls: scheme == "rediss",
    })
}

/// What stands before the last `@`, with it.
fn split_credentials(rest: &str) -> (&str, &str) {
    rest.rfind('@').map_or(("", rest), |at| rest.split_at(at + 1))
}

fn nodes(scheme: &str, credentials: &str, hosts: &str) -> Result<Vec<SecretString>, InvalidAddress> {
    hosts.split(',').map(|host| node(&format!("{scheme}://{credentials}{}", host.trim()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<RedisAddress, InvalidAddress> {
        RedisAddress::try_new(&text.to_owned().into())
    }

    fn shown(nodes: &[SecretString]) -> Vec<&str> {
        nodes.iter().map(ExposeSecret::expose_secret).collect()
    }

    #[test]
    fn one_server_may_have_a_user_a_database_and_tls() {
        for (text, tls) in [
            ("redis://localhost", false),
            ("redis://:secret@10.0.0.1:6380/3", false),
            ("rediss://credit:p%40ss@[::1]:6379", true),
        ] {
            let address = read(text).expect(text);
            assert!(matches!(address.0, Kind::Single(_)), "{text}");
            assert_eq!(address.has_tls(), tls, "{text}");
        }
    }

    #[test]
    fn sentinels_have_a_service_and_credentials_of_their_own() {
        let address = read("rediss-sentinel://credit:p@a:26379,b/main/2?sentinel=watch:w").expect("valid");
        assert!(address.has_tls());
        let Kind::Sentinel { sentinels, service, node, tls } = address.0 else { panic!() };
        assert_eq!(shown(&sentinels), ["rediss://watch:w@a:26379", "rediss://watch:w@b"]);
        assert_eq!((service.as_str(), tls), ("main", true));
        assert_eq!(node.expose_secret(), "rediss://credit:p@redis/2");
    }

    #[test]
    fn a_cluster_is_several_addresses_or_one_with_several_hosts() {
        for text in ["redis-cluster://u:p@a:7000,b:7001", "redis://u:p@a:7000, redis://u:p@b:7001"] {
            let Kind::Cluster(nodes) = read(text).expect(text).0 else { panic!("{text}") };
            assert_eq!(shown(&nodes), ["redis://u:p@a:7000", "redis://u:p@b:7001"], "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_a_word_of_it() {
        for wrong in [
            "localhost:6379",
            "http://localhost",
            "redis://",
            "redis-sentinel://a:26379",
            "redis-sentinel://a:26379/main/1/2",
            "redis-sentinel://a:26379/main?password=hunter2",
            "redis://a:7000,rediss://b:7001",
            "redis://a:7000,b:hunter2",
            "redis-cluster://a:port",
        ] {
            let refusal = read(wrong).expect_err(wrong);
            assert!(!refusal.to_string().contains("hunter2"));
        }
        let debug = format!("{:?}", read("redis://u:hunter2@a").expect("valid"));
        assert!(!debug.contains("hunter2"), "{debug}");
    }
}
