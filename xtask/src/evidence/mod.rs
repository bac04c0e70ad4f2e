//! What the cases of a run have verified, as tables in `docs/`.
//!
//! A case that has passed a check appends a line to a file in [`dir`]: row, column, detail. A table
//! stands in its page between two comments, and is all that is. A table that is to be complete has
//! a reason on its page for every backend that a cell lacks. What a backend that needs a device has
//! verified is a row of a table of its own ([`record()`]), which stays until a run on that device
//! replaces it.

mod holes;
mod record;
mod tolerances;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::shell::root;

pub(crate) use record::record;

/// The variable by which the cases find the directory.
pub(crate) const VARIABLE: &str = "PEFT_EVIDENCE";
const END: &str = "<!-- end of the table -->";

/// A table of a page.
struct Table {
    /// As the cases call it.
    name: &'static str,
    page: &'static str,
    /// The columns of a row's own name, whose parts ` | ` separates.
    row: &'static [&'static str],
    /// The columns by name and heading, in their order.
    columns: &'static [(&'static str, &'static str)],
    /// Whether a cell holds every backend, or its page says why not.
    complete: bool,
}

const TABLES: [Table; 3] = [MODELS, CONFORMANCE, MODEL_INVARIANTS];

const MODELS: Table = Table {
    name: "models",
    page: "docs/models.md",
    row: &["family", "task"],
    columns: &[
        ("checkpoints", "golden checkpoints"),
        ("f32", "f32 to 1e-4"),
        ("bf16", "bf16 to 2e-2"),
        ("padding", "padded = single"),
        ("cache", "cached, greedy tokens"),
        ("adapters", "golden adapters of PEFT"),
    ],
    complete: false,
};

const CONFORMANCE: Table = Table {
    name: "conformance",
    page: "docs/conformance.md",
    row: &["no.", "invariant"],
    columns: &[
        ("lora", "lora"),
        ("dora", "dora"),
        ("adalora", "adalora"),
        ("loha", "loha"),
        ("lokr", "lokr"),
        ("vera", "vera"),
        ("randlora", "randlora"),
        ("vblora", "vblora"),
        ("oft", "oft"),
        ("boft", "boft"),
        ("hra", "hra"),
        ("road", "road"),
        ("miss", "miss"),
        ("hira", "hira"),
        ("delora", "delora"),
        ("gralora", "gralora"),
        ("shira", "shira"),
        ("fourierft", "fourierft"),
        ("c3a", "c3a"),
        ("waveft", "waveft"),
        ("ia3", "ia3"),
        ("whole", "whole"),
        ("prompt tuning", "prompt tuning"),
        ("p-tuning", "p-tuning"),
        ("prefix tuning", "prefix tuning"),
        ("layer-wise", "layer-wise"),
    ],
    complete: true,
};

const MODEL_INVARIANTS: Table = Table {
    name: "model-invariants",
    page: "docs/conformance.md",
    row: &["no.", "invariant"],
    columns: &[
        ("llama", "llama"),
        ("qwen3", "qwen3"),
        ("phi3", "phi3"),
        ("gemma2", "gemma2"),
        ("gpt2", "gpt2"),
        ("bert", "bert"),
        ("roberta", "roberta"),
        ("distilbert", "distilbert"),
        ("modernbert", "modernbert"),
    ],
    complete: true,
};

/// Where the tolerances of the cases are, and their place.
const TOLERANCES: (&str, &str, &str) = (
    "tests/conformance/src/tolerance.rs",
    "docs/conformance.md",
    "tolerances",
);

