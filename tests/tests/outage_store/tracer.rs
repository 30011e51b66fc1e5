//! System calls of the running program that are late or fail, by `strace` at its side.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::program::Program;

/// While this is there, the program's system calls are tampered with. Dropped, the program goes on as it would have: a
/// call that is being held returns at once.
pub(crate) struct Tracer {
    child: Child,
    /// With what it is told to let go.
    signal: &'static str,
}

impl Tracer {
    /// Tampers with these calls of all threads from now on: `fdatasync,fsync` and `error=EIO`, or `delay_enter=2000000`
    /// (microseconds).
    pub(crate) fn attach(program: &Program, calls: &str, what: &str) -> Self {
        let mut child = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-p", &program.pid().to_string()])
            .args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{what}")])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace is there (make parts)");
        let mut said = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says that it has begun");
        assert!(line.contains("attached"), "strace: {line}");
        // It tells of every thread that comes; nobody wants to know, and it must not wait for a reader.
        std::thread::spawn(move || for _line in said.lines() {});
        Self { child, signal: "-TERM" }
    }

    /// Lets go of a program that has ended: there is nobody to be let go on as it would have, and a call that is being held
    /// would be waited for.
    pub(crate) fn let_go_of_the_dead(mut self) {
        self.signal = "-KILL";
    }
}

/// A starter that refuses these calls with this error from the first one on: all of them, or those on one path.
pub(crate) fn refusing(calls: &str, error: &str, path: Option<&Path>) -> Vec<String> {
    let mut words: Vec<String> = ["strace", "-f", "-o", "/dev/null"].map(ToOwned::to_owned).to_vec();
    for what in [format!("trace={calls}"), format!("inject={calls}:error={error}")] {
        words.extend(["-e".to_owned(), what]);
    }
    if let Some(path) = path {
        words.extend(["-P".to_owned(), path.display().to_string()]);
    }
    words.push("--".to_owned());
    words
}

/// The same as a command takes it.
pub(crate) fn words(starter: &[String]) -> Vec<&str> {
    starter.iter().map(String::as_str).collect()
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let told = Command::new("kill").args([self.signal, &self.child.id().to_string()]).status();
        let detached = told.is_ok_and(|status| status.success()) && self.child.wait().is_ok();
        assert!(detached || std::thread::panicking(), "strace does not let go");
    }
}
