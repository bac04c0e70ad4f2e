//! [`ValueStore`]: values by their index, as bytes in a [`ByteStore`].

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ByteStore, StoreLimits};
use crate::{Digest, TrainError};

/// Bytes of rows that are kept in memory; what is more goes to a temporary file.
const MEMORY: u64 = 64 << 20;

/// Values by their index: as `MessagePack`, in memory until there are too many and in a temporary
/// file then.
pub(crate) struct ValueStore<T> {
    bytes: Mutex<ByteStore>,
    len: usize,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> ValueStore<T> {
    /// With at most so many bytes in memory.
    pub(crate) fn with_memory(memory: u64) -> Self {
        let limits = StoreLimits {
            memory,
            directory: None,
        };
        Self {
            bytes: Mutex::new(ByteStore::new(limits, |row| TrainError::RowLost { row })),
            len: 0,
            of: PhantomData,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Keep one more.
    pub(crate) fn push(&mut self, value: &T) -> Result<(), TrainError> {
        let bytes = rmp_serde::to_vec(value).map_err(|error| TrainError::Io {
            action: "keep a row in",
            path: std::env::temp_dir(),
            source: io::Error::other(error),
        })?;
        let store = self.bytes.get_mut();
        let store = store.unwrap_or_else(PoisonError::into_inner);
        store.put(self.len, &bytes, Digest::default())?;
        self.len += 1;
        Ok(())
    }

    pub(crate) fn get(&self, index: usize) -> Result<T, TrainError> {
        let store = self.bytes.lock();
        let mut store = store.unwrap_or_else(PoisonError::into_inner);
        let mut bytes = vec![0; store.length(index)?];
        store.get(index, &mut bytes, Digest::default())?;
        drop(store);
        rmp_serde::from_slice(&bytes).map_err(|_| TrainError::RowLost { row: index })
    }
}

impl<T: Serialize + DeserializeOwned> Default for ValueStore<T> {
    fn default() -> Self {
        Self::with_memory(MEMORY)
    }
}

impl<T> fmt::Debug for ValueStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ValueStore");
        shown.field("len", &self.len).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Row;

    /// All that a row may have, to the bit.
    #[test]
    fn rows_are_read_back_as_they_were() {
        let text = r#"{"prompt":[{"role":"user","content":"é","z":1,"a":[null,true,-3,18446744073709551615]}],
            "completion":[{"role":"assistant","content":null,"tool_calls":[{"x":0.1,"y":5e-324}]}],
            "chat_template_kwargs":{"b":1.0,"a":{"c":[]}}}"#;
        let object = |text: &str| serde_json::from_str(text).expect("JSON");
        let row = |text| {
            Row::of(&object(text), &Default::default())
                .expect("a row")
                .0
        };
        let rows = [
            row(text),
            row(r#"{"text":"a","label":[1,0.30000000000000004,"b",true]}"#),
            row(r#"{"text":"a","text_pair":"b","label":-100}"#),
            row(r#"{"tokens":["a"],"tags":["B"]}"#),
            row(r#"{"instruction":"a","output":"b","system":"c"}"#),
            row(r#"{"messages":[{"role":"assistant","content":"b","weight":0}]}"#),
            row(r#"{"prompt":"","completion":"b"}"#),
            row(r#"{"text":"a"}"#),
        ];
        for memory in [0, 100, MEMORY] {
            let mut store = ValueStore::with_memory(memory);
            for row in &rows {
                store.push(row).expect("it is kept");
            }
            assert_eq!(store.len(), rows.len());
            for (index, row) in rows.iter().enumerate() {
                let found = store.get(index).expect("it is read");
                assert_eq!(found, *row);
                // Equal maps may have another order, which a template shows.
                assert_eq!(format!("{found:?}"), format!("{row:?}"));
            }
            let lost = store.get(rows.len());
            assert!(matches!(lost, Err(TrainError::RowLost { row: 8 })));
        }
    }
}
