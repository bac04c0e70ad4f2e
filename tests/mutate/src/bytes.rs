//! Changes of bytes: flips, cuts, spans twice, numbers and texts that nothing writes.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Numbers as text that files are broken with; some are no JSON.
pub(crate) const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "-0",
    "1",
    "7",
    "65536",
    "2147483648",
    "4294967295",
    "4611686018427387904",
    "18446744073709551615",
    "1e308",
    "1e400",
    "NaN",
    "0.5",
];

/// Bytes that are no UTF-8, or that readers treat on their own.
const ODD: [&[u8]; 12] = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\0",
    b"\xef\xbb\xbf",
    b"\"",
    b"\\",
    b"\\ud800",
    b"}",
    b"\r\n",
    b"\x1b[2J",
    b"=",
];

/// Pieces of templates.
const TEMPLATE: [&[u8]; 10] = [
    b"{{ ",
    b" }}",
    b"{% endfor %}",
    b"{% endif %}",
    b"{% for m in messages %}",
    b"{% set messages = messages[1:] %}",
    b"{{ raise_exception('no') }}",
    b"{% generation %}",
    b"|tojson|length",
    b"{# ",
];

/// One change.
pub(crate) fn change(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let at = rng.random_range(0..=bytes.len());
    match rng.random_range(0..11) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.random_range(0..8);
            }
        }
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(span(rng, bytes.len()))),
        4 => {
            let copy = bytes[span(rng, bytes.len())].to_vec();
            drop(bytes.splice(at..at, copy));
        }
        5 | 6 => number(rng, bytes),
        7 => insert(bytes, at, ODD.choose(rng).copied().unwrap_or_default()),
        8 => insert(bytes, at, TEMPLATE.choose(rng).copied().unwrap_or_default()),
        9 => {
            let opening: &[u8] = [b"[".as_slice(), b"{\"a\":", b"("]
                .choose(rng)
                .copied()
                .unwrap_or_default();
            let depth = [20, 1000, 50_000].choose(rng).copied().unwrap_or_default();
            insert(bytes, at, &opening.repeat(depth));
        }
        _ => {
            let length = [300, 70_000].choose(rng).copied().unwrap_or_default();
            insert(bytes, at, &b"a".repeat(length));
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    drop(bytes.splice(at..at, what.iter().copied()));
}

fn span(rng: &mut StdRng, len: usize) -> std::ops::Range<usize> {
    let from = rng.random_range(0..=len);
    from..rng.random_range(from..=len.min(from + 4096))
}

/// Another number in the place of one.
fn number(rng: &mut StdRng, bytes: &mut Vec<u8>) {
    let is_digit = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|i| is_digit(*i) && (*i == 0 || !is_digit(*i - 1)))
        .collect();
    if let Some(start) = starts.choose(rng).copied() {
        let end = (start..bytes.len()).find(|i| !is_digit(*i));
        let new = NUMBERS.choose(rng).copied().unwrap_or_default();
        drop(bytes.splice(start..end.unwrap_or(bytes.len()), new.bytes()));
    }
}
