//! What a file holds, unpacked.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::zstd_frames::ZstdFrames;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// What some editors begin a text with.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Bytes that are looked at to tell what a file is.
const START: u64 = 4096;

/// A file, unpacked where it is packed.
pub(crate) struct Unpacked {
    /// The bytes, without a mark of byte order.
    pub(crate) reader: Box<dyn BufRead>,
    /// The first of them.
    pub(crate) start: Vec<u8>,
}

impl Unpacked {
    /// Whether a file is packed, and how, its first bytes tell, whatever it is called: what was
    /// downloaded may have been unpacked on the way and have its name still.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::new(peft_files::open(path)?);
        let start = file.fill_buf()?;
        let mut reader: Box<dyn BufRead> = if start.starts_with(GZIP) {
            Box::new(BufReader::new(MultiGzDecoder::new(file)))
        } else if start.starts_with(ZSTD) {
            Box::new(BufReader::new(ZstdFrames::new(file)))
        } else {
            Box::new(file)
        };
        let mut start = Vec::new();
        reader.by_ref().take(START).read_to_end(&mut start)?;
        let skipped = match start.starts_with(BYTE_ORDER_MARK) {
            true => BYTE_ORDER_MARK.len(),
            false => 0,
        };
        start.drain(..skipped);
        Ok(Self {
            reader: Box::new(BufReader::with_capacity(
                64 << 10,
                Cursor::new(start.clone()).chain(reader),
            )),
            start,
        })
    }
}
