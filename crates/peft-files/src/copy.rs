//! [`copy`]: the content of a regular file, within bounds.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};

use crate::read::{open, too_large};
use crate::replace::replace_with;

/// What may be copied out of a directory.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// The directory, and what else links may lead into.
    within: Vec<PathBuf>,
    largest: u64,
}

impl Bounds {
    /// Files of at most `largest` bytes that lie in `dir`, or where a link in it leads: within it,
    /// or into the store of a Hugging Face cache around it, where
    /// `models--NAME/snapshots/REVISION` holds links to `models--NAME/blobs`.
    ///
    /// # Errors
    ///
    /// Those of the system, for a directory that is not there.
    pub fn of(dir: &Path, largest: u64) -> io::Result<Self> {
        let dir = dir.canonicalize()?;
        let mut within = vec![dir.clone()];
        let above = dir.parent().filter(|above| above.ends_with("snapshots"));
        if let Some(model) = above.and_then(Path::parent) {
            within.push(model.join("blobs"));
        }
        Ok(Self { within, largest })
    }
}

impl Bounds {
    /// The file `name` of the directory, opened, if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`copy`].
    pub fn open(&self, name: &Path) -> io::Result<Option<File>> {
        let plain = name
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !plain {
            return Err(ErrorKind::InvalidFilename.into());
        }
        let from = self.within[0].join(name);
        match fs::symlink_metadata(&from) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let real = from.canonicalize()?;
        if !self.within.iter().any(|dir| real.starts_with(dir)) {
            let what = format!(
                "it is a link that leads out of its directory, to {}; put the file itself there",
                real.display()
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, what));
        }
        let file = open(&real)?;
        match file.metadata()?.len() > self.largest {
            true => Err(too_large(self.largest)),
            false => Ok(Some(file)),
        }
    }
}

/// Copy the file `name` of the directory to `to`, if there is one.
///
/// # Errors
///
/// Those of the system; [`ErrorKind::InvalidInput`] for a link that leads out of the bounds and for
/// what is no regular file, [`ErrorKind::InvalidData`] for a file that is too large.
pub fn copy(bounds: &Bounds, name: &Path, to: &Path) -> io::Result<bool> {
    let Some(file) = bounds.open(name)? else {
        return Ok(false);
    };
    replace_with(to, |out| {
        let copied = io::copy(&mut file.take(bounds.largest + 1), out)?;
        match copied > bounds.largest {
            true => Err(too_large(bounds.largest)),
            false => Ok(()),
        }
    })?;
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_within_a_directory_or_into_the_store_of_a_cache() {
        let root = tempfile::tempdir().expect("a directory");
        let cache = root.path().join("models--a--b");
        let dir = cache.join("snapshots/rev");
        for made in [&dir, &cache.join("blobs"), &root.path().join("other")] {
            fs::create_dir_all(made).expect("a directory");
        }
        fs::write(cache.join("blobs/1"), "blob").expect("it is written");
        fs::write(dir.join("plain"), "plain").expect("it is written");
        fs::write(dir.join("large"), [0; 200]).expect("it is written");
        fs::write(root.path().join("secret"), "secret").expect("it is written");
        for (name, target) in [
            ("stored", "../../blobs/1"),
            ("inner", "plain"),
            ("outer", "../../../secret"),
            ("passwd", "/etc/passwd"),
            ("device", "/dev/zero"),
            ("loop", "loop"),
            ("nowhere", "no/such"),
            ("folder", "../../../other"),
        ] {
            symlink(target, dir.join(name)).expect("a link");
        }
        let bounds = Bounds::of(&dir, 100).expect("a directory");
        let to = root.path().join("to");
        fs::create_dir(&to).expect("a directory");
        let take = |name: &str| copy(&bounds, Path::new(name), &to.join("copy"));
        for (name, held) in [("stored", "blob"), ("inner", "plain"), ("plain", "plain")] {
            assert!(take(name).expect("it is copied"), "{name}");
            assert_eq!(fs::read(to.join("copy")).expect("a file"), held.as_bytes());
            let copied = fs::symlink_metadata(to.join("copy")).expect("it is there");
            assert!(copied.is_file(), "{name}");
            fs::remove_file(to.join("copy")).expect("it is removed");
        }
        assert!(!take("absent").expect("none"));
        let wrong = [
            "outer",
            "passwd",
            "device",
            "loop",
            "nowhere",
            "folder",
            "large",
            ".",
            "../rev/plain",
        ];
        for name in wrong {
            take(name).expect_err(name);
            assert_eq!(fs::read_dir(&to).expect("a directory").count(), 0, "{name}");
        }
        // Elsewhere than in a cache, `blobs` two steps up is a directory like any other.
        fs::rename(cache.join("snapshots"), cache.join("other")).expect("renamed");
        let dir = cache.join("other/rev");
        let bounds = Bounds::of(&dir, 100).expect("a directory");
        copy(&bounds, Path::new("stored"), &to.join("copy")).expect_err("it leads out");
    }
}
