//! Headers that claim what cannot be: each is refused with what is wrong.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use peft_gguf::{Array, Metadata, ReadError, TensorType, Value, Writes, open, write};

/// A header by its parts, so that any of them can be wrong.
#[derive(Default)]
struct Parts(Vec<u8>);

impl Parts {
    fn new(version: u32, tensors: u64, keys: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(version).u64(tensors).u64(keys)
    }

    fn u32(mut self, n: u32) -> Self {
        self.0.extend(n.to_le_bytes());
        self
    }

    fn u64(mut self, n: u64) -> Self {
        self.0.extend(n.to_le_bytes());
        self
    }

    fn text(self, text: &str) -> Self {
        let mut this = self.u64(text.len() as u64);
        this.0.extend(text.as_bytes());
        this
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// A tensor of these sizes, the innermost first.
    fn tensor(self, name: &str, sizes: &[u64], code: u32, offset: u64) -> Self {
        let mut this = self.text(name).u32(sizes.len() as u32);
        for size in sizes {
            this = this.u64(*size);
        }
        this.u32(code).u64(offset)
    }

    /// So many bytes of tensors behind a header that is filled up.
    fn data(mut self, bytes: usize) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(32) + bytes, 0);
        self.0
    }
}

/// Why a file is refused.
fn refused(dir: &Path, bytes: &[u8]) -> String {
    let path = dir.join("file.gguf");
    fs::write(&path, bytes).expect("it is written");
    match open(&path) {
        Ok(opened) => panic!("it is read: {opened:?}"),
        Err(ReadError::Malformed { reason, .. }) => reason,
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_cannot_be_is_refused() {
    const HUGE: u64 = u64::MAX / 2;
    let dir = tempfile::tempdir().expect("a directory");
    let key = || Parts::new(3, 0, 1).text("k");
    let one = |sizes: &[u64], code, offset| {
        Parts::new(3, 1, 0)
            .tensor("t", sizes, code, offset)
            .data(64)
    };
    let array = |kind, count| key().u32(9).u32(kind).u64(count);
    let nested = (0..4).fold(key().u32(9), |parts, _| parts.u32(9).u64(1));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "it ends within the first bytes"),
        (b"GGUG".to_vec(), "it does not begin with `GGUF`"),
        (b"GGUF".to_vec(), "it ends within its version"),
        (
            Parts::new(1, 0, 0).0,
            "it is of version 1, and 2 and 3 are read",
        ),
        (
            Parts::new(4, 0, 0).0,
            "it is of version 4, and 2 and 3 are read",
        ),
        (
            Parts::new(3 << 24, 0, 0).0,
            "its byte order is the other one",
        ),
        (Parts::new(3, HUGE, 0).0, "of tensors, and 8 bytes follow"),
        (Parts::new(3, 0, HUGE).0, "of keys, and 0 bytes follow"),
        (Parts::new(3, 0, 1).u64(HUGE).u64(0).0, "more than 65535"),
        (Parts::new(3, 0, 1).u64(6).u64(0).0, "it ends within `\0"),
        (
            Parts::new(3, 0, 1).u64(1).bytes(b"\xff").u32(0).0,
            "a key is not UTF-8",
        ),
        (
            key().u32(8).u64(HUGE).0,
            "of the bytes of `k`, and 0 bytes follow",
        ),
        (key().u32(8).u64(1).bytes(b"\xff").0, "`k` is not UTF-8"),
        (key().u32(13).0, "`k` is of type 13, which there is not"),
        (key().u32(7).bytes(&[2]).0, "`k` has 2 for a bool"),
        (array(0, HUGE).0, "of the values of `k`, and 0 bytes follow"),
        (
            array(12, 1 << 61).0,
            "of the values of `k`, and 0 bytes follow",
        ),
        (array(8, HUGE).0, "of the values of `k`, and 0 bytes follow"),
        (array(9, HUGE).0, "of the values of `k`, and 0 bytes follow"),
        (array(13, 0).0, "`k` is of type 13, which there is not"),
        (
            nested.u32(0).u64(0).0,
            "`k` has arrays in more than 4 arrays",
        ),
        (
            Parts::new(3, 0, 2)
                .text("k")
                .u32(0)
                .bytes(&[1])
                .text("k")
                .u32(0)
                .bytes(&[1; 9])
                .0,
            "it has `k` twice",
        ),
        (
            Parts::new(3, 0, 1)
                .text("general.alignment")
                .u32(4)
                .u32(24)
                .0,
            "`general.alignment` is no power of two in a u32",
        ),
        (
            Parts::new(3, 0, 1)
                .text("general.alignment")
                .u32(10)
                .u64(32)
                .0,
            "`general.alignment` is no power of two in a u32",
        ),
        (
            Parts::new(3, 2, 0)
                .tensor("t", &[8], 0, 0)
                .tensor("t", &[8], 0, 32)
                .data(64),
            "it has the tensor `t` twice",
        ),
        (
            Parts::new(3, 2, 0)
                .tensor("s", &[8], 0, 0)
                .tensor("t", &[8], 0, 0)
                .data(64),
            "`t` is at 0, and the one before it ends at 32",
        ),
        (one(&[1; 5], 0, 0), "`t` has 5 axes, more than 4"),
        (
            one(&[8], 0, 32),
            "`t` is at 32, and the one before it ends at 0",
        ),
        (
            one(&[8], 0, 1),
            "`t` is at 1, and the one before it ends at 0",
        ),
        (one(&[17], 0, 0), "`t` has 68 bytes at 0, past the end of"),
        (one(&[1 << 32, 1 << 32], 0, 0), "has too many values"),
        (one(&[1 << 62], 0, 0), "has too many values"),
        (
            one(&[48], 8, 0),
            "`t` has rows of 48 values, and Q8_0 has blocks of 32",
        ),
        (
            one(&[32], 10, 0),
            "`t` is of type Q2_K, which is not read; these are: F32, F16",
        ),
        (
            one(&[32], 99, 0),
            "`t` is of type number 99, which is not read",
        ),
        (one(&[8], 0, 0)[..50].to_vec(), "it ends within `"),
    ];
    for (bytes, expected) in &cases {
        let reason = refused(dir.path(), bytes);
        assert!(
            reason.contains(expected),
            "expected {expected:?}, got {reason:?}"
        );
    }
    // What the cases are made of is sound where nothing is wrong.
    for bytes in [
        one(&[16], 0, 0),
        one(&[32], 8, 0),
        one(&[4, 0], 0, 0),
        one(&[], 0, 0),
    ] {
        let path = dir.path().join("file.gguf");
        fs::write(&path, bytes).expect("it is written");
        assert_eq!(open(&path).expect("it is sound").tensors.len(), 1);
    }
}

