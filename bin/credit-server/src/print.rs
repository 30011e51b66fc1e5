//! The standard output.

use std::io::{BufWriter, ErrorKind, Write};

use anyhow::{Context, Result};

/// Prints a text as it is. A reader that has gone away (`| head`) is no fault of ours.
pub(crate) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints lines as they come, until there are none, one fails, or nobody reads any more.
pub(crate) fn lines(lines: impl Iterator<Item = Result<String>>) -> Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in lines {
        match writeln!(out, "{}", line?) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("the standard output cannot be written")?,
        }
    }
    out.flush().or_else(|error| if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?;
    Ok(())
}
