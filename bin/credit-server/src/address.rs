//! Addresses as one reaches them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where somebody on this machine reaches what listens there: a wildcard is reached over loopback.
pub(crate) fn base_url(listening: SocketAddr, is_secure: bool) -> String {
    let host = match listening.ip() {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let scheme = if is_secure { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(host, listening.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_reached_over_loopback() {
        for (listening, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:8080", "http://[::1]:8080"),
            ("192.168.7.9:80", "http://192.168.7.9:80"),
        ] {
            assert_eq!(base_url(listening.parse().expect("an address"), false), url);
        }
        let secure = base_url("127.0.0.1:8443".parse().expect("an address"), true);
        assert_eq!(secure, "https://127.0.0.1:8443");
    }
}
