//! Messages as bytes: four for the length of what it says, eight for its number, and what it says.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// The longest that a message may be. A longer one is a mistake or malice.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;
/// The number of what says nothing but "I live", and of its answer.
pub(super) const PING: u64 = 0;
/// In the number of an answer: the message was taken, and there is no answer to it.
pub(super) const FAILED: u64 = 1 << 63;
/// In the number of an answer: the message was not taken and never will be.
pub(super) const REFUSED: u64 = 1 << 62;

const HEAD: usize = 12;
/// So much is read at once, if it is there.
const READ: usize = 64 * 1024;
/// From this length on a message is kept where it was read.
const KEPT: usize = 16 * 1024;
/// So many are taken out of a queue at once, and so much is copied together before it is written.
const TAKEN: usize = 256;
const BATCH: usize = 64 * 1024;
/// How long the other side may take nothing before it is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) number: u64,
    pub(super) payload: Bytes,
}

/// Takes frames out of a stream.
pub(super) struct Reader<R> {
    from: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: BytesMut::new() }
    }

    /// Waits for more bytes; `false`: there are no more. Nothing is lost if it is not waited for to the end.
    pub(super) async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(READ);
        Ok(self.from.read_buf(&mut self.buffer).await? > 0)
    }

    /// Waits for more bytes and forgets those that are here.
    pub(super) async fn discard(&mut self) -> io::Result<bool> {
        self.buffer.clear();
        self.more().await
    }

    /// The next frame, if it is here whole. How long it is is judged before any of it is waited for.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        let Some(mut head) = self.buffer.get(..HEAD) else { return Ok(None) };
        let length = usize::try_from(head.get_u32()).unwrap_or(usize::MAX);
        let number = head.get_u64();
        if length > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "the message is too long"));
        }
        if self.buffer.len() < HEAD + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        let payload = self.buffer.split_to(length);
        // A short one shares no memory with what was read beside it, since it would keep all of that as long as it is kept.
        let payload = if length < KEPT { Bytes::copy_from_slice(&payload) } else { payload.freeze() };
        Ok(Some(Frame { number, payload }))
    }
}

/// What waits to be written.
pub(super) trait Queued: Send + 'static {
    /// From now on it may have been written.
    fn take(&mut self) -> Frame;
}

/// Writes what is queued until nobody can queue anything more, and closes the stream. What has gathered meanwhile goes out
/// together: under load that is few calls of the operating system for many messages.
pub(super) async fn write<Q, W>(mut queue: UnboundedReceiver<Q>, mut to: W) -> io::Result<()>
where
    Q: Queued,
    W: AsyncWrite + Unpin,
{
    let mut taken = Vec::with_capacity(TAKEN);
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut taken, TAKEN).await > 0 {
        // Whoever was woken together with the first one has something to say as well.
        tokio::task::yield_now().await;
        while taken.len() < TAKEN
            && let Ok(more) = queue.try_recv()
        {
            taken.push(more);
        }
        for queued in &mut taken {
            append(queued.take(), &mut batch, &mut to).await?;
        }
        patiently(async {
            to.write_all(&batch).await?;
            to.flush().await
        })
        .await?;
        batch.clear();
        taken.clear();
    }
    patiently(to.shutdown()).await
}

/// Adds it to the batch, and writes the batch whenever it is full.
async fn append<W: AsyncWrite + Unpin>(frame: Frame, batch: &mut Vec<u8>, to: &mut W) -> io::Result<()> {
    let Frame { number, payload } = frame;
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    batch.extend_from_slice(&length.to_be_bytes());
    batch.extend_from_slice(&number.to_be_bytes());
    for piece in payload.chunks(BATCH) {
        batch.extend_from_slice(piece);
        if batch.len() >= BATCH {
            patiently(to.write_all(batch)).await?;
            batch.clear();
        }
    }
    Ok(())
}

async fn patiently(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(WRITE_PATIENCE, work).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    impl Queued for Frame {
        fn take(&mut self) -> Frame {
            self.clone()
        }
    }

    fn frame(number: u64, length: usize) -> Frame {
        let byte = u8::try_from(number % 251).expect("small");
        Frame { number, payload: vec![byte; length].into() }
    }

    #[tokio::test]
    async fn what_is_written_is_read_whatever_its_length() {
        let lengths = [0, 1, 100, BATCH - HEAD, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5, 0, LONGEST];
        let frames: Vec<Frame> = (1..).zip(lengths).map(|(number, length)| frame(number, length)).collect();
        let (tell, told) = unbounded_channel();
        for frame in &frames {
            tell.send(frame.clone()).expect("a queue");
        }
        drop(tell);
        let (here, there) = tokio::io::duplex(1000);
        let written = tokio::spawn(write(told, here));
        let mut reader = Reader::new(there);
        let mut read = Vec::new();
        loop {
            while let Some(frame) = reader.next().expect("frames") {
                read.push(frame);
            }
            if !reader.more().await.expect("a stream") {
                break;
            }
        }
        assert!(read == frames, "{:?}", read.iter().map(|frame| frame.payload.len()).collect::<Vec<_>>());
        written.await.expect("it ends").expect("it is written");
    }

    #[tokio::test]
    async fn a_length_beyond_the_longest_is_refused_before_it_comes() {
        let (mut here, there) = tokio::io::duplex(1000);
        let mut head = u32::try_from(LONGEST + 1).expect("a length").to_be_bytes().to_vec();
        head.extend_from_slice(&7_u64.to_be_bytes());
        here.write_all(&head).await.expect("room");
        let mut reader = Reader::new(there);
        assert!(reader.more().await.expect("bytes"));
        assert_eq!(reader.next().expect_err("too long").kind(), ErrorKind::InvalidData);
    }
}
