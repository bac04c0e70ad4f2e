//! Filters of text.

use super::wrap::wrap;
use crate::args::{Args, given, int_or, text_of, truth_or};
use crate::error::{Fault, Res, fail};
use crate::eval::Interp;
use crate::format::percent;
use crate::limits::MAX_TEXT;
use crate::methods::stripped;
use crate::text::{byte_of, capitalize, chars, is_space, lines, title_by};
use crate::value::{Value, repr};

impl Interp<'_> {
    pub(super) fn text_filter(&mut self, name: &str, value: &Value, args: Args) -> Res<Value> {
        match name {
            "replace" => {
                let [old, new, count] = args.bind(name, ["old", "new", "count"], 2)?;
                let old = self.soft(&old.unwrap_or(Value::None))?;
                let new = self.soft(&new.unwrap_or(Value::None))?;
                let count = int_or(given(count).as_ref(), -1)?;
                let text = self.soft(value)?;
                self.replaced(&text, &old, &new, count)
            }
            "trim" => {
                let [set] = args.bind(name, ["chars"], 0)?;
                let set = given(set);
                let set = set.as_ref().map(|set| text_of(set, name)).transpose()?;
                let text = self.soft(value)?;
                Ok(Value::str(stripped(&text, "strip", set)))
            }
            "center" => {
                let [width] = args.bind(name, ["width"], 0)?;
                let text = self.soft(value)?;
                self.justified(&text, name, int_or(width.as_ref(), 80)?, " ")
            }
            "format" => {
                if !args.positional.is_empty() && !args.named.is_empty() {
                    return fail!("format takes positional or named arguments, not both");
                }
                let text = self.soft(value)?;
                let given = if args.named.is_empty() {
                    Value::tuple(args.positional, &self.budget)?
                } else {
                    let pairs = args.named.into_iter();
                    let pairs = pairs.map(|(name, value)| (Value::Str(name), value));
                    Value::dict(pairs.collect(), &self.budget)?
                };
                Ok(Value::str(percent(&text, &given, &self.budget)?))
            }
            "indent" => self.indent(value, args),
            "truncate" => self.truncate(value, args),
            "wordwrap" => {
                let names = [
                    "width",
                    "break_long_words",
                    "wrapstring",
                    "break_on_hyphens",
                ];
                let [width, long, by, hyphens] = args.bind(name, names, 0)?;
                let width = int_or(width.as_ref(), 79)?;
                let Ok(width @ 1..) = usize::try_from(width) else {
                    return fail!("invalid width {width}");
                };
                let by = given(by).unwrap_or_else(|| Value::str("\n"));
                let by = text_of(&by, name)?;
                let (long, hyphens) = (
                    truth_or(long.as_ref(), true),
                    truth_or(hyphens.as_ref(), true),
                );
                let text = text_of(value, name)?;
                self.budget.text(text.len().saturating_mul(1 + by.len()))?;
                let wrapped = lines(text, false).into_iter();
                let wrapped = wrapped.map(|line| wrap(line, width, long, hyphens).join(by));
                Ok(Value::str(wrapped.collect::<Vec<_>>().join(by)))
            }
            "xmlattr" => self.xmlattr(value, args),
            _ => {
                args.none(name)?;
                self.plain_text(name, value)
            }
        }
    }

    fn plain_text(&mut self, name: &str, value: &Value) -> Res<Value> {
        if name == "pprint" {
            let text = repr(&self.in_order(value)?, &self.budget)?;
            if chars(&text) > 80 {
                return fail!("pprint of more than a line of 80 characters");
            }
            return Ok(Value::str(text));
        }
        if name == "urlencode" {
            return self.urlencode(value);
        }
        if let ("string" | "safe", Value::Str(_)) = (name, value) {
            return Ok(value.clone());
        }
        let text = self.soft(value)?;
        Ok(match name {
            "string" | "safe" => Value::str(text),
            "upper" => Value::str(text.to_uppercase()),
            "lower" => Value::str(text.to_lowercase()),
            "capitalize" => Value::str(capitalize(&text)),
            "title" => Value::str(title(&text)),
            "escape" | "e" | "forceescape" => Value::str(escaped(&text)),
            "striptags" => Value::str(without_tags(&text)),
            "wordcount" => {
                let word = |c: char| c == '_' || c.is_alphanumeric();
                text.split(|c| !word(c))
                    .filter(|part| !part.is_empty())
                    .count()
                    .into()
            }
            _ => return fail!("no filter named '{name}'"),
        })
    }

    fn indent(&self, value: &Value, args: Args) -> Res<Value> {
        let [width, first, blank] = args.bind("indent", ["width", "first", "blank"], 0)?;
        let by = match width {
            Some(Value::Str(by)) => by.to_string(),
            width => {
                let width =
                    usize::try_from(int_or(width.as_ref(), 4)?.max(0)).unwrap_or(usize::MAX);
                if width > MAX_TEXT {
                    return Err(Fault::text_limit());
                }
                " ".repeat(width)
            }
        };
        if let Value::Undefined(why) = value {
            return Err(Fault::Failed(why.message()));
        }
        let text = format!("{}\n", text_of(value, "indent")?);
        let lines = lines(&text, false);
        self.budget.text(
            text.len()
                .saturating_add(by.len().saturating_mul(lines.len())),
        )?;
        let blank = truth_or(blank.as_ref(), false);
        let mut out = String::new();
        for (i, line) in lines.iter().enumerate() {
            out.push_str(if i > 0 { "\n" } else { "" });
            if (i == 0 && truth_or(first.as_ref(), false)) || (i > 0 && (blank || !line.is_empty()))
            {
                out.push_str(&by);
            }
            out.push_str(line);
        }
        Ok(Value::str(out))
    }

    fn truncate(&self, value: &Value, args: Args) -> Res<Value> {
        let names = ["length", "killwords", "end", "leeway"];
        let [length, kill, end, leeway] = args.bind("truncate", names, 0)?;
        let end = end.unwrap_or_else(|| Value::str("..."));
        let end = text_of(&end, "truncate")?;
        let (length, leeway) = (
            int_or(length.as_ref(), 255)?,
            int_or(given(leeway).as_ref(), 5)?,
        );
        let room = length.saturating_sub(chars(end) as i128);
        if room < 0 || leeway < 0 {
            return fail!("truncate to {length} with {leeway} more and '{end}'");
        }
        let len = value.len().map_or(i128::MAX, |len| len as i128);
        if len <= length.saturating_add(leeway) {
            return Ok(value.clone());
        }
        let text = text_of(value, "truncate")?;
        self.budget.text(text.len())?;
        let cut = &text[..byte_of(text, room as usize)];
        let kept = if truth_or(kill.as_ref(), false) {
            cut
        } else {
            cut.rsplit_once(' ').map_or(cut, |(before, _)| before)
        };
        Ok(Value::str(format!("{kept}{end}")))
    }

    fn xmlattr(&self, value: &Value, args: Args) -> Res<Value> {
        let [space] = args.bind("xmlattr", ["autospace"], 0)?;
        let Value::Dict(dict) = value else {
            return fail!("xmlattr takes a mapping");
        };
        let mut items = Vec::new();
        for (key, value) in &dict.entries {
            if matches!(value, Value::None | Value::Undefined(_)) {
                continue;
            }
            let key = text_of(key, "xmlattr")?;
            if key.contains(|c: char| c.is_ascii_whitespace() || "/>=\x0b".contains(c)) {
                return fail!("invalid character in attribute name: '{key}'");
            }
            items.push(format!(
                "{}=\"{}\"",
                escaped(key),
                escaped(&self.soft(value)?)
            ));
        }
        let space = !items.is_empty() && truth_or(space.as_ref(), true);
        let text = format!("{}{}", if space { " " } else { "" }, items.join(" "));
        self.budget.text(text.len())?;
        Ok(Value::str(text))
    }

    fn urlencode(&mut self, value: &Value) -> Res<Value> {
        let pairs = match value {
            Value::Dict(dict) => Value::View(crate::value::View::Items, dict.clone()),
            Value::Undefined(_)
            | Value::List(_)
            | Value::Tuple(_)
            | Value::Range(_)
            | Value::View(..)
            | Value::Iter(_)
            | Value::Loop(_) => value.clone(),
            _ => return Ok(Value::str(quoted(&self.soft(value)?, false))),
        };
        let mut parts = Vec::new();
        for pair in self.items(&pairs)? {
            let Ok([key, value]) = <[Value; 2]>::try_from(self.items(&pair)?) else {
                return fail!("urlencode takes text, a mapping or pairs");
            };
            let (key, value) = (self.soft(&key)?, self.soft(&value)?);
            parts.push(format!("{}={}", quoted(&key, true), quoted(&value, true)));
        }
        Ok(Value::str(parts.join("&")))
    }

    /// A value with its mappings in the order of their keys, as `pprint` has them.
    fn in_order(&self, value: &Value) -> Res<Value> {
        self.budget.step()?;
        let all = |items: &[Value]| -> Res<Vec<Value>> {
            items.iter().map(|item| self.in_order(item)).collect()
        };
        match value {
            Value::List(seq) => Value::list(all(&seq.items)?, &self.budget),
            Value::Tuple(seq) => Value::tuple(all(&seq.items)?, &self.budget),
            Value::Dict(dict) => {
                let mut pairs = Vec::new();
                for (key, value) in &dict.entries {
                    pairs.push((key.clone(), self.in_order(value)?));
                }
                let pairs = crate::sort::sorted(pairs, |a, b| {
                    let order = crate::value::compare(&a.0, &b.0, &self.budget)?;
                    Ok(order == Some(std::cmp::Ordering::Less))
                })?;
                Value::dict(pairs, &self.budget)
            }
            value => Ok(value.clone()),
        }
    }
}

/// Jinja's own title case: each part between white space, hyphens and brackets.
fn title(text: &str) -> String {
    let breaks = |c: char| is_space(c) || "-({[<".contains(c);
    title_by(text, |c| c.to_uppercase().collect(), |c| !breaks(c))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('>', "&gt;")
        .replace('<', "&lt;")
        .replace('\'', "&#39;")
        .replace('"', "&#34;")
}

fn quoted(text: &str, query: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if !query => out.push('/'),
            b' ' if query => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Text without comments, tags and doubled white space, its commonest entities as characters.
fn without_tags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (open, close) = if rest[at..].starts_with("<!--") {
            (4, "-->")
        } else {
            (1, ">")
        };
        let Some(end) = rest[at + open..].find(close) else {
            break;
        };
        kept.push_str(&rest[..at]);
        rest = &rest[at + open + end + close.len()..];
    }
    kept.push_str(rest);
    let words: Vec<&str> = kept
        .split(is_space)
        .filter(|word| !word.is_empty())
        .collect();
    words
        .join(" ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
