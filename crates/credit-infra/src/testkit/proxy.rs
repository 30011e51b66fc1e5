//! A TCP proxy that makes the network bad, switched while it runs.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What the proxy does with what passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// Every piece, in each direction, is this late.
    Delay(Duration),
    /// Nothing passes in either direction; nothing is lost when it passes again.
    Stall,
    /// New connections are closed at once. Those that are open go on: see [`Proxy::cut_all`].
    Refuse,
    /// Requests that contain these bytes reach the server. Its answer is swallowed, and then the connection is cut: the
    /// request is applied and nobody is told. Without bytes it is so for every request.
    DropAnswer(Vec<u8>),
    /// The server's answers are replaced by bytes that mean nothing.
    Garbage,
}

/// A proxy on a port of loopback. It ends, with all its connections, when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: Mutex<SocketAddr>,
    mode: Mutex<Mode>,
    switched: Condvar,
    open: Mutex<Vec<TcpStream>>,
    dropped: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    /// Before this server.
    ///
    /// # Panics
    /// If no port is free.
    pub fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            mode: Mutex::new(Mode::Pass),
            switched: Condvar::new(),
            open: Mutex::new(Vec::new()),
            dropped: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let door = shared.clone();
        std::thread::spawn(move || door.accept(&listener));
        Self { address, shared }
    }

    /// Where clients go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections are led from now on.
    pub fn lead_to(&self, server: SocketAddr) {
        *self.shared.server.lock() = server;
    }

    /// From now on, also for the connections that are open.
    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock() = mode;
        self.shared.switched.notify_all();
    }

    /// Cuts every open connection. New ones are served as the mode says.
    pub fn cut_all(&self) {
        for stream in self.shared.open.lock().drain(..) {
            // The other side may have closed it.
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }

    /// How many answers [`Mode::DropAnswer`] has swallowed so far.
    pub fn dropped_answers(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.set(Mode::Refuse);
        self.cut_all();
        // Wakes the thread that accepts.
        let _woken = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let Ok(client) = client else { continue };
            if *self.mode.lock() == Mode::Refuse {
                continue;
            }
            let server = *self.server.lock();
            let Ok(server) = TcpStream::connect(server) else { continue };
            // Without it small answers wait for each other.
            let _plain = client.set_nodelay(true).and(server.set_nodelay(true));
            self.join(client, server);
        }
    }

    fn join(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        let Ok(ends) = both(&client, &server).and_then(|ends| Ok((ends, both(&server, &client)?))) else {
            return;
        };
        let ((from_client, to_server), (from_server, to_client)) = ends;
        {
            let mut open = self.open.lock();
            open.retain(|stream| stream.peer_addr().is_ok());
            open.extend([client, server]);
        }
        // Set by a request whose answer has to be swallowed.
        let doomed = Arc::new(AtomicBool::new(false));
        let (shared, mark) = (self.clone(), doomed.clone());
        std::thread::spawn(move || pump(from_client, to_server, |bytes| shared.ask(bytes, &mark)));
        let shared = self.clone();
        std::thread::spawn(move || pump(from_server, to_client, |bytes| shared.answer(bytes, &doomed)));
    }

    /// What the server gets of a piece of the client's.
    fn ask(&self, bytes: &[u8], doomed: &AtomicBool) -> bool {
        if let Mode::DropAnswer(marks) = self.waited() {
            let found = marks.is_empty() || bytes.windows(marks.len()).any(|window| window == marks);
            doomed.fetch_or(found && !bytes.is_empty(), Ordering::Relaxed);
        }
        true
    }

    /// What the client gets of a piece of the server's; `false` cuts the connection.
    fn answer(&self, bytes: &mut [u8], doomed: &AtomicBool) -> bool {
        match self.waited() {
            Mode::DropAnswer(_) if doomed.load(Ordering::Relaxed) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                false
            }
            Mode::Garbage => {
                bytes.fill(0xA5);
                true
            }
            _ => true,
        }
    }

    /// The mode, after its wait.
    fn waited(&self) -> Mode {
        let mut mode = self.mode.lock();
        while *mode == Mode::Stall {
            self.switched.wait(&mut mode);
        }
        let mode = mode.clone();
        if let Mode::Delay(time) = mode {
            std::thread::sleep(time);
        }
        mode
    }
}

