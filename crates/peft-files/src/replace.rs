//! [`replace`]: a file that is the old one or the new one at any instant.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::unfinished::{END, Unfinished, start};

/// Write a file beside `path` and then in its place.
///
/// # Errors
///
/// Those of [`replace_with`].
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, |file| file.write_all(bytes))
}

/// As [`replace`], with what `write` writes.
///
/// # Errors
///
/// Those of `write` and of the system. What was there before is then as it was, and nothing else
/// is left.
pub fn replace_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    sweep(path);
    let (beside, mut file) = Unfinished::make(path, |path| {
        let file = File::create_new(path)?;
        // By this another process knows that it is being written, where there are locks.
        let _ = file.try_lock();
        Ok(file)
    })?;
    write(&mut file)?;
    file.sync_all()?;
    beside.finish(path)?;
    sync_dir(parent(path))
}

/// Remove what processes that were killed have left of this very file: it is whole nowhere, and
/// large ones would fill the disk.
fn sweep(path: &Path) {
    let Ok(start) = start(path) else { return };
    let entries = fs::read_dir(parent(path)).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let ours = name.starts_with(start.as_encoded_bytes()) && name.ends_with(END.as_bytes());
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let left = File::options().write(true).open(entry.path());
        if left.is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The directory that `path` lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// See that the names in a directory are on disk, where a directory can be opened for that.
///
/// # Errors
///
/// Those of the system; a file system that cannot do it is none.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(dir)?.sync_all() {
        Err(error) if [ErrorKind::InvalidInput, ErrorKind::Unsupported].contains(&error.kind()) => {
            Ok(())
        }
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("a directory");
        let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_fails_changes_nothing_and_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        replace(&path, b"old").expect("it is written");
        let failed = replace_with(&path, |file| {
            file.write_all(b"new")?;
            Err(ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.expect_err("it fails").kind(), ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).expect("it is read"), b"old");
        assert_eq!(names(dir.path()), ["file"]);
    }

    #[test]
    fn what_killed_processes_left_goes_and_what_is_others_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let others = [".file.partial", "file.partial", ".other.1-0.unfinished"];
        for name in others.iter().chain(&[".file.1-0.unfinished"]) {
            fs::write(dir.path().join(name), "x").expect("it is written");
        }
        let held = File::create(dir.path().join(".file.2-0.unfinished")).expect("made");
        held.try_lock().expect("it is locked");
        replace(&dir.path().join("file"), b"new").expect("it is written");
        let mut left = vec!["file", ".file.2-0.unfinished"];
        left.extend(others);
        left.sort_unstable();
        assert_eq!(names(dir.path()), left);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "others").expect("it is written");
        std::os::unix::fs::symlink(&target, &link).expect("a link");
        replace(&link, b"ours").expect("it is written");
        assert_eq!(fs::read(&target).expect("it is read"), b"others");
        assert_eq!(fs::read(&link).expect("it is read"), b"ours");
    }
}
