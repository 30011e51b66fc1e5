//! Messages as bytes: four for the length of what it says, eight for its number, and what it says.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
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
/// So much is given to the stream at once, and the memory for so much is kept from one time to the next.
const BATCH: usize = 64 * 1024;
/// How long the other side may take nothing before it is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// Takes frames out of a stream.
pub(super) struct Reader<R> {
    from: R,
    buffer: BytesMut,
    /// How much of the buffer is the frame that was taken last.
    taken: usize,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, buffer: BytesMut::new(), taken: 0 }
    }

    /// Waits for more bytes; `false`: there are no more. Nothing is lost if it is not waited for to the end.
    pub(super) async fn more(&mut self) -> io::Result<bool> {
        self.forget_what_was_taken();
        // The memory of a long one is not kept.
        if self.buffer.is_empty() && self.buffer.capacity() > 4 * READ {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(READ);
        Ok(self.from.read_buf(&mut self.buffer).await? > 0)
    }

    /// Waits for more bytes and forgets those that are here.
    pub(super) async fn discard(&mut self) -> io::Result<bool> {
        self.taken = self.buffer.len();
        self.more().await
    }

    /// The number of the next frame and what it says, if it is here whole. How long it is is judged before any of it is
    /// waited for.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, &[u8])>> {
        self.forget_what_was_taken();
        let Some(mut head) = self.buffer.get(..HEAD) else { return Ok(None) };
        let length = usize::try_from(head.get_u32()).unwrap_or(usize::MAX);
        let number = head.get_u64();
        if length > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "the message is too long"));
        }
        let Some(payload) = self.buffer.get(HEAD..HEAD + length) else { return Ok(None) };
        self.taken = HEAD + length;
        Ok(Some((number, payload)))
    }

    fn forget_what_was_taken(&mut self) {
        self.buffer.advance(std::mem::take(&mut self.taken));
    }
}

/// Frames that wait to be written, one behind the other and as they will be: whoever has something to say puts it where it
/// leaves from, and what has gathered until the stream takes more goes out together.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    more: Notify,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// The greatest number of a frame that was put in, and of one that may have been written.
    last: u64,
    taken: u64,
    /// How many frames were put in and are not known to be written.
    unwritten: usize,
    /// How many bytes were taken and are not known to be written.
    taken_bytes: usize,
    /// Nothing more may be put in.
    is_closed: bool,
}

impl Outbox {
    /// Puts in a frame that says all of these parts, together no longer than the longest. `false`: it will not be written.
    pub(super) fn put(&self, number: u64, parts: &[&[u8]]) -> bool {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let Ok(length) = u32::try_from(length) else { return false };
        let is_first = {
            let mut waiting = self.waiting.lock();
            if waiting.is_closed {
                return false;
            }
            let is_first = waiting.bytes.is_empty();
            waiting.bytes.extend_from_slice(&length.to_be_bytes());
            waiting.bytes.extend_from_slice(&number.to_be_bytes());
            for part in parts {
                waiting.bytes.extend_from_slice(part);
            }
            waiting.last = waiting.last.max(number);
            waiting.unwritten += 1;
            is_first
        };
        if is_first {
            self.more.notify_one();
        }
        true
    }

    /// How many bytes wait to be written.
    pub(super) fn len(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.bytes.len() + waiting.taken_bytes
    }

    /// Nothing more can be put in. What is in is written, and then the stream is closed.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closed = true;
        self.more.notify_one();
    }

    /// Nothing more can be put in, and nothing more is written.
    pub(super) fn abandon(&self) -> Abandoned {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        waiting.bytes = Vec::new();
        waiting.taken_bytes = 0;
        Abandoned { taken: waiting.taken, unwritten: std::mem::take(&mut waiting.unwritten) }
    }

    /// Takes what is in. Answers how many frames are not known to be written, and whether nothing more comes.
    fn take(&self, batch: &mut Vec<u8>) -> (usize, bool) {
        let mut waiting = self.waiting.lock();
        std::mem::swap(&mut waiting.bytes, batch);
        waiting.taken = waiting.last;
        waiting.taken_bytes = batch.len();
        (waiting.unwritten, waiting.is_closed)
    }

    fn written(&self, frames: usize) {
        let mut waiting = self.waiting.lock();
        waiting.taken_bytes = 0;
        waiting.unwritten = waiting.unwritten.saturating_sub(frames);
    }
}

/// What became of frames that are not written any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Abandoned {
    /// Of those up to this number some may have been written, and none beyond.
    pub(super) taken: u64,
    /// So many had been put in and are not known to be written.
    pub(super) unwritten: usize,
}

