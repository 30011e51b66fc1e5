//! A file whose making was cut short.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// With these bytes the driver's files begin; of a new one they are written last, when the rest is on the disk.
const MARK: usize = 9;
/// Behind so many bytes stands what was written to the store, and before that what the driver says of the file.
const HEADER: usize = 512;

/// Empties a file that the driver had begun to make and was never worked on: the disk was full then, or the process was
/// killed. Whatever opens it would take it for a damaged one, and there is nothing in it. A file that somebody is making
/// at this moment has a lock, and is left alone.
pub(super) fn begin_again(file: &File) -> io::Result<()> {
    if !is_unfinished(file)? || file.try_lock().is_err() {
        return Ok(());
    }
    // Whoever had the lock a moment ago may have made it whole.
    let emptied = is_unfinished(file).and_then(|is_still| if is_still { file.set_len(0) } else { Ok(()) });
    file.unlock().and(emptied)
}

/// No mark, and nothing behind the header.
fn is_unfinished(file: &File) -> io::Result<bool> {
    let is_empty = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let mut piece = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        let read = file.read_at(&mut piece, at)?;
        if read == 0 {
            return Ok(at > 0);
        }
        let bytes = &piece[..read];
        let nothing = if at == 0 {
            is_empty(&bytes[..read.min(MARK)]) && is_empty(&bytes[read.min(HEADER)..])
        } else {
            is_empty(bytes)
        };
        if !nothing {
            return Ok(false);
        }
        at += u64::try_from(read).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use redb::backends::FileBackend;

    use super::*;

    /// A file of so many zeros with these bytes at these places, and its length afterwards.
    fn length_after(zeros: u64, bytes: &[(u64, u8)], is_locked: bool) -> u64 {
        let named = tempfile::NamedTempFile::new().expect("a file of the test's own");
        let file = named.reopen().expect("a file of the test's own");
        file.set_len(zeros).expect("a file of the test's own");
        for (place, byte) in bytes {
            file.write_all_at(&[*byte], *place).expect("a file of the test's own");
        }
        let maker = named.reopen().expect("a file of the test's own");
        if is_locked {
            maker.lock().expect("a file of the test's own");
        }
        begin_again(&file).expect("a file of the test's own");
        // It keeps no lock for itself.
        assert!(is_locked || maker.try_lock().is_ok());
        file.metadata().expect("a file of the test's own").len()
    }

    #[test]
    fn a_file_with_nothing_but_a_header_without_its_mark_is_emptied() {
        assert_eq!(length_after(0, &[], false), 0);
        assert_eq!(length_after(5, &[], false), 0);
        assert_eq!(length_after(200_000, &[], false), 0);
        assert_eq!(length_after(200_000, &[(9, 1), (511, 1)], false), 0);
    }

    #[test]
    fn anything_else_is_left_as_it_is() {
        for bytes in [&[(0, 1)][..], &[(8, 1)], &[(512, 1)], &[(70_000, 1)], &[(199_999, 1)]] {
            assert_eq!(length_after(200_000, bytes, false), 200_000, "{bytes:?}");
        }
        assert_eq!(length_after(200_000, &[], true), 200_000, "somebody is making it");
        let mut text = tempfile::tempfile().expect("a file of the test's own");
        text.write_all(b"not a database").expect("a file of the test's own");
        begin_again(&text).expect("a file of the test's own");
        assert_eq!(text.metadata().expect("a file of the test's own").len(), 14);
    }

    /// The driver itself, on a disk that takes its first so many writes: never anything that cannot be gone on with.
    #[test]
    fn wherever_the_driver_is_cut_short_while_it_makes_a_file_it_can_begin_again() {
        for cut in 0..50 {
            let named = tempfile::NamedTempFile::new().expect("a file of the test's own");
            let file = || {
                FileBackend::new(named.reopen().expect("a file of the test's own"))
                    .expect("a file of the test's own")
            };
            let made = redb::Builder::new().create_with_backend(Cut { file: file(), left: cut.into() });
            let is_made = made.is_ok();
            drop(made);
            begin_again(&named.reopen().expect("a file of the test's own"))
                .expect("a file of the test's own");
            redb::Builder::new().create_with_backend(file()).expect("a file of the test's own");
            if is_made {
                assert!(cut > 2, "{cut}");
                return;
            }
        }
        panic!("it was never made");
    }

    /// A disk that refuses everything after so many changes.
    #[derive(Debug)]
    struct Cut {
        file: FileBackend,
        left: std::sync::atomic::AtomicU32,
    }

    impl Cut {
        fn change(&self) -> io::Result<()> {
            use std::sync::atomic::Ordering::SeqCst;
            let left = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
            left.map(|_| ()).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
        }
    }

    impl redb::StorageBackend for Cut {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }
        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }
        fn set_len(&self, length: u64) -> io::Result<()> {
            self.change().and_then(|()| self.file.set_len(length))
        }
        fn sync_data(&self) -> io::Result<()> {
            self.change().and_then(|()| self.file.sync_data())
        }
        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.change().and_then(|()| self.file.write(offset, data))
        }
        fn close(&self) -> io::Result<()> {
            self.file.close()
        }
    }
}
