//! A server's process, its folder and its port.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

/// Ports below those that the system hands out by itself, so that nobody's connection sits on one.
const FIRST_PORT: u16 = 21_000;
const PORTS: u16 = 11_000;

/// What a killed test leaves is ended and removed by this: it waits until the test no longer holds its input open.
const GUARD: &str = r#"cat >/dev/null; kill -9 "$1" 2>/dev/null; sleep 0.2; rm -rf "$2""#;

/// A port of loopback that nobody listens on. Somebody may take it before the caller does: then begin again.
pub(super) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test binaries that run side by side begin at different ports.
    let begin = u16::try_from(u64::from(std::process::id()) * 97 % u64::from(PORTS)).expect("below PORTS");
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let port = FIRST_PORT + (begin + step) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of loopback is free");
}

/// The program: named by the variable, on the PATH, or brought by `scripts/tools.sh` into a `target/tools` above.
pub(super) fn find(variable: &str, name: &str, brought: Option<&str>, how: &str) -> PathBuf {
    if let Some(named) = std::env::var_os(variable) {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    let above = || {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        here.ancestors().map(|folder| folder.join("target/tools").join(brought?).into()).find_map(existing)
    };
    on_path.or_else(above).unwrap_or_else(|| panic!("{name} is missing: {how}"))
}

fn existing(file: Option<PathBuf>) -> Option<PathBuf> {
    file.filter(|file| file.is_file())
}

/// A folder that goes with its value.
pub(super) struct Folder(PathBuf);

/// As much room as a small server's journal and data may take.
const ROOM_KIB: u64 = 4 * 1024 * 1024;

impl Folder {
    /// Among the temporary files.
    pub(super) fn new(what: &str) -> Self {
        Self::within(&std::env::temp_dir(), what)
    }

    /// In memory, if this system has room there: what is kept is as good and syncs at once. Else as [`Self::new`].
    pub(super) fn in_memory(what: &str) -> Self {
        let memory = Path::new("/dev/shm");
        if has_room(memory) { Self::within(memory, what) } else { Self::new(what) }
    }

    fn within(place: &Path, what: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("credit-{what}-{}-{number}", std::process::id());
            let path = place.join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{} cannot be made: {error}", path.display()),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

fn has_room(place: &Path) -> bool {
    let asked = Command::new("df").arg("-Pk").arg(place).output();
    let answer = asked.map(|answer| String::from_utf8_lossy(&answer.stdout).into_owned()).unwrap_or_default();
    // The second line is the file system's, its fourth column what is free.
    let free = answer.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    free.is_some_and(|free| free >= ROOM_KIB)
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies among the temporary files.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// A running server, and the guard that ends it if the test is killed.
pub(super) struct Process {
    child: Child,
    guard: Child,
}

impl Process {
    /// Starts it in `home`; what it prints goes to `output` there. If the test is killed, all of `folder` goes.
    pub(super) fn start(
        program: &Path,
        arguments: &[impl AsRef<OsStr>],
        home: &Path,
        folder: &Folder,
    ) -> Self {
        let output = File::options().create(true).append(true).open(home.join("output")).expect("a file");
        let child = Command::new(program)
            .args(arguments)
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the same file"))
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &child.id().to_string()])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { child, guard }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it ended by itself?
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// SIGSTOP, SIGCONT, SIGTERM: by their names without the SIG.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().expect("kill");
        assert!(sent.success(), "SIG{name} could not be sent");
    }
}

impl Drop for Process {
    /// `kill -9`. The guard goes first: the number of the process may be another's afterwards.
    fn drop(&mut self) {
        let _ended = self.guard.kill();
        let _ended = self.guard.wait();
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn a_folder_goes_with_its_value_and_two_are_never_the_same() {
        let (one, other) = (Folder::new("twins"), Folder::new("twins"));
        assert_ne!(one.path(), other.path());
        let path = one.path().to_owned();
        assert!(path.is_dir());
        drop(one);
        assert!(!path.exists());
    }

    #[test]
    fn a_server_whose_test_was_killed_is_ended_and_its_folder_removed() {
        let folder = Folder::new("orphan");
        let mut process = Process::start(Path::new("/bin/sleep"), &["60"], folder.path(), &folder);
        assert!(!process.has_ended());
        // What the end of the test's process does to the pipe.
        drop(process.guard.stdin.take());
        let limit = Instant::now() + Duration::from_secs(10);
        while !process.has_ended() || folder.path().exists() {
            assert!(Instant::now() < limit, "it is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    #[should_panic(expected = "nothing-of-this-name is missing: do this")]
    fn a_missing_program_says_how_to_get_it() {
        let found = find("NOTHING_OF_THIS_NAME", "nothing-of-this-name", Some("none/none"), "do this");
        assert_eq!(found, PathBuf::new());
    }
}
