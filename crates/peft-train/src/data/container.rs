//! What a file is that is not JSON Lines, told by how it begins.

/// What begins files of other kinds.
const MAGIC: [(&[u8], &str); 8] = [
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (&[0x1f, 0x8b], "compressed by gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "compressed by zstd"),
    (b"BZh", "compressed by bzip2"),
    (b"PK\x03\x04", "a zip archive"),
    (&[0xff, 0xfe], "in UTF-16, not in UTF-8"),
    (&[0xfe, 0xff], "in UTF-16, not in UTF-8"),
];

/// What a file is, by its first bytes; nothing where it may be JSON Lines.
pub(super) fn of(start: &[u8]) -> Option<&'static str> {
    if let Some((_, found)) = MAGIC.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(found);
    }
    let text = String::from_utf8_lossy(start);
    let mut lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let (first, second) = (lines.next()?, lines.next());
    let object_next = second.is_some_and(|line| line.starts_with('{'));
    if first.starts_with('[') {
        return (first == "[" || first.starts_with("[{"))
            .then_some("one JSON list (`jq -c '.[]'` writes its elements as lines)");
    }
    if first == "{" {
        return Some("JSON over several lines (`jq -c .` writes each object as a line)");
    }
    if first.starts_with('{') || object_next {
        return None;
    }
    match (first.contains('\t'), first.contains(',')) {
        (true, _) => Some("a table with tabs"),
        (false, true) => Some("a table with commas (CSV)"),
        (false, false) => None,
    }
}
