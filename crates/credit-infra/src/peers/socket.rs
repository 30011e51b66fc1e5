//! A TCP connection as TLS reads from it.

use std::io;

use tokio::io::BufReader;
use tokio::net::TcpStream;

/// So much is taken from the operating system at once. TLS by itself asks for 4 KiB at a time, and what has gathered under load
/// is several times that.
const READ: usize = 32 * 1024;

/// The longest record of TLS that is sent: 4 KiB with the 17 bytes that rustls does not count. What is read is kept in 4 KiB at
/// first and moved whenever a record needs more.
pub(super) const RECORD: usize = 4096 - 17;

pub(super) type Socket = BufReader<TcpStream>;

/// What is written leaves at once: it has been gathered before.
pub(super) fn socket(stream: TcpStream) -> io::Result<Socket> {
    stream.set_nodelay(true)?;
    Ok(BufReader::with_capacity(READ, stream))
}
