//! HTTP/1.1 as it goes over a connection, message by message: enough to pass it on.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What a head may have, and a body.
const HIGHEST_HEAD: usize = 64 << 10;
const HIGHEST_BODY: usize = 16 << 20;

/// A request or an answer, without what speaks of its connection only.
#[derive(Debug, Clone)]
pub struct Message {
    bytes: Vec<u8>,
    /// Whether its sender closes the connection behind it.
    pub closes: bool,
}

impl Message {
    /// What it asks for, or how it ends.
    pub fn first_line(&self) -> String {
        let line = self.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }

    /// The answer to a request that got none.
    pub fn bad_gateway(why: &str) -> Self {
        let head = "HTTP/1.1 502 Bad Gateway\r\ncontent-type: text/plain\r\ncontent-length: ";
        Self { bytes: format!("{head}{}\r\n\r\n{why}", why.len()).into_bytes(), closes: false }
    }
}

/// One end of a connection.
pub struct Wire {
    stream: TcpStream,
    /// What came and was not looked at.
    ahead: Vec<u8>,
}

impl Wire {
    /// Over a connection that is open.
    pub fn over(stream: TcpStream) -> Self {
        // Without it small pieces wait for each other; it is slower, and right.
        let _slower = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    /// No read takes longer than that.
    pub fn wait_at_most(&self, patience: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    /// Whether it is open and nothing has come over it that nobody asked for.
    pub fn is_idle(&mut self) -> bool {
        let looked = self.stream.set_nonblocking(true).and_then(|()| self.stream.peek(&mut [0]));
        let is_open = matches!(looked, Err(error) if error.kind() == ErrorKind::WouldBlock);
        self.ahead.is_empty() && is_open && self.stream.set_nonblocking(false).is_ok()
    }

    /// Sends one.
    pub fn write(&mut self, message: &Message) -> Result<()> {
        self.stream.write_all(&message.bytes)
    }

    /// The next request; `None` if the client went away between two.
    pub fn read_request(&mut self) -> Result<Option<Message>> {
        if self.ahead.is_empty() && self.more()? == 0 {
            return Ok(None);
        }
        let (head, closes) = self.read_head()?;
        let bytes = self.read_body(head, false)?;
        Ok(Some(Message { bytes, closes }))
    }

    /// The answer.
    pub fn read_answer(&mut self) -> Result<Message> {
        let (head, closes) = self.read_head()?;
        let status = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let is_bare = matches!(status, b"204" | b"304");
        let bytes = if is_bare { head } else { self.read_body(head, true)? };
        Ok(Message { bytes, closes })
    }

    fn more(&mut self) -> Result<usize> {
        let mut piece = [0; 16 << 10];
        let length = self.stream.read(&mut piece)?;
        self.ahead.extend_from_slice(&piece[..length]);
        Ok(length)
    }

    /// So many bytes.
    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        if length > HIGHEST_BODY {
            return Err(Error::new(ErrorKind::InvalidData, "too large to pass on"));
        }
        while self.ahead.len() < length {
            if self.more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// All up to this, and this.
    fn take_through(&mut self, end: &[u8]) -> Result<Vec<u8>> {
        loop {
            if let Some(place) = self.ahead.windows(end.len()).position(|window| window == end) {
                return self.take(place + end.len());
            }
            if self.ahead.len() > HIGHEST_HEAD {
                return Err(Error::new(ErrorKind::InvalidData, "no end of the head"));
            }
            if self.more()? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// A head without `Connection`, and whether that said `close`.
    fn read_head(&mut self) -> Result<(Vec<u8>, bool)> {
        let head = String::from_utf8(self.take_through(b"\r\n\r\n")?)
            .map_err(|_| Error::new(ErrorKind::InvalidData, "a head that is no text"))?;
        let is_connection = |line: &&str| {
            line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("connection"))
        };
        let closes =
            head.split("\r\n").filter(is_connection).any(|line| line.to_lowercase().contains("close"));
        let lines: Vec<_> = head.split("\r\n").filter(|line| !is_connection(line)).collect();
        Ok((lines.join("\r\n").into_bytes(), closes))
    }

    /// The head with its body behind it.
    fn read_body(&mut self, head: Vec<u8>, needs_length: bool) -> Result<Vec<u8>> {
        let mut message = head;
        let text = String::from_utf8_lossy(&message).to_lowercase();
        let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map(|value| value.trim().parse::<usize>());
        let is_chunked = text.contains("\r\ntransfer-encoding: chunked");
        match length {
            Some(Ok(length)) => message.extend(self.take(length)?),
            Some(Err(_)) => return Err(Error::new(ErrorKind::InvalidData, "a length that is no number")),
            None if is_chunked => loop {
                let size = self.take_through(b"\r\n")?;
                let digits = std::str::from_utf8(&size).unwrap_or_default().trim();
                let chunk = usize::from_str_radix(digits, 16)
                    .map_err(|_| Error::new(ErrorKind::InvalidData, "a chunk without a size"))?;
                message.extend(size);
                // Its own end of line is behind every chunk, and behind the last, which is empty.
                message.extend(self.take(chunk + 2)?);
                if chunk == 0 {
                    break;
                }
            },
            None if needs_length => {
                return Err(Error::new(ErrorKind::InvalidData, "an answer without a length"));
            }
            None => {}
        }
        Ok(message)
    }
}
