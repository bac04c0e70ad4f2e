//! [`differences`]: where two settings of a kind differ, field by field.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// The fields that differ, each as `name`, what it is in the first and what in the second. A field
/// within a field is named by both names.
pub(super) fn differences<T: Debug>(a: &T, b: &T) -> Vec<String> {
    let (a, b) = (leaves(a), leaves(b));
    let nothing = || "nothing".to_owned();
    let names: BTreeMap<_, _> = a.iter().chain(&b).collect();
    let apart = names
        .into_keys()
        .filter(|name| a.get(*name) != b.get(*name));
    let said = apart.map(|name| {
        let of = |all: &BTreeMap<String, String>| all.get(name).cloned().unwrap_or_else(nothing);
        format!("`{name}` is {} and {}", short(&of(&a)), short(&of(&b)))
    });
    said.collect()
}

/// At most so much of a long value, such as a list of a number for each layer.
fn short(value: &str) -> String {
    const LONGEST: usize = 60;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// The values of the innermost fields by the names that lead to them, as derived `Debug` writes
/// them: a line each, indented by what they are within.
fn leaves<T: Debug>(value: &T) -> BTreeMap<String, String> {
    let text = format!("{value:#?}");
    let (mut within, mut found) = (Vec::<String>::new(), BTreeMap::new());
    for line in text.lines() {
        let line = line.trim().trim_end_matches(',');
        let opens = line.ends_with(['{', '(', '[']);
        if opens {
            let name = line.split_once(": ").map_or("", |(name, _)| name);
            within.push(name.to_owned());
        } else if ["}", ")", "]"].contains(&line) {
            within.pop();
        } else {
            let (name, value) = line.split_once(": ").unwrap_or(("", line));
            let path = within.iter().map(String::as_str).chain([name]);
            let path: Vec<&str> = path.filter(|part| !part.is_empty()).collect();
            let all: &mut String = found.entry(path.join(".")).or_default();
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(value);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::differences;

    #[derive(Debug, Clone)]
    #[allow(dead_code)]
    struct Inner {
        theta: f64,
        factors: Vec<u32>,
    }

    #[derive(Debug, Clone)]
    #[allow(dead_code)]
    struct Outer {
        width: usize,
        rope: Option<Inner>,
    }

    #[test]
    fn the_fields_that_differ_are_named_and_no_others() {
        let inner = Inner {
            theta: 1e4,
            factors: vec![1, 2],
        };
        let one = Outer {
            width: 8,
            rope: Some(inner.clone()),
        };
        assert!(differences(&one, &one.clone()).is_empty());
        let theta = Inner {
            theta: 5.0,
            ..inner.clone()
        };
        let other = Outer {
            rope: Some(theta),
            ..one
        };
        assert_eq!(
            differences(&one, &other),
            ["`rope.theta` is 10000.0 and 5.0"]
        );
        let factors = vec![1, 3];
        let other = Outer {
            width: 9,
            rope: Some(Inner { factors, ..inner }),
        };
        assert_eq!(
            differences(&one, &other),
            ["`rope.factors` is 1, 2 and 1, 3", "`width` is 8 and 9"]
        );
        let other = Outer { rope: None, ..one };
        assert_eq!(
            differences(&one, &other),
            [
                "`rope` is nothing and None",
                "`rope.factors` is 1, 2 and nothing",
                "`rope.theta` is 10000.0 and nothing"
            ]
        );
    }
}
