//! [`Header`]: the bytes before the tensors, no more of which are believed than the file has.

use std::io::{self, ErrorKind, Read};

use crate::value::code;
use crate::{Array, Value};

/// As large as all before the tensors may be.
const MAX_HEADER: u64 = 256 << 20;
/// As long as a key, or a tensor's name, may be.
const MAX_KEY: u64 = 65_535;
/// As deep as arrays may be in arrays.
const MAX_NESTING: usize = 4;

/// What is wrong with a header.
#[derive(Debug)]
pub(crate) enum HeaderError {
    /// The system says so.
    Io(io::Error),
    /// What it says cannot be.
    Malformed(String),
}

impl From<String> for HeaderError {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

type Result<T> = std::result::Result<T, HeaderError>;

/// The bytes before the tensors, read in order.
pub(crate) struct Header<R> {
    from: R,
    read: u64,
    left: u64,
}

impl<R: Read> Header<R> {
    /// Those of a file of this size.
    pub(crate) fn new(from: R, size: u64) -> Self {
        let (read, left) = (0, size.min(MAX_HEADER));
        Self { from, read, left }
    }

    /// Bytes that have been read.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// A count of what takes at least as many bytes each, checked against those that are left.
    pub(crate) fn count(&mut self, of: &str, least: u64) -> Result<usize> {
        let count = self.u64(of)?;
        self.check(of, count, least)
    }

    fn check(&self, of: &str, count: u64, least: u64) -> Result<usize> {
        let fits = count.checked_mul(least).is_some_and(|n| n <= self.left);
        match usize::try_from(count) {
            Ok(count) if fits => Ok(count),
            _ => Err(format!("it claims {count} of {of}, and {} bytes follow", self.left).into()),
        }
    }

    pub(crate) fn bytes<const N: usize>(&mut self, of: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(of, &mut bytes)?;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self, of: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(of)?))
    }

    pub(crate) fn u64(&mut self, of: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(of)?))
    }

    /// A key or a name.
    pub(crate) fn key(&mut self, of: &str) -> Result<String> {
        self.text(of, MAX_KEY)
    }

    fn text(&mut self, of: &str, longest: u64) -> Result<String> {
        let length = self.u64(of)?;
        if length > longest {
            return Err(format!("{of} claims {length} bytes, more than {longest}").into());
        }
        let mut bytes = vec![0; self.check(&format!("the bytes of {of}"), length, 1)?];
        self.fill(of, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| format!("{of} is not UTF-8").into())
    }

    /// The value of a key.
    pub(crate) fn value(&mut self, key: &str) -> Result<Value> {
        let key = &format!("`{key}`");
        Ok(match self.u32(key)? {
            code::STRING => Value::String(self.text(key, u64::MAX)?),
            code::ARRAY => Value::Array(self.array(key, 1)?),
            kind => match self.numbers(key, kind, 1)? {
                Array::U8(all) => Value::U8(all[0]),
                Array::I8(all) => Value::I8(all[0]),
                Array::U16(all) => Value::U16(all[0]),
                Array::I16(all) => Value::I16(all[0]),
                Array::U32(all) => Value::U32(all[0]),
                Array::I32(all) => Value::I32(all[0]),
                Array::F32(all) => Value::F32(all[0]),
                Array::Bool(all) => Value::Bool(all[0]),
                Array::U64(all) => Value::U64(all[0]),
                Array::I64(all) => Value::I64(all[0]),
                Array::F64(all) => Value::F64(all[0]),
                Array::String(_) | Array::Array(_) => {
                    return Err(format!("{key} is no number").into());
                }
            },
        })
    }

    fn array(&mut self, key: &str, depth: usize) -> Result<Array> {
        if depth > MAX_NESTING {
            return Err(format!("{key} has arrays in more than {MAX_NESTING} arrays").into());
        }
        let kind = self.u32(key)?;
        let of = format!("the values of {key}");
        Ok(match kind {
            code::STRING => {
                let count = self.count(&of, 8)?;
                let mut all = Vec::with_capacity(count);
                for _ in 0..count {
                    all.push(self.text(key, u64::MAX)?);
                }
                Array::String(all)
            }
            code::ARRAY => {
                let count = self.count(&of, 12)?;
                let mut all = Vec::with_capacity(count);
                for _ in 0..count {
                    all.push(self.array(key, depth + 1)?);
                }
                Array::Array(all)
            }
            kind => {
                let count = self.u64(key)?;
                self.numbers(key, kind, count)?
            }
        })
    }

    /// So many numbers of a type.
    fn numbers(&mut self, key: &str, kind: u32, count: u64) -> Result<Array> {
        Ok(match kind {
            code::U8 => Array::U8(self.each(key, count, u8::from_le_bytes)?),
            code::I8 => Array::I8(self.each(key, count, i8::from_le_bytes)?),
            code::U16 => Array::U16(self.each(key, count, u16::from_le_bytes)?),
            code::I16 => Array::I16(self.each(key, count, i16::from_le_bytes)?),
            code::U32 => Array::U32(self.each(key, count, u32::from_le_bytes)?),
            code::I32 => Array::I32(self.each(key, count, i32::from_le_bytes)?),
            code::F32 => Array::F32(self.each(key, count, f32::from_le_bytes)?),
            code::U64 => Array::U64(self.each(key, count, u64::from_le_bytes)?),
            code::I64 => Array::I64(self.each(key, count, i64::from_le_bytes)?),
            code::F64 => Array::F64(self.each(key, count, f64::from_le_bytes)?),
            code::BOOL => {
                let all = self.each(key, count, u8::from_le_bytes)?;
                if let Some(other) = all.iter().find(|byte| **byte > 1) {
                    return Err(format!("{key} has {other} for a bool").into());
                }
                Array::Bool(all.into_iter().map(|byte| byte == 1).collect())
            }
            other => return Err(format!("{key} is of type {other}, which there is not").into()),
        })
    }

    fn each<const N: usize, T>(
        &mut self,
        key: &str,
        count: u64,
        read: fn([u8; N]) -> T,
    ) -> Result<Vec<T>> {
        let count = self.check(&format!("the values of {key}"), count, N as u64)?;
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(read(self.bytes(key)?));
        }
        Ok(all)
    }

    fn fill(&mut self, of: &str, bytes: &mut [u8]) -> Result<()> {
        let ends = || HeaderError::from(format!("it ends within {of}"));
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(ends)?;
        self.read += bytes.len() as u64;
        let read = self.from.read_exact(bytes);
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ends(),
            _ => HeaderError::Io(error),
        })
    }
}
