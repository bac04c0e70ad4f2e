//! [`Folder`]: files by their names, on disk or in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::read;
use crate::read::too_large;

/// The files of a directory, or texts that a file holds in the place of a directory's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    texts: Option<Arc<BTreeMap<String, String>>>,
}

impl Folder {
    /// Those of a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            path: dir.into(),
            texts: None,
        }
    }

    /// These texts, by the names that a directory would have them under, which are in the file at
    /// `path`.
    pub fn of_texts(path: impl Into<PathBuf>, texts: BTreeMap<String, String>) -> Self {
        Self {
            path: path.into(),
            texts: Some(Arc::new(texts)),
        }
    }

    /// The directory, or the file that stands for one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The texts, where they are not files of a directory.
    pub fn texts(&self) -> Option<&BTreeMap<String, String>> {
        self.texts.as_deref()
    }

    /// Whether there is something of this name, even if it cannot be read.
    pub fn has(&self, name: &str) -> bool {
        match &self.texts {
            Some(texts) => texts.contains_key(name),
            None => fs::symlink_metadata(self.file(name)).is_ok(),
        }
    }

    /// What messages call a file.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The bytes of a file of at most `largest`.
    ///
    /// # Errors
    ///
    /// Those of [`read`](crate::read()); [`ErrorKind::NotFound`] where there is none.
    pub fn read(&self, name: &str, largest: u64) -> io::Result<Vec<u8>> {
        let Some(texts) = &self.texts else {
            return read(&self.file(name), largest);
        };
        let text = texts.get(name).ok_or(ErrorKind::NotFound)?;
        match text.len() as u64 > largest {
            true => Err(too_large(largest)),
            false => Ok(text.clone().into_bytes()),
        }
    }

    /// The text of a file of at most `largest` bytes.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), and [`ErrorKind::InvalidData`] for what is not UTF-8.
    pub fn read_text(&self, name: &str, largest: u64) -> io::Result<String> {
        let text = String::from_utf8(self.read(name, largest)?);
        text.map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
    }
}

impl<P: AsRef<Path>> From<P> for Folder {
    fn from(dir: P) -> Self {
        Self::new(dir.as_ref())
    }
}
