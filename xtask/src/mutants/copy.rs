//! A copy of the tree in which nothing is newer than it must be, and links to what is built of its
//! dependencies.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Make `to` the files of the repository at `from` that git does not ignore. A file that is the
/// same already keeps its time.
pub(super) fn tree(from: &Path, to: &Path) -> io::Result<()> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(from)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(said));
    }
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut files: BTreeSet<&str> = listed.split('\0').filter(|name| !name.is_empty()).collect();
    // What is deleted is listed until that is committed.
    files.retain(|name| from.join(name).is_file());
    for name in &files {
        let (source, copy) = (from.join(name), to.join(name));
        let bytes = fs::read(&source)?;
        if fs::read(&copy).is_ok_and(|old| old == bytes) {
            continue;
        }
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(copy, bytes)?;
    }
    let mut there = Vec::new();
    collect(to, &mut there)?;
    for path in there {
        let name = path.strip_prefix(to).unwrap_or(&path).to_string_lossy();
        if !files.contains(&*name) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// Link what `from` holds of crates that are not the workspace's own, so that they are not built
/// again. Nothing writes to these: cargo names a build by all that it depends on. Where there is
/// nothing to link, everything is built.
pub(super) fn dependencies(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() || !from.exists() {
        return Ok(());
    }
    let part = to.with_extension("part");
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    for folder in [".fingerprint", "build", "deps"] {
        let folder_from = from.join(folder);
        if folder_from.exists() {
            link(&folder_from, &part.join(folder), &is_foreign)?;
        }
    }
    fs::rename(&part, to)
}

/// Whether a file of this extension is a library, which the compiler puts into its place whole.
fn is_library(extension: &OsStr) -> bool {
    ["rlib", "rmeta"]
        .iter()
        .any(|library| extension == *library)
}

/// Whether a file or folder is a library's that is not of this workspace: programs are not linked
/// at all.
fn is_foreign(name: &str) -> bool {
    let bare = name.strip_prefix("lib").unwrap_or(name);
    !["peft", "xtask"].iter().any(|own| bare.starts_with(own))
}

fn link(from: &Path, to: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !wanted(&name.to_string_lossy()) {
            continue;
        }
        let copy = to.join(&name);
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &copy, &|_| true)?;
        } else if entry.path().extension().is_some_and(is_library) {
            fs::hard_link(entry.path(), copy)?;
        } else {
            // A program, or a note of cargo's, which may be written anew in its place. By its time
            // cargo knows that it is up to date.
            fs::copy(entry.path(), &copy)?;
            let modified = entry.metadata()?.modified()?;
            fs::File::open(&copy)?.set_modified(modified)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_foreign;

    #[test]
    fn own_crates_are_told_from_foreign_ones() {
        for name in ["libburn_core-0123.rlib", "burn-core-0123", "serde-45"] {
            assert!(is_foreign(name), "{name}");
        }
        for name in ["libpeft_core-0123.rmeta", "peft-core-0123", "xtask-45"] {
            assert!(!is_foreign(name), "{name}");
        }
    }
}
