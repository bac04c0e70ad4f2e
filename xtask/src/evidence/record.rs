//! What a backend that needs a device has verified: a row for each device that it ran on, kept
//! until a run on that device replaces it.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::{CONFORMANCE, Cells, END, begin, between, cells, rewrite};
use crate::backend::DeviceInfo;
use crate::shell::root;

const NAME: &str = "devices";
const HEAD: &str = "\
| backend | device | floats | when | cases | lacks, of what `flex` has |
| --- | --- | --- | --- | --- | --- |
";
/// The backend whose cells in the table are what there is to verify.
const REFERENCE: &str = "flex";

/// Put the row of a device into the page, all of whose cases have passed.
pub(crate) fn record(backend: &str, found: &DeviceInfo, passed: usize) -> io::Result<()> {
    let page = CONFORMANCE.page;
    let text = fs::read_to_string(root().join(page))?;
    let place = |name: &str| {
        let found = between(&text, &begin(name), END);
        found.ok_or_else(|| io::Error::other(format!("{page} has no place for {name}")))
    };
    let own = cells(backend, &CONFORMANCE)?;
    let lacks = lacks(place(CONFORMANCE.name)?, &own);
    let (device, floats) = (&found.device, &found.floats);
    let key = format!("| {backend} | {device} |");
    let today = chrono::Local::now().format("%Y-%m-%d");
    let row = format!("{key} {floats} | {today} | {passed} | {lacks} |");
    rewrite(page, NAME, &with(place(NAME)?, &key, row))?;
    Ok(())
}

/// The table with this row instead of the one that begins with the key.
fn with(old: &str, key: &str, row: String) -> String {
    let rows = old.lines().filter(|line| line.starts_with("| "));
    // The head is two lines.
    let others = rows.skip(2).filter(|line| !line.starts_with(key));
    let mut rows: Vec<String> = others.map(str::to_owned).collect();
    rows.push(row);
    rows.sort();
    format!("{HEAD}{}\n", rows.join("\n"))
}

/// The cells that the table has for the reference and the backend has not, as
/// `05, 07 · lora, ia3; 21 · lora`.
fn lacks(table: &str, own: &Cells) -> String {
    // The two lines of the head have no number.
    let numbered = |line: &&str| {
        let row = line.strip_prefix("| ").unwrap_or_default();
        row.starts_with(|first: char| first.is_ascii_digit())
    };
    let mut rows = BTreeMap::<String, Vec<&str>>::new();
    for line in table.lines().filter(numbered) {
        let mut parts = line.split('|').map(str::trim).skip(1);
        let name: Vec<&str> = parts.by_ref().take(CONFORMANCE.row.len()).collect();
        let own = own.get(&name.join(" | "));
        let cells = CONFORMANCE.columns.iter().zip(parts);
        let lacking = cells.filter(|((column, _), cell)| {
            cell.contains(REFERENCE) && !own.is_some_and(|own| own.contains_key(*column))
        });
        let headings: Vec<&str> = lacking.map(|((_, heading), _)| *heading).collect();
        if !headings.is_empty() {
            rows.entry(headings.join(", ")).or_default().push(name[0]);
        }
    }
    let groups = rows
        .into_iter()
        .map(|(columns, rows)| format!("{} · {columns}", rows.join(", ")));
    let groups: Vec<String> = groups.collect();
    match groups.is_empty() {
        true => "nothing".into(),
        false => groups.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn verify(cells: &mut Cells, row: &str, column: &str) {
        let row = cells.entry(row.into()).or_default();
        row.insert(column.into(), BTreeSet::from(["vulkan".into()]));
    }

    #[test]
    fn what_the_reference_has_and_the_backend_has_not_is_lacking() {
        // The first two columns, whichever they are.
        let [(one, _), (two, _)] = [CONFORMANCE.columns[0], CONFORMANCE.columns[1]];
        let table = format!(
            "\
| no. | invariant | {one} | {two} |
| --- | --- | --- | --- |
| 01 | It holds. | flex, ndarray | flex |
| 02 | It may. | flex | ndarray |
| 03 | It should. | flex | flex |
"
        );
        let mut own = Cells::new();
        verify(&mut own, "01 | It holds.", one);
        verify(&mut own, "02 | It may.", one);
        assert_eq!(
            lacks(&table, &own),
            format!("01 · {two}; 03 · {one}, {two}")
        );
        verify(&mut own, "01 | It holds.", two);
        verify(&mut own, "03 | It should.", one);
        verify(&mut own, "03 | It should.", two);
        assert_eq!(lacks(&table, &own), "nothing");
    }

    #[test]
    fn a_device_has_one_row() {
        let one = with("", "| vulkan | A |", "| vulkan | A | 1 |".into());
        let two = with(&one, "| cuda | B |", "| cuda | B | 2 |".into());
        assert_eq!(two, format!("{HEAD}| cuda | B | 2 |\n| vulkan | A | 1 |\n"));
        let again = with(&two, "| vulkan | A |", "| vulkan | A | 3 |".into());
        assert_eq!(again, two.replace("| 1 |", "| 3 |"));
    }
}