fn both(from: &TcpStream, to: &TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    Ok((from.try_clone()?, to.try_clone()?))
}

/// Copies until one side ends or `pass` says no; then both are closed.
fn pump(mut from: TcpStream, mut to: TcpStream, mut pass: impl FnMut(&mut [u8]) -> bool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let piece = &mut buffer[..length];
        if !pass(piece) || to.write_all(piece).is_err() {
            break;
        }
    }
    let _closed = from.shutdown(Shutdown::Both);
    let _closed = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Instant;

    /// Answers every piece with itself, and tells what it got.
    fn echo() -> (SocketAddr, Receiver<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tell, mut stream) = (tell.clone(), stream.unwrap());
                std::thread::spawn(move || {
                    let mut buffer = [0; 100];
                    while let Ok(length @ 1..) = stream.read(&mut buffer) {
                        let _test_over = tell.send(buffer[..length].to_vec());
                        if stream.write_all(&buffer[..length]).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        (address, told)
    }

    fn ask(stream: &mut TcpStream, text: &str) -> std::io::Result<Vec<u8>> {
        stream.write_all(text.as_bytes())?;
        let mut answer = vec![0; text.len()];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    #[test]
    fn what_passes_arrives_at_once_or_late() {
        let (server, _told) = echo();
        let proxy = Proxy::to(server);
        let mut stream = connect(&proxy);
        assert_eq!(ask(&mut stream, "hello").unwrap(), b"hello");

        proxy.set(Mode::Delay(Duration::from_millis(100)));
        let begun = Instant::now();
        assert_eq!(ask(&mut stream, "late").unwrap(), b"late");
        assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
    }

    #[test]
    fn what_is_stalled_arrives_when_it_passes_again() {
        let (server, told) = echo();
        let proxy = Proxy::to(server);
        let mut stream = connect(&proxy);
        assert_eq!(ask(&mut stream, "a").unwrap(), b"a");
        assert_eq!(told.recv().unwrap(), b"a");
        proxy.set(Mode::Stall);
        stream.write_all(b"b").unwrap();
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err());
        proxy.set(Mode::Pass);
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"b");
    }

    #[test]
    fn a_dropped_answer_is_of_a_request_that_was_applied() {
        let (server, told) = echo();
        let proxy = Proxy::to(server);
        let mut stream = connect(&proxy);
        proxy.set(Mode::DropAnswer(b"insert".to_vec()));
        assert_eq!(ask(&mut stream, "find").unwrap(), b"find");
        assert!(ask(&mut stream, "insert").is_err());
        assert_eq!((told.recv().unwrap(), told.recv().unwrap()), (b"find".to_vec(), b"insert".to_vec()));
        assert_eq!(proxy.dropped_answers(), 1);
        assert_eq!(ask(&mut connect(&proxy), "again").unwrap(), b"again");
    }

    #[test]
    fn cut_refused_and_garbled_connections_are_so() {
        let (server, _told) = echo();
        let proxy = Proxy::to(server);
        let mut stream = connect(&proxy);
        assert_eq!(ask(&mut stream, "x").unwrap(), b"x");
        proxy.set(Mode::Garbage);
        assert_eq!(ask(&mut stream, "x").unwrap(), [0xA5]);
        proxy.cut_all();
        assert!(ask(&mut stream, "x").is_err());
        proxy.set(Mode::Refuse);
        assert!(ask(&mut connect(&proxy), "x").is_err());
        proxy.set(Mode::Pass);
        assert_eq!(ask(&mut connect(&proxy), "x").unwrap(), b"x");
    }
}
