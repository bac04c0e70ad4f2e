//! [`ByteStore`]: rows of bytes, in memory up to a limit and beyond it in a temporary file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use crate::{Digest, TrainError};

/// Bytes that are written to the file at once.
const PENDING: usize = 1 << 20;

/// Where a row's bytes are.
enum Place {
    Memory(Box<[u8]>),
    Disk {
        at: u64,
        length: usize,
        digest: Digest,
    },
}

/// Rows of bytes, by their number.
pub(crate) struct ByteStore {
    rows: Vec<Option<Place>>,
    limits: StoreLimits,
    file: Option<File>,
    /// The end of the file, that is not written yet.
    pending: Vec<u8>,
    used: StoreUse,
    /// The error for a row that is not what was kept.
    lost: fn(usize) -> TrainError,
}

/// How much a store keeps in memory, and where its file is made.
#[derive(Debug, Clone)]
pub(crate) struct StoreLimits {
    pub(crate) memory: u64,
    /// The system's place for temporary files where none.
    pub(crate) directory: Option<PathBuf>,
}

/// What a store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct StoreUse {
    pub(crate) rows: usize,
    /// Bytes of them in memory.
    pub(crate) memory: u64,
    /// Bytes of them on disk.
    pub(crate) disk: u64,
}

impl ByteStore {
    pub(crate) fn new(limits: StoreLimits, lost: fn(usize) -> TrainError) -> Self {
        Self {
            rows: Vec::new(),
            limits,
            file: None,
            pending: Vec::new(),
            used: StoreUse::default(),
            lost,
        }
    }

    pub(crate) fn used(&self) -> StoreUse {
        self.used
    }

    pub(crate) fn has(&self, row: usize) -> bool {
        self.rows.get(row).is_some_and(Option::is_some)
    }

    /// Keep a row, unless it is kept. `about` is a digest of what its bytes depend on.
    pub(crate) fn put(
        &mut self,
        row: usize,
        bytes: &[u8],
        about: Digest,
    ) -> Result<(), TrainError> {
        if self.has(row) {
            return Ok(());
        }
        let size = bytes.len() as u64;
        let place = if self.used.memory + size <= self.limits.memory {
            self.used.memory += size;
            Place::Memory(bytes.into())
        } else {
            let at = self.used.disk;
            self.append(bytes)?;
            self.used.disk += size;
            Place::Disk {
                at,
                length: bytes.len(),
                digest: digest(bytes, about),
            }
        };
        if self.rows.len() <= row {
            self.rows.resize_with(row + 1, || None);
        }
        self.rows[row] = Some(place);
        self.used.rows += 1;
        Ok(())
    }

    /// How many bytes a row has.
    pub(crate) fn length(&self, row: usize) -> Result<usize, TrainError> {
        match self.rows.get(row) {
            Some(Some(Place::Memory(bytes))) => Ok(bytes.len()),
            Some(Some(Place::Disk { length, .. })) => Ok(*length),
            Some(None) | None => Err((self.lost)(row)),
        }
    }

    /// The bytes of a row that is kept into the beginning of `into`. What was on disk is checked:
    /// that it is what was written, for the same `about`.
    pub(crate) fn get(
        &mut self,
        row: usize,
        into: &mut [u8],
        about: Digest,
    ) -> Result<(), TrainError> {
        let (at, length, written) = match self.rows.get(row) {
            Some(Some(Place::Memory(bytes))) => {
                into[..bytes.len()].copy_from_slice(bytes);
                return Ok(());
            }
            Some(Some(Place::Disk { at, length, digest })) => (*at, *length, *digest),
            Some(None) | None => return Err((self.lost)(row)),
        };
        let into = &mut into[..length];
        let in_file = self.used.disk - self.pending.len() as u64;
        if let Some(from) = at.checked_sub(in_file) {
            let from = from as usize;
            into.copy_from_slice(&self.pending[from..from + length]);
        } else {
            let read = |file: &mut File| {
                file.seek(SeekFrom::Start(at))?;
                file.read_exact(into)
            };
            let read = self.file.as_mut().map(read);
            let read = read.ok_or((self.lost)(row))?;
            read.map_err(|source| self.failed("read a file in", source))?;
        }
        match digest(into, about) == written {
            true => Ok(()),
            false => Err((self.lost)(row)),
        }
    }

