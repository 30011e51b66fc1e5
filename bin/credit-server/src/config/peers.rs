//! The other processes of the deployment, for commands that they hand each other.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::fault::Fault;
use super::key_material::KeyMaterial;
use super::settings::{JudgedKeys, Values, origin, text};

const LISTEN: &str = "peers.listen";
const ADVERTISE: &str = "peers.advertise";
const DIRECTORY: &str = "peers.directory";
pub(super) const SECRET: &str = "peers.secret";

/// Where a process is reached by the others, and what all of them know.
#[derive(Debug, Clone)]
pub(crate) struct Peers {
    pub(crate) listen: SocketAddr,
    pub(crate) advertise: String,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) secret: KeyMaterial,
}

impl Peers {
    /// If it listens for others.
    pub(super) fn of(values: &mut Values) -> Option<Self> {
        let (listen, advertise) = (values.text(LISTEN), values.text(ADVERTISE));
        let directory = values.text(DIRECTORY).map(PathBuf::from);
        let secret = values.keys(SECRET).pop()?;
        let listen: SocketAddr = listen?.parse().ok()?;
        let advertise = advertise.map_or_else(|| listen.to_string(), |place| in_brackets(&place));
        Some(Self { listen, advertise, directory, secret })
    }
}

/// An address of IPv6 has colons of its own, and pods are told theirs without brackets.
fn in_brackets(place: &str) -> String {
    match place.rsplit_once(':') {
        Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => format!("[{host}]:{port}"),
        _ => place.to_owned(),
    }
}

/// Others must find it, and know the secret; and only processes on one MongoDB have anything to hand over.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    let mut complain = |key: &'static str, complaint: &str| {
        faults.push(Fault::new(key, origin(judged, key), complaint));
    };
    let (listen, advertise) = (text(judged, LISTEN), text(judged, ADVERTISE));
    let Some(listen) = listen else {
        if advertise.is_some() {
            complain(ADVERTISE, "says where the others find this process; it takes peers.listen as well");
        }
        if text(judged, DIRECTORY).is_some() {
            complain(DIRECTORY, "is a shorter way to the other processes; it takes peers.listen as well");
        }
        return;
    };
    match listen.parse::<SocketAddr>() {
        Err(_) => complain(LISTEN, "is an address with a port, for example 0.0.0.0:7071 or [::]:7071"),
        Ok(listen) if listen.ip().is_unspecified() && advertise.is_none() => {
            complain(
                LISTEN,
                "is every address of the machine; say in peers.advertise at which one the others find it",
            );
        }
        Ok(_) => {}
    }
    let is_place = |place: &str| {
        let Some((host, port)) = place.rsplit_once(':') else { return false };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let is_name = !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']);
        (is_name || bare.parse::<Ipv6Addr>().is_ok()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if advertise.is_some_and(|advertise| !is_place(advertise)) {
        complain(ADVERTISE, "is a host and a port, for example 10.0.0.7:7071");
    }
    if judged.get(SECRET).is_none_or(|kept| kept.setting.is_none()) {
        complain(
            SECRET,
            "is missing; it is the same for all processes of the deployment: openssl rand -base64 32",
        );
    }
    if text(judged, "store.backend") != Some("mongodb") {
        complain(LISTEN, "is for processes that share a store; it takes store.backend mongodb");
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Sources, load};
    use super::*;

    const SECRET_TEXT: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";

    fn with(variables: &[(&str, &str)]) -> Result<Option<Peers>, String> {
        let mut sources = Sources::default();
        let mongodb =
            [("STORE__BACKEND", "mongodb"), ("STORE__MONGODB__URI", "mongodb://db.example/?replicaSet=rs0")];
        for (name, value) in mongodb.iter().chain(variables) {
            sources.environment.insert(format!("CREDIT_{name}"), (*value).to_owned());
        }
        load(&sources).map(|settings| settings.peers).map_err(|faults| faults.to_string())
    }

    #[test]
    fn processes_hand_each_other_commands_where_they_are_told_where_they_are() {
        assert!(with(&[]).expect("no fault").is_none());
        assert!(with(&[("PEERS__SECRET", SECRET_TEXT)]).expect("no fault").is_none(), "nobody listens");
        let here = with(&[("PEERS__LISTEN", "10.0.0.7:7071"), ("PEERS__SECRET", SECRET_TEXT)]);
        assert_eq!(here.expect("no fault").expect("peers").advertise, "10.0.0.7:7071");
        for (given, told) in [
            ("credit-0.credit:7071", "credit-0.credit:7071"),
            ("fd00::7:7071", "[fd00::7]:7071"),
            ("[fd00::7]:7071", "[fd00::7]:7071"),
        ] {
            let peers = with(&[
                ("PEERS__LISTEN", "0.0.0.0:7071"),
                ("PEERS__ADVERTISE", given),
                ("PEERS__SECRET", SECRET_TEXT),
            ]);
            assert_eq!(peers.expect("no fault").expect("peers").advertise, told);
        }
    }

    #[test]
    fn what_would_find_nobody_is_a_fault_and_all_faults_are_told_at_once() {
        let secret = ("PEERS__SECRET", SECRET_TEXT);
        for (variables, why) in [
            (vec![("PEERS__LISTEN", "10.0.0.7:7071")], "peers.secret: is missing"),
            (vec![("PEERS__LISTEN", "0.0.0.0:7071"), secret], "say in peers.advertise"),
            (vec![("PEERS__LISTEN", "somewhere"), secret], "is an address with a port"),
            (vec![("PEERS__ADVERTISE", "10.0.0.7:7071")], "it takes peers.listen as well"),
            (vec![("PEERS__DIRECTORY", "/run/credit")], "is a shorter way to the other processes"),
            (
                vec![("PEERS__LISTEN", "10.0.0.7:7071"), ("PEERS__ADVERTISE", "10.0.0.7"), secret],
                "is a host and a port",
            ),
            (
                vec![("PEERS__LISTEN", "10.0.0.7:7071"), ("STORE__BACKEND", "embedded"), secret],
                "share a store",
            ),
        ] {
            let faults = with(&variables).expect_err("a fault");
            assert!(faults.contains(why), "{faults}");
        }
        for nowhere in ["10.0.0.7", ":7071", "host:0", "host:x", "http://host:7071", "a:b:7071", "[x]:7071"] {
            let faults = with(&[("PEERS__LISTEN", "10.0.0.7:7071"), ("PEERS__ADVERTISE", nowhere), secret]);
            assert!(faults.expect_err(nowhere).contains("is a host and a port"));
        }
        let all = with(&[("PEERS__LISTEN", "0.0.0.0:7071"), ("PEERS__ADVERTISE", ":1")]).expect_err("faults");
        assert!(all.contains("is a host and a port") && all.contains("peers.secret: is missing"), "{all}");
    }
}
