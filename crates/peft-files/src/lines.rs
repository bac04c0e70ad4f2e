//! [`Lines`]: a file line by line, no line longer than is wanted.

use std::io::{self, BufRead};

/// The lines of a reader, without their line feeds; none in place of one that is longer than
/// `longest` bytes, of which no more is held.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    longest: usize,
    /// Whether the rest of a line that was too long is to be passed over.
    within: bool,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `longest` bytes.
    pub fn new(reader: R, longest: usize) -> Self {
        Self {
            reader,
            longest,
            within: false,
        }
    }

    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            let held = self.reader.fill_buf()?;
            let (end, n) = match held.iter().position(|byte| *byte == b'\n') {
                Some(at) => (true, at + 1),
                None => (held.is_empty(), held.len()),
            };
            self.reader.consume(n);
            if end {
                self.within = false;
                return Ok(());
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<Option<Vec<u8>>>> {
        if self.within {
            self.pass_over()?;
        }
        let mut line = Vec::new();
        // One more byte for the line feed.
        let most = (self.longest as u64).saturating_add(1);
        let mut bounded = io::Read::take(&mut self.reader, most);
        if bounded.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() > self.longest {
            self.within = true;
            return Ok(Some(None));
        }
        Ok(Some(Some(line)))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = io::Result<Option<Vec<u8>>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn lines(text: &str, longest: usize) -> Vec<Option<String>> {
        let reader = BufReader::with_capacity(3, text.as_bytes());
        let lines = Lines::new(reader, longest).map(|line| line.expect("it is read"));
        let text = |line| String::from_utf8(line).expect("UTF-8");
        lines.map(|line| line.map(text)).collect()
    }

    #[test]
    fn a_line_that_is_too_long_costs_no_other() {
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("\n", vec![some("")]),
            ("four\nfive", vec![some("four"), some("five")]),
            ("four\n\n", vec![some("four"), some("")]),
            ("a\nfives\nb\n", vec![some("a"), None, some("b")]),
            ("a\n0123456789", vec![some("a"), None]),
            ("0123456789\n\nfour", vec![None, some(""), some("four")]),
            ("fives\nfives\n", vec![None, None]),
        ] {
            assert_eq!(lines(text, 4), expected, "{text:?}");
        }
        assert_eq!(lines("a\n", usize::MAX), [some("a")]);
    }
}
