//! How far a number goes.

/// Bytes of digits, single underscores between them.
pub(super) fn digits(text: &str, taken: impl Fn(char) -> bool) -> usize {
    let mut len = 0usize;
    let mut last = '_';
    for c in text.chars() {
        if !taken(c) || (c == '_' && last == '_' && len > 0) {
            break;
        }
        len += 1;
        last = c;
    }
    if last == '_' {
        len.saturating_sub(1)
    } else {
        len
    }
}

/// Bytes of a number with a point or an exponent, if the text begins with one.
pub(super) fn float_len(text: &str) -> Option<usize> {
    let decimal = |text: &str| digits(text, |c| c == '_' || c.is_ascii_digit());
    let mut len = decimal(text);
    let mut float = false;
    if let Some(fraction) = text[len..].strip_prefix('.') {
        let n = decimal(fraction);
        if n > 0 && fraction.starts_with(|c: char| c.is_ascii_digit()) {
            len += 1 + n;
            float = true;
        }
    }
    if let Some(exponent) = text[len..].strip_prefix(['e', 'E']) {
        let signed = usize::from(exponent.starts_with(['+', '-']));
        let n = decimal(&exponent[signed..]);
        if n > 0 && exponent[signed..].starts_with(|c: char| c.is_ascii_digit()) {
            len += 1 + signed + n;
            float = true;
        }
    }
    float.then_some(len)
}
