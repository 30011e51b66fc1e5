//! Peers on one machine: by sockets in a directory that nobody but their user may enter.
//!
//! What goes that way is read and written by the kernel alone, so that it is neither encrypted nor signed, which costs more
//! than to carry it. Both ends show that they know the secret all the same, since two deployments may be one user's.
//! A process that is not found there is asked by TCP.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use super::fault::Fault;

/// What the secret is used for here. Another purpose makes another key of the same secret.
const PURPOSE: &[u8] = b"credit-server peers near v1";
/// What each side asks the other to sign, so that what was signed once is worth nothing later.
const CHALLENGE: usize = 32;

/// Which side of a connection signs. What one has signed is not good for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Asks,
    Answers,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Asks => Self::Answers,
            Self::Answers => Self::Asks,
        }
    }

    fn name(self) -> &'static [u8] {
        match self {
            Self::Asks => b"asks",
            Self::Answers => b"answers",
        }
    }
}

/// Where the processes of one machine find each other.
pub(super) struct Near {
    directory: PathBuf,
    key: SecretSlice<u8>,
    /// Whose this process is.
    user: u32,
    /// Our own socket, and which file it is: another process may have put its own there since.
    own: PathBuf,
    file: (u64, u64),
}

impl Near {
    /// Listens there as the process that others know by this address. The socket of one that has ended is replaced. Has to be
    /// called in a runtime.
    pub(super) fn listen(
        directory: &Path,
        address: &str,
        secret: &[u8],
    ) -> Result<(Self, UnixListener), String> {
        let why = |error: io::Error| error.to_string();
        let place = judged(fs::metadata(directory).map_err(why)?)?;
        let own = path(directory, address);
        if fs::symlink_metadata(&own).is_ok_and(|left| left.file_type().is_socket()) {
            fs::remove_file(&own).map_err(why)?;
        }
        let listener = UnixListener::bind(&own).map_err(why)?;
        let file = fs::symlink_metadata(&own).map_err(why)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(PURPOSE);
        let key = mac.finalize().into_bytes().to_vec().into();
        let near = Self {
            directory: directory.to_owned(),
            key,
            user: file.uid(),
            own,
            file: (file.dev(), file.ino()),
        };
        if near.user == place.uid() {
            Ok((near, listener))
        } else {
            Err("it belongs to another user than this process".to_owned())
        }
    }

    /// The process of that address, if it is on this machine.
    pub(super) async fn connect(&self, address: &str) -> Option<UnixStream> {
        let stream = UnixStream::connect(path(&self.directory, address)).await.ok()?;
        self.is_ours(&stream).then_some(stream)
    }

    /// Whether the other end is of the same user.
    pub(super) fn is_ours(&self, stream: &UnixStream) -> bool {
        stream.peer_cred().is_ok_and(|other| other.uid() == self.user)
    }

    /// Shows that it knows the secret, and sees whether the other side does. Nothing else is sent before.
    pub(super) async fn prove(&self, stream: &mut UnixStream, side: Side) -> Result<(), Fault> {
        let broken = |error: io::Error| Fault::of(&error);
        let mut ours = [0; CHALLENGE];
        getrandom::fill(&mut ours).map_err(|error| Fault::Broken(error.to_string()))?;
        let mut theirs = [0; CHALLENGE];
        stream.write_all(&ours).await.map_err(broken)?;
        stream.read_exact(&mut theirs).await.map_err(broken)?;
        let shown = self.signed(side, &ours, &theirs).finalize().into_bytes();
        stream.write_all(&shown).await.map_err(broken)?;
        let mut seen = [0; 32];
        stream.read_exact(&mut seen).await.map_err(broken)?;
        // In constant time.
        self.signed(side.other(), &theirs, &ours).verify_slice(&seen).map_err(|_| Fault::Secret)
    }

    fn signed(&self, side: Side, own: &[u8; CHALLENGE], other: &[u8; CHALLENGE]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.key.expose_secret()).expect("HMAC takes keys of any length");
        mac.update(own);
        mac.update(other);
        mac.update(side.name());
        mac
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        let is_own = |file: &Metadata| (file.dev(), file.ino()) == self.file;
        if fs::symlink_metadata(&self.own).is_ok_and(|file| is_own(&file)) {
            // It is replaced at the next start otherwise.
            let _left = fs::remove_file(&self.own);
        }
    }
}

/// Whether others can put something there.
fn judged(directory: Metadata) -> Result<Metadata, String> {
    if !directory.is_dir() {
        Err("it is no directory".to_owned())
    } else if directory.permissions().mode() & 0o077 != 0 {
        Err("others may enter it: chmod 700".to_owned())
    } else {
        Ok(directory)
    }
}

/// The socket of an address. A name of 16 letters, since the path of a socket may have some hundred, and an address more.
fn path(directory: &Path, address: &str) -> PathBuf {
    let hash = Sha256::digest(address.as_bytes());
    let name = hash.iter().take(8).fold(0, |name: u64, byte| name << 8 | u64::from(*byte));
    directory.join(format!("{name:016x}"))
}
