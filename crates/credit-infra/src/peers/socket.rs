//! How bytes come and go: by TCP and TLS from elsewhere, and by a socket in the file system on the same machine.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, BufReader, split};
use tokio::net::{TcpStream, UnixStream};

/// So much is taken from the operating system at once. TLS by itself asks for 4 KiB at a time, and what has gathered under load
/// is several times that.
const READ: usize = 32 * 1024;

/// The longest record of TLS that is sent: 4 KiB with the 17 bytes that rustls does not count. What is read is kept in 4 KiB at
/// first and moved whenever a record needs more.
pub(super) const RECORD: usize = 4096 - 17;

pub(super) type Socket = BufReader<TcpStream>;
pub(super) type Incoming = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Outgoing = Box<dyn AsyncWrite + Send + Unpin>;

/// What is written leaves at once: it has been gathered before.
pub(super) fn socket(stream: TcpStream) -> io::Result<Socket> {
    stream.set_nodelay(true)?;
    Ok(BufReader::with_capacity(READ, stream))
}

/// Both directions of a connection on which both sides have shown that they know the secret.
pub(super) struct Wire {
    pub(super) from: Incoming,
    pub(super) to: Outgoing,
    /// Both ends are on one machine.
    pub(super) is_near: bool,
}

impl Wire {
    pub(super) fn far(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (from, to) = split(stream);
        Self { from: Box::new(from), to: Box::new(to), is_near: false }
    }

    pub(super) fn near(stream: UnixStream) -> Self {
        let (from, to) = stream.into_split();
        Self { from: Box::new(from), to: Box::new(to), is_near: true }
    }
}
