//! Methods of strings.

use std::sync::Arc;

use crate::args::{Args, given, int_or, text_of, truth_or};
use crate::error::{Fault, Res, fail};
use crate::eval::Interp;
use crate::format::{Part, format};
use crate::limits::MAX_TEXT;
use crate::text::{
    byte_of, capitalize, chars, decimal, is_cased, is_printable, is_space, lines, title,
};
use crate::value::{Value, index_of};

impl Interp<'_> {
    pub(super) fn str_method(&mut self, text: &Arc<str>, name: &str, args: Args) -> Res<Value> {
        self.budget.text(text.len())?;
        let by_name = ["split", "rsplit", "splitlines", "expandtabs", "format"];
        if !args.named.is_empty() && !by_name.contains(&name) {
            return fail!("str.{name} takes no named arguments");
        }
        let text: &str = text;
        match name {
            "format" => {
                let Args { positional, named } = args;
                return self.formatted(text, &positional, &named);
            }
            "format_map" => {
                let [Some(Value::Dict(map))] = args.bind(name, ["mapping"], 1)? else {
                    return fail!("format_map takes a mapping");
                };
                let named = |(key, value): &(Value, Value)| match key {
                    Value::Str(key) => Some((key.clone(), value.clone())),
                    _ => None,
                };
                let named: Vec<_> = map.entries.iter().filter_map(named).collect();
                return self.formatted(text, &[], &named);
            }
            "join" => {
                let [values] = args.bind(name, ["iterable"], 1)?;
                let items = self.items(&values.unwrap_or(Value::None))?;
                let mut parts = Vec::with_capacity(items.len());
                for item in &items {
                    parts.push(text_of(item, "str.join")?);
                }
                let len = parts.iter().map(|part| part.len() + text.len()).sum();
                self.budget.text(len)?;
                return Ok(Value::str(parts.join(text)));
            }
            "replace" => {
                let [old, new, count] = args.bind(name, ["old", "new", "count"], 2)?;
                let (old, new) = (old.unwrap_or(Value::None), new.unwrap_or(Value::None));
                let count = int_or(count.as_ref(), -1)?;
                return self.replaced(text, text_of(&old, name)?, text_of(&new, name)?, count);
            }
            "center" | "ljust" | "rjust" => {
                let [width, fill] = args.bind(name, ["width", "fillchar"], 1)?;
                let width = index_of(&width.unwrap_or(Value::None))?;
                let fill = fill.unwrap_or_else(|| Value::str(" "));
                return self.justified(text, name, width, text_of(&fill, name)?);
            }
            "zfill" => {
                let [width] = args.bind(name, ["width"], 1)?;
                let width = index_of(&width.unwrap_or(Value::None))?;
                let signed = usize::from(text.starts_with(['+', '-']));
                let width = width.saturating_sub(signed as i128);
                let digits = self.justified(&text[signed..], "rjust", width, "0")?;
                return match digits {
                    Value::Str(digits) => Ok(Value::str(format!("{}{digits}", &text[..signed]))),
                    other => Ok(other),
                };
            }
            "split" | "rsplit" | "splitlines" => return self.split(text, name, args),
            "partition" | "rpartition" => {
                let [by] = args.bind(name, ["sep"], 1)?;
                let by = by.unwrap_or(Value::None);
                let by = text_of(&by, name)?;
                if by.is_empty() {
                    return fail!("empty separator");
                }
                let (found, last) = match name {
                    "partition" => (text.split_once(by), [text, "", ""]),
                    _ => (text.rsplit_once(by), ["", "", text]),
                };
                let parts = found.map_or(last, |(before, after)| [before, by, after]);
                return Value::tuple(parts.map(Value::str).to_vec(), &self.budget);
            }
            "find" | "rfind" | "index" | "rindex" | "count" | "startswith" | "endswith" => {
                return searched(text, name, args);
            }
            "strip" | "lstrip" | "rstrip" => {
                let [set] = args.bind(name, ["chars"], 0)?;
                let set = given(set);
                let set = set.as_ref().map(|set| text_of(set, name)).transpose()?;
                self.budget
                    .steps(set.map_or(0, str::len).saturating_mul(text.len() / 32))?;
                return Ok(Value::str(stripped(text, name, set)));
            }
            "removeprefix" | "removesuffix" => {
                let [part] = args.bind(name, ["part"], 1)?;
                let part = part.unwrap_or(Value::None);
                let part = text_of(&part, name)?;
                let rest = match name {
                    "removeprefix" => text.strip_prefix(part),
                    _ => text.strip_suffix(part),
                };
                return Ok(Value::str(rest.unwrap_or(text)));
            }
            "expandtabs" => {
                let [size] = args.bind(name, ["tabsize"], 0)?;
                return self.tabs(text, int_or(size.as_ref(), 8)?);
            }
            "encode" | "maketrans" | "translate" => {
                return fail!("str.{name} is of no use to a chat template");
            }
            _ => {}
        }
        args.none(name)?;
        Ok(match name {
            "upper" => Value::str(text.to_uppercase()),
            "lower" => Value::str(text.to_lowercase()),
            "casefold" => {
                let upper = text.to_uppercase();
                Value::str(
                    upper
                        .chars()
                        .flat_map(char::to_lowercase)
                        .collect::<String>(),
                )
            }
            "title" => Value::str(title(text)),
            "capitalize" => Value::str(capitalize(text)),
            "swapcase" => {
                let mut out = String::with_capacity(text.len());
                for c in text.chars() {
                    if c.is_uppercase() {
                        out.extend(c.to_lowercase());
                    } else {
                        out.extend(c.to_uppercase());
                    }
                }
                Value::str(out)
            }
            _ => match is(text, name) {
                Some(value) => Value::Bool(value),
                None => return fail!("'str' has no method '{name}'"),
            },
        })
    }

    fn formatted(
        &mut self,
        text: &str,
        positional: &[Value],
        named: &[(Arc<str>, Value)],
    ) -> Res<Value> {
        let budget = std::mem::take(&mut self.budget);
        let mut lookup = |value: &Value, part: Part<'_>| match part {
            Part::Attribute(name) => self.attribute(value, &name.into()),
            Part::Item(key) => self.item(value, &key),
        };
        let out = format(text, positional, named, &budget, &mut lookup);
        let used = std::mem::replace(&mut self.budget, budget);
        self.budget.merge(&used)?;
        Ok(Value::str(out?))
    }

    /// At most `count` replacements, all where it is negative.
    pub(crate) fn replaced(&self, text: &str, old: &str, new: &str, count: i128) -> Res<Value> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let found = if new.len() > old.len() {
            text.matches(old).take(count).count()
        } else {
            0
        };
        let grown = found.saturating_mul(new.len().saturating_sub(old.len()));
        self.budget.text(text.len().saturating_add(grown))?;
        Ok(Value::str(text.replacen(old, new, count)))
    }

    pub(crate) fn justified(&self, text: &str, how: &str, width: i128, fill: &str) -> Res<Value> {
        let mut fills = fill.chars();
        let (Some(fill), None) = (fills.next(), fills.next()) else {
            return fail!("the fill character must be exactly one character long");
        };
        let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
        let room = width.saturating_sub(chars(text));
        if room > MAX_TEXT {
            return Err(Fault::text_limit());
        }
        self.budget.text(text.len() + room * fill.len_utf8())?;
        let left = match how {
            "ljust" => 0,
            "rjust" => room,
            _ => room / 2 + (room & width & 1),
        };
        let mut out = String::with_capacity(text.len() + room);
        out.extend(std::iter::repeat_n(fill, left));
        out.push_str(text);
        out.extend(std::iter::repeat_n(fill, room - left));
        Ok(Value::str(out))
    }

    fn split(&self, text: &str, name: &str, args: Args) -> Res<Value> {
        let parts: Vec<&str> = if name == "splitlines" {
            let [keep] = args.bind(name, ["keepends"], 0)?;
            lines(text, truth_or(keep.as_ref(), false))
        } else {
            let [by, most] = args.bind(name, ["sep", "maxsplit"], 0)?;
            let most = int_or(most.as_ref(), -1)?;
            let most = usize::try_from(most)
                .unwrap_or(usize::MAX)
                .saturating_add(1);
            match given(by) {
                None if name == "split" => words(text, most),
                None => words_from_end(text, most),
                Some(by) => {
                    let by = text_of(&by, name)?;
                    if by.is_empty() {
                        return fail!("empty separator");
                    }
                    if name == "split" {
                        text.splitn(most, by).collect()
                    } else {
                        let mut parts: Vec<&str> = text.rsplitn(most, by).collect();
                        parts.reverse();
                        parts
                    }
                }
            }
        };
        self.budget.items(parts.len())?;
        Value::list(parts.into_iter().map(Value::str).collect(), &self.budget)
    }

    fn tabs(&self, text: &str, size: i128) -> Res<Value> {
        let size = usize::try_from(size.max(0)).unwrap_or(usize::MAX);
        let most = text.matches('\t').count().saturating_mul(size);
        self.budget.text(text.len().saturating_add(most))?;
        let mut out = String::with_capacity(text.len());
        let mut column = 0;
        for c in text.chars() {
            match c {
                '\t' if size > 0 => {
                    let room = size - column % size;
                    out.extend(std::iter::repeat_n(' ', room));
                    column += room;
                }
                '\t' => {}
                c => {
                    out.push(c);
                    column = if matches!(c, '\n' | '\r') {
                        0
                    } else {
                        column + 1
                    };
                }
            }
        }
        Ok(Value::str(out))
    }
}

