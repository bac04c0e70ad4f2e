//! [`NewDir`]: a directory that appears whole, or not at all.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::replace::{parent, sync_dir};
use crate::unfinished::Unfinished;

/// A directory under a name of its own beside its place, to be filled and kept. Dropped, it is
/// taken away with all that is in it.
#[derive(Debug)]
pub struct NewDir {
    place: PathBuf,
    unfinished: Unfinished,
}

/// A directory that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NewDirError {
    /// Something has the name already.
    #[error("{} exists already; give a name that is free", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// It is no name, as `..` is none.
    #[error("`{}` is no name of a new directory", path.display())]
    NoName {
        /// The place.
        path: PathBuf,
    },
    /// The directory that it is to lie in is not there.
    #[error("there is no directory {} for {} to lie in; make it first", parent.display(), path.display())]
    NoParent {
        /// The directory that is missing.
        parent: PathBuf,
        /// The place.
        path: PathBuf,
    },
    /// The system says so.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `make`, `write` ...
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl NewDir {
    /// Begin a directory that is to be at `place`, which must be free.
    ///
    /// # Errors
    ///
    /// A [`NewDirError`]. A place that cannot be written into is found here, before any work.
    pub fn beside(place: &Path) -> Result<Self, NewDirError> {
        let path = place.to_path_buf();
        // Without a slash at its end.
        let name = place.file_name().ok_or(NewDirError::NoName { path })?;
        let (above, place) = (parent(place), place.with_file_name(name));
        let failed = |source| NewDirError::Io {
            action: "make",
            path: place.clone(),
            source,
        };
        match fs::symlink_metadata(&place) {
            Ok(_) => return Err(NewDirError::Exists { path: place }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        match fs::metadata(above) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(failed(ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(NewDirError::NoParent {
                    parent: above.into(),
                    path: place,
                });
            }
            Err(error) => return Err(failed(error)),
        }
        let made = Unfinished::make(&place, |path| fs::create_dir(path));
        let (unfinished, ()) = made.map_err(failed)?;
        Ok(Self { place, unfinished })
    }

    /// Where it is until it is kept.
    pub fn path(&self) -> &Path {
        self.unfinished.path()
    }

    /// Put it in its place, on disk; what its files hold is there already.
    ///
    /// # Errors
    ///
    /// [`NewDirError::Exists`] where the place has been taken meanwhile, or [`NewDirError::Io`].
    pub fn keep(self) -> Result<PathBuf, NewDirError> {
        let Self { place, unfinished } = self;
        let failed = |source| failed(&place, source);
        sync_dir(unfinished.path()).map_err(failed)?;
        free(&place)?;
        unfinished.finish(&place).map_err(failed)?;
        sync_dir(parent(&place)).map_err(failed)?;
        Ok(place)
    }

    /// Put one of its files in its place, where a file is to be; the others go with the directory.
    ///
    /// # Errors
    ///
    /// As [`keep`](Self::keep).
    pub fn keep_file(self, name: &str) -> Result<PathBuf, NewDirError> {
        let Self { place, unfinished } = self;
        let failed = |source| failed(&place, source);
        free(&place)?;
        fs::rename(unfinished.path().join(name), &place).map_err(failed)?;
        sync_dir(parent(&place)).map_err(failed)?;
        Ok(place)
    }
}

/// A rename would take the place of a file, or of an empty directory.
fn free(place: &Path) -> Result<(), NewDirError> {
    match fs::symlink_metadata(place) {
        Ok(_) => Err(failed(place, ErrorKind::AlreadyExists.into())),
        Err(_) => Ok(()),
    }
}

fn failed(place: &Path, source: io::Error) -> NewDirError {
    let path = place.to_path_buf();
    match source.kind() {
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory => {
            NewDirError::Exists { path }
        }
        _ => NewDirError::Io {
            action: "write",
            path,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(dir: &Path) -> usize {
        fs::read_dir(dir).expect("a directory").count()
    }

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let foreign = dir.path().join("out.partial");
        fs::create_dir(&foreign).expect("a directory");
        fs::write(foreign.join("file"), "others").expect("it is written");
        for end in ["out", "again/", "more/."] {
            let place = dir.path().join(end);
            let new = NewDir::beside(&place).expect("it can be made");
            fs::write(new.path().join("file"), "x").expect("it is written");
            assert!(!place.exists());
            drop(new);
            assert_eq!(fs::read(foreign.join("file")).expect("it stays"), b"others");
            let before = count(dir.path());
            let new = NewDir::beside(&place).expect("it can be made");
            fs::write(new.path().join("file"), "x").expect("it is written");
            let kept = new.keep().expect("it is kept");
            assert_eq!(fs::read(kept.join("file")).expect("it is read"), b"x");
            assert_eq!(count(dir.path()), before + 1);
        }
    }

    #[test]
    fn places_that_cannot_be_are_told_before_anything_is_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("taken")).expect("a directory");
        fs::write(at("file"), "").expect("it is written");
        let before = count(dir.path());
        let refused = |place: &Path| NewDir::beside(place).expect_err("it cannot be");
        for name in ["taken", "file"] {
            let error = refused(&at(name));
            assert!(matches!(error, NewDirError::Exists { .. }), "{error}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("nowhere", at("link")).expect("a link");
            let error = refused(&at("link"));
            assert!(matches!(error, NewDirError::Exists { .. }), "{error}");
            fs::remove_file(at("link")).expect("it is removed");
        }
        let error = refused(&at("no/out"));
        assert!(matches!(error, NewDirError::NoParent { .. }), "{error}");
        let error = refused(&at("file/out"));
        assert!(matches!(error, NewDirError::Io { .. }), "{error}");
        for name in ["taken/..", "/"] {
            let error = refused(&at(name));
            assert!(matches!(error, NewDirError::NoName { .. }), "{error}");
        }
        assert_eq!((count(dir.path()), count(&at("taken"))), (before, 0));
    }

    #[test]
    fn one_file_of_it_can_take_its_place() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join("out");
        let made = || {
            let new = NewDir::beside(&place).expect("it can be made");
            fs::write(new.path().join("file"), "x").expect("it is written");
            fs::write(new.path().join("other"), "y").expect("it is written");
            new
        };
        let (first, second) = (made(), made());
        let kept = first.keep_file("file").expect("it is kept");
        assert_eq!(fs::read(kept).expect("it is read"), b"x");
        let error = second.keep_file("other").expect_err("it is taken");
        assert!(matches!(error, NewDirError::Exists { .. }), "{error}");
        assert_eq!(fs::read(&place).expect("it stays"), b"x");
        assert_eq!(count(dir.path()), 1);
        let error = NewDir::beside(&place).expect_err("it is there");
        assert!(!error.to_string().contains("directory"), "{error}");
    }

    #[test]
    fn a_place_that_is_taken_meanwhile_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = dir.path().join("out");
        let new = NewDir::beside(&place).expect("it can be made");
        fs::create_dir(&place).expect("a directory");
        let error = new.keep().expect_err("it is taken");
        assert!(matches!(error, NewDirError::Exists { .. }), "{error}");
        assert_eq!((count(dir.path()), count(&place)), (1, 0));
    }
}
