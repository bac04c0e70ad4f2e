//! [`Store`]: rows of bytes, in memory up to a limit and beyond it in a temporary file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::{TrunkCache, TrunkUse};
use crate::{Digest, TrainError};

/// Where a row's bytes are.
enum Place {
    Memory(Vec<u8>),
    Disk {
        at: u64,
        length: usize,
        digest: Digest,
    },
}

/// Rows of bytes, by their number.
pub(super) struct Store {
    rows: Vec<Option<Place>>,
    cache: TrunkCache,
    file: Option<File>,
    used: TrunkUse,
}

impl Store {
    pub(super) fn new(n_rows: usize, cache: &TrunkCache) -> Self {
        Self {
            rows: (0..n_rows).map(|_| None).collect(),
            cache: cache.clone(),
            file: None,
            used: TrunkUse::default(),
        }
    }

    pub(super) fn used(&self) -> TrunkUse {
        self.used
    }

    pub(super) fn has(&self, row: usize) -> bool {
        self.rows[row].is_some()
    }

    /// Keep a row, unless it is kept. `about` is a digest of what its bytes depend on.
    pub(super) fn put(
        &mut self,
        row: usize,
        bytes: &[u8],
        about: Digest,
    ) -> Result<(), TrainError> {
        if self.has(row) {
            return Ok(());
        }
        let size = bytes.len() as u64;
        let place = if self.used.memory + size <= self.cache.memory {
            self.used.memory += size;
            Place::Memory(bytes.to_vec())
        } else {
            let at = self.used.disk;
            self.write(at, bytes)?;
            self.used.disk += size;
            Place::Disk {
                at,
                length: bytes.len(),
                digest: digest(bytes, about),
            }
        };
        self.rows[row] = Some(place);
        self.used.rows += 1;
        Ok(())
    }

    /// The bytes of a row that is kept into the beginning of `into`. What was on disk is checked:
    /// that it is what was written, for the same trunk and row.
    pub(super) fn get(
        &mut self,
        row: usize,
        into: &mut [u8],
        about: Digest,
    ) -> Result<(), TrainError> {
        let (at, length, written) = match &self.rows[row] {
            Some(Place::Memory(bytes)) => {
                into[..bytes.len()].copy_from_slice(bytes);
                return Ok(());
            }
            Some(Place::Disk { at, length, digest }) => (*at, *length, *digest),
            None => return Err(TrainError::TrunkLost { row }),
        };
        let into = &mut into[..length];
        let read = |file: &mut File| {
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(into)
        };
        let read = self.file.as_mut().map(read);
        let read = read.ok_or(TrainError::TrunkLost { row })?;
        read.map_err(|source| self.failed("read", source))?;
        match digest(into, about) == written {
            true => Ok(()),
            false => Err(TrainError::TrunkLost { row }),
        }
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
        let directory = self.cache.directory.clone();
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

    fn store(memory: u64) -> Store {
        let cache = TrunkCache {
            memory,
            directory: None,
        };
        Store::new(4, &cache)
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
        let used = TrunkUse {
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
            assert_eq!(&found[..bytes.len()], *bytes);
            assert!(found[bytes.len()..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn what_is_not_what_was_written_is_refused() {
        let mut store = store(0);
        let mut found = [0; 3];
        let lost = |result| matches!(result, Err(TrainError::TrunkLost { row: 1 }));
        assert!(lost(store.get(1, &mut found, Digest::default())));
        let about = Digest::default();
        store.put(1, &[1, 2, 3], about).expect("it is kept");
        store.get(1, &mut found, about).expect("it is read");
        let mut other = about;
        other.add(7);
        assert!(lost(store.get(1, &mut found, other)));
        store.write(1, &[9]).expect("it is written");
        assert!(lost(store.get(1, &mut found, about)));
    }
}
