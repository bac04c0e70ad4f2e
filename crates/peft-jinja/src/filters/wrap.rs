//! Lines of a width, as Python's `textwrap.wrap` makes them.

use crate::text::{byte_of, chars, is_space};

/// A text's words and what is between them, a word's parts up to each hyphen.
fn chunks(text: &str, hyphens: bool) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let space = is_space(first);
        let end = rest.find(|c| is_space(c) != space).unwrap_or(rest.len());
        let (chunk, after) = rest.split_at(end);
        rest = after;
        let mut word = chunk;
        let splits = hyphens && !space;
        while let Some(at) = hyphen(word).filter(|_| splits) {
            chunks.push(&word[..at]);
            word = &word[at..];
        }
        chunks.push(word);
    }
    chunks
}

/// The place after the first hyphen between letters.
fn hyphen(word: &str) -> Option<usize> {
    let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
    word.match_indices('-').map(|(at, _)| at).find_map(|at| {
        let mut before = word[..at].chars().rev();
        let mut after = word[at + 1..].chars();
        let splits = letter(before.next())
            && before.next().is_some_and(char::is_alphanumeric)
            && after.next().is_some_and(char::is_alphanumeric)
            && letter(after.next());
        splits.then_some(at + 1)
    })
}

pub(super) fn wrap(text: &str, width: usize, break_long: bool, hyphens: bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut chunks: Vec<&str> = chunks(text, hyphens);
    chunks.reverse();
    while !chunks.is_empty() {
        let blank = |chunk: Option<&&str>| chunk.is_some_and(|c| c.chars().all(is_space));
        if !lines.is_empty() && blank(chunks.last()) {
            chunks.pop();
        }
        let mut line: Vec<&str> = Vec::new();
        let mut len = 0;
        while let Some(chunk) = chunks.last() {
            if len + chars(chunk) > width {
                break;
            }
            len += chars(chunk);
            line.extend(chunks.pop());
        }
        if let Some(chunk) = chunks.last_mut().filter(|chunk| chars(chunk) > width) {
            if break_long && width > len {
                let (taken, left) = chunk.split_at(byte_of(chunk, width - len));
                line.push(taken);
                *chunk = left;
            } else if line.is_empty() {
                line.extend(chunks.pop());
            }
        }
        if blank(line.last()) {
            line.pop();
        }
        if !line.is_empty() {
            lines.push(line.concat());
        }
    }
    lines
}