    /// Put bytes behind those that are there.
    fn append(&mut self, bytes: &[u8]) -> Result<(), TrainError> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() < PENDING {
            return Ok(());
        }
        let at = self.used.disk + bytes.len() as u64 - self.pending.len() as u64;
        let pending = std::mem::take(&mut self.pending);
        self.write(at, &pending)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), TrainError> {
        if self.file.is_none() {
            let made = tempfile::tempfile_in(self.directory());
            self.file = Some(made.map_err(|source| self.failed("create a file in", source))?);
        }
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)
        };
        let written = self.file.as_mut().map_or(Ok(()), write);
        written.map_err(|source| self.failed("write a file in", source))
    }

    fn directory(&self) -> PathBuf {
        let directory = self.limits.directory.clone();
        directory.unwrap_or_else(std::env::temp_dir)
    }

    fn failed(&self, action: &'static str, source: std::io::Error) -> TrainError {
        TrainError::Io {
            action,
            path: self.directory(),
            source,
        }
    }
}

fn digest(bytes: &[u8], about: Digest) -> Digest {
    let mut digest = about;
    digest.add_bytes(bytes);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(memory: u64) -> ByteStore {
        let limits = StoreLimits {
            memory,
            directory: None,
        };
        ByteStore::new(limits, |row| TrainError::TrunkLost { row })
    }

    #[test]
    fn rows_are_read_back_from_memory_and_from_disk() {
        let mut store = store(6);
        let rows: [&[u8]; 4] = [&[1, 2, 3], &[4, 5], &[6, 7, 8, 9], &[10]];
        for row in [2, 0, 3, 1] {
            store
                .put(row, rows[row], Digest::default())
                .expect("it is kept");
        }
        let used = StoreUse {
            rows: 4,
            memory: 5,
            disk: 5,
        };
        assert_eq!(store.used(), used);
        for (row, bytes) in rows.iter().enumerate() {
            let mut found = vec![0; 5];
            store
                .get(row, &mut found, Digest::default())
                .expect("it is read");
            assert_eq!(store.length(row).expect("it is kept"), bytes.len());
            assert_eq!(&found[..bytes.len()], *bytes);
            assert!(found[bytes.len()..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn rows_are_read_back_wherever_the_file_ends() {
        let mut store = store(0);
        let row = |i: usize| vec![i as u8; 1 + i * 31_337 % 400_000];
        for i in 0..40 {
            store
                .put(i, &row(i), Digest::default())
                .expect("it is kept");
            for i in [i, i / 2] {
                let mut found = vec![0; store.length(i).expect("it is kept")];
                store
                    .get(i, &mut found, Digest::default())
                    .expect("it is read");
                assert_eq!(found, row(i));
            }
        }
        assert!(store.pending.len() < PENDING && store.used.disk > 4 * PENDING as u64);
    }

    #[test]
    fn what_is_not_what_was_written_is_refused() {
        let mut store = store(0);
        let mut found = vec![0; PENDING];
        let lost = |result| matches!(result, Err(TrainError::TrunkLost { row: 1 }));
        assert!(lost(store.get(1, &mut found, Digest::default())));
        let about = Digest::default();
        store.put(1, &vec![3; PENDING], about).expect("it is kept");
        store.get(1, &mut found, about).expect("it is read");
        let mut other = about;
        other.add(7);
        assert!(lost(store.get(1, &mut found, other)));
        store.write(1, &[9]).expect("it is written");
        assert!(lost(store.get(1, &mut found, about)));
    }
}
