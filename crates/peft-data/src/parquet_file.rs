//! [`ParquetFile`]: the rows of a Parquet file.

use std::io::{self, ErrorKind};
use std::path::Path;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, List, Map as FieldMap, Row};
use peft_files::guarded;
use serde_json::{Map, Number, Value};

use crate::columns::{check_count, too_long};
use crate::row::{FileRow, RowPlace};
use crate::{DataFileError, LONGEST_ROW};

/// The rows of a Parquet file.
pub(crate) struct ParquetFile {
    rows: RowIter<'static>,
    row: u64,
}

impl ParquetFile {
    pub(crate) fn open(path: &Path) -> Result<Self, DataFileError> {
        let damaged = |reason: String| DataFileError::Damaged {
            path: path.into(),
            after: None,
            reason,
        };
        let file = peft_files::open(path).map_err(|source| DataFileError::Io {
            path: path.into(),
            source,
        })?;
        let opened = guarded(|| -> Result<_, ParquetError> {
            let reader = SerializedFileReader::new(file)?;
            let columns = reader.metadata().file_metadata().schema_descr();
            Ok((
                columns.num_columns(),
                RowIter::from_file_into(Box::new(reader)),
            ))
        });
        let opened = opened.map_err(damaged)?;
        let (columns, rows) = opened.map_err(|error| damaged(error.to_string()))?;
        check_count(columns).map_err(damaged)?;
        Ok(Self { rows, row: 0 })
    }

    pub(crate) fn next_row(&mut self) -> io::Result<Option<FileRow>> {
        let damaged = |reason: String| io::Error::new(ErrorKind::InvalidData, reason);
        let next = guarded(|| self.rows.next()).map_err(damaged)?;
        let Some(row) = next
            .transpose()
            .map_err(|error| damaged(error.to_string()))?
        else {
            return Ok(None);
        };
        self.row += 1;
        Ok(Some(FileRow {
            at: RowPlace::Row(self.row),
            object: object(&row),
        }))
    }
}

/// A row's fields as JSON, of at most [`LONGEST_ROW`] bytes of text.
fn object(row: &Row) -> Result<Map<String, Value>, String> {
    let mut room = LONGEST_ROW;
    group(row, &mut room)
}

fn group(row: &Row, room: &mut usize) -> Result<Map<String, Value>, String> {
    row.get_column_iter()
        .map(|(name, field)| Ok((name.clone(), value(field, room)?)))
        .collect()
}

fn text(text: String, room: &mut usize) -> Result<Value, String> {
    *room = room.checked_sub(text.len()).ok_or_else(too_long)?;
    Ok(Value::String(text))
}

fn float(value: f64) -> Value {
    // What is no finite number is nothing, as in JSON that Python writes.
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn value(field: &Field, room: &mut usize) -> Result<Value, String> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::Bool(*flag),
        Field::Byte(n) => (*n).into(),
        Field::Short(n) => (*n).into(),
        Field::Int(n) | Field::Date(n) | Field::TimeMillis(n) => (*n).into(),
        Field::Long(n) | Field::TimeMicros(n) => (*n).into(),
        Field::TimestampMillis(n) | Field::TimestampMicros(n) => (*n).into(),
        Field::UByte(n) => (*n).into(),
        Field::UShort(n) => (*n).into(),
        Field::UInt(n) => (*n).into(),
        Field::ULong(n) => (*n).into(),
        Field::Float16(x) => float(f64::from(*x)),
        // By its shortest decimal, as other readers show it.
        Field::Float(x) => float(x.to_string().parse().unwrap_or_else(|_| f64::from(*x))),
        Field::Double(x) => float(*x),
        Field::Decimal(_) => text(field.to_string(), room)?,
        Field::Str(string) => text(string.clone(), room)?,
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(string) => text(string.into(), room)?,
            // Pictures and the like, which no text is made of.
            Err(_) => Value::Null,
        },
        Field::Group(row) => Value::Object(group(row, room)?),
        Field::ListInternal(list) => items(list, room)?,
        Field::MapInternal(map) => pairs(map, room)?,
    })
}

fn items(list: &List, room: &mut usize) -> Result<Value, String> {
    let elements = list.elements().iter();
    elements.map(|element| value(element, room)).collect()
}

fn pairs(map: &FieldMap, room: &mut usize) -> Result<Value, String> {
    let mut found = Map::new();
    for (key, field) in map.entries() {
        let key = match key {
            Field::Str(key) => key.clone(),
            key => key.to_string(),
        };
        found.insert(key, value(field, room)?);
    }
    Ok(Value::Object(found))
}
