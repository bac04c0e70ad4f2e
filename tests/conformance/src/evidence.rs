//! What cases have verified, for the tables in `docs/`: `cargo xtask test` makes them of it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

/// The variable that names the directory of a run's evidence.
const VARIABLE: &str = "PEFT_EVIDENCE";

/// An invariant as a row: its number, which is that of its place `at` in the list, and what it
/// says.
pub(crate) fn row(at: Option<usize>, sentence: &str) -> String {
    format!("{:02} | {sentence}", at.map_or(0, |at| at + 1))
}

/// A cell of a table: what was verified, of what, on which backend.
///
/// Called when a check has passed. Where no run asks for evidence it does nothing.
///
/// # Panics
///
/// If the file cannot be written.
pub fn verified(table: &str, row: &str, column: &str, detail: &str) {
    static LOCK: Mutex<()> = Mutex::new(());
    let Some(dir) = std::env::var_os(VARIABLE) else {
        return;
    };
    let path = Path::new(&dir).join(format!("{table}-{}.tsv", std::process::id()));
    let line = [row, column, detail].map(|cell| cell.replace(['\t', '\n'], " "));
    let _guard = LOCK.lock();
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| writeln!(file, "{}", line.join("\t")))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
