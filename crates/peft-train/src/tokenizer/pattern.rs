//! [`check`]: patterns of a tokenizer that may take time without bound.

/// The longest pattern.
const LONGEST: usize = 1 << 16;
/// What makes the library search by backtracking, and not in time that is a multiple of the text's
/// length.
const BACKTRACKING: [&str; 8] = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "++", "*+", "?+"];

/// Refuses a pattern that may take time that grows with a power of the text's length, or faster:
/// one with a backreference, and one that looks around itself and repeats a group of alternatives
/// or of repetitions, as `(a|a)*(?!b)` does. No tokenizer of the field has such a one.
pub(super) fn check(pattern: &str) -> Result<(), String> {
    if pattern.len() > LONGEST {
        return Err(format!("has a pattern of {} bytes", pattern.len()));
    }
    let backtracks = BACKTRACKING.iter().any(|mark| pattern.contains(mark));
    // Of each group that is open, whether it has a choice.
    let mut open: Vec<bool> = Vec::new();
    let mut classes = 0;
    // Whether what stands before is a group with a choice.
    let mut choice_closed = false;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let closed = std::mem::take(&mut choice_closed);
        match c {
            '\\' => {
                let escaped = chars.next().unwrap_or_default();
                if classes == 0 && (('1'..='9').contains(&escaped) || "kg".contains(escaped)) {
                    return Err(format!("has a pattern with a backreference, `{pattern}`"));
                }
                // The name of a property, or a character's number.
                if "pPxu".contains(escaped) && chars.next_if_eq(&'{').is_some() {
                    chars.by_ref().find(|c| *c == '}');
                }
            }
            '[' => classes += 1,
            ']' if classes > 0 => classes -= 1,
            _ if classes > 0 => {}
            '(' => {
                open.push(false);
                if chars.next_if_eq(&'?').is_some() && chars.peek() == Some(&'P') {
                    chars.next();
                    if chars.peek() == Some(&'=') {
                        return Err(format!("has a pattern with a backreference, `{pattern}`"));
                    }
                }
            }
            ')' => {
                choice_closed = open.pop().unwrap_or(false);
                // What has a choice within has one.
                if choice_closed && let Some(outer) = open.last_mut() {
                    *outer = true;
                }
            }
            '*' | '+' | '{' => {
                if closed && backtracks {
                    return Err(format!(
                        "has a pattern that repeats a choice and looks around itself, `{pattern}`"
                    ));
                }
                let exact = c == '{' && exact(&mut chars);
                if let Some(group) = open.last_mut().filter(|_| !exact) {
                    *group = true;
                }
            }
            '|' => {
                if let Some(group) = open.last_mut() {
                    *group = true;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the braces that are read hold one number.
fn exact(chars: &mut impl Iterator<Item = char>) -> bool {
    chars.take_while(|c| *c != '}').all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn patterns_that_take_long_are_refused() {
        for pattern in [
            r"(a)\1",
            r"(?P<x>a)(?P=x)",
            r"(?<x>a)\k<x>",
            r"(a|a)*(?!b)",
            r"(?:(?:a|a){18}(?!a)b)|a",
            r"(?=(a+)+$)",
            r"((a{1,9})b)*+",
            r"(?:(?:x(?:a|b))c)+(?<!d)",
        ] {
            assert!(check(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn those_of_the_field_are_taken() {
        for pattern in [
            r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}|\s+(?!\S)|\s+",
            r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))",
            r" ?[^(\s|[.,!?…。，、।۔،])]+",
            r"(a|b)*",
            r"[(|)*]+(?!a)",
            r"\(\|\)*(?!a)",
        ] {
            assert_eq!(check(pattern), Ok(()));
        }
    }
}