/// Words, of which the last is all that is left.
fn words(text: &str, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(is_space).unwrap_or(rest.len());
        if words.len() + 1 >= most {
            words.push(rest);
            break;
        }
        words.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    words
}

fn words_from_end(text: &str, most: usize) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_end_matches(is_space);
    while !rest.is_empty() {
        let last = |(i, c): (usize, char)| i + c.len_utf8();
        let start = rest
            .char_indices()
            .rev()
            .find(|(_, c)| is_space(*c))
            .map_or(0, last);
        if words.len() + 1 >= most {
            words.push(rest);
            break;
        }
        words.push(&rest[start..]);
        rest = rest[..start].trim_end_matches(is_space);
    }
    words.reverse();
    words
}

pub(crate) fn stripped<'a>(text: &'a str, how: &str, set: Option<&str>) -> &'a str {
    let taken = |c: char| set.map_or_else(|| is_space(c), |set| set.contains(c));
    let text = if how == "rstrip" {
        text
    } else {
        text.trim_start_matches(taken)
    };
    if how == "lstrip" {
        text
    } else {
        text.trim_end_matches(taken)
    }
}

/// Methods that look for a text between two places.
fn searched(text: &str, name: &str, args: Args) -> Res<Value> {
    let [part, start, end] = args.bind(name, ["sub", "start", "end"], 1)?;
    let len = chars(text) as i128;
    let bound = |at: i128| {
        if at < 0 {
            (at + len).max(0)
        } else {
            at.min(len)
        }
    };
    let from = int_or(given(start).as_ref(), 0)?;
    let beyond = from > len;
    let from = bound(from);
    let to = bound(int_or(given(end).as_ref(), len)?);
    let window = if from <= to && !beyond {
        Some(&text[byte_of(text, from as usize)..byte_of(text, to as usize)])
    } else {
        None
    };
    let part = part.unwrap_or(Value::None);
    if let ("startswith" | "endswith", Value::Tuple(parts)) = (name, &part) {
        for part in &parts.items {
            let part = text_of(part, name)?;
            if window.is_some_and(|text| affixed(text, name, part)) {
                return Ok(Value::Bool(true));
            }
        }
        return Ok(Value::Bool(false));
    }
    let part = text_of(&part, name)?;
    let found = |at: Option<usize>| match (at, window) {
        (Some(at), Some(text)) => from + chars(&text[..at]) as i128,
        _ => -1,
    };
    let place = match name {
        "startswith" | "endswith" => {
            return Ok(window.is_some_and(|text| affixed(text, name, part)).into());
        }
        "count" => return Ok(window.map_or(0, |text| text.matches(part).count()).into()),
        "find" | "index" => found(window.and_then(|text| text.find(part))),
        _ => found(window.and_then(|text| text.rfind(part))),
    };
    if place < 0 && matches!(name, "index" | "rindex") {
        return fail!("substring not found");
    }
    Ok(Value::Int(place))
}

