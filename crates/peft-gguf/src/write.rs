//! [`write()`]: a file, one tensor after the other.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use crate::value::code;
use crate::{ALIGNMENT_KEY, Array, MAGIC, MAX_AXES, Metadata, TensorType, Value};

/// The version that is written.
const VERSION: u32 = 3;
/// As long as the name of a tensor is where ggml reads it, in bytes.
const MAX_NAME: usize = 63;

/// A tensor that is asked for its bytes when they are written.
pub trait Writes {
    /// The type that it is written in.
    fn ty(&self) -> TensorType;

    /// The shape that it is written with, the outermost axis first.
    fn shape(&self) -> &[usize];

    /// Its blocks, in order.
    ///
    /// # Errors
    ///
    /// Those of `out`, and those of where the tensor comes from.
    fn write(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Write metadata and tensors, both in their order, beside `path` and then, once they are on disk,
/// in its place.
///
/// # Errors
///
/// Those of the file and of the tensors, and [`ErrorKind::InvalidInput`] for what no file can hold:
/// rows that are no whole blocks, names that are too long or there twice. What was written is
/// removed, and what was there before is as it was.
pub fn write<T: Writes>(
    path: &Path,
    metadata: &Metadata,
    tensors: impl IntoIterator<Item = (String, T)>,
) -> io::Result<()> {
    let tensors: Vec<(String, T)> = tensors.into_iter().collect();
    let alignment = metadata
        .alignment()
        .ok_or_else(|| invalid(format!("`{ALIGNMENT_KEY}` is no power of two in a u32")))?;
    let (header, lens) = header(metadata, &tensors, alignment)?;
    peft_files::replace_with(path, |file| {
        write_all(file, &header, &tensors, &lens, alignment)
    })
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, reason)
}

/// All before the tensors, and how many bytes each of them has.
fn header<T: Writes>(
    metadata: &Metadata,
    tensors: &[(String, T)],
    alignment: u64,
) -> io::Result<(Vec<u8>, Vec<u64>)> {
    let mut out = MAGIC.to_vec();
    put(&mut out, VERSION.to_le_bytes());
    put(&mut out, (tensors.len() as u64).to_le_bytes());
    put(&mut out, (metadata.iter().len() as u64).to_le_bytes());
    for (key, value) in metadata.iter() {
        put_text(&mut out, key);
        put_value(&mut out, value);
    }
    let (mut offset, mut names, mut lens) = (0_u64, HashSet::new(), Vec::new());
    for (name, tensor) in tensors {
        if name.len() > MAX_NAME || !names.insert(name) {
            let why = format!("`{name}` is there twice, or longer than {MAX_NAME} bytes");
            return Err(invalid(why));
        }
        let (ty, shape) = (tensor.ty(), tensor.shape());
        let values = shape
            .iter()
            .try_fold(1_usize, |n, size| n.checked_mul(*size));
        let row = shape.last().copied().unwrap_or(1);
        let len = values
            .filter(|_| shape.len() <= MAX_AXES && row.is_multiple_of(ty.block_values()))
            .and_then(|values| ty.bytes(values))
            .ok_or_else(|| invalid(format!("`{name}` of {shape:?} is not written in {ty}")))?;
        put_text(&mut out, name);
        put(&mut out, (shape.len() as u32).to_le_bytes());
        for size in shape.iter().rev() {
            put(&mut out, (*size as u64).to_le_bytes());
        }
        put(&mut out, ty.code().to_le_bytes());
        put(&mut out, offset.to_le_bytes());
        let end = offset.checked_add(len as u64);
        offset = end
            .and_then(|end| end.checked_next_multiple_of(alignment))
            .ok_or_else(|| invalid(format!("`{name}` is too large")))?;
        lens.push(len as u64);
    }
    Ok((out, lens))
}

fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, (text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

macro_rules! put_number {
    ($out:ident, $code:expr, $n:expr) => {{
        put($out, $code.to_le_bytes());
        put($out, $n.to_le_bytes());
    }};
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::U8(n) => put_number!(out, code::U8, n),
        Value::I8(n) => put_number!(out, code::I8, n),
        Value::U16(n) => put_number!(out, code::U16, n),
        Value::I16(n) => put_number!(out, code::I16, n),
        Value::U32(n) => put_number!(out, code::U32, n),
        Value::I32(n) => put_number!(out, code::I32, n),
        Value::F32(n) => put_number!(out, code::F32, n),
        Value::Bool(flag) => put_number!(out, code::BOOL, u8::from(*flag)),
        Value::U64(n) => put_number!(out, code::U64, n),
        Value::I64(n) => put_number!(out, code::I64, n),
        Value::F64(n) => put_number!(out, code::F64, n),
        Value::String(text) => {
            put(out, code::STRING.to_le_bytes());
            put_text(out, text);
        }
        Value::Array(array) => {
            put(out, code::ARRAY.to_le_bytes());
            put_array(out, array);
        }
    }
}

macro_rules! put_numbers {
    ($out:ident, $code:expr, $all:ident) => {{
        put($out, $code.to_le_bytes());
        put($out, ($all.len() as u64).to_le_bytes());
        $all.iter().for_each(|n| put($out, n.to_le_bytes()));
    }};
}

fn put_array(out: &mut Vec<u8>, array: &Array) {
    match array {
        Array::U8(all) => put_numbers!(out, code::U8, all),
        Array::I8(all) => put_numbers!(out, code::I8, all),
        Array::U16(all) => put_numbers!(out, code::U16, all),
        Array::I16(all) => put_numbers!(out, code::I16, all),
        Array::U32(all) => put_numbers!(out, code::U32, all),
        Array::I32(all) => put_numbers!(out, code::I32, all),
        Array::F32(all) => put_numbers!(out, code::F32, all),
        Array::U64(all) => put_numbers!(out, code::U64, all),
        Array::I64(all) => put_numbers!(out, code::I64, all),
        Array::F64(all) => put_numbers!(out, code::F64, all),
        Array::Bool(all) => {
            let all: Vec<u8> = all.iter().map(|flag| u8::from(*flag)).collect();
            put_numbers!(out, code::BOOL, all);
        }
        Array::String(all) => {
            put(out, code::STRING.to_le_bytes());
            put(out, (all.len() as u64).to_le_bytes());
            all.iter().for_each(|text| put_text(out, text));
        }
        Array::Array(all) => {
            put(out, code::ARRAY.to_le_bytes());
            put(out, (all.len() as u64).to_le_bytes());
            all.iter().for_each(|array| put_array(out, array));
        }
    }
}

fn write_all<T: Writes>(
    file: &File,
    header: &[u8],
    tensors: &[(String, T)],
    lens: &[u64],
    alignment: u64,
) -> io::Result<()> {
    let mut out = Counted {
        out: BufWriter::with_capacity(1 << 20, file),
        written: 0,
    };
    out.write_all(header)?;
    out.pad(alignment)?;
    for ((name, tensor), len) in tensors.iter().zip(lens) {
        let end = out.written + len;
        tensor.write(&mut out)?;
        if out.written != end {
            let reason = format!("`{name}` has other bytes than its shape and type say");
            return Err(io::Error::other(reason));
        }
        out.pad(alignment)?;
    }
    out.flush()
}

struct Counted<W> {
    out: W,
    written: u64,
}

impl<W: Write> Counted<W> {
    fn pad(&mut self, alignment: u64) -> io::Result<()> {
        let zeros = self.written.next_multiple_of(alignment) - self.written;
        io::copy(&mut io::Read::take(io::repeat(0), zeros), self).map(|_| ())
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
