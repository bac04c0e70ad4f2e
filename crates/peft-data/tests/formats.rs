//! The same rows in every format; what is wrong with a file is said with its place.

mod common;

use std::fs;
use std::path::Path;

use common::{damaged, gzip, read, table, zstd};
use peft_data::{DataFileError, MOST_COLUMNS, Rows, row_files};
use serde_json::{Value, json};

fn rows() -> Vec<Value> {
    vec![
        json!({"text": "red, \"dark\"", "label": "a"}),
        json!({"text": "two\nlines; and é", "label": "b"}),
        json!({"text": "", "label": "b\tc"}),
    ]
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

#[test]
fn every_format_gives_the_same_rows() {
    let dir = tempfile::tempdir().expect("a directory");
    let all = rows();
    let list = json!(all);
    let texts = [
        ("rows.jsonl", lines(&all)),
        ("rows", format!("\u{feff}\n{}", lines(&all))),
        ("rows.json", list.to_string()),
        ("pretty.json", format!("\n{list:#}\n")),
        ("rows.csv", table(&all, b',')),
        ("semicolons.csv", format!("\u{feff}{}", table(&all, b';'))),
        ("rows.tsv", table(&all, b'\t')),
        ("table", table(&all, b',')),
    ];
    for (name, text) in &texts {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("it is written");
        assert_eq!(read(&path), Ok(all.clone()), "{name}");
        // Whatever a packed file is called, its bytes tell.
        for (ending, packed) in [
            ("gz", gzip(text.as_bytes())),
            ("zst", zstd(text.as_bytes())),
        ] {
            for name in [format!("{name}.{ending}"), (*name).to_owned()] {
                let path = dir.path().join(&name);
                fs::write(&path, &packed).expect("it is written");
                assert_eq!(read(&path), Ok(all.clone()), "{name}");
            }
        }
    }
}

#[test]
fn packed_files_may_have_several_parts() {
    let dir = tempfile::tempdir().expect("a directory");
    let all = rows();
    let (one, other) = (lines(&all[..1]), lines(&all[1..]));
    // A frame that is to be skipped, as programs put between.
    let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let parts = [
        [gzip(one.as_bytes()), gzip(other.as_bytes())].concat(),
        [zstd(one.as_bytes()), skipped, zstd(other.as_bytes())].concat(),
    ];
    for packed in parts {
        let path = dir.path().join("rows");
        fs::write(&path, packed).expect("it is written");
        assert_eq!(read(&path), Ok(all.clone()));
    }
}

#[test]
fn places_are_those_of_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text, expected) in [
        ("a.jsonl", "{}\n\n{}\n", vec!["line 1", "line 3"]),
        ("a.json", "[{}, {}]", vec!["row 1", "row 2"]),
        (
            "b.json",
            "[\n{},\n\n{\n}]",
            vec!["row 1 (line 2)", "row 2 (line 4)"],
        ),
        (
            "a.csv",
            "a,b\n1,\"x\ny\"\n,\n2,3\n",
            vec!["line 2", "line 5"],
        ),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("it is written");
        let rows = Rows::open(&path).expect("it opens");
        let places: Vec<String> = rows.map(|row| row.expect("a row").at.to_string()).collect();
        assert_eq!(places, expected, "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_row_is_said_and_others_are_read() {
    let dir = tempfile::tempdir().expect("a directory");
    let wide: Vec<String> = (0..=MOST_COLUMNS).map(|i| format!("\"{i}\":0")).collect();
    let wide = format!("[{{{}}}, {{}}]", wide.join(","));
    let deep = format!("[{}, {{}}]", "[".repeat(200) + &"]".repeat(200));
    let cases: [(&str, &[u8], &str, usize); 16] = [
        ("a.jsonl", b"{]\n{}\n", "no JSON", 1),
        ("a.jsonl", b"\xff\n{}\n", "is not UTF-8", 1),
        ("a.jsonl", b"3\n{}\n", "not an object, but a number", 1),
        ("a.json", b"[{\n\"a\" 1}, {}]", "at line 2 column 5", 1),
        ("a.json", b"[{\"\xff\": 1}, {}]", "is not UTF-8", 1),
        ("a.json", b"[\"a]\", {}]", "not an object, but a string", 1),
        ("a.json", wide.as_bytes(), "4097 columns", 1),
        ("a.json", deep.as_bytes(), "recursion limit", 1),
        ("a.json", b"[{}, {\"a\": \"b}", "a quote that is opened", 1),
        ("a.json", b"[{}, {\"a\": [1}", "a bracket that is opened", 1),
        ("a.json", b"[{}", "ends within the list", 1),
        ("a.json", b"[{},]", "a comma stands before", 1),
        ("a.json", b"[{}] x", "more behind the list's end", 1),
        (
            "a.csv",
            b"a,b\n1\n1,2\n",
            "has 1 cells, but the header has 2",
            1,
        ),
        ("a.csv", b"a,b\n\xff,2\n1,2\n", "`a` is not UTF-8", 1),
        (
            "a.csv",
            b"a,b\n1,2\n1,\"2\n3,4\n5,6\n",
            "a quote is opened and not closed, so that all 3 lines",
            1,
        ),
    ];
    for (name, text, part, n) in cases {
        let path = dir.path().join(name);
        fs::write(&path, text).expect("it is written");
        let rows = Rows::open(&path).expect("it opens");
        let rows: Vec<_> = rows.map(|row| row.expect("a row").object).collect();
        let wrong: Vec<&String> = rows.iter().filter_map(|row| row.as_ref().err()).collect();
        assert_eq!(rows.len() - wrong.len(), n, "{rows:?}");
        assert!(wrong.len() == 1 && wrong[0].contains(part), "{wrong:?}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = lines(&rows()).repeat(2000);
    let (gz, zst) = (gzip(text.as_bytes()), zstd(text.as_bytes()));
    let cases: [(&str, &[u8], &str); 9] = [
        ("a.csv", b"a,a\n1,2\n", "two columns called `a`"),
        ("a.csv", b"a,\xff\n1,2\n", "the header of"),
        ("a.jsonl.gz", &gz[..gz.len() / 2], "is damaged behind line"),
        ("a.jsonl.zst", &zst[..zst.len() / 2], "is damaged"),
        ("a.gz", &gz[..5], "is damaged before its first row"),
        ("a.zst", &zst[..5], "is damaged before its first row"),
        ("a.jsonl", b"PK\x03\x04", "a zip archive"),
        ("a.jsonl", b"\xff\xfea\0", "UTF-16"),
        ("a.parquet", b"text", "no Parquet file, though"),
    ];
    for (name, bytes, part) in cases {
        let path = dir.path().join(name);
        fs::write(&path, bytes).expect("it is written");
        let message = read(&path).expect_err("it is refused");
        assert!(message.contains(part), "{part} is not in {message}");
        assert!(message.contains(name), "{message}");
    }
    #[cfg(not(feature = "parquet"))]
    {
        let path = dir.path().join("rows.parquet");
        fs::write(&path, "PAR1").expect("it is written");
        let message = read(&path).expect_err("it is refused");
        assert!(message.contains("--features parquet"), "{message}");
    }
}

/// A row that unpacks to gigabytes is not held.
#[test]
fn a_row_has_a_longest_length() {
    let dir = tempfile::tempdir().expect("a directory");
    let long = vec![b'x'; 70 << 20];
    for (name, begin) in [
        ("a.jsonl.gz", &b"{\"text\": \""[..]),
        ("a.json.gz", b"[{\"text\": \""),
        ("a.csv.gz", b"text,label\n\""),
        ("b.csv.gz", b"text,"),
    ] {
        let path = dir.path().join(name);
        let packed = gzip(&[begin, &long].concat());
        fs::write(&path, packed).expect("it is written");
        let message = match Rows::open(&path) {
            Ok(mut rows) => match rows.next() {
                Some(Ok(row)) => row.object.expect_err("too long"),
                other => panic!("{name}: {:?}", other.map(|row| row.is_ok())),
            },
            Err(error) => error.to_string(),
        };
        assert!(message.contains("longer than 64 MiB"), "{name}: {message}");
    }
}

#[test]
fn the_files_of_a_directory_are_those_of_rows_in_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = |name: &str| dir.path().join(name);
    let write = |name: &str| fs::write(place(name), "").expect("it is written");
    let empty = row_files(dir.path()).expect_err("none");
    assert!(empty.to_string().contains("it is empty"), "{empty}");
    write("README.md");
    write("dataset_info.json");
    let none = row_files(dir.path()).expect_err("none");
    assert!(none.to_string().contains("README.md"), "{none}");
    for name in ["b.csv.gz", "a.jsonl", ".hidden.jsonl", "train-2.parquet"] {
        write(name);
    }
    fs::create_dir(place("c.json")).expect("a directory");
    let files = row_files(dir.path()).expect("files");
    assert_eq!(files, ["a.jsonl", "b.csv.gz", "train-2.parquet"].map(place));
    for other in [
        "valid.jsonl",
        "test-00000-of-00001.json",
        "validation_1.csv",
        "dev.tsv",
    ] {
        write(other);
        let error = row_files(dir.path()).expect_err("two uses");
        assert!(
            matches!(error, DataFileError::SeveralUses { .. }),
            "{error}"
        );
        fs::remove_file(place(other)).expect("it is removed");
    }
    write("trains.jsonl");
    assert_eq!(row_files(dir.path()).expect("files").len(), 4);
    assert_eq!(
        row_files(Path::new("absent")).expect("itself"),
        [Path::new("absent")]
    );
}

/// Changed files are read or refused, and nothing panics or goes on without end.
#[test]
fn damaged_files_are_read_or_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let all = rows();
    let text = lines(&all).repeat(3);
    for (name, sound) in [
        ("a.jsonl", text.clone().into_bytes()),
        ("a.json", format!("{:#}", json!(all)).into_bytes()),
        ("a.csv", table(&all, b',').into_bytes()),
        ("a.tsv", table(&all, b'\t').into_bytes()),
        ("a.jsonl.gz", gzip(text.as_bytes())),
        ("a.jsonl.zst", zstd(text.as_bytes())),
    ] {
        damaged(&dir.path().join(name), &sound, 600);
    }
}
