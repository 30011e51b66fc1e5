//! What both sides say first: that they are peers, and of which program.

use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::fault::Fault;

const MAGIC: [u8; 4] = *b"CrPe";
/// How messages are written. Whatever it is, the first 37 bytes of a connection are these.
const PROTOCOL: u8 = 1;
const LENGTH: usize = MAGIC.len() + 1 + 32;

/// Which program a process runs: the SHA-256 of its file. What messages mean is known only to the program that wrote them,
/// and a release in the middle of being rolled out is two programs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Build {
    /// The one that runs.
    Running,
    /// As if it were this one.
    Given([u8; 32]),
}

impl Build {
    /// Its identity. Read once in the life of a process, and not where others wait.
    pub(super) async fn identity(self) -> Result<[u8; 32], Fault> {
        static RUNNING: OnceCell<[u8; 32]> = OnceCell::const_new();
        match self {
            Self::Given(identity) => Ok(identity),
            Self::Running => RUNNING
                .get_or_try_init(|| async { spawn_blocking(running).await.map_err(io::Error::other)? })
                .await
                .copied()
                .map_err(|error| Fault::Program(error.to_string())),
        }
    }
}

fn running() -> io::Result<[u8; 32]> {
    // On Linux this is the program that runs even if its file has been replaced since.
    let mut file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1024 * 1024]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            length => hash.update(&piece[..length]),
        }
    }
}

/// Says it, hears it, and compares. Nothing else is sent before.
pub(super) async fn exchange<S>(stream: &mut S, build: [u8; 32]) -> Result<(), Fault>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ours = [0; LENGTH];
    ours[..4].copy_from_slice(&MAGIC);
    ours[4] = PROTOCOL;
    ours[5..].copy_from_slice(&build);
    let mut theirs = [0; LENGTH];
    let spoken = async {
        stream.write_all(&ours).await?;
        stream.flush().await?;
        stream.read_exact(&mut theirs).await
    };
    spoken.await.map_err(|error| Fault::of(&error))?;
    if theirs[..4] != MAGIC {
        Err(Fault::Stranger)
    } else if theirs[4..] != ours[4..] {
        Err(Fault::Build)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_program_that_runs_is_always_the_same_and_is_its_file() {
        let identity = Build::Running.identity().await.expect("a program");
        assert_eq!(Build::Running.identity().await, Ok(identity));
        let file = std::fs::read(std::env::current_exe().expect("a path")).expect("a file");
        assert_eq!(<[u8; 32]>::from(Sha256::digest(file)), identity);
    }

    #[tokio::test]
    async fn only_the_same_program_and_protocol_go_on() {
        let said = |change: fn(&mut [u8; LENGTH])| async move {
            let (mut here, mut there) = tokio::io::duplex(1024);
            let mut hello = [1; LENGTH];
            hello[..4].copy_from_slice(&MAGIC);
            hello[4] = PROTOCOL;
            change(&mut hello);
            there.write_all(&hello).await.expect("room");
            exchange(&mut here, [1; 32]).await
        };
        assert_eq!(said(|_| ()).await, Ok(()));
        assert_eq!(said(|hello| hello[36] = 2).await, Err(Fault::Build));
        assert_eq!(said(|hello| hello[4] = 2).await, Err(Fault::Build));
        assert_eq!(said(|hello| hello[0] = 2).await, Err(Fault::Stranger));
    }
}
