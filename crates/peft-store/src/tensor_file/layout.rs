//! Matrices that lie the other way round.

/// Elements of `size` bytes, those of a `[rows, columns]` matrix from number `at` on, to their
/// places in a `[columns, rows]` one.
pub(super) fn scatter(
    bytes: &[u8],
    at: usize,
    rows: usize,
    columns: usize,
    size: usize,
    out: &mut [u8],
) {
    /// Rows of a tile: what is written in each column of it fills a line of the cache.
    const TILE: usize = 32;
    let n = bytes.len() / size;
    let (first, last) = (at / columns, (at + n - 1) / columns);
    for tile in (first..=last).step_by(TILE) {
        for column in 0..columns {
            for row in tile..(tile + TILE).min(last + 1) {
                let element = row * columns + column;
                let Some(from) = element.checked_sub(at).filter(|from| *from < n) else {
                    continue; // the chunk begins or ends within this row
                };
                let to = (column * rows + row) * size;
                out[to..to + size].copy_from_slice(&bytes[from * size..(from + 1) * size]);
            }
        }
    }
}

/// A `[rows, columns]` matrix of elements of `size` bytes as `[columns, rows]`.
pub(crate) fn transpose(bytes: &[u8], columns: usize, size: usize) -> Vec<u8> {
    let mut out = vec![0; bytes.len()];
    let rows = bytes.len().checked_div(columns * size).unwrap_or(0);
    if rows > 0 {
        scatter(bytes, 0, rows, columns, size, &mut out);
    }
    out
}
