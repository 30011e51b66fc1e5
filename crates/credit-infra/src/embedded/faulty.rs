//! A disk that fails, for tests under the real adapter: writes that are dropped or torn by a power cut, and writes
//! and syncs that report an error. What it does depends on its seed only.

use std::fmt;
use std::io;
use std::sync::Arc;

use credit_core::testkit::Dice;
use parking_lot::Mutex;
use redb::StorageBackend;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// How often the disk fails, each in a thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Writes that report an error and may have been done in part.
    pub failing_writes: u64,
    /// Syncs that report an error; what they should have kept stays at risk.
    pub failing_syncs: u64,
    /// Calls that may still be made before the power goes; every one after that fails.
    pub power_lasts: Option<u64>,
}

/// A disk in memory. Clones are handles to the same disk.
#[derive(Clone)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    /// What survives a power cut for certain.
    durable: Vec<u8>,
    /// What a reader sees now.
    current: Vec<u8>,
    /// What was done since the last sync, in order.
    unsynced: Vec<Change>,
    faults: Faults,
    dice: Dice,
    /// How much went wrong so far.
    count: FaultCount,
}

enum Change {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
}

/// What a disk has done to whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCount {
    /// Unsynced writes that a power cut dropped whole.
    pub dropped_writes: u64,
    /// Unsynced writes of which a power cut kept some sectors.
    pub torn_writes: u64,
    /// Writes and syncs that reported an error.
    pub reported_errors: u64,
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new(seed: u64) -> Self {
        Self::from_image(Vec::new(), seed)
    }

    fn from_image(image: Vec<u8>, seed: u64) -> Self {
        let state = State {
            durable: image.clone(),
            current: image,
            unsynced: Vec::new(),
            faults: Faults::default(),
            dice: Dice::new(seed),
            count: FaultCount::default(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// From now on it fails like this.
    pub fn set_faults(&self, faults: Faults) {
        self.state.lock().faults = faults;
    }

    /// The disk as it is found after a power cut: every unsynced write was kept, dropped or torn, at random. The old
    /// handles keep showing the world before it.
    #[must_use]
    pub fn after_power_cut(&self) -> (Self, FaultCount) {
        let mut state = self.state.lock();
        let State { durable, unsynced, dice, count, .. } = &mut *state;
        let mut image = durable.clone();
        for change in unsynced.iter() {
            match change {
                Change::Length(length) if dice.percent(50) => image.resize(*length, 0),
                Change::Length(_) => {}
                Change::Write { offset, data } => match dice.below(3) {
                    0 => count.dropped_writes += 1,
                    1 => put(&mut image, *offset, data),
                    _ => {
                        count.torn_writes += 1;
                        for (place, sector) in data.chunks(SECTOR).enumerate() {
                            if dice.percent(50) {
                                put(&mut image, offset + place * SECTOR, sector);
                            }
                        }
                    }
                },
            }
        }
        let seed = dice.bits();
        (Self::from_image(image, seed), *count)
    }
}

fn put(image: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[offset..end].copy_from_slice(data);
}

impl State {
    /// Counts a call down to the power cut.
    fn power(&mut self) -> io::Result<()> {
        match &mut self.faults.power_lasts {
            Some(0) => Err(fault("the power is gone")),
            Some(calls) => {
                *calls -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn fails(&mut self, per_thousand: u64) -> bool {
        let fails = self.dice.below(1000) < per_thousand;
        self.count.reported_errors += u64::from(fails);
        fails
    }
}

fn fault(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("a disk in memory is addressable")
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDisk").finish_non_exhaustive()
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.state.lock().current.len()).expect("a length fits"))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        let offset = place(offset);
        let read = state.current.get(offset..offset + out.len());
        out.copy_from_slice(read.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.power()?;
        state.current.resize(place(length), 0);
        state.unsynced.push(Change::Length(place(length)));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.power()?;
        let failing = state.faults.failing_syncs;
        if state.fails(failing) {
            return Err(fault("the sync failed"));
        }
        let State { durable, unsynced, .. } = &mut *state;
        for change in unsynced.drain(..) {
            match change {
                Change::Length(length) => durable.resize(length, 0),
                Change::Write { offset, data } => put(durable, offset, &data),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.power()?;
        let failing = state.faults.failing_writes;
        let offset = place(offset);
        let fails = state.fails(failing);
        let written = if fails { &data[..state.dice.place(data.len() + 1)] } else { data };
        put(&mut state.current, offset, written);
        state.unsynced.push(Change::Write { offset, data: written.to_vec() });
        if fails { Err(fault("the write failed")) } else { Ok(()) }
    }
}
