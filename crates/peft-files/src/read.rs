//! Reading what is a regular file, or a link to one, and no more of it than is wanted.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek};
use std::path::Path;

/// How a file begins that Git LFS has in the place of one that was not fetched, and its most bytes.
const POINTER: (&[u8], u64) = (b"version https://git-lfs", 1024);

/// Open a regular file.
///
/// # Errors
///
/// Those of the system, and [`ErrorKind::InvalidInput`] for what is no regular file, which is not
/// opened: to open a pipe waits for its other end; [`ErrorKind::InvalidData`] for a pointer of Git
/// LFS.
pub fn open(path: &Path) -> io::Result<File> {
    regular(&fs::metadata(path)?)?;
    let mut file = File::open(path)?;
    // It may be another one by now.
    let found = file.metadata()?;
    regular(&found)?;
    let (start, most) = POINTER;
    if (start.len() as u64..=most).contains(&found.len()) {
        let mut bytes = Vec::new();
        file.by_ref()
            .take(start.len() as u64)
            .read_to_end(&mut bytes)?;
        if bytes == start {
            let what = "it is a Git LFS pointer in the place of the file, which `git lfs pull` in its repository fetches";
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        file.rewind()?;
    }
    Ok(file)
}

fn regular(found: &fs::Metadata) -> io::Result<()> {
    if found.is_file() {
        return Ok(());
    }
    if found.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    let what = "it is no regular file, but a pipe, a socket or a device";
    Err(io::Error::new(ErrorKind::InvalidInput, what))
}

/// The bytes of a regular file of at most `largest`.
///
/// # Errors
///
/// Those of [`open`], and [`ErrorKind::InvalidData`] for a larger file.
pub fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    // Files of the system say 0 and have more.
    if size <= largest {
        file.take(largest.saturating_add(1))
            .read_to_end(&mut bytes)?;
    }
    if size > largest || bytes.len() as u64 > largest {
        return Err(too_large(largest));
    }
    Ok(bytes)
}

pub(crate) fn too_large(largest: u64) -> io::Error {
    let what = format!("it has more than {largest} bytes, which no such file needs");
    io::Error::new(ErrorKind::InvalidData, what)
}

/// The text of a regular file of at most `largest` bytes.
///
/// # Errors
///
/// Those of [`read`], and [`ErrorKind::InvalidData`] for what is not UTF-8.
pub fn read_text(path: &Path, largest: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, largest)?);
    text.map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_within_its_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        fs::write(&path, "four").expect("it is written");
        assert_eq!(read_text(&path, 4).expect("it is read"), "four");
        let large = read(&path, 3).expect_err("it is larger");
        assert_eq!(large.kind(), ErrorKind::InvalidData);
        fs::write(&path, [0xff]).expect("it is written");
        assert!(read_text(&path, 4).is_err());
        let directory = read(dir.path(), 4).expect_err("a directory");
        assert_eq!(directory.kind(), ErrorKind::IsADirectory);
        let absent = read(&dir.path().join("absent"), 4).expect_err("none");
        assert_eq!(absent.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_pointer_of_git_lfs_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
        fs::write(&path, pointer).expect("it is written");
        let error = read(&path, 1 << 20).expect_err("a pointer");
        assert!(error.to_string().contains("`git lfs pull`"), "{error}");
        let other = pointer.replace("git-lfs", "git_lfs");
        fs::write(&path, &other).expect("it is written");
        assert_eq!(read_text(&path, 1 << 20).expect("it is read"), other);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_has_no_end_is_not_opened() {
        let dir = tempfile::tempdir().expect("a directory");
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo runs").success());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).expect("a link");
        for path in [pipe, link, "/dev/zero".into()] {
            let error = read(&path, 10).expect_err("no regular file");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{}", path.display());
        }
        // A file of the system, which says that it has no bytes.
        let status = Path::new("/proc/self/status");
        assert!(read(status, 10).is_err());
        assert!(!read(status, 1 << 20).expect("it is read").is_empty());
    }
}
