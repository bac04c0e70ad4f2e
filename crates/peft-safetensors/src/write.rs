//! [`write()`]: a file, one tensor after the other.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde_json::Value;

/// A tensor that is asked for its bytes when they are written.
pub trait Writes {
    /// The dtype that it is written in.
    fn dtype(&self) -> Dtype;

    /// The shape that it is written with.
    fn shape(&self) -> &[usize];

    /// Its bytes, in order and little-endian.
    ///
    /// # Errors
    ///
    /// Those of `out`, and those of where the tensor comes from.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Write tensors by key, and texts, beside `path` and then, once they are on disk, in its place.
///
/// # Errors
///
/// Those of the file and of the tensors; what was written is removed, and what was there before is
/// as it was.
pub fn write<T: Writes>(
    path: &Path,
    texts: HashMap<String, String>,
    tensors: impl IntoIterator<Item = (String, T)>,
) -> io::Result<()> {
    let mut tensors: Vec<(String, T)> = tensors.into_iter().collect();
    // The widest first, so that each lies at a multiple of its element's size.
    tensors.sort_by(|(a, left), (b, right)| {
        let widths = right.dtype().cmp(&left.dtype());
        widths.then_with(|| a.cmp(b))
    });
    let mut end = 0;
    let mut place = |(key, tensor): &(String, T)| {
        let (shape, start) = (tensor.shape().to_vec(), end);
        end += shape.iter().product::<usize>() * tensor.dtype().bitsize() / 8;
        let info = TensorInfo {
            dtype: tensor.dtype(),
            shape,
            data_offsets: (start, end),
        };
        (key.clone(), info)
    };
    let places = tensors.iter().map(&mut place).collect();
    let header = Metadata::new(Some(texts), places).map_err(io::Error::other)?;
    let mut header = serde_json::to_value(&header)?;
    // The same file has the same bytes.
    if let Some(texts) = header
        .get_mut("__metadata__")
        .and_then(Value::as_object_mut)
    {
        texts.sort_keys();
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');

    peft_files::replace_with(path, |file| write_all(file, &header, &tensors))
}

fn write_all<T: Writes>(file: &File, header: &[u8], tensors: &[(String, T)]) -> io::Result<()> {
    let mut out = Counted {
        out: BufWriter::with_capacity(1 << 20, file),
        written: 0,
    };
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header)?;
    let mut end = out.written;
    for (key, tensor) in tensors {
        tensor.write(&mut out)?;
        end += tensor.shape().iter().product::<usize>() * tensor.dtype().bitsize() / 8;
        if out.written != end {
            let reason = format!("`{key}` has other bytes than its shape and dtype say");
            return Err(io::Error::other(reason));
        }
    }
    out.flush()
}

struct Counted<W> {
    out: W,
    written: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.written += n;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use safetensors::SafeTensors;

    use super::*;
    use crate::{Contents, ReadError, open};

    struct Numbers {
        shape: Vec<usize>,
        values: io::Result<Vec<f32>>,
    }

    impl Writes for Numbers {
        fn dtype(&self) -> Dtype {
            Dtype::F32
        }

        fn shape(&self) -> &[usize] {
            &self.shape
        }

        fn write(&self, out: &mut dyn Write) -> io::Result<()> {
            let failed = |error: &io::Error| io::Error::from(error.kind());
            let values = self.values.as_ref().map_err(failed)?;
            values
                .iter()
                .try_for_each(|value| out.write_all(&value.to_le_bytes()))
        }
    }

    fn numbers(shape: &[usize]) -> Numbers {
        let n = shape.iter().product();
        Numbers {
            shape: shape.to_vec(),
            values: Ok((0..n).map(|i| i as f32 * 0.5).collect()),
        }
    }

    fn named(tensors: Vec<Numbers>) -> impl IntoIterator<Item = (String, Numbers)> {
        let named = tensors.into_iter().enumerate();
        named.map(|(i, tensor)| (format!("tensor.{i}"), tensor))
    }