/// Writes what is put in until nobody can put in more, closes the stream, and tells each time how many frames are written.
pub(super) async fn write(
    outbox: &Outbox,
    mut to: impl AsyncWrite + Unpin,
    tell: impl Fn(usize),
) -> io::Result<()> {
    let mut batch = Vec::new();
    loop {
        outbox.more.notified().await;
        // Whoever was woken together with the first one has something to say as well.
        tokio::task::yield_now().await;
        let (frames, is_last) = outbox.take(&mut batch);
        for piece in batch.chunks(BATCH) {
            patiently(to.write_all(piece)).await?;
        }
        patiently(to.flush()).await?;
        outbox.written(frames);
        tell(frames);
        if is_last {
            return patiently(to.shutdown()).await;
        }
        batch.clear();
        batch.shrink_to(BATCH);
    }
}

async fn patiently(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    timeout(WRITE_PATIENCE, work).await.map_err(|_| io::Error::from(ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn frame(number: u64, length: usize) -> (u64, Vec<u8>) {
        let byte = u8::try_from(number % 251).expect("small");
        (number, vec![byte; length])
    }

    #[tokio::test]
    async fn what_is_written_is_read_whatever_its_length() {
        let lengths = [0, 1, 100, BATCH - HEAD, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH + 5, 0, LONGEST];
        let frames: Vec<_> = (1..).zip(lengths).map(|(number, length)| frame(number, length)).collect();
        let (outbox, told) = (Arc::new(Outbox::default()), Arc::new(AtomicUsize::new(0)));
        for (number, payload) in &frames {
            let (begin, end) = payload.split_at(payload.len() / 3);
            assert!(outbox.put(*number, &[begin, &[], end]));
        }
        outbox.close();
        assert!(!outbox.put(11, &[b"too late"]));
        let (here, there) = tokio::io::duplex(1000);
        let (writing, telling) = (outbox.clone(), told.clone());
        let tell = move |frames| {
            telling.fetch_add(frames, Ordering::Relaxed);
        };
        let written = tokio::spawn(async move { write(&writing, here, tell).await });
        let mut reader = Reader::new(there);
        let mut read = Vec::new();
        loop {
            while let Some((number, payload)) = reader.next().expect("frames") {
                read.push((number, payload.to_vec()));
            }
            if !reader.more().await.expect("a stream") {
                break;
            }
        }
        assert!(read == frames, "{:?}", read.iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>());
        written.await.expect("it ends").expect("it is written");
        assert_eq!(told.load(Ordering::Relaxed), frames.len());
        assert_eq!(outbox.abandon(), Abandoned { taken: 10, unwritten: 0 });
    }

    #[tokio::test]
    async fn what_gathers_while_the_stream_takes_nothing_is_written_behind_it() {
        let outbox = Outbox::default();
        let (here, there) = tokio::io::duplex(HEAD + 5);
        let told = AtomicUsize::new(0);
        let mut reader = Reader::new(there);
        let read = async {
            let mut read = Vec::new();
            while read.len() < 3 {
                assert!(reader.more().await.expect("a stream"));
                while let Some((number, payload)) = reader.next().expect("frames") {
                    read.push((number, payload.to_vec()));
                    if number == 1 {
                        assert!(outbox.put(2, &[b"second"]) && outbox.put(3, &[b"third"]));
                        outbox.close();
                    }
                }
            }
            read
        };
        assert!(outbox.put(1, &[b"first"]));
        let tell = |frames| {
            told.fetch_add(frames, Ordering::Relaxed);
        };
        let (read, written) = tokio::join!(read, write(&outbox, here, tell));
        assert_eq!(read, [(1, b"first".to_vec()), (2, b"second".to_vec()), (3, b"third".to_vec())]);
        written.expect("it is written");
        assert_eq!(told.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn what_was_abandoned_is_told_apart_by_whether_it_may_have_been_written() {
        let outbox = Outbox::default();
        assert!(outbox.put(1, &[b"taken"]));
        assert_eq!(outbox.take(&mut Vec::new()), (1, false));
        assert!(outbox.put(2, &[b"waits"]));
        assert_eq!(outbox.len(), 2 * (HEAD + 5), "what is being written waits as well");
        assert_eq!(outbox.abandon(), Abandoned { taken: 1, unwritten: 2 });
        assert!(!outbox.put(3, &[b"too late"]) && outbox.len() == 0);
        assert_eq!(outbox.abandon(), Abandoned { taken: 1, unwritten: 0 });
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
