//! Rules on the sources that neither the formatter nor clippy has.

use std::io;
use std::path::{Path, PathBuf};

/// Lines that a file may have.
const MAX_LINES: usize = 400;
/// Columns that a comment may have.
const MAX_COLUMNS: usize = 100;
/// Written in two parts, so that this file keeps the rule.
const UNFINISHED: &str = concat!("todo", "!(");

/// How a crate's page begins, which is its README.
const README: &str = r#"#![doc = include_str!("../README.md")]"#;

const BACKENDS: [&str; 2] = ["Device::flex(", "Device::ndarray("];

/// Every breach in the sources of the workspace at `root`, one a line.
pub(crate) fn faults(root: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    for folder in ["crates", "tests", "xtask"] {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut faults = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file).display();
        let of_suite = file.starts_with(root.join("tests/tests"));
        let one_backend = of_suite.then(|| names_a_backend(&text)).flatten();
        let all = breaches(&text).chain(one_backend);
        faults.extend(all.map(|fault| format!("{name}: {fault}")));
    }
    Ok(faults)
}

/// A device by its backend, which a build of the suite for another backend has not.
fn names_a_backend(text: &str) -> Option<String> {
    let named = |line: &str| BACKENDS.iter().any(|backend| line.contains(backend));
    let at = text.lines().position(named)?;
    Some(format!(
        "line {}: a device of one backend; take the case's",
        at + 1
    ))
}

fn breaches(text: &str) -> impl Iterator<Item = String> {
    let header = text.starts_with("//!") || text.starts_with(README);
    let lines = text.lines().count();
    let unfinished = text.lines().position(|line| line.contains(UNFINISHED));
    let wide = text.lines().position(is_wide_comment);
    [
        (!header).then(|| "does not start with //! and what it is".into()),
        (lines > MAX_LINES).then(|| format!("{lines} lines, more than {MAX_LINES}")),
        unfinished.map(|line| format!("line {}: {UNFINISHED}", line + 1)),
        wide.map(|line| format!("line {}: a comment beyond {MAX_COLUMNS} columns", line + 1)),
    ]
    .into_iter()
    .flatten()
}

/// A line that is a comment, wider than it may be; a table's row or a link cannot be broken.
fn is_wide_comment(line: &str) -> bool {
    let text = line.trim_start();
    let breaks = text.split_whitespace().nth(2).is_some() && !text.contains("| ");
    text.starts_with("//") && breaks && line.chars().count() > MAX_COLUMNS
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_none_or(|name| name != "target") {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() -> io::Result<()> {
        let faults = faults(&crate::shell::root())?;
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        Ok(())
    }

    #[test]
    fn each_rule_is_seen_to_fail() {
        let long = format!("fn f() {{ {UNFINISHED}) }}\n{}", "\n".repeat(MAX_LINES));
        let found: Vec<String> = breaches(&long).collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(breaches("//! A file.\n").count(), 0);
        let wide = format!("//! A file.\n// {}\n", "word ".repeat(21));
        assert_eq!(breaches(&wide).count(), 1);
        assert!(!is_wide_comment(&format!("// <{}>", "x".repeat(120))));
        let one = names_a_backend("let device = Device::flex();");
        assert!(one.is_some() && names_a_backend("device: &Device").is_none());
    }
}