fn affixed(text: &str, name: &str, part: &str) -> bool {
    if name == "startswith" {
        text.starts_with(part)
    } else {
        text.ends_with(part)
    }
}

/// Methods that ask what all characters are.
pub(crate) fn is(text: &str, name: &str) -> Option<bool> {
    let all = |test: fn(char) -> bool| !text.is_empty() && text.chars().all(test);
    let cased = text.chars().any(is_cased);
    Some(match name {
        "isalpha" => all(char::is_alphabetic),
        "isalnum" => all(char::is_alphanumeric),
        "isascii" => text.is_ascii(),
        "isdecimal" => all(|c| decimal(c).is_some()),
        "isdigit" => all(|c| {
            decimal(c).is_some() || matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '₀'..='₉')
        }),
        "isnumeric" => all(char::is_numeric),
        "isspace" => all(is_space),
        "isprintable" => text.chars().all(is_printable),
        "islower" => cased && !text.chars().any(char::is_uppercase),
        "isupper" => cased && !text.chars().any(char::is_lowercase),
        "istitle" => cased && title(text) == text,
        "isidentifier" => {
            text.starts_with(|c: char| c == '_' || c.is_alphabetic())
                && text.chars().all(|c| c == '_' || c.is_alphanumeric())
        }
        _ => return None,
    })
}
