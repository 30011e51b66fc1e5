//! As much HTTP/1.1 as the fake needs: one call a connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::state::State;

const LONGEST_BODY: usize = 1 << 20;

/// One call.
pub(super) struct Call {
    pub(super) method: String,
    /// Behind `/v1/`.
    pub(super) path: String,
    pub(super) token: String,
    pub(super) body: Value,
}

/// What is answered.
pub(super) enum Answer {
    /// A status with a JSON body.
    Json(u16, Value),
    /// A status with whatever this is.
    Raw(u16, &'static str),
    /// The connection is closed without one.
    Nothing,
}

/// Listens on an address that was taken a moment ago, or may be left over from a connection that was broken off.
pub(super) fn listen(address: SocketAddr) -> TcpListener {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpListener::bind(address) {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < until, "{address} cannot be listened on: {error}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads a call and answers it.
pub(super) fn answer(stream: impl Read + Write, state: &State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let Some(call) = read(&mut reader)? else { return Ok(()) };
    let (status, kind, body) = match state.answer(&call) {
        Answer::Json(status, body) => (status, "application/json", body.to_string()),
        Answer::Raw(status, body) => (status, "text/html", body.to_owned()),
        Answer::Nothing => return Ok(()),
    };
    let stream = reader.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Call>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, target) = (method.to_owned(), target.to_owned());
    let (mut length, mut token) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<usize>().unwrap_or(0).min(LONGEST_BODY),
            "x-vault-token" => value.trim().clone_into(&mut token),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path =
        target.split('?').next().unwrap_or_default().strip_prefix("/v1/").unwrap_or_default().to_owned();
    Ok(Some(Call { method, path, token, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }))
}
