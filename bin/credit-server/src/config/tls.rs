//! Whether the API is served over TLS.

use std::path::PathBuf;
use std::time::Duration;

use super::fault::Fault;
use super::settings::{JudgedKeys, Values, origin};
use super::value::Setting;

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// The chain in PEM, the server's own certificate first.
    pub(crate) cert: PathBuf,
    /// Its private key in PEM.
    pub(crate) key: PathBuf,
    /// How often they are looked at.
    pub(crate) reload: Duration,
}

const CERT: &str = "server.tls.cert";
const KEY: &str = "server.tls.key";
const H2C: &str = "server.h2c";

/// Both files or none, and nothing in the open beside them.
pub(super) fn judge(judged: &JudgedKeys, faults: &mut Vec<Fault>) {
    let is_given = |path: &str| origin(judged, path).is_some();
    for (given, missing) in [(CERT, KEY), (KEY, CERT)] {
        if is_given(given) && !is_given(missing) {
            let complaint = format!("is missing; {given} is given, and TLS takes a certificate and its key");
            faults.push(Fault::new(missing, None, complaint));
        }
    }
    let h2c = judged.get(H2C).and_then(|kept| kept.setting.as_ref());
    if is_given(CERT) && matches!(h2c, Some(Setting::Flag(true))) {
        let complaint = "is HTTP/2 without TLS, and TLS is configured; over TLS HTTP/2 needs no switch";
        faults.push(Fault::new(H2C, origin(judged, H2C), complaint));
    }
}

impl Tls {
    /// `None` where TLS is not configured.
    pub(super) fn of(values: &mut Values) -> Option<Self> {
        let reload = values.length("server.tls.reload");
        let (cert, key) = (values.text(CERT), values.text(KEY));
        Some(Self { cert: cert?.into(), key: key?.into(), reload })
    }
}