    /// The crate of the format reads what is written, and so does this one.
    #[test]
    fn a_file_is_as_the_format_says() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let shapes: [&[usize]; 4] = [&[3, 5], &[], &[0, 2], &[1 << 11, 1 << 10]];
        let texts = || ["format", "a", "b", "c"].map(|text| (text.to_owned(), "pt".to_owned()));
        let written = || {
            let tensors = shapes.map(numbers).into_iter().collect();
            write(&path, HashMap::from(texts()), named(tensors)).expect("it is written");
            fs::read(&path).expect("it is read")
        };
        let bytes = written();
        // Two maps of the same texts have orders of their own.
        assert!((0..8).all(|_| written() == bytes));
        let theirs = SafeTensors::deserialize(&bytes).expect("it is sound");
        let Contents {
            texts: found,
            tensors: places,
        } = open(&path).expect("it is sound");
        assert_eq!(found, HashMap::from(texts()));
        assert_eq!(places.len(), shapes.len());
        for (i, shape) in shapes.into_iter().enumerate() {
            let key = format!("tensor.{i}");
            let (place, view) = (&places[&key], theirs.tensor(&key).expect("it is there"));
            assert_eq!((place.key(), place.shape()), (key.as_str(), shape));
            assert_eq!((place.dtype(), view.shape()), (Dtype::F32, shape));
            let expected = numbers(shape).values.expect("numbers");
            let expected: Vec<u8> = expected.iter().flat_map(|v| v.to_le_bytes()).collect();
            assert!(view.data() == expected);
            let mut bytes = vec![0; expected.len()];
            place.read_into(&mut bytes).expect("it is read");
            assert!(bytes == expected);
            let mut chunks = Vec::new();
            let all = place.chunks(|chunk| {
                chunks.extend_from_slice(chunk);
                true
            });
            all.expect("it is read");
            assert!(chunks == expected);
            assert!(!place.differs_from(place).expect("it is read"));
        }
        assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
    }

    #[test]
    fn what_fails_leaves_nothing_and_changes_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        write(&path, HashMap::new(), named(vec![numbers(&[3])])).expect("it is written");
        let before = fs::read(&path).expect("it is read");
        let places = open(&path).expect("it is sound").tensors;
        let short = Numbers {
            values: Ok(vec![1.0]),
            ..numbers(&[2])
        };
        let failing = Numbers {
            values: Err(io::ErrorKind::UnexpectedEof.into()),
            ..numbers(&[2])
        };
        for wrong in [short, failing] {
            let tensors = named(vec![numbers(&[3]), wrong]);
            write(&path, HashMap::new(), tensors).expect_err("it fails");
            assert_eq!(fs::read(&path).expect("it is read"), before);
            assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
        }
        // What was opened stays what it was when it is replaced.
        let tensors = named(vec![numbers(&[7]), numbers(&[1])]);
        write(&path, HashMap::new(), tensors).expect("it is written");
        let mut bytes = [0; 12];
        let place = &places["tensor.0"];
        place.read_into(&mut bytes).expect("it is read");
        assert!(before.ends_with(&bytes));
    }

    #[test]
    fn tensors_differ_wherever_they_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        // More than one piece, and the last number of all.
        let long = || numbers(&[(1 << 20) + 3]);
        let mut other = long();
        let values = other.values.as_mut().expect("numbers");
        *values.last_mut().expect("a number") += 1.0;
        let tensors = named(vec![long(), other, long(), numbers(&[3])]);
        write(&path, HashMap::new(), tensors).expect("it is written");
        let places = open(&path).expect("it is sound").tensors;
        let first = &places["tensor.0"];
        let found = ["tensor.1", "tensor.2", "tensor.3"]
            .map(|key| first.differs_from(&places[key]).expect("it is read"));
        assert_eq!(found, [true, false, true]);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_may_be_read_by_who_may_read_others() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let mode = |name: &str| {
            let metadata = fs::metadata(dir.path().join(name)).expect("it is there");
            metadata.permissions().mode()
        };
        fs::write(dir.path().join("other"), "").expect("it is written");
        let path = dir.path().join("file");
        write(&path, HashMap::new(), named(vec![numbers(&[1])])).expect("it is written");
        assert_eq!(mode("file"), mode("other"));
    }

    #[test]
    fn what_is_not_sound_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("file");
        let tensors = named(vec![numbers(&[4, 4]), numbers(&[3])]);
        write(&path, HashMap::new(), tensors).expect("it is written");
        let bytes = fs::read(&path).expect("it is read");
        let mut wrong: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
        wrong.push([bytes.as_slice(), b"\0"].concat());
        // A header that claims more than memory has, and tensors that end beyond any address.
        wrong.push([u64::MAX.to_le_bytes().as_slice(), &bytes[8..]].concat());
        let n = (1_usize << 58) - 1;
        let tensors: Vec<String> = (0..8)
            .map(|i| {
                let (start, end) = (i * n * 8, (i + 1) * n * 8);
                format!(r#""{i}":{{"dtype":"F64","shape":[{n}],"data_offsets":[{start},{end}]}}"#)
            })
            .collect();
        let header = format!("{{{}}}", tensors.join(","));
        let length = (header.len() as u64).to_le_bytes();
        wrong.push([length.as_slice(), header.as_bytes()].concat());
        for bytes in wrong {
            fs::write(&path, &bytes).expect("it is written");
            let error = open(&path).expect_err("it is not sound");
            assert!(
                matches!(error, ReadError::Malformed { .. }),
                "{} bytes: {error}",
                bytes.len()
            );
        }
        let absent = open(&dir.path().join("absent"));
        assert!(matches!(absent, Err(ReadError::Io { .. })));
    }
}
