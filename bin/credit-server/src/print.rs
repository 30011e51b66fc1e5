//! The standard output.

use std::io::Write;

/// Prints a text as it is. A reader that has gone away (`| head`) is no fault of ours.
pub(crate) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