struct Zeros {
    ty: TensorType,
    shape: Vec<usize>,
    bytes: usize,
}

impl Writes for Zeros {
    fn ty(&self) -> TensorType {
        self.ty
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&vec![0; self.bytes])
    }
}

#[test]
fn what_no_file_can_hold_is_not_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file.gguf");
    fs::write(&path, "old").expect("it is written");
    let zeros = |ty, shape: &[usize], bytes| {
        let shape = shape.to_vec();
        Zeros { ty, shape, bytes }
    };
    let long = "t".repeat(64);
    let cases = [
        (
            vec![("t", zeros(TensorType::Q8_0, &[48], 51))],
            "`t` of [48] is not written in Q8_0",
        ),
        (
            vec![("t", zeros(TensorType::F32, &[1; 5], 4))],
            "`t` of [1, 1, 1, 1, 1]",
        ),
        (
            vec![(long.as_str(), zeros(TensorType::F32, &[1], 4))],
            "longer than 63 bytes",
        ),
        (
            vec![("t", zeros(TensorType::F32, &[2], 4))],
            "`t` has other bytes",
        ),
        (
            vec![
                ("t", zeros(TensorType::F32, &[1], 4)),
                ("t", zeros(TensorType::F32, &[1], 4)),
            ],
            "`t` is there twice",
        ),
    ];
    for (tensors, expected) in cases {
        let tensors = tensors.into_iter();
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
        let failed = write(&path, &Metadata::new(), tensors).expect_err("it is refused");
        assert!(failed.to_string().contains(expected), "{failed}");
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
    }
    let mut odd = Metadata::new();
    odd.insert("general.alignment", 24_u32);
    write::<Zeros>(&path, &odd, []).expect_err("no power of two");
    assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
}

/// A larger alignment, arrays in arrays, no values and no tensors.
#[test]
fn what_is_rare_is_read_as_it_was_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file.gguf");
    let mut metadata = Metadata::new();
    metadata.insert("general.alignment", 128_u32);
    let inner = [
        Array::U8(vec![1, 2]),
        Array::Array(vec![Array::String(Vec::new())]),
    ];
    metadata.insert("nested", inner.to_vec());
    metadata.insert("wide", vec![0.25_f64, -1.0]);
    write::<Zeros>(&path, &metadata, []).expect("it is written");
    let read = open(&path).expect("it is sound");
    assert_eq!((&read.metadata, read.tensors.len()), (&metadata, 0));
    let tensors = [(2, 3), (0, 0), (4, 1)].map(|(rows, columns)| {
        let (shape, bytes) = (vec![rows, columns], rows * columns * 4);
        let ty = TensorType::F32;
        (format!("t{rows}"), Zeros { ty, shape, bytes })
    });
    write(&path, &metadata, tensors).expect("it is written");
    let read = open(&path).expect("it is sound");
    let shapes: Vec<&[usize]> = read.tensors.iter().map(|place| place.shape()).collect();
    assert_eq!(shapes, [[2, 3], [0, 0], [4, 1]]);
    assert_eq!(
        read.metadata.get("nested").map(Value::kind),
        Some("an array")
    );
}
