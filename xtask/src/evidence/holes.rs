//! Cells of a table that lack a backend, and the lines of its page that say why.
//!
//! A line is `- ROWS · COLUMNS: why`, or `- ROWS · COLUMNS · BACKENDS: why` where only some
//! backends lack it. Rows are numbers or runs of them, `03-07`; columns are headings, or
//! `every method` or `every model`, which is every one with such a hole that no other line names.

use std::collections::BTreeSet;

use super::{Cells, Table, between};

const END: &str = "<!-- end of the holes -->";
const EVERY: [&str; 2] = ["every method", "every model"];

/// Row, column, backend.
type Hole = (String, String, String);

/// What is wrong: holes without a reason and reasons without a hole.
pub(super) fn faults(table: &Table, cells: &Cells, backends: &[&str], page: &str) -> Vec<String> {
    let begin = format!("<!-- holes: {} -->", table.name);
    let Some(lines) = between(page, &begin, END) else {
        return vec![format!("{} has no `{begin}`", table.page)];
    };
    let holes = holes(table, cells, backends);
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    let mut sweeping = Vec::new();
    for line in lines.lines().filter(|line| line.starts_with("- ")) {
        match Reason::read(line, backends) {
            Some(reason) if EVERY.iter().any(|every| reason.columns == [*every]) => {
                sweeping.push((line, reason))
            }
            Some(reason) => {
                for hole in reason.holes() {
                    if !holes.contains(&hole) {
                        faults.push(format!("no such hole: {} in {line:?}", shown(&hole)));
                    } else if !named.insert(hole.clone()) {
                        faults.push(format!("explained twice: {} in {line:?}", shown(&hole)));
                    }
                }
            }
            None => faults.push(format!("not `- ROWS · COLUMNS: why`: {line:?}")),
        }
    }
    for (line, reason) in sweeping {
        for row in &reason.rows {
            let meant: Vec<&Hole> = holes
                .iter()
                .filter(|hole| hole.0 == *row && reason.backends.contains(&hole.2))
                .filter(|hole| !named.contains(*hole))
                .collect();
            if meant.is_empty() {
                faults.push(format!("no hole in row {row} for {line:?}"));
            }
            let meant: Vec<Hole> = meant.into_iter().cloned().collect();
            named.extend(meant);
        }
    }
    let unexplained = holes.difference(&named);
    faults.extend(unexplained.map(|hole| format!("a hole without a reason: {}", shown(hole))));
    faults
}

fn shown((row, column, backend): &Hole) -> String {
    format!("{row} · {column} · {backend}")
}

fn holes(table: &Table, cells: &Cells, backends: &[&str]) -> BTreeSet<Hole> {
    let mut holes = BTreeSet::new();
    for (row, found) in cells {
        let number = row.split(" | ").next().unwrap_or(row);
        for (column, heading) in table.columns {
            let has = |backend: &str| {
                found
                    .get(*column)
                    .is_some_and(|cell| cell.contains(backend))
            };
            let lacking = backends.iter().filter(|backend| !has(backend));
            holes.extend(lacking.map(|backend| {
                (
                    number.to_owned(),
                    (*heading).to_owned(),
                    (*backend).to_owned(),
                )
            }));
        }
    }
    holes
}

/// A line of the page.
struct Reason {
    rows: Vec<String>,
    columns: Vec<String>,
    backends: Vec<String>,
}

impl Reason {
    fn read(line: &str, backends: &[&str]) -> Option<Self> {
        let (keys, why) = line.strip_prefix("- ")?.split_once(": ")?;
        let mut keys = keys.split(" · ").map(|key| -> Vec<String> {
            let names = key.split(',').map(str::trim);
            names.map(str::to_owned).collect()
        });
        let reason = Self {
            rows: keys
                .next()?
                .iter()
                .map(|rows| run(rows))
                .collect::<Option<Vec<_>>>()?
                .concat(),
            columns: keys.next()?,
            backends: keys
                .next()
                .unwrap_or_else(|| backends.iter().map(|name| (*name).to_owned()).collect()),
        };
        (keys.next().is_none() && !why.trim().is_empty()).then_some(reason)
    }

    fn holes(&self) -> impl Iterator<Item = Hole> {
        let (columns, backends) = (&self.columns, &self.backends);
        self.rows.iter().flat_map(move |row| {
            columns.iter().flat_map(move |column| {
                let of = move |backend: &String| (row.clone(), column.clone(), backend.clone());
                backends.iter().map(of)
            })
        })
    }
}

/// `03-05` is `03`, `04` and `05`; a number is itself.
fn run(rows: &str) -> Option<Vec<String>> {
    let Some((first, last)) = rows.split_once('-') else {
        return Some(vec![rows.to_owned()]);
    };
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    Some((first..=last).map(|row| format!("{row:02}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        name: "t",
        page: "t.md",
        row: &["no.", "invariant"],
        columns: &[("a", "A"), ("b", "B"), ("c", "C")],
        complete: true,
    };

    /// Row 01 lacks ndarray in A and all in C; row 02 lacks all.
    fn found(lines: &str) -> Vec<String> {
        let mut cells = Cells::new();
        let row = cells.entry("01 | it holds".into()).or_default();
        row.insert("a".into(), ["flex".to_owned()].into());
        row.insert("b".into(), ["flex", "ndarray"].map(str::to_owned).into());
        cells.entry("02 | it may".into()).or_default();
        let page = format!("x\n<!-- holes: t -->\n\n{lines}\n{END}\ny");
        faults(&TABLE, &cells, &["flex", "ndarray"], &page)
    }

    #[test]
    fn every_hole_has_its_reason() {
        for every in EVERY {
            let lines = format!(
                "- 01 · A · ndarray: no such type\n- 01-02 · C: no weights\n- 02 · {every}: not yet"
            );
            assert_eq!(found(&lines), Vec::<String>::new());
        }
    }

    #[test]
    fn a_hole_without_a_reason_is_a_fault() {
        let lines = "- 01 · A · ndarray: no such type\n- 02 · every method: not yet";
        let expected = ["flex", "ndarray"]
            .map(|backend| format!("a hole without a reason: 01 · C · {backend}"));
        assert_eq!(found(lines), expected);
    }

    #[test]
    fn a_reason_without_a_hole_is_a_fault() {
        let lines = "- 01 · A: no such type\n- 01 · C: x\n- 01 · B: y\n- 01 · every method: z\n- 02 · every method: not yet\n- 02 A: w";
        let found = found(lines);
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(
            found[0].starts_with("no such hole: 01 · A · flex"),
            "{found:#?}"
        );
        assert!(found[3].starts_with("not `- ROWS"), "{found:#?}");
        assert!(found[4].starts_with("no hole in row 01"), "{found:#?}");
    }

    #[test]
    fn a_page_needs_the_place() {
        assert_eq!(faults(&TABLE, &Cells::new(), &["flex"], "nothing").len(), 1);
    }
}
