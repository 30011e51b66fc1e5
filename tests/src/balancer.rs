//! What stands before several processes in a cluster, on loopback: it asks each whether it is ready, gives requests to
//! those that are, in turn, and repeats none. A request that got no answer is `502` to its caller and counted here.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::client::Client;
use crate::wire::{Message, Wire};

/// So often in a row a process must say that it is not ready before it gets nothing more, as a kubelet counts.
const FAILURES: u32 = 2;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A balancer on a port of loopback. It takes no more connections once dropped.
pub struct Balancer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A process that was named to a [`Balancer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place(usize);

struct Backend {
    place: Place,
    address: SocketAddr,
    prober: Client,
    is_ready: bool,
    failures: u32,
}

#[derive(Default)]
struct Shared {
    backends: Mutex<Vec<Backend>>,
    served: Mutex<HashMap<Place, usize>>,
    failed: Mutex<Vec<String>>,
    named: AtomicUsize,
    turn: AtomicUsize,
    ended: AtomicBool,
}

impl Balancer {
    /// Before nobody yet; it asks everybody that it is told of this often.
    pub fn start(probe_every: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (door, kubelet) = (shared.clone(), shared.clone());
        std::thread::spawn(move || door.accept(&listener));
        std::thread::spawn(move || kubelet.probe(probe_every));
        Ok(Self { address, shared })
    }

    /// Where clients go.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Another process, which gets requests once it says that it is ready.
    ///
    /// # Panics
    /// If that is no address.
    pub fn add(&self, base: &str) -> Place {
        let address = base.trim_start_matches("http://").parse().expect("an address of loopback");
        let place = Place(self.shared.named.fetch_add(1, Ordering::Relaxed));
        let prober = Client::nobody(base);
        self.shared.backends.lock().push(Backend { place, address, prober, is_ready: false, failures: 0 });
        place
    }

    /// A process that is not there any more.
    pub fn remove(&self, place: Place) {
        self.shared.backends.lock().retain(|backend| backend.place != place);
    }

    /// Waits until requests go there.
    ///
    /// # Panics
    /// If that takes longer than half a minute.
    pub fn wait_until_ready(&self, place: Place) {
        let limit = Instant::now() + Duration::from_secs(30);
        while !self.shared.is_ready(place) {
            assert!(Instant::now() < limit, "{place:?} is not ready after half a minute");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How many requests it answered there.
    pub fn served(&self, place: Place) -> usize {
        self.shared.served.lock().get(&place).copied().unwrap_or(0)
    }

    /// Every request that got no answer, and why.
    pub fn failed(&self) -> Vec<String> {
        self.shared.failed.lock().clone()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the door, which then sees it.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            if let Ok(client) = client {
                let shared = self.clone();
                std::thread::spawn(move || shared.serve(Wire::over(client)));
            }
        }
    }

    fn probe(&self, every: Duration) {
        while !self.ended.load(Ordering::Relaxed) {
            let asked: Vec<_> =
                self.backends.lock().iter().map(|backend| (backend.place, backend.prober.clone())).collect();
            for (place, prober) in asked {
                let answer = prober.call("GET", "/health/ready", &[], None);
                self.note(place, answer.is_ok_and(|answer| answer.status == 200));
            }
            std::thread::sleep(every);
        }
    }

    fn note(&self, place: Place, said_yes: bool) {
        let mut backends = self.backends.lock();
        let Some(backend) = backends.iter_mut().find(|backend| backend.place == place) else { return };
        backend.failures = if said_yes { 0 } else { backend.failures + 1 };
        backend.is_ready = said_yes || (backend.is_ready && backend.failures < FAILURES);
    }

    fn is_ready(&self, place: Place) -> bool {
        self.backends.lock().iter().any(|backend| backend.place == place && backend.is_ready)
    }

    /// The next one that is ready.
    fn choose(&self) -> Option<(Place, SocketAddr)> {
        let backends = self.backends.lock();
        let ready: Vec<_> = backends.iter().filter(|backend| backend.is_ready).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let chosen = ready.get(turn.checked_rem(ready.len())?)?;
        Some((chosen.place, chosen.address))
    }

    /// One client, request after request, with a connection of its own to each process.
    fn serve(&self, mut client: Wire) {
        let mut kept = HashMap::new();
        while let Ok(Some(request)) = client.read_request() {
            // To those that get nothing more no connection is kept, as soon as nothing is under way on it.
            kept.retain(|place, wire: &mut Wire| self.is_ready(*place) && wire.is_idle());
            let answer = match self.choose() {
                Some((place, address)) => self.forward(&mut kept, place, address, &request),
                None => Err("nobody is ready".to_owned()),
            };
            let answer = answer.unwrap_or_else(|why| {
                self.failed.lock().push(format!("{}: {why}", request.first_line()));
                Message::bad_gateway(&why)
            });
            if client.write(&answer).is_err() {
                return;
            }
        }
    }

    fn forward(
        &self,
        kept: &mut HashMap<Place, Wire>,
        place: Place,
        address: SocketAddr,
        request: &Message,
    ) -> Result<Message, String> {
        let mut wire = match kept.remove(&place) {
            Some(wire) => wire,
            None => Wire::over(TcpStream::connect(address).map_err(|error| error.to_string())?),
        };
        wire.wait_at_most(PATIENCE).map_err(|error| error.to_string())?;
        wire.write(request).map_err(|error| format!("it could not be sent: {error}"))?;
        let answer = wire.read_answer().map_err(|error| format!("no answer came: {error}"))?;
        *self.served.lock().entry(place).or_default() += 1;
        if !answer.closes {
            kept.insert(place, wire);
        }
        Ok(answer)
    }
}
