//! [`Format`]: how a file holds its rows.

use std::path::Path;

/// How a file holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// An object a line.
    JsonLines,
    /// One list of objects.
    JsonList,
    /// Lines of cells under a header.
    Table {
        /// Whether tabs part the cells.
        tabs: bool,
    },
    /// Parquet.
    Parquet,
}

/// What the end of a name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// Lines or a list.
    Json,
    /// Commas or semicolons.
    Csv,
    /// Tabs.
    Tsv,
    /// Parquet.
    Parquet,
}

const PACKED: [&str; 4] = ["gz", "gzip", "zst", "zstd"];
const NAMES: [(&str, Named); 8] = [
    ("jsonl", Named::Json),
    ("ndjson", Named::Json),
    ("json", Named::Json),
    ("csv", Named::Csv),
    ("tsv", Named::Tsv),
    ("tab", Named::Tsv),
    ("parquet", Named::Parquet),
    ("pq", Named::Parquet),
];

/// What begins files of other kinds.
const MAGIC: [(&[u8], &str); 9] = [
    (
        b"ARROW1",
        "an Arrow file (`datasets` writes it as Parquet by `to_parquet`)",
    ),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (&[0x1f, 0x8b], "compressed by gzip twice"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "compressed by zstd twice"),
    (b"PK\x03\x04", "a zip archive"),
    (&[0xff, 0xfe], "in UTF-16, not in UTF-8"),
    (&[0xfe, 0xff], "in UTF-16, not in UTF-8"),
    (b"<!DOCTYPE", "a page of HTML"),
];
/// How a tar archive is known, and where.
const TAR: (usize, &[u8]) = (257, b"ustar");

impl Named {
    /// By a file's name, whatever it is packed in.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let mut parts = name.rsplit('.');
        let last = parts.next()?;
        let last = match PACKED.contains(&last) {
            true => parts.next()?,
            false => last,
        };
        // What has no dot has no ending.
        parts.next()?;
        let found = NAMES.iter().find(|(ending, _)| *ending == last);
        found.map(|(_, named)| *named)
    }
}

impl Format {
    /// By the name of a file, or else by its first bytes.
    ///
    /// # Errors
    ///
    /// Says what else the file is.
    pub(crate) fn of(named: Option<Named>, start: &[u8]) -> Result<Self, String> {
        if start.starts_with(b"PAR1") {
            return Ok(Self::Parquet);
        }
        if let Some((_, found)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
            return Err((*found).into());
        }
        if start.get(TAR.0..).is_some_and(|at| at.starts_with(TAR.1)) {
            return Err("a tar archive".into());
        }
        match named {
            Some(Named::Csv) => return Ok(Self::Table { tabs: false }),
            Some(Named::Tsv) => return Ok(Self::Table { tabs: true }),
            Some(Named::Parquet) if !start.is_empty() => {
                return Err("no Parquet file, though it is called one".into());
            }
            Some(Named::Json | Named::Parquet) | None => {}
        }
        let text = String::from_utf8_lossy(start);
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (Some(first), second) = (lines.next(), lines.next()) else {
            return Ok(Self::JsonLines);
        };
        let object_next = second.is_some_and(|line| line.starts_with('{'));
        if first.starts_with('[') {
            return Ok(Self::JsonList);
        }
        if first == "{" {
            let what = "JSON over several lines (`jq -c .` writes each object as a line)";
            return Err(what.into());
        }
        if first.starts_with('{') || object_next {
            return Ok(Self::JsonLines);
        }
        let parted = first.contains(['\t', ',', ';']);
        match named {
            Some(_) if first.contains('\t') => Err("a table with tabs (call it .tsv)".into()),
            Some(_) if first.contains(',') => Err("a table with commas (CSV; call it .csv)".into()),
            None if parted => Ok(Self::Table { tabs: false }),
            Some(_) | None => Ok(Self::JsonLines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_before_the_bytes_do() {
        let of = |name: &str, start: &str| Format::of(Named::of(Path::new(name)), start.as_bytes());
        let table = |tabs| Ok(Format::Table { tabs });
        for (name, start, expected) in [
            ("a.csv", "[1],{", table(false)),
            ("a.CSV.gz", "text", table(false)),
            ("a.tsv", "a,b", table(true)),
            ("a.json", " [\n", Ok(Format::JsonList)),
            ("a.jsonl", "[{}]", Ok(Format::JsonList)),
            ("a.json", "{\"text\": 1}", Ok(Format::JsonLines)),
            ("a", "text,label", table(false)),
            ("csv", "{}", Ok(Format::JsonLines)),
            ("a.txt", "PAR1", Ok(Format::Parquet)),
            ("a.jsonl", "", Ok(Format::JsonLines)),
        ] {
            assert_eq!(of(name, start), expected, "{name} {start}");
        }
        for (name, start, part) in [
            ("a.parquet", "{}", "no Parquet"),
            ("a.jsonl", "text,label", "CSV"),
            ("a.json", "{\n", "several lines"),
            ("a.csv", "BZh9", "bzip2"),
        ] {
            let found = of(name, start).expect_err("it is refused");
            assert!(found.contains(part), "{found}");
        }
    }
}
