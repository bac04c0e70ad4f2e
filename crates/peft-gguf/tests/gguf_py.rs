//! Against gguf-py: `tests/goldens/make_gguf.py` writes the file.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use peft_gguf::{Array, Contents, TensorPlace, TensorType, Value, Writes, open, write};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/gguf/blocks.gguf")
}

fn bytes(place: &TensorPlace) -> Vec<u8> {
    let mut bytes = vec![0; place.bytes()];
    place.read_at(0, &mut bytes).expect("it is read");
    bytes
}

fn values(place: &TensorPlace) -> Vec<f32> {
    let mut values = vec![0.0; place.shape().iter().product()];
    place.ty().unpack(&bytes(place), &mut values);
    values
}

fn named(opened: &Contents) -> BTreeMap<&str, &TensorPlace> {
    let tensors = opened.tensors.iter();
    tensors.map(|place| (place.key(), place)).collect()
}

/// The first place where two differ in a bit.
fn differs(ours: &[f32], theirs: &[f32]) -> Option<(usize, f32, f32)> {
    assert_eq!(ours.len(), theirs.len());
    let mut pairs = ours.iter().zip(theirs).enumerate();
    let found = pairs.find(|(_, (a, b))| a.to_bits() != b.to_bits());
    found.map(|(i, (a, b))| (i, *a, *b))
}

#[test]
fn blocks_have_its_bits() {
    let opened = open(&golden()).expect("it is sound");
    let named = named(&opened);
    for ty in TensorType::ALL {
        let blocks = named[format!("{ty}.blocks").as_str()];
        assert_eq!((blocks.ty(), blocks.shape()), (ty, [3, 512].as_slice()));
        let expected = values(named[format!("{ty}.values").as_str()]);
        assert_eq!(differs(&values(blocks), &expected), None, "{ty}");
        assert!(
            expected.iter().any(|value| value.abs() > 1e-3),
            "{ty} is all zeros"
        );
    }
}

#[test]
fn packed_blocks_have_its_bits() {
    let opened = open(&golden()).expect("it is sound");
    let named = named(&opened);
    let plain = values(named["plain"]);
    let mut packed = 0;
    for ty in TensorType::ALL {
        let mut ours = Vec::new();
        let Ok(()) = ty.pack(&plain, &mut ours) else {
            continue;
        };
        let Some(theirs) = named.get(format!("{ty}.packed").as_str()) else {
            assert_eq!(ty, TensorType::F32);
            continue;
        };
        let theirs = bytes(theirs);
        let at = ours.iter().zip(&theirs).position(|(a, b)| a != b);
        assert_eq!((at, ours.len()), (None, theirs.len()), "{ty}");
        packed += 1;
    }
    assert_eq!(packed, 4);
}

#[test]
fn metadata_is_its() {
    let Contents { metadata, .. } = open(&golden()).expect("it is sound");
    let expected: [(&str, Value); 16] = [
        ("of.uint8", u8::MAX.into()),
        ("of.uint16", u16::MAX.into()),
        ("of.uint32", u32::MAX.into()),
        ("of.uint64", u64::MAX.into()),
        ("of.int8", i8::MIN.into()),
        ("of.int16", i16::MIN.into()),
        ("of.int32", i32::MIN.into()),
        ("of.int64", i64::MIN.into()),
        ("of.float32", 0.1_f32.into()),
        ("of.float64", 0.1_f64.into()),
        ("of.bool", true.into()),
        ("of.string", "naïve 🦀".into()),
        (
            "of.strings",
            ["a", "", "▁b"].map(str::to_owned).to_vec().into(),
        ),
        ("of.ints", vec![1_i32, -2, 3].into()),
        ("of.floats", vec![0.5_f32, -1000.0].into()),
        ("of.bools", vec![true, false].into()),
    ];
    for (key, value) in &expected {
        assert_eq!(metadata.get(key), Some(value), "{key}");
    }
    let architecture = ("general.architecture", &Value::from("none"));
    assert_eq!(metadata.iter().next(), Some(architecture));
    assert_eq!(metadata.iter().len(), expected.len() + 1);
    assert!(matches!(
        metadata.get("of.ints"),
        Some(Value::Array(Array::I32(_)))
    ));
}

struct Again<'a>(&'a TensorPlace);

impl Writes for Again<'_> {
    fn ty(&self) -> TensorType {
        self.0.ty()
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut failed = Ok(());
        let read = self.0.chunks(|bytes| {
            failed = out.write_all(bytes);
            failed.is_ok()
        });
        read.map_err(io::Error::other)?;
        failed
    }
}

/// What is read and written again has the bytes of gguf-py's writer.
#[test]
fn written_files_have_its_bytes() {
    let opened = open(&golden()).expect("it is sound");
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("again.gguf");
    let tensors = opened.tensors.iter();
    let tensors = tensors.map(|place| (place.key().to_owned(), Again(place)));
    write(&path, &opened.metadata, tensors).expect("it is written");
    let [ours, theirs] = [path, golden()].map(|path| std::fs::read(path).expect("it is read"));
    let at = ours.iter().zip(&theirs).position(|(a, b)| a != b);
    assert_eq!((at, ours.len()), (None, theirs.len()));
}
