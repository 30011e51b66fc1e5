//! Peers on one machine: by sockets in a directory that nobody but their user may enter.
//!
//! What goes that way is read and written by the kernel alone, so that it is neither encrypted nor signed, which costs more
//! than to carry it. Both ends show that they know the secret all the same, since two deployments may be one user's.
//! A process that is not found there is asked by TCP.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;
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
    key: Key,
    /// Whose this process is.
    user: u32,
    /// Our own socket, and which file it is: another process may have put its own there since.
    own: PathBuf,
    file: (u64, u64),
    has_left: AtomicBool,
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
        let missing = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => "it is missing: mkdir -m 700".to_owned(),
            _ => error.to_string(),
        };
        let place = judged(fs::metadata(directory).map_err(missing)?)?;
        let key = Key::of(secret);
        let own = key.path(directory, address);
        // Beside it at first: what is there is replaced at one go, and only if the directory is ours.
        let new = own.with_extension("new");
        if fs::symlink_metadata(&new).is_ok() {
            fs::remove_file(&new).map_err(why)?;
        }
        let listener = UnixListener::bind(&new).map_err(why)?;
        let file = fs::symlink_metadata(&new).map_err(why)?;
        let moved = if file.uid() == place.uid() {
            fs::rename(&new, &own).map_err(why)
        } else {
            Err("it belongs to another user than this process".to_owned())
        };
        if let Err(why) = moved {
            let _left = fs::remove_file(&new);
            return Err(why);
        }
        let near = Self {
            directory: directory.to_owned(),
            key,
            user: file.uid(),
            own,
            file: (file.dev(), file.ino()),
            has_left: AtomicBool::new(false),
        };
        Ok((near, listener))
    }

    /// Takes its socket away, as long as it is the one that is listened on: later another file may have its number.
    pub(super) fn leave(&self) {
        if self.has_left.swap(true, Ordering::Relaxed) {
            return;
        }
        let is_own = |file: &Metadata| (file.dev(), file.ino()) == self.file;
        if fs::symlink_metadata(&self.own).is_ok_and(|file| is_own(&file)) {
            // It is replaced at the next start otherwise.
            let _left = fs::remove_file(&self.own);
        }
    }

    /// The process of that address, if it is on this machine.
    pub(super) async fn connect(&self, address: &str) -> Option<UnixStream> {
        let stream = UnixStream::connect(self.key.path(&self.directory, address)).await;
        let stream =
            stream.inspect_err(|error| tracing::debug!(address, %error, "not found in peers.directory"));
        stream.ok().filter(|stream| self.is_ours(stream))
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
        self.key.signing(&[own, other, side.name()])
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What the secret makes for this.
struct Key(SecretSlice<u8>);

impl Key {
    fn of(secret: &[u8]) -> Self {
        Self(signing(secret, &[PURPOSE]).finalize().into_bytes().to_vec().into())
    }

    fn signing(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        signing(self.0.expose_secret(), parts)
    }

    /// The socket of an address: another deployment's has another name. It has 16 letters, since the path of a socket may have some
    /// hundred, and an address more.
    fn path(&self, directory: &Path, address: &str) -> PathBuf {
        let hash = self.signing(&[b"socket", address.as_bytes()]).finalize().into_bytes();
        let name = hash.iter().take(8).fold(0, |name: u64, byte| name << 8 | u64::from(*byte));
        directory.join(format!("{name:016x}"))
    }
}

fn signing(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
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