/// Where the cases of a part of the run leave what they have verified; it is there.
pub(crate) fn dir(part: &str) -> io::Result<PathBuf> {
    let dir = all().join(part);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn all() -> PathBuf {
    root().join("target").join("evidence")
}

/// Make room for a run's evidence.
pub(crate) fn clear() -> io::Result<()> {
    match all().exists() {
        true => fs::remove_dir_all(all()),
        false => Ok(()),
    }
}

/// Put what a part of the run has verified on `backends` into the pages; what is wrong with them,
/// or was.
pub(crate) fn write(part: &str, backends: &[&str]) -> io::Result<Vec<String>> {
    let mut faults = Vec::new();
    for table in &TABLES {
        let cells = cells(part, table)?;
        faults.extend(replace(table.page, table.name, &render(table, &cells))?);
        if table.complete {
            let text = fs::read_to_string(root().join(table.page))?;
            let of_page = holes::faults(table, &cells, backends, &text).into_iter();
            faults.extend(of_page.map(|fault| format!("{}: {fault}", table.page)));
        }
    }
    let (source, page, name) = TOLERANCES;
    let rows = tolerances::table(&fs::read_to_string(root().join(source))?);
    faults.extend(replace(page, name, &rows)?);
    Ok(faults)
}

/// Put a table into its page; what to say if that was another.
fn replace(page: &str, name: &str, table: &str) -> io::Result<Option<String>> {
    let fault = format!("{page}: the table of {name} was not what this run verified; it is now");
    Ok(rewrite(page, name, table)?.then_some(fault))
}

/// Put a table into its page; whether that was another.
fn rewrite(page: &str, name: &str, table: &str) -> io::Result<bool> {
    let path = root().join(page);
    let text = fs::read_to_string(&path)?;
    let new = put(&text, name, table)
        .ok_or_else(|| io::Error::other(format!("{page} has no place for {name}")))?;
    if new == text {
        return Ok(false);
    }
    let beside = path.with_extension("md.part");
    fs::write(&beside, new)?;
    fs::rename(&beside, &path)?;
    Ok(true)
}

/// The details of each cell.
type Cells = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn cells(part: &str, table: &Table) -> io::Result<Cells> {
    let mut cells = Cells::new();
    for file in fs::read_dir(dir(part)?)? {
        let path = file?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&format!("{}-", table.name)) {
            continue;
        }
        for line in fs::read_to_string(&path)?.lines() {
            let mut parts = line.split('\t').map(str::to_owned);
            if let (Some(row), Some(column), Some(detail)) =
                (parts.next(), parts.next(), parts.next())
            {
                let row = cells.entry(row).or_default();
                row.entry(column).or_default().insert(detail);
            }
        }
    }
    Ok(cells)
}

fn render(table: &Table, cells: &Cells) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let headings = table.row.iter().map(|heading| (*heading).to_owned());
    let columns = table
        .columns
        .iter()
        .map(|(_, heading)| (*heading).to_owned());
    let mut text = line(headings.chain(columns).collect());
    text += &line(vec!["---".into(); table.row.len() + table.columns.len()]);
    for (row, found) in cells {
        let details = table.columns.iter().map(|(column, _)| {
            let details = found.get(*column).into_iter().flatten();
            details.cloned().collect::<Vec<_>>().join(", ")
        });
        text += &line(std::iter::once(row.clone()).chain(details).collect());
    }
    text
}

/// The page with this table in its place, if it has one.
fn put(text: &str, name: &str, table: &str) -> Option<String> {
    let begin = begin(name);
    let start = text.find(&begin)? + begin.len();
    let old = between(text, &begin, END)?;
    let end = start + old.len();
    Some(format!("{}\n{table}{}", &text[..start], &text[end..]))
}

/// What stands before a table.
fn begin(name: &str) -> String {
    format!("<!-- made by `cargo xtask test`: {name} -->")
}

/// What stands between two marks.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    Some(rest.split_once(end)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_put_between_its_comments() {
        let table = &TABLES[0];
        let mut cells = Cells::new();
        let row = cells.entry("bert | texts".into()).or_default();
        let backends = ["ndarray", "flex"].map(str::to_owned);
        row.insert("f32".into(), backends.into());
        row.insert("else".into(), BTreeSet::new());
        let rendered = render(table, &cells);
        assert!(
            rendered.ends_with("| bert | texts |  | flex, ndarray |  |  |  |  |\n"),
            "{rendered}"
        );

        let page = format!("a\n<!-- made by `cargo xtask test`: models -->\nold\n{END}\nb\n");
        let new = put(&page, "models", "new\n").expect("a place");
        assert_eq!(new, page.replace("old", "new"));
        assert_eq!(put(&new, "models", "new\n").as_ref(), Some(&new));
        assert!(put(&new, "other", "new\n").is_none());
        assert!(put("no place", "models", "new\n").is_none());
    }
}
